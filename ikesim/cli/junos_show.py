"""`ikesim show security pki ...`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ikesim.cli import junos_fields as fields
from ikesim.cli.common import ask, endpoint_option, json_option
from ikesim.cli.junos_forms import put, xml_option
from ikesim.cli.pki_more import judge
from ikesim.cli.stores import open_store
from ikesim.daemon.safe import escaped
from ikesim.errors import NotFoundError
from ikesim.pki.certificates import parse
from ikesim.pki.crl import read_crl

if TYPE_CHECKING:
    from ikesim.configuration import LoadedConfig
    from ikesim.pki.store import PkiStore

Lines = Callable[[fields.Document], Iterator[str]]

_NAME = click.argument("name", required=False)
_DETAIL = click.option("--detail", is_flag=True)


def _put_all(
    documents: list[fields.Document], around: tuple[str, str], lines: Lines, *, as_json: bool, as_xml: bool
) -> None:
    """Several objects, inside the two elements that Junos puts around them."""
    outer, inner = around
    text = (line for document in documents for line in (*lines(document), ""))
    put({outer: {inner: documents}}, text, as_json=as_json, as_xml=as_xml)


_CERTIFICATES = ("x509-pki-certificate-info-list", "pkid-x509-certificate-information")
_REQUESTS = ("x509-pki-certificate-request-info-list", "pkid-x509-certificate-request-information")
_CRLS = ("x509-pki-crl-info-list", "pkid-x509-crl-information")


def _some(found: dict[str, Any], name: str | None, what: str) -> dict[str, Any]:
    """Those of that name, or all. Raises NotFoundError for a name that is not there."""
    if name is None:
        return found
    if name not in found:
        raise NotFoundError(f"no {what} is named {name}: ikesim pki ls lists what there is")
    return {name: found[name]}


@click.command()
@_NAME
@_DETAIL
@xml_option
@endpoint_option
@json_option
def local_certificate(name: str | None, detail: bool, endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """The local certificates; pending ones are certificate requests."""
    loaded, store = open_store(endpoint)
    held = {key: own for key, own in store.own_certificates().items() if own.certificate is not None}
    documents = []
    for key, own in _some(held, name, "local certificate").items():
        document = fields.certificate_document(key, parse(own.certificate))
        document["key-pair-location"] = (
            "Keypair generated locally" if key in store.vault else "none: the key pair was removed"
        )
        if detail:
            document |= _of_local(loaded, store, own)
        documents.append(document)
    lines = fields.certificate_lines if detail else fields.brief_certificate_lines
    _put_all(documents, _CERTIFICATES, lines, as_json=as_json, as_xml=as_xml)


def _of_local(loaded: "LoadedConfig", store: "PkiStore", own: Any) -> fields.Document:
    """What is known of a local certificate beside its own octets."""
    chain = store.snapshot().local.get(own.id)
    decision = judge(loaded, store, (own.certificate, *own.chain), fetch=False)
    return {
        "auto-re-enrollment": {"status": "Disabled", "next-trigger-time": "Timer not started"},
        "certificate-type": "local",
        "ca-profile": decision.ca_profile or "none",
        "certificate-chain": [parse(der).names for der in chain.chain] if chain is not None else [],
        "verification-status": "verified" if decision.accepted else f"not verified ({decision.reason})",
        "request": f"made {fields.junos_time(own.origin.made.at)}" if own.origin is not None else "none",
        "loaded": f"{fields.junos_time(own.loaded.at)} from {escaped(own.loaded.source)}",
    }


@click.command()
@_NAME
@_DETAIL
@xml_option
@endpoint_option
@json_option
def certificate_request(name: str | None, detail: bool, endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """The requests that wait for their certificate."""
    _, store = open_store(endpoint)
    held = {key: own.waiting for key, own in store.own_certificates().items() if own.waiting is not None}
    documents = [
        fields.request_document(key, waiting.request, waiting.made.at)
        for key, waiting in _some(held, name, "certificate request").items()
    ]
    lines = fields.request_lines if detail else fields.brief_request_lines
    _put_all(documents, _REQUESTS, lines, as_json=as_json, as_xml=as_xml)


@click.command()
@_NAME
@_DETAIL
@xml_option
@endpoint_option
@json_option
def ca_certificate(name: str | None, detail: bool, endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """The CA certificates, by CA profile."""
    _, store = open_store(endpoint)
    documents = []
    for key, held in _some(store.ca_certificates(), name, "CA certificate").items():
        document = fields.certificate_document(key, parse(held.certificate))
        if detail:
            loaded = f"{fields.junos_time(held.loaded.at)} from {escaped(held.loaded.source)}"
            document |= {"certificate-type": "ca", "ca-profile": key, "loaded": loaded}
        documents.append(document)
    lines = fields.certificate_lines if detail else fields.brief_certificate_lines
    _put_all(documents, _CERTIFICATES, lines, as_json=as_json, as_xml=as_xml)


@click.command()
@_NAME
@_DETAIL
@xml_option
@endpoint_option
@json_option
def crl(name: str | None, detail: bool, endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """The CRLs, by CA profile; with detail every revoked serial number."""
    _, store = open_store(endpoint)
    documents = []
    for key, held in _some(store.crls(), name, "CRL").items():
        for one in held:
            read = read_crl(one.crl)
            source = escaped(one.loaded.source)
            entries = read.entries() if detail else ()
            documents.append(fields.crl_document(key, read, one.loaded.at, source, entries))

    def lines(document: fields.Document) -> Iterator[str]:
        return fields.crl_lines(document, detail=detail)

    _put_all(documents, _CRLS, lines, as_json=as_json, as_xml=as_xml)


@click.command()
@xml_option
@endpoint_option
@json_option
def statistics(endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """How much is held, and what a running daemon has counted."""
    _, store = open_store(endpoint)
    own = store.own_certificates().values()
    crls = [one for held in store.crls().values() for one in held]
    counted = {
        "key-pairs": len(store.key_pairs()),
        "certificate-requests": sum(one.waiting is not None for one in own),
        "local-certificates": sum(one.certificate is not None for one in own),
        "ca-certificates": len(store.ca_certificates()),
        "crls": len(crls),
        "crls-fetched": sum(one.fetched for one in crls),
        "crl-entries": sum(read_crl(one.crl).count for one in crls),
    }
    try:
        counters = ask(endpoint, "GET", "/counters")
    except NotFoundError:
        counters = {}
    rows = [*counted.items(), *((key.replace("_", "-"), value) for key, value in counters.items())]
    document = {"pki-statistics": {"statistic": [{"name": key, "value": value} for key, value in rows]}}
    put(document, (f"{key}: {value}" for key, value in rows), as_json=as_json, as_xml=as_xml)


@click.command()
@xml_option
@endpoint_option
@json_option
def encryption_status(endpoint: Path, as_json: bool, as_xml: bool) -> None:
    """Whether keys are sealed while they are not in use, and with what."""
    loaded, store = open_store(endpoint)
    on = store.vault.is_protected
    document = {
        "pki-encryption-status": {
            "pki-binding-key": str(loaded.wrapping_key) if on else "none",
            "pki-encryption-key": "AES-256-GCM" if on else "none: key-protection is off",
        }
    }
    status = document["pki-encryption-status"]
    lines = (
        f"PKI binding key: {status['pki-binding-key']}",
        f"PKI encryption key: {status['pki-encryption-key']}",
    )
    put(document, lines, as_json=as_json, as_xml=as_xml)
