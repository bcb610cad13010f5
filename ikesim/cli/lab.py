"""`ikesim lab`."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ikesim.cli.faults import faults

BREAKS = ("crl-not-republished", "bob-outside-group", "esp-key-bit")


@click.group()
def lab() -> None:
    """Two endpoints with everything around them."""


class Terminal:
    """Shows a demonstration on a terminal, at most 100 columns wide."""

    def __init__(self) -> None:
        self._step = 0

    def heading(self, text: str) -> None:
        """A numbered step."""
        self._step += 1
        click.echo()
        click.secho(f"{self._step}. {text}", bold=True)

    def say(self, text: str) -> None:
        """A line."""
        click.echo(f"   {text}".rstrip())

    def decision(self, title: str, decision: Mapping[str, Any]) -> None:
        """A trust decision, as a tree."""
        from ikesim.cli.render import render_decision

        for line in render_decision(decision, width=97).splitlines():
            self.say(line)


@lab.command()
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), default="demo", show_default=True, help="Its files."
)
@click.option("--break", "broken", type=click.Choice(BREAKS), help="Do one thing wrong, to see the demo fail.")
def demo(folder: Path, broken: str | None) -> None:
    """A tunnel between endpoints of two CAs, and the same tunnel after a revocation.

    Two daemon processes, their PKI and its CRL service over HTTP. Exit status 0: everything happened as it should.
    """
    from ikesim.lab.demo import Break, demonstrate

    click.echo("ikesim: two IKEv2 daemons authenticate by certificates of different CAs")
    asyncio.run(demonstrate(folder, Terminal(), Break(broken) if broken else None))
    click.echo()
    click.secho("Everything happened as it should.", bold=True)


@lab.command(hidden=True)
@click.argument("flaw")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("--capture", type=click.Path(path_type=Path))
@click.option("--keys", type=click.Path(path_type=Path))
def flawed(flaw: str, config: Path, capture: Path | None, keys: Path | None) -> None:
    """Run an endpoint that does one thing wrong; the demonstration starts it for --break."""
    from ikesim.lab.flaws import FLAWS, run_flawed

    if flaw not in FLAWS:
        raise click.UsageError(f"there is no flaw {flaw!r}; there are: {', '.join(FLAWS)}")
    run_flawed(FLAWS[flaw], config, capture=capture, keys=keys)


lab.add_command(faults)
