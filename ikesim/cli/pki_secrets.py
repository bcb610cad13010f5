"""`ikesim pki secret`: preshared and manual keys, which are held and protected, and never shown."""

import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ikesim.cli.common import endpoint_option, json_option, print_json
from ikesim.cli.stores import open_store
from ikesim.errors import UsageError

if TYPE_CHECKING:
    from ikesim.pki.buffers import KeyBuffer
    from ikesim.pki.secrets import Secret

MAX_INPUT = 1024
"""Octets that are read of a value: more than twice what it may have, for hexadecimal and its line end."""


@click.group()
def secret() -> None:
    """IKE preshared keys and manual VPN keys: held, protected, never shown."""


@secret.command()
@click.argument("name", metavar="ID")
@click.option("--kind", type=click.Choice(("ike-psk", "manual-vpn")), required=True)
@click.option(
    "--fd", "descriptor", type=click.IntRange(0), default=0, show_default=True, help="Where the value is read from."
)
@click.option("--hex", "is_hex", is_flag=True, help="The value is given in hexadecimal.")
@endpoint_option
@json_option
def add(name: str, kind: str, descriptor: int, is_hex: bool, endpoint: Path, as_json: bool) -> None:
    """Keep the secret ID. Its value (1 to 255 octets) comes from a descriptor, never from the command line."""
    from ikesim.pki.secrets import SecretKind

    _, store = open_store(endpoint)
    value = read_value(descriptor)
    added = store.secrets.add(name, SecretKind(kind), _from_hex(value) if is_hex else value)
    if as_json:
        print_json(_document(added))
    else:
        click.echo(f"Keeps {added.kind} {added.id}; its value will not be shown again")


@secret.command()
@endpoint_option
@json_option
def ls(endpoint: Path, as_json: bool) -> None:
    """List the secrets, without their values."""
    loaded, store = open_store(endpoint)
    found = store.secrets.ls().values()
    if as_json:
        print_json({"endpoint": loaded.endpoint.name, "secrets": [_document(one) for one in found]})
        return
    for one in found:
        click.echo(f"{one.id}  {one.kind}  since {one.created:%Y-%m-%d %H:%M} UTC")
    if not found:
        click.echo("no secrets")


@secret.command()
@click.argument("name", metavar="ID")
@endpoint_option
@json_option
def rm(name: str, endpoint: Path, as_json: bool) -> None:
    """Destroy the secret ID."""
    open_store(endpoint)[1].secrets.remove(name)
    if as_json:
        print_json({"name": name, "removed": ["secret"]})
    else:
        click.echo(f"Removed the secret {name}")


def _document(item: "Secret") -> dict[str, str]:
    created = item.created.isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"id": item.id, "kind": item.kind.value, "created": created}


def read_value(descriptor: int) -> "KeyBuffer":
    """What a descriptor gives to its end (a terminal: one line, unseen), without a line end. Raises UsageError."""
    from ikesim.pki.buffers import KeyBuffer

    count = 0

    def write(target: memoryview) -> None:
        nonlocal count
        with _unseen(descriptor) as typed:
            while count < len(target) and (got := os.readv(descriptor, [target[count:]])):
                count += got
                if typed and target[count - 1] == ord("\n"):
                    break

    try:
        whole = KeyBuffer.receive(MAX_INPUT, write)
    except OSError as error:
        raise UsageError(f"descriptor {descriptor} cannot be read: {error.strerror or error}") from None
    with whole:
        end = count
        for ending in b"\n\r":
            if end and whole.view[end - 1] == ending:
                end -= 1
        if not end:
            raise UsageError(f"descriptor {descriptor} gave no value: write it to that, or name another with --fd N")
        return whole.copy(0, end)


@contextmanager
def _unseen(descriptor: int) -> Iterator[bool]:
    """Whether somebody types at a terminal; it shows nothing meanwhile."""
    if not os.isatty(descriptor):
        yield False
        return
    before = termios.tcgetattr(descriptor)
    quiet = [*before]
    quiet[3] &= ~termios.ECHO
    click.echo("value (not shown): ", nl=False, err=True)
    termios.tcsetattr(descriptor, termios.TCSAFLUSH, quiet)
    try:
        yield True
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)
        click.echo(err=True)


def _from_hex(text: "KeyBuffer") -> "KeyBuffer":
    """The octets that hexadecimal digits stand for. Raises UsageError."""
    from ikesim.pki.buffers import KeyBuffer

    with text:
        view = text.view
        digits = [b"0123456789abcdef".find(octet | 0x20 if octet >= ord("A") else octet) for octet in view]
        if len(view) % 2 or min(digits) < 0:
            raise UsageError("the value is not hexadecimal: an even number of digits 0-9, a-f")

        def write(target: memoryview) -> None:
            for at in range(len(target)):
                target[at] = digits[2 * at] << 4 | digits[2 * at + 1]

        return KeyBuffer.receive(len(view) // 2, write)
