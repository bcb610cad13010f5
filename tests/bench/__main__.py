"""`scripts/bench NAME`: measurements as ratios to a floor taken in the same run."""

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, cast

import click
from rich.console import Console
from rich.table import Table

BENCHES = {
    "handshake": "CPU of IKE_SA_INIT + IKE_AUTH beside the bare library calls",
    "trust": "a trust decision with CRLs beside the library, pyhanko-certvalidator and openssl; a large CRL",
    "explore": "every order in which the datagrams of two crossing actions can arrive",
    "longrun": "a day of virtual time: a rekeying a minute, loss, duplicates, reordering",
    "sas": "memory of an established SA, and what its timers cost while it is idle",
    "flood": "tunnels and new handshakes while spoofed IKE_SA_INITs arrive, on the loopback",
}


@click.command(
    help="Measure one thing beside its floor.\n\n\b\n" + "\n".join(f"{n:12}{t}" for n, t in BENCHES.items())
)
@click.argument("name", type=click.Choice(list(BENCHES)))
@click.option("--json", "as_json", is_flag=True, help='One document: {"figures": {}, "ratios": {}}.')
@click.option("--full", is_flag=True, help="All of it, where the usual run is a part.")
def main(name: str, as_json: bool, full: bool) -> None:
    """Run one measurement and show it."""
    run = cast(Callable[..., dict[str, Any]], import_module(f"tests.bench.{name}").run)
    result = run(full=full)
    if as_json:
        click.echo(json.dumps(result, indent=2))
        return
    console = Console()
    for part in ("figures", "ratios"):
        table = Table(title=f"{name}: {part}", title_justify="left")
        table.add_column(part[:-1])
        table.add_column("value", justify="right")
        for key, value in result[part].items():
            table.add_row(key, str(value))
        console.print(table)


if __name__ == "__main__":
    main()
