"""`ikesim self-test`: the cryptographic self-tests of a running endpoint, or of this installation."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from ikesim.cli.common import EXIT_REFUSED, Seconds, endpoint_option, json_option, print_json
from ikesim.errors import NotFoundError, UsageError

only_option = click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    help="A test or a family of tests; may be repeated, or a list with commas.",
)


@click.group(name="self-test")
def self_test() -> None:
    """The cryptographic self-tests: known answers of every algorithm.

    A cryptographic administrator enables and disables them; a security administrator schedules them and chooses which
    run. [roles] of the configuration names both; without it the user who runs the daemon is either.
    """


@self_test.command()
@only_option
@click.option(
    "--endpoint", type=click.Path(path_type=Path), metavar="CONFIG", help="In its daemon; without, in this process."
)
@json_option
def run(only: tuple[str, ...], endpoint: Path | None, as_json: bool) -> None:
    """Run the self-tests now. Exit 1 when one fails; a daemon then makes no new SA."""
    names = _names(only)
    document = _run_here(names) if endpoint is None else _ask(endpoint, "POST", "/self-test/run", {"only": names})
    if as_json:
        print_json(document)
    else:
        for item in document["outcomes"]:
            said = "passed" if item["passed"] else f"FAILED: {item['detail']}"
            click.echo(f"{item['name']:28} {item['family']:18} {said}")
        failed = sum(not item["passed"] for item in document["outcomes"])
        click.echo(f"{len(document['outcomes'])} self-tests, {failed} failed")
    if document["result"] != "passed":
        click.get_current_context().exit(EXIT_REFUSED)


@self_test.command()
@endpoint_option
@json_option
def show(endpoint: Path, as_json: bool) -> None:
    """Show how the self-tests of an endpoint stand. Exit 1 in the error state."""
    document = _ask(endpoint, "GET", "/self-test")
    _print(document, as_json)
    if document["state"] == "error":
        click.get_current_context().exit(EXIT_REFUSED)


@self_test.command()
@endpoint_option
@json_option
def enable(endpoint: Path, as_json: bool) -> None:
    """Let the self-tests run (cryptographic administrator)."""
    _print(_ask(endpoint, "POST", "/self-test/enable"), as_json)


@self_test.command()
@endpoint_option
@json_option
def disable(endpoint: Path, as_json: bool) -> None:
    """Let no self-test run (cryptographic administrator). An error state stays."""
    _print(_ask(endpoint, "POST", "/self-test/disable"), as_json)


@self_test.command()
@click.option("--every", "interval", type=Seconds(), metavar="TIME", help='Run them every TIME, such as "24h".')
@click.option("--never", is_flag=True, help="Run them at start and on demand only.")
@only_option
@click.option("--all", "every_test", is_flag=True, help="Run all of them again.")
@endpoint_option
@json_option
def schedule(
    interval: float | None, never: bool, only: tuple[str, ...], every_test: bool, endpoint: Path, as_json: bool
) -> None:
    """Say when the self-tests run, and which of them (security administrator)."""
    if (interval is not None and never) or (only and every_test):
        raise UsageError("--every and --never, and --only and --all, exclude each other")
    body: dict[str, Any] = {}
    if interval is not None or never:
        body["interval"] = interval or 0.0
    if only or every_test:
        body["only"] = _names(only)
    if not body:
        raise UsageError("say --every TIME or --never, or --only NAME or --all")
    _print(_ask(endpoint, "POST", "/self-test/schedule", body), as_json)


def _ask(endpoint: Path, method: str, resource: str, body: Any = None) -> Any:
    """Ask the daemon through the socket that this user may use."""
    from ikesim.cli.client import ask
    from ikesim.configuration import state_folder
    from ikesim.configuration.document import read_document

    roles = read_document(endpoint).get("roles")
    place = roles.get("socket") if isinstance(roles, dict) else None
    through = None
    if isinstance(place, str) and not _may_enter(state_folder(endpoint)):
        through = endpoint.absolute().parent / place
    try:
        return ask(endpoint, method, resource, body, through=through)
    except NotFoundError as error:
        raise NotFoundError(f"{error}; ikesim self-test run without --endpoint tests this installation") from None


def _may_enter(state: Path) -> bool:
    try:
        return (state / ".").is_dir()
    except PermissionError:
        return False


def _run_here(names: list[str]) -> dict[str, Any]:
    from ikesim.crypto import selftest
    from ikesim.ike.self_tests import outcome_document

    outcomes = selftest.run(names)
    failed = any(not outcome.passed for outcome in outcomes)
    return {
        "result": "failed" if failed else "passed",
        "reason": "self-test-failed" if failed else None,
        "outcomes": outcome_document(outcomes),
    }


def _names(only: tuple[str, ...]) -> list[str]:
    return [name.strip() for item in only for name in item.split(",") if name.strip()]


def _print(document: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(document)
        return
    click.echo(f"self-tests of {document['endpoint']}: {'enabled' if document['enabled'] else 'DISABLED'}")
    last = f"{document['last_run']} ({document['last_trigger']})" if document["last_run"] else "never"
    click.echo(f"state {document['state']}, last run {last}")
    every = f"every {document['interval']:g} s" if document["interval"] else "at start and on demand"
    click.echo(f"run {every}: {', '.join(document['only']) or 'all'}")
    for name, detail in document["failed"].items():
        click.echo(f"FAILED {name}: {detail}")
