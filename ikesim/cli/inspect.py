"""`ikesim inspect`: what a capture holds, a line for each message."""

from pathlib import Path

import click

from ikesim.cli.common import json_option, print_json


@click.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A Wireshark profile with the keys, as `ikesim run --keys DIR` writes it.",
)
@click.option("--all", "everything", is_flag=True, help="Also the frames that are neither IKE nor ESP.")
@json_option
def inspect(capture: Path, keys: Path | None, everything: bool, as_json: bool) -> None:
    """Decode the IKE and ESP in CAPTURE (pcap or pcapng), and decrypt what the keys open.

    What is damaged stands behind "!!"; `*` marks a critical payload, `!` one that does not parse, { } is what was
    encrypted.
    """
    from ikesim.capture import describe
    from ikesim.capture.inspector import Inspector
    from ikesim.capture.keyring import Keyring
    from ikesim.capture.reader import read_frames

    keyring = Keyring() if keys is None else Keyring.load(keys)
    for problem in keyring.problems:
        click.echo(f"ikesim: {problem}", err=True)
    inspector = Inspector(keyring)
    messages = []
    for frame in read_frames(capture):
        found = inspector.inspect(frame)
        if found.kind == "other" and not everything:
            continue
        if as_json:
            messages.append(describe.to_json(found))
        else:
            click.echo(describe.line(found))
    if as_json:
        print_json({"capture": str(capture), "messages": messages})
