"""`ikesim run`."""

from pathlib import Path

import click


@click.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--ready-file", type=click.Path(path_type=Path), help="Gets the Ready lines, when all are ready.")
@click.option("--capture", type=click.Path(path_type=Path), help="Record every datagram to this pcapng file.")
@click.option("--keys", type=click.Path(path_type=Path), help="Write all keys to this folder, for Wireshark.")
def run(configs: tuple[Path, ...], ready_file: Path | None, capture: Path | None, keys: Path | None) -> None:
    """Run endpoints until interrupted: events as JSON lines on stdout, a log for people on stderr."""
    from ikesim.daemon import control
    from ikesim.daemon import run as daemon
    from ikesim.faults.control import register

    control.registrations.append(register)
    daemon.main(configs, ready_file=ready_file, capture=capture, keys=keys)
