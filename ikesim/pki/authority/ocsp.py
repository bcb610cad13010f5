"""OCSP responses (RFC 6960) with every status and kind of signer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha1
from typing import TypedDict

from cryptography.hazmat.primitives import hashes

from ikesim.errors import UsageError
from ikesim.pki.authority import extensions as ext
from ikesim.pki.authority.certificate import Issuer, name_bytes
from ikesim.pki.authority.crl import Revocation
from ikesim.pki.authority.extensions import Extension
from ikesim.pki.authority.signing import algorithm_of, hash_named, sign_with
from ikesim.pki.der_writer import (
    bit_string,
    explicit,
    generalized_time,
    implicit,
    integer,
    null,
    octet_string,
    oid,
    sequence,
)
from ikesim.pki.keys import PrivateKey

_BASIC = "1.3.6.1.5.5.7.48.1.1"
_NONCE = "1.3.6.1.5.5.7.48.1.2"
RESPONSE_STATUSES = {
    "successful": 0,
    "malformed-request": 1,
    "internal-error": 2,
    "try-later": 3,
    "sig-required": 5,
    "unauthorized": 6,
}


@dataclass(frozen=True, slots=True)
class Responder:
    """Who signs OCSP responses in a CA's place: its certificate (DER) and key."""

    certificate: bytes
    key: PrivateKey
    name: bytes
    """DER of its subject."""
    key_id: bytes
    """SHA-1 of its public key's bits."""

    def __repr__(self) -> str:
        return f"<Responder {sha1(self.certificate, usedforsecurity=False).hexdigest()[:8]}>"


class OcspKnobs(TypedDict, total=False):
    """Everything that may be said about a response beyond certificate, status and time."""

    response_status: str
    """A name of :data:`RESPONSE_STATUSES`; anything but successful has no body."""
    responder: Responder
    by_key: bool
    """ResponderID byKey instead of byName."""
    produced_at: datetime
    this_update: datetime
    next_update: datetime | None
    """None leaves the field out."""
    nonce: bytes | None
    hash: str
    """Of the CertID: sha1 (default), sha256 and so on."""
    answer_serial: int
    """The serial that the answer is about, where it is not the one asked for."""
    issuer_name: str | bytes
    """Name hashed into the CertID, where it is not the CA's."""
    certificates: Sequence[bytes]
    """Sent along; default: the responder's own, if it is not the CA."""
    critical: str
    """OID of a critical response extension that nobody knows."""
    digest: str
    rsa_padding: str
    signing_key: PrivateKey
    tamper: bool


def build_response(
    issuer: Issuer,
    issuer_key_bits: bytes,
    serial: int,
    status: str,
    revocation: Revocation | None,
    now: datetime,
    days: float,
    knobs: OcspKnobs,
) -> bytes:
    """The DER of an OCSPResponse. `status` is good, revoked or unknown. Raises UsageError."""
    outcome = RESPONSE_STATUSES.get(knobs.get("response_status", "successful"))
    if outcome is None:
        raise UsageError(
            f"OCSP response status {knobs['response_status']!r} is not one of {', '.join(RESPONSE_STATUSES)}"
        )
    if outcome:
        return sequence(integer(outcome, tag=0x0A))
    responder = knobs.get("responder")
    signing_key = knobs.get("signing_key", issuer.key if responder is None else responder.key)
    signer_name, signer_id = (issuer.name, issuer.key_id) if responder is None else (responder.name, responder.key_id)
    digest, rsa_padding = knobs.get("digest"), knobs.get("rsa_padding", "pkcs1")
    identifier = explicit(2, octet_string(signer_id)) if knobs.get("by_key", False) else explicit(1, signer_name)
    data = sequence(
        identifier,
        generalized_time(knobs.get("produced_at", now)),
        sequence(_single(issuer, issuer_key_bits, serial, status, revocation, now, days, knobs)),
        _response_extensions(knobs),
    )
    _, signature = sign_with(signing_key, data, digest, rsa_padding)
    if knobs.get("tamper", False):
        signature = signature[:-1] + bytes((signature[-1] ^ 1,))
    certificates = knobs.get("certificates", () if responder is None else (responder.certificate,))
    basic = sequence(
        data,
        algorithm_of(signing_key, digest, rsa_padding),
        bit_string(signature),
        explicit(0, sequence(*certificates)) if certificates else b"",
    )
    return sequence(integer(0, tag=0x0A), explicit(0, sequence(oid(_BASIC), octet_string(basic))))


def _single(
    issuer: Issuer,
    key_bits: bytes,
    serial: int,
    status: str,
    revocation: Revocation | None,
    now: datetime,
    days: float,
    knobs: OcspKnobs,
) -> bytes:
    next_update = knobs.get("next_update", now + timedelta(days=days))
    used, algorithm = hash_named(knobs.get("hash", "sha1"))
    return sequence(
        sequence(
            algorithm,
            octet_string(_hash(used, name_bytes(knobs.get("issuer_name", issuer.name)))),
            octet_string(_hash(used, key_bits)),
            integer(knobs.get("answer_serial", serial)),
        ),
        _status(status, revocation, now),
        generalized_time(knobs.get("this_update", now)),
        b"" if next_update is None else explicit(0, generalized_time(next_update)),
    )


def _status(status: str, revocation: Revocation | None, now: datetime) -> bytes:
    if status == "good":
        return implicit(0, b"")
    if status == "unknown":
        return implicit(2, b"")
    if status != "revoked":
        raise UsageError(f"OCSP status {status!r} is not good, revoked or unknown")
    at, reason = (now, None) if revocation is None else (revocation.at, revocation.reason)
    code = b"" if reason is None else explicit(0, integer(ext.REASONS[reason], tag=0x0A))
    return implicit(1, generalized_time(at) + code, constructed=True)


def _response_extensions(knobs: OcspKnobs) -> bytes:
    found: list[Extension] = []
    nonce = knobs.get("nonce")
    if nonce is not None:
        found.append(Extension(_NONCE, False, octet_string(nonce)))
    if unknown := knobs.get("critical"):
        found.append(Extension(unknown, True, null()))
    encoded = ext.encode_extensions(found)
    return explicit(1, encoded) if encoded else b""


def _hash(algorithm: hashes.HashAlgorithm, content: bytes) -> bytes:
    digest = hashes.Hash(algorithm)
    digest.update(content)
    return digest.finalize()
