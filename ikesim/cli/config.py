"""`ikesim config`: is a configuration usable?"""

from pathlib import Path
from typing import Any

import click

from ikesim.cli.common import json_option, print_json


@click.group()
def config() -> None:
    """Check a configuration."""


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


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
