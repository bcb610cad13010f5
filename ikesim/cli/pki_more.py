"""More of `ikesim pki`: verify, export, clear, and the CRLs of a profile."""

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ikesim.cli.common import EXIT_REFUSED, endpoint_option, json_option, print_json
from ikesim.cli.progress import progress
from ikesim.cli.stores import open_store, tell_daemon
from ikesim.errors import IkesimError, NotFoundError, UsageError

if TYPE_CHECKING:
    from ikesim.configuration import LoadedConfig
    from ikesim.pki.decision import TrustDecision
    from ikesim.pki.fetching import FetchRequest, FetchResult
    from ikesim.pki.store import PkiStore

EXPORTS = "exports.jsonl"
"""The log of exported certificates, in the state folder (CP-01)."""
_ROUNDS = 8
"""Rounds of fetching for one decision; each must bring something new."""


class FetchError(IkesimError):
    """A document that could not be fetched."""

    exit_code = 6


@click.command()
@click.argument("certificate_id", metavar="ID", required=False)
@click.option("--ca", metavar="PROFILE", help="The CA certificate of this profile.")
@click.option("--explain", is_flag=True, help="Every check of the decision.")
@click.option("--fetch/--no-fetch", default=True, help="Whether CRLs and OCSP are asked for; default: they are.")
@endpoint_option
@json_option
def verify(
    certificate_id: str | None, ca: str | None, explain: bool, fetch: bool, endpoint: Path, as_json: bool
) -> None:
    """Would a peer that trusts our CA profiles accept this certificate? Exit 1 when not."""
    loaded, store = open_store(endpoint)
    if (certificate_id is None) == (ca is None):
        raise UsageError("name one thing: an ID or --ca PROFILE; ikesim pki ls lists what there is")
    if ca is not None:
        held = store.ca_certificates().get(ca)
        if held is None:
            raise NotFoundError(f"profile {ca} has no CA certificate: load it with ikesim pki load FILE --ca {ca}")
        sent: tuple[bytes, ...] = (held.certificate,)
    else:
        own = store.own_certificates().get(certificate_id or "")
        if own is None or own.certificate is None:
            raise NotFoundError(f"no local certificate is named {certificate_id}: ikesim pki ls lists what there is")
        sent = (own.certificate, *own.chain)
    if ca is not None and _is_root(sent[0]):
        _verify_root(ca, sent[0], as_json)
        return
    with progress("Verifying, and asking for CRLs"):
        decision = judge(loaded, store, sent, fetch=fetch)
    for profile, der, url in decision.learned_crls:
        store.save_fetched_crl(profile, der, url)
    if as_json:
        print_json(decision.to_json())
    elif explain:
        from ikesim.cli.render import render_decision

        click.echo(render_decision(decision.to_json()), nl=False)
    else:
        verdict = "verified successfully" if decision.accepted else f"not verified ({decision.reason})"
        click.echo(f"{certificate_id or ca}: {verdict}: {decision.summary}")
    if not decision.accepted:
        raise click.exceptions.Exit(EXIT_REFUSED)


def _is_root(octets: bytes) -> bool:
    from ikesim.pki.certificates import parse
    from ikesim.pki.chains import is_self_signed

    return is_self_signed(parse(octets))


def _verify_root(profile: str, octets: bytes, as_json: bool) -> None:
    """A self-signed CA certificate is trusted because it is configured: what can be verified is its own content."""
    from ikesim.pki.certificates import parse
    from ikesim.reasons import Reason

    certificate, now = parse(octets), datetime.now(UTC)
    reason: Reason | None = None
    if not certificate.is_ca:
        reason, why = Reason.CERT_NOT_CA, "its basicConstraints do not make it a CA"
    elif now < certificate.not_before:
        reason, why = Reason.CERT_NOT_YET_VALID, f"it is not valid before {certificate.not_before:%Y-%m-%d %H:%M} UTC"
    elif now > certificate.not_after:
        reason, why = Reason.CERT_EXPIRED, f"it expired {certificate.not_after:%Y-%m-%d %H:%M} UTC"
    else:
        why = f"self-signed, valid until {certificate.not_after:%Y-%m-%d %H:%M} UTC, trusted as CA profile {profile}"
    if as_json:
        print_json({"accepted": reason is None, "reason": reason, "summary": f"{certificate.names}: {why}"})
    else:
        verdict = "verified successfully" if reason is None else f"not verified ({reason})"
        click.echo(f"{profile}: {verdict}: {certificate.names}: {why}")
    if reason is not None:
        raise click.exceptions.Exit(EXIT_REFUSED)


def judge(
    loaded: "LoadedConfig", store: "PkiStore", certificates: Sequence[bytes], *, fetch: bool
) -> "TrustDecision":
    """The decision about a certificate of ours (the first), with every CA profile as an anchor."""
    from ikesim.pki import Evidence, TrustRequest, decide
    from ikesim.pki.request import build_policy

    snapshot = store.snapshot()
    config = loaded.endpoint
    policy = build_policy(
        None, None, config.ca_profiles, config.trusted_ca_groups, snapshot, fetch=fetch, minimum_rsa=1024
    )
    request = TrustRequest(certificates=tuple(certificates), policy=policy, at=datetime.now(UTC))
    fetched: dict[FetchRequest, FetchResult] = {}
    decision = decide(request, Evidence.from_store(snapshot))
    for _ in range(_ROUNDS):
        wanted = [one for one in decision.wanted if one not in fetched]
        if not wanted:
            break
        fetched |= asyncio.run(_fetch(wanted, allow_private=config.fetch_private_addresses))
        decision = decide(request, Evidence.from_store(snapshot, fetched=fetched))
    return decision


async def _fetch(wanted: "Sequence[FetchRequest]", *, allow_private: bool) -> "dict[FetchRequest, FetchResult]":
    from ikesim.daemon.fetcher import Fetcher

    fetcher = Fetcher(allow_private=allow_private)
    try:
        results = await asyncio.gather(*map(fetcher.fetch, wanted))
    finally:
        await fetcher.close()
    return dict(zip(wanted, results, strict=True))


@click.command()
@click.argument("certificate_id", metavar="ID")
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
@click.option("--format", "form", type=click.Choice(("pem", "der")), default="pem", show_default=True)
@endpoint_option
@json_option
def export(certificate_id: str, out: Path, form: str, endpoint: Path, as_json: bool) -> None:
    """Write the local certificate ID, never its key, to FILE. The act is noted in the state folder."""
    from ikesim.cli.pki_objects import pem
    from ikesim.pki.certificates import parse

    loaded, store = open_store(endpoint)
    own = store.own_certificates().get(certificate_id)
    if own is None or own.certificate is None:
        raise NotFoundError(f"no local certificate is named {certificate_id}: ikesim pki ls lists what there is")
    fingerprint = f"sha256:{parse(own.certificate).fingerprint.hex()}"
    act = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": os.getuid(),
        "act": "certificate exported",
        "id": certificate_id,
        "fingerprint": fingerprint,
        "file": str(out.absolute()),
    }
    _note(loaded.state / EXPORTS, act)
    try:
        out.write_bytes(own.certificate if form == "der" else pem("CERTIFICATE", own.certificate).encode())
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {(error.strerror or str(error)).lower()}") from None
    if as_json:
        print_json(act)
        return
    click.echo(f"{out}: the certificate {certificate_id}, {fingerprint}; noted in {loaded.state / EXPORTS}")


def _note(log: Path, act: dict[str, object]) -> None:
    """Append to the log before the act: no export without its line."""
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(json.dumps(act) + "\n")
    except OSError as error:
        raise UsageError(f"{log} cannot be written: {(error.strerror or str(error)).lower()}") from None


@click.command()
@click.argument(
    "kind", type=click.Choice(("key-pair", "certificate-request", "local-certificate", "ca-certificate", "crl"))
)
@endpoint_option
@json_option
def clear(kind: str, endpoint: Path, as_json: bool) -> None:
    """Remove every PKI object of a kind."""
    from ikesim.pki.objects import ObjectKind

    _, store = open_store(endpoint)
    wanted = ObjectKind(kind)
    own = store.own_certificates().values()
    names = {
        ObjectKind.KEY_PAIR: list(store.vault.ids()),
        ObjectKind.CERTIFICATE_REQUEST: [one.id for one in own if one.waiting is not None],
        ObjectKind.LOCAL_CERTIFICATE: [one.id for one in own if one.certificate is not None],
        ObjectKind.CA_CERTIFICATE: list(store.ca_certificates()),
        ObjectKind.CRL: list(store.crls()),
    }[wanted]
    for name in names:
        if wanted is ObjectKind.CA_CERTIFICATE:
            store.remove_ca(name)
        elif wanted is ObjectKind.CRL:
            store.remove_crls(name)
        else:
            store.remove(name, wanted)
    warning = tell_daemon(endpoint) if names else None
    if as_json:
        print_json({"kind": kind, "removed": names})
    else:
        click.echo(f"Removed {kind} of {', '.join(names)}" if names else f"There is no {kind}")
    if warning:
        click.echo(f"warning: {warning}", err=True)


@click.group()
def crl() -> None:
    """The CRLs of a CA profile: fetch, load, show."""


@crl.command("fetch")
@click.argument("profile", metavar="PROFILE")
@endpoint_option
@json_option
def crl_fetch(profile: str, endpoint: Path, as_json: bool) -> None:
    """Fetch the CRL from the URLs of the profile, in order, and keep it once its signature verified."""
    from ikesim.pki.fetching import FetchKind, FetchRequest

    loaded, store = open_store(endpoint)
    settings = loaded.endpoint.ca_profiles.get(profile)
    if settings is None:
        raise NotFoundError(f"the configuration has no CA profile {profile}: add [pki.ca-profile.{profile}]")
    urls = settings.revocation.url
    if not urls:
        raise UsageError(
            f"CA profile {profile} has no URL: set pki.ca-profile.{profile}.revocation-check.url, or load a file "
            f"with ikesim pki load FILE --crl {profile}"
        )
    if profile not in store.ca_certificates():
        raise NotFoundError(
            f"profile {profile} has no CA certificate to verify its CRL with: load it with "
            f"ikesim pki load FILE --ca {profile}"
        )
    causes: list[str] = []
    for url in urls:
        request = FetchRequest(FetchKind.CRL, url, operator=True)
        with progress(f"Fetching {url}"):
            result = asyncio.run(_fetch([request], allow_private=True))[request]
        if result.body is None:
            causes.append(f"{url}: {result.error}")
            continue
        loaded_crl = store.load(result.body, crl=profile, profiles=tuple(loaded.endpoint.ca_profiles), name=url)
        warning = tell_daemon(endpoint) if loaded_crl.changed else None
        warnings = [*loaded_crl.warnings, *([warning] if warning else [])]
        if as_json:
            document = {"profile": profile, "url": url, "changed": loaded_crl.changed, "warnings": warnings}
            print_json({**document, "message": loaded_crl.sentence})
            return
        click.echo(loaded_crl.sentence)
        for one in warnings:
            click.echo(f"warning: {one}", err=True)
        return
    raise FetchError("; ".join(causes))


@crl.command("load")
@click.argument("profile", metavar="PROFILE")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@endpoint_option
@json_option
@click.pass_context
def crl_load(context: click.Context, profile: str, file: Path, endpoint: Path, as_json: bool) -> None:
    """As ikesim pki load FILE --crl PROFILE."""
    from ikesim.cli.pki import load

    context.invoke(load, file=file, as_id=None, ca=None, crl=profile, endpoint=endpoint, as_json=as_json)


@crl.command("show")
@click.argument("profile", metavar="PROFILE", required=False)
@click.option("--detail", is_flag=True, help="Every revoked serial number.")
@endpoint_option
@json_option
@click.pass_context
def crl_show(context: click.Context, profile: str | None, detail: bool, endpoint: Path, as_json: bool) -> None:
    """As ikesim show security pki crl."""
    from ikesim.cli.junos_show import crl as show

    context.invoke(show, name=profile, detail=detail, endpoint=endpoint, as_json=as_json, as_xml=False)
