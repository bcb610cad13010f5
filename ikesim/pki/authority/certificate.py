"""Certificates, valid by default: a knob is what one says to get a deviation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1
from typing import TypedDict

from ikesim.pki import der
from ikesim.pki.authority import extensions as ext
from ikesim.pki.authority.extensions import Extension
from ikesim.pki.authority.signing import algorithm_of, sign_with
from ikesim.pki.der_writer import bit_string, explicit, integer, null, sequence, time
from ikesim.pki.general_names import GeneralNameText
from ikesim.pki.keys import PrivateKey
from ikesim.pki.subjects import subject_der

BACKDATED = timedelta(hours=1)
"""How long before `now` a certificate's validity begins, so that a peer's slow clock does not matter."""


class CertificateKnobs(TypedDict, total=False):
    """Everything that may be said about a certificate beyond its subject, key, names and days."""

    not_before: datetime | bytes
    """bytes: the DER of the Time as it shall stand there."""
    not_after: datetime | bytes
    serial: int
    version: int
    """1 or 3 (any number is written)."""
    ca: bool
    path_length: int | None
    key_usage: Sequence[str] | None
    """Names of RFC 5280; None leaves the extension out."""
    extended_key_usage: Sequence[str]
    extended_key_usage_critical: bool
    crl_urls: Sequence[GeneralNameText]
    """Of the distribution points; empty: no extension. Also `dn:` names."""
    crl_issuer: str
    """DN of the issuer of an indirect CRL."""
    crl_reasons: Sequence[int]
    """Bit numbers of ReasonFlags."""
    freshest_crl_urls: Sequence[GeneralNameText]
    ocsp_urls: Sequence[str]
    issuer_urls: Sequence[str]
    permitted: Sequence[GeneralNameText]
    excluded: Sequence[GeneralNameText]
    address_blocks: Sequence[str]
    """Networks of RFC 3779."""
    policies: Sequence[str]
    cps: str
    notice: str
    policy_mappings: Sequence[tuple[str, str]]
    require_explicit: int
    inhibit_mapping: int
    inhibit_any: int
    nocheck: bool
    critical: str
    """OID of a critical extension that nobody knows."""
    extra: Sequence[Extension]
    """Appended as they are; one with an OID that is there already makes a duplicate."""
    without: Collection[str]
    """OIDs of extensions that are left out."""
    san_critical: bool
    subject_key_id: bytes | None
    authority_key_id: bytes | None
    digest: str
    rsa_padding: str
    """pkcs1 or pss."""
    outer_algorithm: bytes
    """DER of the outer AlgorithmIdentifier, where it contradicts the inner one."""
    issuer_name: str | bytes
    """DN or DER of the issuer field."""
    signing_key: PrivateKey
    """Signs instead of the issuer's key: a look-alike CA."""
    public_key_info: bytes
    """DER of the SubjectPublicKeyInfo, for keys that no library makes."""
    tamper: bool
    """Flip one bit of the signature."""


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who signs: its Name, key and key identifier, and what its certificates point at."""

    name: bytes
    key: PrivateKey
    key_id: bytes
    crl_urls: tuple[GeneralNameText, ...] = ()
    ocsp_urls: tuple[str, ...] = ()


def public_key_bits(public_key_info: bytes) -> bytes:
    """The bits of subjectPublicKey, which key identifiers and OCSP's CertID hash."""
    return der.read(public_key_info).children()[1].bits()[0]


def key_identifier(public_key_info: bytes) -> bytes:
    """SHA-1 of the public key's bits (RFC 5280 4.2.1.2, method 1)."""
    return sha1(public_key_bits(public_key_info), usedforsecurity=False).digest()


def name_bytes(name: str | bytes) -> bytes:
    """The DER of a Name given as text or DER. Raises UsageError."""
    return name if isinstance(name, bytes) else subject_der(name)


def build_certificate(
    issuer: Issuer,
    public_key_info: bytes,
    subject: bytes,
    sans: Sequence[GeneralNameText],
    now: datetime,
    days: float,
    serial: int,
    knobs: CertificateKnobs,
) -> bytes:
    """The DER of a certificate: end-entity unless `ca` is set. Raises UsageError."""
    key_info = knobs.get("public_key_info", public_key_info)
    signing_key = knobs.get("signing_key", issuer.key)
    digest, rsa_padding = knobs.get("digest"), knobs.get("rsa_padding", "pkcs1")
    version = knobs.get("version", 3)
    extensions = _extensions(issuer, key_info, subject, sans, knobs)
    algorithm = algorithm_of(signing_key, digest, rsa_padding)
    encoded = ext.encode_extensions(extensions)
    tbs = sequence(
        explicit(0, integer(version - 1)) if version != 1 else b"",
        integer(knobs.get("serial", serial)),
        algorithm,
        name_bytes(knobs.get("issuer_name", issuer.name)),
        sequence(
            time(knobs.get("not_before", now - BACKDATED)),
            time(knobs.get("not_after", now + timedelta(days=days))),
        ),
        subject,
        key_info,
        explicit(3, encoded) if encoded and version != 1 else b"",
    )
    _, signature = sign_with(signing_key, tbs, digest, rsa_padding)
    if knobs.get("tamper", False):
        signature = signature[:-1] + bytes((signature[-1] ^ 1,))
    return sequence(tbs, knobs.get("outer_algorithm", algorithm), bit_string(signature))


def _extensions(
    issuer: Issuer, key_info: bytes, subject: bytes, sans: Sequence[GeneralNameText], knobs: CertificateKnobs
) -> list[Extension]:
    ca = knobs.get("ca", False)
    key_id = knobs.get("subject_key_id", key_identifier(key_info))
    authority_key_id = knobs.get("authority_key_id", issuer.key_id)
    found: list[Extension] = [ext.basic_constraints(ca, knobs.get("path_length") if ca else None)]
    if not ca and knobs.get("path_length") is not None:
        found = [Extension(ext.BASIC_CONSTRAINTS, False, sequence(integer(knobs["path_length"] or 0)))]
    usage = knobs.get("key_usage", ("keyCertSign", "cRLSign") if ca else ("digitalSignature",))
    if usage is not None:
        found.append(ext.key_usage(usage))
    if key_id is not None:
        found.append(ext.subject_key_identifier(key_id))
    if authority_key_id is not None:
        found.append(ext.authority_key_identifier(authority_key_id))
    if sans:
        found.append(ext.subject_alt_name(sans, knobs.get("san_critical", subject == sequence())))
    if purposes := knobs.get("extended_key_usage", ()):
        found.append(ext.extended_key_usage(purposes, knobs.get("extended_key_usage_critical", False)))
    found += _pointers(issuer, knobs) + _policies(knobs)
    if knobs.get("permitted") or knobs.get("excluded"):
        found.append(ext.name_constraints(knobs.get("permitted", ()), knobs.get("excluded", ())))
    if networks := knobs.get("address_blocks", ()):
        found.append(ext.ip_address_blocks(networks))
    if knobs.get("nocheck", False):
        found.append(ext.ocsp_nocheck())
    if unknown := knobs.get("critical"):
        found.append(Extension(unknown, True, null()))
    without = knobs.get("without", ())
    return [one for one in found if one.oid not in without] + list(knobs.get("extra", ()))


def _pointers(issuer: Issuer, knobs: CertificateKnobs) -> list[Extension]:
    found: list[Extension] = []
    crl_issuer = name_bytes(knobs["crl_issuer"]) if "crl_issuer" in knobs else None
    urls = knobs.get("crl_urls", issuer.crl_urls)
    if urls or crl_issuer is not None:
        found.append(ext.distribution_points(urls, crl_issuer, knobs.get("crl_reasons")))
    if freshest := knobs.get("freshest_crl_urls", ()):
        found.append(ext.distribution_points(freshest, crl_issuer, kind=ext.FRESHEST_CRL))
    ocsp, issuers = knobs.get("ocsp_urls", issuer.ocsp_urls), knobs.get("issuer_urls", ())
    if ocsp or issuers:
        found.append(ext.authority_info_access(ocsp, issuers))
    return found


def _policies(knobs: CertificateKnobs) -> list[Extension]:
    found: list[Extension] = []
    if policies := knobs.get("policies", ()):
        found.append(ext.certificate_policies(policies, knobs.get("cps"), knobs.get("notice")))
    if mappings := knobs.get("policy_mappings", ()):
        found.append(ext.policy_mappings(mappings))
    if "require_explicit" in knobs or "inhibit_mapping" in knobs:
        found.append(ext.policy_constraints(knobs.get("require_explicit"), knobs.get("inhibit_mapping")))
    if "inhibit_any" in knobs:
        found.append(ext.inhibit_any_policy(knobs["inhibit_any"]))
    return found
