"""What the commands share: options, errors as one sentence with an exit code, and the way to a running daemon.

Imports are light: `ikesim --help` and the commands that only talk to a daemon load neither pydantic nor cryptography.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, TypeVar

import click

from ikesim.daemon.safe import escaped
from ikesim.errors import ConfigurationError, IkesimError

F = TypeVar("F", bound=Callable[..., Any])

EXIT_REFUSED = 1
EXIT_NOBODY_ANSWERED = 6

_JSON = "ikesim.json"
"""Where the context keeps whether --json was given, for errors that end the command."""


class Failure(click.ClickException):
    """An error of ours on its way out of click: a sentence on stderr, with --json also a document on stdout."""

    def __init__(self, error: IkesimError) -> None:
        super().__init__(str(error))
        self.exit_code = error.exit_code  # type: ignore[misc] # click reads it off the instance
        self._document: dict[str, Any] = {"result": "error", "error": str(error), "exit_code": error.exit_code}
        if isinstance(error, ConfigurationError):
            self._document["problems"] = [
                {"file": item.file, "table": item.table, "key": item.key, "message": item.message}
                for item in error.problems
            ]
        context = click.get_current_context(silent=True)
        self._as_json = bool(context and context.meta.get(_JSON))

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the sentence (one a line for a configuration's faults)."""
        if self._as_json:
            print_json(self._document)
        for line in self.message.splitlines():
            click.echo(f"ikesim: {escaped(line, 2000)}", err=True)


def _note_json(context: click.Context, parameter: click.Parameter, value: bool) -> bool:
    context.meta[_JSON] = value
    return value


def json_option(command: F) -> F:
    """`--json`, as the argument `as_json`."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_note_json, help="One JSON document on stdout."
    )(command)


def endpoint_option(command: F) -> F:
    """`--endpoint CONFIG`, as the argument `endpoint` (a Path)."""
    return click.option(
        "--endpoint",
        type=click.Path(path_type=Path),
        required=True,
        envvar="IKESIM_ENDPOINT",
        show_envvar=True,
        metavar="CONFIG",
        help="The endpoint's configuration file.",
    )(command)


class Seconds(click.ParamType[float]):
    """A duration: "30s", "2m" or a number of seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Seconds, more than none."""
        text = str(value).strip()
        unit = {"s": 1.0, "m": 60.0, "h": 3600.0}.get(text[-1:], 0.0)
        number = text[:-1] if unit else text
        digits = number.replace(".", "", 1)
        if not (digits.isascii() and digits.isdigit() and float(number) > 0):
            self.fail(f'{text!r} is not a duration: write "30s", "2m" or a number of seconds', param, ctx)
        return float(number) * (unit or 1.0)


def print_json(document: Any) -> None:
    """One document on stdout."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=True))


def ask(config: Path, method: str, resource: str, body: Any = None, *, timeout: float | None = 60.0) -> Any:
    """Ask the daemon of an endpoint: see `ikesim.cli.client.ask`, which is imported only here."""
    from ikesim.cli.client import ask as ask_daemon
    from ikesim.cli.progress import progress

    with progress("Waiting for the daemon"):
        return ask_daemon(config, method, resource, body, timeout=timeout)
