"""PKI objects as Junos shows them: documents with its leaf names, and lines with its labels in its order."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID

from ikesim.daemon.safe import escaped
from ikesim.pki.certificates import CRL_DISTRIBUTION_POINTS, Certificate, key_usage_names
from ikesim.pki.crl import Crl, RevokedEntry
from ikesim.pki.crl_scope import read_distribution_points
from ikesim.pki.der import DerError
from ikesim.pki.loading import request_names
from ikesim.pki.names import Name, name, show
from ikesim.pki.publickeys import PublicKey, key_strength, load_public_key

Document = dict[str, Any]

_PARTS = (
    ("organization-name", "Organization", "2.5.4.10"),
    ("organizational-unit-name", "Organizational unit", "2.5.4.11"),
    ("country-name", "Country", "2.5.4.6"),
    ("state-or-province-name", "State", "2.5.4.8"),
    ("locality-name", "Locality", "2.5.4.7"),
    ("common-name", "Common name", "2.5.4.3"),
    ("domain-component", "Domain component", "0.9.2342.19200300.100.1.25"),
    ("serial-number", "Serial number", "2.5.4.5"),
)
"""The labelled parts of a distinguished name: leaf, label, attribute type."""
_ALTERNATIVES = (("rfc822", "email"), ("fqdn", "fqdn"), ("ipv4", "ipv4"), ("ipv6", "ipv6"))
_KEY_ALGORITHMS = {"rsa": "rsaEncryption", "ecdsa": "id-ecPublicKey", "ed25519": "id-Ed25519", "ed448": "id-Ed448"}
_SIGNATURE_ALGORITHMS = {
    **{f"rsa-pkcs1-sha{bits}": f"sha{bits}WithRSAEncryption" for bits in (1, 256, 384, 512)},
    **{f"ecdsa-sha{bits}": f"ecdsa-with-SHA{bits}" for bits in (1, 256, 384, 512)},
}
_USES = {
    "digitalSignature": "Digital signature",
    "nonRepudiation": "Non repudiation",
    "keyEncipherment": "Key encipherment",
    "dataEncipherment": "Data encipherment",
    "keyAgreement": "Key agreement",
    "keyCertSign": "Certificate signing",
    "cRLSign": "CRL signing",
    "encipherOnly": "Encipher only",
    "decipherOnly": "Decipher only",
}
_WIDTH = 20
"""Octets of a key or fingerprint a line."""


def junos_time(at: datetime) -> str:
    """A date as Junos prints it: 05-17-2030 12:00 UTC."""
    return f"{at.astimezone(UTC):%m-%d-%Y %H:%M} UTC"


def colons(octets: bytes) -> str:
    """Octets as 30:82:01."""
    return octets.hex(":")


# Documents


def certificate_document(identifier: str, certificate: Certificate) -> Document:
    """What brief and detail have in common, and what only detail shows."""
    serial = f"{certificate.serial:08x}"
    return {
        "identifier": identifier,
        "version": certificate.version,
        "serial-number-list": {
            "serial-number-x509": serial.zfill(len(serial) + len(serial) % 2),
            "serial-number-decimal": str(certificate.serial),
        },
        "issuer-name": {"distinguished-name": _parts(certificate.issuer)},
        "subject-name": {"distinguished-name": _parts(certificate.subject)},
        "subject-string-list": {"subject-string": certificate.subject.text},
        "issuer-string": certificate.issuer.text,
        "alternate-subject": _alternatives([one.text for one in certificate.san]),
        "validity": {
            "not-before": junos_time(certificate.not_before),
            "not-after": junos_time(certificate.not_after),
        },
        "public-key": _public_key(certificate.spki),
        "public-key-contents-list": {"key-contents": colons(certificate.key_bits)},
        "signature-algorithm": _SIGNATURE_ALGORITHMS.get(certificate.algorithm.label, certificate.algorithm.label),
        "distribution-crl-list": {"distribution-crl": _distribution_points(certificate)},
        "authority-information-access-ocsp-list": {"authority-information-access-ocsp": _responders(certificate)},
        "key-usage-list": {"key-usage": [_USES[one] for one in key_usage_names(certificate.key_usage or 0)]},
        "certificate-policy-list": {"certificate-policy": list(certificate.policies or ())},
        "fingerprint": _fingerprints(certificate.der),
    }


def request_document(identifier: str, request: bytes, made: datetime) -> Document:
    """A request that waits."""
    asked = x509.load_der_x509_csr(request)
    subject, alternatives = request_names(request)
    spki = asked.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {
        "identifier": identifier,
        "version": 1,
        "subject-name": {"distinguished-name": _parts(name(asked.subject.public_bytes()))},
        "subject-string-list": {"subject-string": subject},
        "alternate-subject": _alternatives(list(alternatives)),
        "public-key": _public_key(spki),
        "public-key-contents-list": {"key-contents": colons(spki)},
        "fingerprint": _fingerprints(request),
        "creation-time": junos_time(made),
    }


def crl_document(
    profile: str, crl: Crl, obtained: datetime, source: str, entries: Iterable[tuple[int, RevokedEntry]]
) -> Document:
    """A CRL; `entries` are (serial, entry) for its revocation list."""
    return {
        "ca-profile": profile,
        "crl-version": 2,
        "crl-number": crl.number,
        "crl-issuer": {"distinguished-name": _parts(crl.issuer)},
        "issuer-string": crl.issuer.text,
        "effective-date": junos_time(crl.this_update),
        "next-update": None if crl.next_update is None else junos_time(crl.next_update),
        "last-download": f"{junos_time(obtained)} from {source}",
        "revocation-list": [
            {"serial-number": f"{serial:x}", "revocation-date": junos_time(entry.date)} for serial, entry in entries
        ],
    }


def _parts(dn: Name) -> Document:
    return {leaf: [show(value) for value in dn.values(oid)] for leaf, _, oid in _PARTS if dn.values(oid)}


def _alternatives(texts: list[str]) -> Document:
    pairs = [text.partition(":") for text in texts]
    found: Document = {
        leaf: [value for kind, _, value in pairs if kind == wanted] or "empty" for wanted, leaf in _ALTERNATIVES
    }
    known = {kind for kind, _ in _ALTERNATIVES}
    return found | {"other": [text for text in texts if text.partition(":")[0] not in known]}


def _public_key(spki: bytes) -> Document:
    try:
        key: PublicKey = load_public_key(spki)
    except ValueError:
        return {"public-key-algorithm": "not usable", "public-key-length": 0}
    kind, bits = key_strength(key)
    return {"public-key-algorithm": _KEY_ALGORITHMS.get(kind, kind), "public-key-length": bits}


def _distribution_points(certificate: Certificate) -> list[str]:
    extension = certificate.extensions.get(CRL_DISTRIBUTION_POINTS)
    if extension is None:
        return []
    try:
        return [escaped(url) for point in read_distribution_points(extension.value) for url in point.urls()]
    except DerError:
        return []


def _responders(certificate: Certificate) -> list[str]:
    try:
        access = x509.load_der_x509_certificate(certificate.der).extensions.get_extension_for_class(
            x509.AuthorityInformationAccess
        )
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [
        escaped(one.access_location.value)
        for one in access.value
        if one.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]


def _fingerprints(der: bytes) -> list[Document]:
    """SHA-256 first: the one to compare."""
    return [
        {
            "fingerprint-content": colons(hashlib.new(algorithm, der, usedforsecurity=False).digest()),
            "fingerprint-hash-algorithm": algorithm,
        }
        for algorithm in ("sha256", "sha1", "md5")
    ]


# Lines


def brief_certificate_lines(document: Document) -> Iterator[str]:
    """What `show security pki local-certificate` and `ca-certificate` print."""
    yield f"Certificate identifier: {document['identifier']}"
    yield f"  Issued to: {_common_name(document)}, Issued by: {document['issuer-string']}"
    yield from _validity(document)
    yield f"  Public key algorithm: {_key_text(document)}"
    if "key-pair-location" in document:
        yield f"  Keypair Location: {document['key-pair-location']}"


def certificate_lines(document: Document) -> Iterator[str]:
    """What `detail` prints."""
    serial = document["serial-number-list"]
    yield f"Certificate identifier: {document['identifier']}"
    yield f"  Certificate version: {document['version']}"
    yield "  Serial number:"
    yield f"    hexadecimal: 0x{serial['serial-number-x509']}"
    yield f"    decimal: {serial['serial-number-decimal']}"
    yield from _name_lines("Issuer", document["issuer-name"]["distinguished-name"])
    yield from _name_lines("Subject", document["subject-name"]["distinguished-name"])
    yield from _subject_lines(document)
    yield from _validity(document)
    yield from _key_lines(document)
    yield f"  Signature algorithm: {document['signature-algorithm']}"
    yield from _list_lines("Distribution CRL", document["distribution-crl-list"]["distribution-crl"])
    responders = document["authority-information-access-ocsp-list"]["authority-information-access-ocsp"]
    yield from _list_lines("Authority Information Access OCSP", responders)
    yield f"  Use for key: {', '.join(document['key-usage-list']['key-usage']) or 'any'}"
    yield from _list_lines("Certificate policy", document["certificate-policy-list"]["certificate-policy"])
    yield from _fingerprint_lines(document)
    if "auto-re-enrollment" in document:
        yield "  Auto-re-enrollment:"
        yield f"    Status: {document['auto-re-enrollment']['status']}"
        yield f"    Next trigger time: {document['auto-re-enrollment']['next-trigger-time']}"
    for leaf, label in _NEWER:
        if leaf in document:
            value = document[leaf]
            yield f"  {label}: {', '.join(value) or 'none' if isinstance(value, list) else value}"


_NEWER = (
    ("key-pair-location", "Keypair Location"),
    ("certificate-type", "Certificate type"),
    ("ca-profile", "CA profile"),
    ("certificate-chain", "Certificate chain"),
    ("verification-status", "Verification status"),
    ("request", "Request that it answers"),
    ("loaded", "Loaded"),
)


def brief_request_lines(document: Document) -> Iterator[str]:
    """What `show security pki certificate-request` prints."""
    yield f"Certificate identifier: {document['identifier']}"
    yield f"  Certificate version: {document['version']}"
    yield f"  Issued to: {_common_name(document)}"
    yield f"  Public key algorithm: {_key_text(document)}"


def request_lines(document: Document) -> Iterator[str]:
    """The same with `detail`."""
    yield f"Certificate identifier: {document['identifier']}"
    yield f"  Certificate version: {document['version']}"
    yield from _name_lines("Subject", document["subject-name"]["distinguished-name"])
    yield from _subject_lines(document)
    yield from _key_lines(document)
    yield from _fingerprint_lines(document)
    yield f"  Made: {document['creation-time']}"


def crl_lines(document: Document, *, detail: bool) -> Iterator[str]:
    """What `show security pki crl` prints."""
    yield f"CA profile: {document['ca-profile']}"
    yield f"  CRL version: V{document['crl-version']:08}"
    yield f"  CRL number: {'none' if document['crl-number'] is None else document['crl-number']}"
    yield f"  CRL issuer: {document['issuer-string']}"
    yield f"  Effective date: {document['effective-date']}"
    yield f"  Next update: {document['next-update'] or 'none'}"
    yield f"  Last download: {document['last-download']}"
    if detail:
        yield "  Revocation List:"
        yield "    Serial number                             Revocation date"
        for entry in document["revocation-list"]:
            yield f"    {entry['serial-number']:40}  {entry['revocation-date']}"


def _common_name(document: Document) -> str:
    found = document["subject-name"]["distinguished-name"].get("common-name")
    return found[-1] if found else document["subject-string-list"]["subject-string"] or "(no subject)"


def _key_text(document: Document) -> str:
    key = document["public-key"]
    return f"{key['public-key-algorithm']}({key['public-key-length']} bits)"


def _validity(document: Document) -> Iterator[str]:
    yield "  Validity:"
    yield f"    Not before: {document['validity']['not-before']}"
    yield f"    Not after: {document['validity']['not-after']}"


def _name_lines(label: str, parts: Mapping[str, list[str]]) -> Iterator[str]:
    yield f"  {label}:"
    found = [f"{title}: {value}" for leaf, title, _ in _PARTS for value in parts.get(leaf, ())]
    yield f"    {', '.join(found) or 'empty'}"


def _subject_lines(document: Document) -> Iterator[str]:
    yield "  Subject string:"
    yield f"    {document['subject-string-list']['subject-string'] or 'empty'}"
    names = document["alternate-subject"]
    shown = [
        f"{leaf} empty" if names[leaf] == "empty" else ", ".join(names[leaf]) for _, leaf in _ALTERNATIVES
    ] + names["other"]
    yield f"  Alternate subject: {', '.join(shown)}"


def _key_lines(document: Document) -> Iterator[str]:
    yield f"  Public key algorithm: {_key_text(document)}"
    octets = document["public-key-contents-list"]["key-contents"].split(":")
    for start in range(0, len(octets), _WIDTH):
        yield f"    {':'.join(octets[start : start + _WIDTH])}"


def _list_lines(label: str, values: list[str]) -> Iterator[str]:
    if values:
        yield f"  {label}:"
        for value in values:
            yield f"    {value}"


def _fingerprint_lines(document: Document) -> Iterator[str]:
    yield "  Fingerprint:"
    for one in document["fingerprint"]:
        yield f"    {one['fingerprint-content']} ({one['fingerprint-hash-algorithm']})"
