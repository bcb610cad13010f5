"""`ikesim explain`: the trust decision for files, for a store, or for a connection, at any time."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ikesim.cli.common import EXIT_REFUSED, ask, json_option, print_json
from ikesim.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from ikesim.pki.decision import TrustDecision
    from ikesim.pki.request import Evidence, TrustPolicy, TrustRequest

_FILE = click.Path(path_type=Path)
_UNITS = {"d": 1, "w": 7, "m": 30, "y": 365}


class Moment(click.ParamType[datetime]):
    """A time: ISO 8601, UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """An aware datetime."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a time: write 2027-01-31 or 2027-01-31T12:00:00Z", param, ctx)
        return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class Span(click.ParamType[timedelta]):
    """A span of days: "90d", "6m", "2y"."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """At least a day."""
        if isinstance(value, timedelta):
            return value
        text = str(value).strip().lower()
        digits, unit = text[:-1], text[-1:]
        if unit not in _UNITS or not (digits.isascii() and digits.isdigit() and 1 <= int(digits) <= 36500):
            self.fail(f"{text!r} is not a span: write 90d, 26w, 6m or 2y", param, ctx)
        return timedelta(days=int(digits) * _UNITS[unit])


@click.command()
@click.argument("leaf", required=False, type=_FILE)
@click.option("--chain", multiple=True, type=_FILE, metavar="F", help="Certificates that the peer sends along.")
@click.option("--ca", "cas", multiple=True, type=_FILE, metavar="F", help="Trusted CA certificates.")
@click.option("--crl", "crls", multiple=True, type=_FILE, metavar="F", help="CRLs at hand.")
@click.option("--ocsp", multiple=True, type=_FILE, metavar="F", help="OCSP responses at hand (DER).")
@click.option("--id", "identity", metavar="TYPE:VALUE", help="The identity to prove: fqdn:bob.example, say.")
@click.option(
    "--revocation", type=click.Choice(["strict", "if-uri", "relaxed", "off"]), help="Default: the profile's, strict."
)
@click.option("--policy", "oids", multiple=True, metavar="OID", help="A certificate policy that the path must have.")
@click.option("--explicit-policy", is_flag=True, help="initial-explicit-policy (RFC 5280 6.1.1 (f)).")
@click.option("--inhibit-any", is_flag=True, help="initial-any-policy-inhibit (RFC 5280 6.1.1 (g)).")
@click.option("--inhibit-mapping", is_flag=True, help="initial-policy-mapping-inhibit (RFC 5280 6.1.1 (e)).")
@click.option("--at", type=Moment(), help="The time to judge at; default: now.")
@click.option(
    "--profile", type=click.Choice(["rfc", "strongswan", "libreswan", "openiked"]), default="rfc", show_default=True
)
@click.option("--profiles", is_flag=True, help="Decide under every rule profile, and show where they disagree.")
@click.option("--connection", metavar="C", help="Under the policy of a connection; without LEAF: its last decision.")
@click.option("--endpoint", type=_FILE, metavar="CONFIG", help="The endpoint's configuration file.")
@click.option("--what-if", metavar="revoke=SERIAL", help="Decide as if that certificate were revoked.")
@click.option("--until", type=Span(), metavar="SPAN", help="What will stop working until then: 90d, 6m, 2y.")
@click.option("--verbose", "-v", is_flag=True, help="The evidence of every check.")
@json_option
def explain(
    leaf: Path | None,
    chain: tuple[Path, ...],
    cas: tuple[Path, ...],
    crls: tuple[Path, ...],
    ocsp: tuple[Path, ...],
    identity: str | None,
    revocation: str | None,
    oids: tuple[str, ...],
    explicit_policy: bool,
    inhibit_any: bool,
    inhibit_mapping: bool,
    at: datetime | None,
    profile: str,
    profiles: bool,
    connection: str | None,
    endpoint: Path | None,
    what_if: str | None,
    until: timedelta | None,
    verbose: bool,
    as_json: bool,
) -> None:
    """Say whether a peer's certificate is accepted, and why.

    LEAF and the other files are PEM, DER, bundles or PKCS#7. With --endpoint the CAs, CRLs and policy are those of
    the endpoint; with --connection alone the running daemon's last decision is shown. Exit 0: accepted, 1: refused.
    """
    from ikesim.pki import Evidence, Identity, RuleProfile, TrustPolicy, TrustRequest

    now = at or datetime.now(UTC)
    if connection is not None and endpoint is None:
        raise UsageError("--connection needs the configuration it stands in: add --endpoint CONFIG")
    if leaf is None:
        if endpoint is None:
            raise UsageError("nothing to explain: give a certificate file, or --connection C --endpoint CONFIG")
        if until is not None:
            _forecast(endpoint, connection, now, now + until, as_json)
        elif connection is None:
            raise UsageError("name the connection to explain: --connection C, or ask what ends: --until 2y")
        else:
            _show(_live(endpoint, connection), as_json, verbose)
        return
    if endpoint is not None:
        policy, evidence = _of_endpoint(endpoint, connection)
    else:
        policy = TrustPolicy(
            anchors=_certificates(cas),
            revocation=revocation or "",
            policies=oids,
            explicit_policy=explicit_policy,
            inhibit_any_policy=inhibit_any,
            inhibit_policy_mapping=inhibit_mapping,
            profile=RuleProfile.named(profile),
        )
        evidence = Evidence()
    evidence = replace(
        evidence,
        crls=(*evidence.crls, *_crls(crls)),
        ocsp=tuple(_octets(file) for file in ocsp),
        assumed_revoked=_assumed(what_if),
    )
    sent = (*_certificates((leaf,)), *_certificates(chain))
    expected = Identity.parse(identity) if identity is not None else None
    request = TrustRequest(certificates=sent, policy=policy, at=now, identity=expected)
    if profiles:
        _compare(request, evidence, revocation, as_json)
    elif until is not None:
        _ends(request, evidence, now + until, as_json, verbose)
    else:
        from ikesim.pki import decide

        _show(decide(request, evidence).to_json(), as_json, verbose)


def _show(decision: dict[str, Any], as_json: bool, verbose: bool) -> None:
    from ikesim.cli.render import render_decision

    if as_json:
        print_json(decision)
    else:
        click.echo(render_decision(decision, verbose=verbose), nl=False)
    if not decision["accepted"]:
        raise click.exceptions.Exit(EXIT_REFUSED)


def _live(endpoint: Path, connection: str) -> dict[str, Any]:
    """The last decision of a connection, from the running daemon."""
    found = [item for item in ask(endpoint, "GET", "/decisions")["decisions"] if item["connection"] == connection]
    decisions = [item["decision"] for item in found if item["decision"] is not None]
    if not decisions:
        raise NotFoundError(
            f"connection {connection!r} has decided about nobody yet; bring it up with: "
            f"ikesim up {connection} --endpoint {endpoint}"
        )
    last: dict[str, Any] = decisions[-1]
    return last


def _of_endpoint(endpoint: Path, connection: str | None) -> "tuple[TrustPolicy, Evidence]":
    """The policy of a connection (or of any CA profile) over what the store holds, and that as evidence."""
    from ikesim.configuration import load
    from ikesim.pki.request import Evidence, build_policy
    from ikesim.pki.store import PkiStore

    loaded = load(endpoint)
    config = loaded.endpoint
    if connection is not None and connection not in config.connections:
        raise NotFoundError(f"there is no connection {connection!r} in {endpoint}")
    with PkiStore.open(loaded.state, key_protection=config.key_protection, wrapping_key=loaded.wrapping_key) as held:
        store = held.snapshot()
    chosen = config.connections[connection] if connection is not None else None
    policy = build_policy(
        chosen.trusted_ca if chosen else None,
        chosen.trusted_ca_group if chosen else None,
        config.ca_profiles,
        config.trusted_ca_groups,
        store,
        minimum_rsa=chosen.minimum_rsa if chosen else 2048,
        minimum_ecdsa=chosen.minimum_ecdsa if chosen else 256,
        max_depth=chosen.max_chain_depth if chosen else 7,
        rule_profile=chosen.rule_profile if chosen else "rfc",
        policy_oids=chosen.policy_oids if chosen else (),
        fetch=False,
    )
    return policy, Evidence.from_store(store)


def _forecast(endpoint: Path, connection: str | None, now: datetime, until: datetime, as_json: bool) -> None:
    """In order of time, what stops working for each connection."""
    from rich.console import Console
    from rich.table import Table

    from ikesim.configuration import load
    from ikesim.pki.forecast import changes
    from ikesim.pki.store import PkiStore

    loaded = load(endpoint)
    with PkiStore.open(
        loaded.state, key_protection=loaded.endpoint.key_protection, wrapping_key=loaded.wrapping_key
    ) as held:
        store = held.snapshot()
    found = []
    for item in loaded.endpoint.connections.values():
        if connection in (None, item.name):
            policy, _ = _of_endpoint(endpoint, item.name)
            local = [store.local[name] for name in item.local_certificates if name in store.local]
            found += changes(item.name, policy, local, store, now, until)
    found.sort(key=lambda change: (change.at, change.connection))
    if as_json:
        print_json(
            {"endpoint": loaded.endpoint.name, "until": until.isoformat(), "changes": [c.to_json() for c in found]}
        )
        return
    if not found:
        click.echo(f"nothing of {loaded.endpoint.name} ends before {until:%Y-%m-%d %H:%M} UTC")
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("when (UTC)", "connection", "cause", "what"):
        table.add_column(heading, overflow="fold")
    first: set[str] = set()
    for change in found:
        mark = "" if change.connection in first else " (first)"
        first.add(change.connection)
        what = f"{change.subject}: {change.detail}"
        table.add_row(f"{change.at:%Y-%m-%d %H:%M}", change.connection, f"{change.reason}{mark}", what)
    Console(width=100, highlight=False).print(table)


def _ends(request: "TrustRequest", evidence: "Evidence", until: datetime, as_json: bool, verbose: bool) -> None:
    """When a certificate that is judged from files is first refused."""
    from ikesim.pki.forecast import first_refusal

    found = first_refusal(request, evidence, until)
    if found is None:
        if as_json:
            print_json({"accepted_until": until.isoformat(), "decision": None})
        else:
            click.echo(f"accepted until {until:%Y-%m-%d %H:%M} UTC")
        return
    moment, decision = found
    if as_json:
        print_json({"refused_from": moment.isoformat(), "decision": decision.to_json()})
        raise click.exceptions.Exit(EXIT_REFUSED)
    click.echo(f"refused from {moment:%Y-%m-%d %H:%M:%S} UTC")
    _show(decision.to_json(), as_json, verbose)


def _compare(request: "TrustRequest", evidence: "Evidence", revocation: str | None, as_json: bool) -> None:
    """One decision for each rule profile."""
    from rich.console import Console
    from rich.table import Table

    from ikesim.pki import decide
    from ikesim.pki.request import PROFILES

    decisions: dict[str, TrustDecision] = {}
    for name, rules in PROFILES.items():
        policy = replace(request.policy, profile=rules, revocation=revocation or "")
        decisions[name] = decide(replace(request, policy=policy), evidence)
    verdicts = {decision.reason for decision in decisions.values()}
    if as_json:
        print_json(
            {"agree": len(verdicts) == 1, "profiles": {name: item.to_json() for name, item in decisions.items()}}
        )
    else:
        table = Table(box=None, pad_edge=False)
        for heading in ("profile", "verdict", "why"):
            table.add_column(heading, overflow="fold")
        for name, item in decisions.items():
            table.add_row(name, "accepted" if item.accepted else str(item.reason), item.summary)
        Console(width=100, highlight=False).print(table)
        click.echo("all profiles agree" if len(verdicts) == 1 else "the profiles disagree")
    if not decisions["rfc"].accepted:
        raise click.exceptions.Exit(EXIT_REFUSED)


def _assumed(what_if: str | None) -> frozenset[int]:
    if what_if is None:
        return frozenset()
    key, _, serial = what_if.partition("=")
    if key != "revoke" or not serial:
        raise UsageError(f"--what-if knows revoke=SERIAL, not {what_if!r}")
    try:
        return frozenset((int(serial.replace(":", ""), 16),))
    except ValueError:
        raise UsageError(
            f"{serial!r} is no serial number: write it in hexadecimal, as certificates are shown"
        ) from None


def _certificates(files: Iterable[Path]) -> tuple[bytes, ...]:
    from ikesim.pki.containers import recognise

    found: list[bytes] = []
    for file in files:
        certificates = recognise(_octets(file), str(file)).certificates
        if not certificates:
            raise UsageError(f"{file} holds no certificate")
        found += certificates
    return tuple(found)


def _crls(files: Sequence[Path]) -> tuple[bytes, ...]:
    from ikesim.pki.containers import recognise

    found: list[bytes] = []
    for file in files:
        crls = recognise(_octets(file), str(file)).crls
        if not crls:
            raise UsageError(f"{file} holds no CRL")
        found += crls
    return tuple(found)


def _octets(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from None
