"""How PKI objects are shown: documents for --json, and aligned lines with Junos' labels for people."""

import base64
import hashlib
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from ikesim.configuration import LoadedConfig
from ikesim.daemon.readiness import unready
from ikesim.errors import NotFoundError
from ikesim.pki.certificates import Certificate, CertificateError, parse
from ikesim.pki.crl import read_crl
from ikesim.pki.identity import match_certificate
from ikesim.pki.loading import request_names
from ikesim.pki.names import show
from ikesim.pki.objects import CertificateRequest, HeldCrl, OwnCertificate, Provenance
from ikesim.pki.profiles import CaProfile, RevocationMethod
from ikesim.pki.publickeys import key_strength
from ikesim.pki.snapshot import TrustStore
from ikesim.pki.store import PkiStore
from ikesim.pki.vault import KeyPair
from ikesim.reasons import Reason

Document = dict[str, Any]

_LISTED = {
    "key_pairs": ("Key pairs", ("id", "type", "size", "created")),
    "certificates": ("Certificates", ("name", "class", "subject", "issuer", "not_after")),
    "crls": ("CRLs", ("profile", "issuer", "number", "entries", "next_update")),
}


def pem(label: str, octets: bytes) -> str:
    """PEM (RFC 7468)."""
    text = base64.b64encode(octets).decode()
    lines = "\n".join(text[start : start + 64] for start in range(0, len(text), 64))
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def request_document(certificate_id: str, octets: bytes, text: str, out: Path | None) -> Document:
    """A request as JSON."""
    subject, names = request_names(octets)
    return {
        "id": certificate_id,
        "subject": subject,
        "san": list(names),
        "fingerprint": _fingerprint(octets),
        "file": None if out is None else str(out),
        "request": text,
    }


def request_mail(certificate_id: str, text: str, profile: CaProfile) -> str:
    """The request as a message to the administrator of a CA (RFC 5322; anchors PF-03)."""
    message = EmailMessage()
    message["To"] = profile.administrator_email
    message["Subject"] = f"Certificate request {certificate_id} for {profile.ca_identity}"
    message.set_content(f"Please sign this certificate request for {profile.ca_identity}.\n\n{text}")
    return message.as_string()


def list_document(endpoint: str, store: PkiStore) -> Document:
    """Every object in brief; the identifier comes first."""
    certificates = [
        {"name": own.id, "class": own.certificate_class.value, **_brief(own)}
        for own in store.own_certificates().values()
    ]
    certificates += [
        {"name": ca.profile, "class": "ca", **_certificate_brief(parse(ca.certificate))}
        for ca in store.ca_certificates().values()
    ]
    return {
        "endpoint": endpoint,
        "key_pairs": [_key_pair(pair) for pair in store.key_pairs().values()],
        "certificates": certificates,
        "crls": [_crl(crl) for crls in store.crls().values() for crl in crls],
    }


def list_lines(document: Document) -> Iterator[str]:
    """The list for people: one table a kind."""
    for kind, (title, columns) in _LISTED.items():
        rows = [[_text(row.get(column)) for column in columns] for row in document[kind]]
        yield f"{title}: {len(rows) or 'none'}"
        head = [column.replace("_", " ") for column in columns]
        widths = [max(len(line[at]) for line in [head, *rows]) for at in range(len(columns))]
        for line in [head, *rows] if rows else ():
            yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


def show_object(store: PkiStore, certificate_id: str | None, ca: str | None, crl: str | None) -> Document:
    """One object in full. Raises NotFoundError."""
    if ca is not None:
        held = store.ca_certificates().get(ca)
        if held is None:
            raise _absent(f"CA certificate of profile {ca}")
        return {
            "name": ca,
            "class": "ca",
            **_certificate_detail(parse(held.certificate)),
            "loaded": _provenance(held.loaded),
        }
    if crl is not None:
        crls = store.crls().get(crl, ())
        if not crls:
            raise _absent(f"CRL of profile {crl}")
        return {"name": crl, "class": "crl", "crls": [_crl(one) for one in crls]}
    assert certificate_id is not None
    own = store.own_certificates().get(certificate_id)
    pair = store.key_pairs().get(certificate_id)
    if own is None and pair is None:
        raise _absent(f"PKI object named {certificate_id}")
    document: Document = {"name": certificate_id, "class": "key-pair" if own is None else own.certificate_class.value}
    if own is not None and own.certificate is not None:
        document |= _certificate_detail(parse(own.certificate))
        document["loaded"] = _provenance(own.loaded)
        document["origin"] = _request(own.origin)
        chain = store.snapshot().local.get(certificate_id)
        document["chain"] = [] if chain is None else [parse(der).names for der in chain.chain]
    if own is not None:
        document["waiting"] = _request(own.waiting)
    document["key_pair"] = None if pair is None else _key_pair(pair)
    return document


def show_lines(document: Document, indent: str = "") -> Iterator[str]:
    """One object for people, under Junos' labels."""
    for key, value in document.items():
        label = _LABELS.get(key, key.replace("_", " ").capitalize())
        if isinstance(value, Mapping):
            yield f"{indent}{label}:"
            yield from show_lines(dict(value), indent + "  ")
        elif isinstance(value, list) and value and isinstance(value[0], Mapping):
            for item in value:
                yield f"{indent}{label}:"
                yield from show_lines(dict(item), indent + "  ")
        else:
            yield f"{indent}{label}: {_text(value)}"


_LABELS = {
    "name": "Certificate identifier",
    "class": "Class",
    "subject": "Issued to",
    "issuer": "Issued by",
    "serial": "Serial number",
    "san": "Alternate subject",
    "not_before": "Not before",
    "not_after": "Not after",
    "public_key": "Public key algorithm",
    "fingerprint": "Fingerprint",
    "crls": "CRL",
    "number": "CRL number",
    "this_update": "Effective date",
    "next_update": "Next update",
    "origin": "Request that it answers",
    "waiting": "Request that waits",
    "key_pair": "Key pair",
    "type": "Algorithm",
    "size": "Bits",
}


def readiness(loaded: LoadedConfig, store: TrustStore, keys: Collection[str]) -> list[dict[str, str]]:
    """The minimum of anchors MIN-01 to MIN-03, item by item: ok, missing (with the next command), or a note."""
    missing = unready(loaded, store, keys)
    items: list[dict[str, str]] = []
    for number, reasons, good in (
        ("MIN-01", {Reason.CA_CERTIFICATE_MISSING}, _anchors_held(loaded, store)),
        ("MIN-02", set(Reason) - {Reason.CA_CERTIFICATE_MISSING}, _identities_held(loaded, store)),
    ):
        found = [one for one in missing if one.reason in reasons]
        items += [_item(number, "missing", one.message, one.subject, one.reason.value, one.command) for one in found]
        if not found:
            items.append(good)
    return items + _revocation(loaded, store)


def _anchors_held(loaded: LoadedConfig, store: TrustStore) -> dict[str, str]:
    if not loaded.endpoint.ca_profiles:
        return _item("MIN-01", "missing", f"{loaded.file} has no CA profile: add [pki.ca-profile.NAME]")
    if not store.ca:
        name = next(iter(loaded.endpoint.ca_profiles))
        command = f"ikesim pki load FILE --ca {name} --endpoint {loaded.file}"
        message = f"no CA certificate is held; load it with: {command}"
        return _item("MIN-01", "missing", message, name, command=command)
    return _item("MIN-01", "ok", f"CA certificates and their profiles: {', '.join(sorted(store.ca))}")


def _identities_held(loaded: LoadedConfig, store: TrustStore) -> dict[str, str]:
    if not store.local:
        command = f"ikesim pki key generate ID --type ecdsa --endpoint {loaded.file}"
        return _item("MIN-02", "missing", f"no local certificate is held; begin with: {command}", command=command)
    proved = [
        f"{held} proves {one.local_id} for connection {one.name}"
        for one in loaded.endpoint.connections.values()
        for held in one.local_certificates
        if held in store.local and match_certificate(one.local_id, parse(store.local[held].certificate)).proved
    ]
    said = ", ".join(proved or sorted(store.local))
    return _item("MIN-02", "ok", f"local certificates with identity and keys: {said}")


def _revocation(loaded: LoadedConfig, store: TrustStore) -> list[dict[str, str]]:
    items = []
    for name, profile in loaded.endpoint.ca_profiles.items():
        settings = profile.revocation
        if settings.method is RevocationMethod.DISABLE:
            message = f"the revocation check of CA profile {name} is off (revocation-check.method = disable)"
            items.append(_item("MIN-03", "note", message, name))
        elif store.crls.get(name) or settings.url or settings.ocsp.url:
            source = f"{len(store.crls.get(name, ()))} CRLs held, {len(settings.url + settings.ocsp.url)} URLs set"
            how = f"{settings.method.value}, {settings.policy.value}; {source}"
            message = f"revocation of CA profile {name} is checked ({how})"
            items.append(_item("MIN-03", "ok", message, name))
        else:
            command = f"ikesim pki load FILE --crl {name} --endpoint {loaded.file}"
            message = (
                f"CA profile {name} has no CRL and no URL: certificates that name no distribution point will not "
                f"pass policy {settings.policy.value}; load one with: {command}"
            )
            items.append(_item("MIN-03", "note", message, name, command=command))
    return items


def _item(
    number: str, status: str, message: str, subject: str = "", reason: str = "", command: str = ""
) -> dict[str, str]:
    return {
        "id": number,
        "status": status,
        "subject": subject,
        "reason": reason,
        "message": message,
        "command": command,
    }


def _absent(what: str) -> NotFoundError:
    return NotFoundError(f"there is no {what}: ikesim pki ls lists what there is")


def _brief(own: OwnCertificate) -> Document:
    if own.certificate is not None:
        return _certificate_brief(parse(own.certificate))
    subject = "" if own.waiting is None else request_names(own.waiting.request)[0]
    return {"subject": subject, "issuer": None, "serial": None, "not_after": None}


def _certificate_brief(certificate: Certificate) -> Document:
    summary = certificate.summary.to_json()
    return {key: summary[key] for key in ("subject", "issuer", "serial", "not_after")}


def _certificate_detail(certificate: Certificate) -> Document:
    try:
        kind, size = key_strength(certificate.public_key)
        public_key = f"{kind} ({size} bits)"
    except CertificateError:
        public_key = "not usable"
    return {
        **certificate.summary.to_json(),
        "public_key": public_key,
        "signature_algorithm": certificate.algorithm.label,
        "fingerprint": f"sha256:{certificate.fingerprint.hex()}",
    }


def _key_pair(pair: KeyPair) -> Document:
    return {
        "id": pair.id,
        "type": pair.kind,
        "size": pair.size,
        "created": _time(pair.created),
        "fingerprint": f"sha256:{pair.fingerprint}",
    }


def _crl(held: HeldCrl) -> Document:
    crl = read_crl(held.crl)
    return {
        "profile": held.profile,
        "issuer": crl.issuer.text,
        "number": crl.number,
        "delta_of": crl.base_number,
        "entries": crl.count,
        "this_update": _time(crl.this_update),
        "next_update": None if crl.next_update is None else _time(crl.next_update),
        "fetched": held.fetched,
        "loaded": _provenance(held.loaded),
        "fingerprint": f"sha256:{crl.digest.hex()}",
    }


def _request(request: CertificateRequest | None) -> Document | None:
    if request is None:
        return None
    subject, names = request_names(request.request)
    return {
        "subject": subject,
        "san": list(names),
        "fingerprint": _fingerprint(request.request),
        "made": _time(request.made.at),
    }


def _provenance(provenance: Provenance | None) -> Document | None:
    return None if provenance is None else {"at": _time(provenance.at), "source": show(provenance.source)}


def _fingerprint(octets: bytes) -> str:
    return f"sha256:{hashlib.sha256(octets).hexdigest()}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _text(value: Any) -> str:
    if value is None or value == []:
        return "none"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
