"""The commands that ask a running daemon: up, down, rekey, redirect, move, status, ping, reload."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from ikesim.cli.common import (
    EXIT_NOBODY_ANSWERED,
    EXIT_REFUSED,
    Seconds,
    ask,
    endpoint_option,
    json_option,
    print_json,
)
from ikesim.daemon.hints import hint
from ikesim.daemon.safe import escaped

_EXIT_CODES = {"refused": EXIT_REFUSED, "child-failed": EXIT_REFUSED, "nobody-answered": EXIT_NOBODY_ANSWERED}
PATIENCE = 30.0
"""Seconds beyond a command's own timeout before the daemon itself is given up."""
WATCH_INTERVAL = 1.0


def _finish(document: Mapping[str, Any]) -> None:
    """End with the exit code that the result stands for."""
    click.get_current_context().exit(_EXIT_CODES.get(document["result"], 0))


def _resource(connection: str, verb: str) -> str:
    return f"/connections/{quote(connection, safe='')}/{verb}"


@click.command()
@click.argument("connection")
@endpoint_option
@click.option("--timeout", type=Seconds(), default="30s", show_default=True, help="Then nobody answered.")
@json_option
def up(connection: str, endpoint: Path, timeout: float, as_json: bool) -> None:
    """Bring CONNECTION up and wait for the verdict.

    A fresh IKE SA is made even when one is up; the connection's `unique` says what becomes of the older one.
    """
    document = ask(endpoint, "POST", _resource(connection, "up"), {"timeout": timeout}, timeout=timeout + PATIENCE)
    help_line = hint(document, endpoint)
    if as_json:
        print_json({**document, "hint": help_line})
    else:
        if document["decision"] is None or document["result"] == "child-failed":
            click.echo(escaped(document["message"], 2000))
        if document["decision"] is not None:
            from ikesim.cli.render import render_decision

            click.echo(f"{document['sa']} of connection {connection}: {document['result']}")
            click.echo(render_decision(document["decision"]))
        if help_line:
            click.echo(help_line)
    _finish(document)


@click.command()
@click.argument("connection")
@click.option("--child", metavar="NAME", help="Only this child.")
@endpoint_option
@json_option
def down(connection: str, child: str | None, endpoint: Path, as_json: bool) -> None:
    """Delete the SAs of CONNECTION, and wait until the peer has confirmed."""
    document = ask(endpoint, "POST", _resource(connection, "down"), {"child": child})
    if as_json:
        print_json(document)
    else:
        what = ", ".join(document["sas"])
        end = "closed" if document["result"] == "closed" else "deleted here; the peer has not confirmed"
        click.echo(f"{what}: {end}")
    _finish(document)


@click.command()
@click.argument("connection")
@click.option("--child", metavar="NAME", help="This child's SA instead of the IKE SA.")
@endpoint_option
@json_option
def rekey(connection: str, child: str | None, endpoint: Path, as_json: bool) -> None:
    """Replace the IKE SA of CONNECTION by a fresh one."""
    document = ask(endpoint, "POST", _resource(connection, "rekey"), {"child": child})
    if as_json:
        print_json(document)
    elif document["result"] == "rekeyed":
        click.echo(f"{document['old']} was rekeyed; {document['new']} takes its place")
    else:
        click.echo(f"{document['old']} was not rekeyed: {document['reason']}")
    _finish(document)


@click.command()
@click.argument("connection")
@click.option("--to", "gateway", metavar="ADDRESS", required=True, help="The other gateway's IP address.")
@endpoint_option
@json_option
def redirect(connection: str, gateway: str, endpoint: Path, as_json: bool) -> None:
    """Send the peer of CONNECTION to another gateway (RFC 5685), and wait until it has left."""
    document = ask(endpoint, "POST", _resource(connection, "redirect"), {"gateway": gateway})
    if as_json:
        print_json(document)
    elif document["result"] == "redirected":
        click.echo(f"{document['sa']} ended; its peer was sent to {document['gateway']}")
    else:
        click.echo(f"{document['sa']} was asked to go to {document['gateway']}; it has not left yet")
    _finish(document)


@click.command()
@click.argument("connection")
@click.option("--to", "address", metavar="ADDRESS", required=True, help="Another address of listen-nat-t.")
@endpoint_option
@json_option
def move(connection: str, address: str, endpoint: Path, as_json: bool) -> None:
    """Move CONNECTION to another of our addresses (MOBIKE, RFC 4555)."""
    document = ask(endpoint, "POST", _resource(connection, "move"), {"address": address})
    if as_json:
        print_json(document)
    else:
        click.echo(f"{document['sa']} is now at {document['local']}; the peer has been told")
    _finish(document)


@click.command()
@click.argument("connection")
@click.argument("address")
@endpoint_option
@click.option("--count", type=click.IntRange(1, 10_000), default=1, show_default=True)
@click.option("--timeout", type=Seconds(), default="5s", show_default=True, help="After the last request.")
@json_option
def ping(connection: str, address: str, endpoint: Path, count: int, timeout: float, as_json: bool) -> None:
    """Send ICMP echo requests through CONNECTION's tunnel to ADDRESS."""
    body = {"address": address, "count": count, "timeout": timeout}
    document = ask(endpoint, "POST", _resource(connection, "ping"), body, timeout=timeout + count + PATIENCE)
    if as_json:
        print_json(document)
    else:
        for number, milliseconds in enumerate(document["times_ms"], 1):
            click.echo(f"reply {number} from {document['address']}: {milliseconds:.2f} ms")
        lost = document["sent"] - document["received"]
        click.echo(
            f"{document['source']} -> {document['address']}: {document['sent']} sent, "
            f"{document['received']} received, {lost} lost"
        )
    _finish(document)


@click.command()
@endpoint_option
@json_option
def reload(endpoint: Path, as_json: bool) -> None:
    """Read the configuration and the PKI objects again; a faulty file changes nothing."""
    document = ask(endpoint, "POST", "/reload")
    if as_json:
        print_json(document)
    else:
        for change in document["changes"]:
            click.echo(change)
        click.echo("reloaded" if document["changes"] else "reloaded; the configuration has not changed")


@click.command()
@endpoint_option
@click.option("--watch", is_flag=True, help="Show it again every second, until interrupted.")
@json_option
def status(endpoint: Path, watch: bool, as_json: bool) -> None:
    """Show the IKE and CHILD SAs of an endpoint, and its counters."""
    while True:
        document = ask(endpoint, "GET", "/status")
        if as_json:
            print_json(document)
        else:
            if watch:
                click.clear()
            click.echo(_status_text(document))
        if not watch:
            return
        time.sleep(WATCH_INTERVAL)


def _status_text(document: Mapping[str, Any]) -> str:
    """The status for people."""
    sockets = ", ".join([*document["listen"], *document["listen_nat_t"]])
    lines = [f"endpoint {document['endpoint']}, listening on {sockets}"]
    if document["state"] == "error":
        lines.append(f"ERROR: no new SAs ({document['reason']}): {', '.join(document['self_test']['failed'])}")
    for sa in document["ike_sas"]:
        lines.append(
            f"{sa['id']}  {sa['state']}, {sa['role']} of connection {sa['connection'] or '?'}, "
            f"{sa['local']} <-> {sa['remote']}"
        )
        lines.append(f"    SPIs {sa['spi_i']}, {sa['spi_r']}; {sa['proposal'] or 'no proposal yet'}")
        if sa["identity"]:
            since = f", established {sa['established_at']}" if sa["established_at"] else ""
            lines.append(f"    peer {escaped(sa['identity'])}{since}")
        if sa["decision"]:
            lines.append(f"    {escaped(sa['decision']['summary'])}")
        for child in sa["child_sas"]:
            selectors = f"{', '.join(child['local_ts'])} === {', '.join(child['remote_ts'])}"
            lines.append(
                f"    {child['name']}: {child['state']}, {selectors}, SPIs {child['spi_in']} in, {child['spi_out']} "
                f"out, {child['bytes_in']} octets in, {child['bytes_out']} out"
            )
    if not document["ike_sas"]:
        lines.append("no SAs")
    counters = [f"{name} {value}" for name, value in document["counters"].items() if value]
    if counters:
        lines.append(f"counters: {', '.join(counters)}")
    return "\n".join(lines)
