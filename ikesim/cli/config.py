"""`ikesim config`: is a configuration usable, and what becomes of one that was written for something else?"""

from pathlib import Path
from typing import Any

import click

from ikesim.cli.common import json_option, print_json
from ikesim.daemon.safe import escaped
from ikesim.errors import UsageError


@click.group()
def config() -> None:
    """Check or import a configuration."""


@config.command()
@click.argument("file", metavar="CONFIG", type=click.Path(path_type=Path))
@json_option
def check(file: Path, as_json: bool) -> None:
    """Read CONFIG and report every fault that it has, all at once."""
    from ikesim.configuration import load

    loaded = load(file)
    endpoint = loaded.endpoint
    document: dict[str, Any] = {
        "result": "ok",
        "file": str(file),
        "endpoint": endpoint.name,
        "state": str(loaded.state),
        "connections": list(endpoint.connections),
        "ca_profiles": list(endpoint.ca_profiles),
        "notes": list(loaded.notes),
    }
    if as_json:
        print_json(document)
        return
    click.echo(
        f"{file}: ok: endpoint {endpoint.name}, {_count(len(endpoint.connections), 'connection')}, "
        f"{_count(len(endpoint.ca_profiles), 'CA profile')}"
    )
    for note in loaded.notes:
        click.echo(f"note: {note}")


@config.command("import")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="CONFIG", help="Default: stdout.")
@click.option("--name", metavar="NAME", help="Of the endpoint; default: the name of FILE.")
@click.option("--listen", multiple=True, metavar="ADDRESS:PORT", help="Default: the local addresses in FILE.")
@json_option
def import_(file: Path, out: Path | None, name: str | None, listen: tuple[str, ...], as_json: bool) -> None:
    """Make a configuration of Junos' set lines or of a swanctl.conf; what cannot be carried over is listed."""
    from ikesim.configuration.importing import import_file

    imported = import_file(file, name=name, listen=listen)
    text = imported.toml()
    if out is not None:
        try:
            out.write_text(text)
        except OSError as error:
            raise UsageError(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from None
    if as_json:
        left_out = [{"where": item.where, "why": item.why} for item in imported.left_out]
        print_json({"result": "ok", "file": None if out is None else str(out), "toml": text, "left_out": left_out})
        return
    if out is None:
        click.echo(text, nl=False)
    else:
        connections = imported.document.get("connection", {})
        click.echo(f"{out}: {_count(len(connections), 'connection')}, {len(imported.left_out)} things left out")
    for item in imported.left_out:
        click.echo(f"left out: {escaped(item.where)}: {escaped(item.why)}", err=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
