"""`ikesim lab faults`: what can be made to go wrong, and switching it on and off in a running daemon."""

import textwrap
from pathlib import Path
from typing import Any

import click

from ikesim.cli.common import ask, json_option, print_json
from ikesim.daemon.safe import escaped
from ikesim.errors import NotFoundError, UsageError

_WIDTH = 100


@click.command()
@click.argument("name", required=False)
@click.argument("options", nargs=-1, metavar="[OPTION=VALUE]...")
@click.option("--endpoint", type=click.Path(path_type=Path), metavar="CONFIG", help="A running endpoint.")
@click.option("--off", metavar="NUMBER|all", help="Switch it off again, by the number that it was given.")
@json_option
def faults(name: str | None, options: tuple[str, ...], endpoint: Path | None, off: str | None, as_json: bool) -> None:
    """List every fault; with --endpoint, switch one on or off while the daemon runs.

    \b
    ikesim lab faults                                      all of them
    ikesim lab faults drop-message                         one, with its options
    ikesim lab faults --endpoint alice.toml                what is on
    ikesim lab faults drop-message exchange=IKE_AUTH times=2 --endpoint alice.toml
    ikesim lab faults --off 1 --endpoint alice.toml
    """
    if endpoint is None:
        if off is not None or options:
            raise UsageError("switching needs --endpoint CONFIG")
        _list(name, as_json)
        return
    if off is not None:
        document = ask(endpoint, "DELETE", "/faults" if off == "all" else f"/faults/{off}")
    elif name is not None:
        document = ask(endpoint, "POST", "/faults", {"name": name, "options": _pairs(options)})
    else:
        document = ask(endpoint, "GET", "/faults")
        document.pop("faults")
    if as_json:
        print_json(document)
        return
    if not document["active"]:
        click.echo(f"{document['endpoint']}: no fault is on")
    for item in document["active"]:
        given = "".join(f" {key}={value}" for key, value in item["options"].items())
        click.echo(escaped(f"{document['endpoint']}: {item['number']} {item['name']}{given}", 2000))
        for note in item["notes"]:
            click.echo(f"    {escaped(note, 2000)}")


def _pairs(options: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for option in options:
        key, found, value = option.partition("=")
        if not found:
            raise UsageError(f"{option!r} is not OPTION=VALUE")
        pairs[key] = value
    return pairs


def _list(name: str | None, as_json: bool) -> None:
    from ikesim.faults.registry import catalogue

    found = [item for item in catalogue() if name in (None, item["name"])]
    if not found:
        raise NotFoundError(f"there is no fault {name!r}; they are listed by: ikesim lab faults")
    if as_json:
        print_json({"faults": found})
        return
    for switchable, title in (
        (True, "Of a running endpoint (--endpoint)"),
        (False, "Prepared before two endpoints meet (pytest, docs/faults.md)"),
    ):
        chosen = [item for item in found if item["switchable"] is switchable]
        if not chosen:
            continue
        click.secho(f"{title}:", bold=True)
        for item in chosen:
            _show(item, with_options=name is not None)


def _show(item: dict[str, Any], *, with_options: bool) -> None:
    rows = ", ".join(item["rows"])
    text = f"{item['help']} [{rows}]"
    column = 28
    lines = textwrap.wrap(text, _WIDTH - column, break_on_hyphens=False) or [""]
    click.echo(f"  {item['name']:<{column - 2}}{lines[0]}")
    for line in lines[1:]:
        click.echo(" " * column + line)
    if with_options:
        for key, value in item["options"].items():
            shown = "none" if value is None else "empty" if value == "" else value
            click.echo(f"      {key}={shown}")
