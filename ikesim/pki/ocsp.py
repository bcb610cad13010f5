"""OCSP messages: requests built, responses read (RFC 6960 4, RFC 8954)."""

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha1, sha224, sha256, sha384, sha512
from urllib.parse import quote, urlsplit

from ikesim.pki.certificates import Certificate
from ikesim.pki.crl import REASON_NAMES, read_extensions
from ikesim.pki.der import (
    ENUMERATED,
    GENERALIZED_TIME,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    DerError,
    Element,
    read,
)
from ikesim.pki.der_writer import explicit, integer, null, octet_string, oid, sequence
from ikesim.pki.fetching import FetchKind, FetchRequest
from ikesim.pki.names import Name, name

ID_SHA1 = "1.3.14.3.2.26"
HASHES = {
    ID_SHA1: sha1,
    "2.16.840.1.101.3.4.2.4": sha224,
    "2.16.840.1.101.3.4.2.1": sha256,
    "2.16.840.1.101.3.4.2.2": sha384,
    "2.16.840.1.101.3.4.2.3": sha512,
}
BASIC_RESPONSE = "1.3.6.1.5.5.7.48.1.1"
NONCE = "1.3.6.1.5.5.7.48.1.2"
NO_CHECK = "1.3.6.1.5.5.7.48.1.5"
AUTHORITY_INFO_ACCESS = "1.3.6.1.5.5.7.1.1"
AD_OCSP = "1.3.6.1.5.5.7.48.1"
KNOWN_RESPONSE_EXTENSIONS = frozenset((NONCE, "1.3.6.1.5.5.7.48.1.9"))
KNOWN_SINGLE_EXTENSIONS = frozenset(
    ("1.3.6.1.5.5.7.48.1.3", "1.3.6.1.5.5.7.48.1.6", "2.5.29.21", "2.5.29.24", "2.5.29.29")
)

RESPONSE_STATUS = {
    0: "successful",
    1: "malformedRequest",
    2: "internalError",
    3: "tryLater",
    5: "sigRequired",
    6: "unauthorized",
}
MAX_GET = 255
"""Octets of URL up to which GET may be used (RFC 6960 A.1)."""
MAX_RESPONSE = 256 * 1024
"""Octets of a response: one status, a signature and a chain of the largest keys need a tenth of it."""
MAX_CERTIFICATES = 8
"""Certificates read of one response; a delegated responder sends one, or its chain."""
MAX_NONCE = 32
"""Octets of a nonce, RFC 8954 2.1."""
REQUEST_TYPE = "application/ocsp-request"


@dataclass(frozen=True, slots=True)
class CertId:
    """Which certificate a status is about (RFC 6960 4.1.1)."""

    hash_oid: str
    name_hash: bytes
    key_hash: bytes
    serial: int

    def same_issuer(self, certificate: Certificate, issuer: Certificate) -> bool:
        """It was made from the certificate's issuer."""
        digest = HASHES.get(self.hash_oid)
        if digest is None or self.key_hash != digest(key_octets(issuer), usedforsecurity=False).digest():
            return False
        names = (certificate.issuer.der, issuer.subject.der)
        return any(self.name_hash == digest(der, usedforsecurity=False).digest() for der in names)


@dataclass(frozen=True, slots=True)
class SingleResponse:
    """The status of one certificate."""

    cert_id: CertId
    status: str
    """good, revoked or unknown."""
    this_update: datetime
    next_update: datetime | None
    revoked_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OcspResponse:
    """A response; all but `status` belong to a successful one."""

    der: bytes
    status: int
    to_be_signed: bytes = b""
    signature_algorithm: bytes = b""
    signature: bytes = b""
    responder_name: Name | None = None
    responder_key: bytes | None = None
    produced_at: datetime | None = None
    singles: tuple[SingleResponse, ...] = ()
    nonce: bytes | None = None
    certificates: tuple[bytes, ...] = ()
    unknown_critical: tuple[str, ...] = ()

    @property
    def responder(self) -> str:
        """Who says that it is the responder."""
        if self.responder_name is not None:
            return self.responder_name.text
        return f"key {(self.responder_key or b'').hex()}"


# requests


def key_octets(certificate: Certificate) -> bytes:
    """The subjectPublicKey without tag, length and unused bits; empty where it is no BIT STRING."""
    try:
        return read(certificate.spki, SEQUENCE).children()[1].bits()[0]
    except DerError:
        return b""


def encode_cert_id(certificate: Certificate, issuer: Certificate) -> bytes:
    """The CertID of a certificate, with SHA-1 as every responder understands it (RFC 5019 2.1.1)."""
    name_hash = sha1(certificate.issuer.der, usedforsecurity=False).digest()
    key_hash = sha1(key_octets(issuer), usedforsecurity=False).digest()
    algorithm = sequence(oid(ID_SHA1), null())
    return sequence(algorithm, octet_string(name_hash), octet_string(key_hash), integer(certificate.serial))


def encode_request(cert_id: bytes, nonce: bytes | None = None) -> bytes:
    """An OCSPRequest for one certificate (RFC 6960 4.1.1), with a nonce where given."""
    extensions = b""
    if nonce is not None:
        extensions = explicit(2, sequence(sequence(oid(NONCE), octet_string(octet_string(nonce)))))
    return sequence(sequence(sequence(sequence(cert_id)), extensions))


def derive_nonce(cert_id: bytes, at: datetime) -> bytes:
    """32 octets that no other certificate or moment shares: for callers without entropy."""
    return sha256(b"ikesim ocsp nonce\x00" + cert_id + at.isoformat().encode()).digest()


def fetch_request(url: str, body: bytes, *, get: bool, timeout: float, operator: bool) -> FetchRequest:
    """The HTTP request (RFC 6960 A.1); GET only where the URL stays short and has no query."""
    if get and not urlsplit(url).query:
        long_url = f"{url.rstrip('/')}/{quote(b64encode(body).decode('ascii'), safe='')}"
        if len(long_url) <= MAX_GET:
            return FetchRequest(FetchKind.OCSP, long_url, "GET", b"", "", MAX_RESPONSE, timeout, operator)
    return FetchRequest(FetchKind.OCSP, url, "POST", body, REQUEST_TYPE, MAX_RESPONSE, timeout, operator)


def request_nonce(body: bytes, cert_id: bytes) -> bytes | None:
    """The nonce of a request of ours for `cert_id`; None when it is another request or has none."""
    start = body.find(cert_id)
    tail = body[start + len(cert_id) :] if start >= 0 else b""
    for length in range(1, min(MAX_NONCE, len(tail) - 1) + 1):
        if tail[-length - 1] == length and encode_request(cert_id, tail[-length:]) == body:
            return tail[-length:]
    return None


def responder_urls(certificate: Certificate) -> tuple[str, ...]:
    """The OCSP URLs of a certificate's authorityInfoAccess (RFC 5280 4.2.2.1). Raises DerError."""
    extension = certificate.extensions.get(AUTHORITY_INFO_ACCESS)
    if extension is None:
        return ()
    urls = []
    for access in read(extension.value, SEQUENCE):
        parts = access.expect(SEQUENCE).children()
        if len(parts) == 2 and parts[1].tag == 0x86 and parts[0].oid() == AD_OCSP:
            urls.append(parts[1].value.decode("latin-1"))
    return tuple(urls)


# responses


def read_response(octets: bytes) -> OcspResponse:
    """An OCSPResponse (RFC 6960 4.2.1). Raises DerError."""
    if len(octets) > MAX_RESPONSE:
        raise DerError(f"a response of {len(octets)} octets")
    parts = read(octets, SEQUENCE).children()
    if not parts:
        raise DerError("an empty response")
    status = parts[0].expect(ENUMERATED).integer()
    if status != 0:
        return OcspResponse(octets, status)
    if len(parts) != 2:
        raise DerError("a successful response without responseBytes")
    wrapped = parts[1].expect(0xA0).children()
    kind, body = _pair(wrapped[0].expect(SEQUENCE)) if len(wrapped) == 1 else _pair(parts[1])
    if kind.oid() != BASIC_RESPONSE:
        raise DerError(f"response type {kind.oid()}", kind.start)
    return _read_basic(octets, body.expect(OCTET_STRING).value)


def _pair(element: Element) -> tuple[Element, Element]:
    parts = element.children()
    if len(parts) != 2:
        raise DerError(f"{len(parts)} elements where 2 belong", element.start)
    return parts[0], parts[1]


def _read_basic(octets: bytes, basic: bytes) -> OcspResponse:
    parts = read(basic, SEQUENCE).children()
    if not 3 <= len(parts) <= 4:
        raise DerError(f"a BasicOCSPResponse of {len(parts)} parts")
    data = parts[0].expect(SEQUENCE)
    signature, unused = parts[2].bits()
    certificates: list[bytes] = []
    if len(parts) == 4:
        for listed in parts[3].expect(0xA0):
            certificates += [element.expect(SEQUENCE).der for element in listed.expect(SEQUENCE)]
    fields = data.children()
    if fields and fields[0].tag == 0xA0:
        version = read(fields.pop(0).value, INTEGER).integer()
        if version != 0:
            raise DerError(f"version {version + 1} of a response", data.start)
    if not 3 <= len(fields) <= 4:
        raise DerError("a response that lacks fields", data.start)
    responder = fields[0].expect(0xA1, 0xA2)
    responder_name = name(read(responder.value, SEQUENCE).der) if responder.tag == 0xA1 else None
    if responder_name is not None:
        _ = responder_name.rdns
    extensions = _extensions(fields[3].expect(0xA1), KNOWN_RESPONSE_EXTENSIONS) if len(fields) == 4 else ({}, ())
    nonce = extensions[0].get(NONCE)
    singles = []
    unknown = extensions[1]
    for element in fields[2].expect(SEQUENCE):
        single, critical = _read_single(element.expect(SEQUENCE))
        singles.append(single)
        unknown += critical
    return OcspResponse(
        octets,
        0,
        data.der,
        parts[1].expect(SEQUENCE).der,
        b"" if unused else signature,
        responder_name,
        None if responder_name else read(responder.value, OCTET_STRING).value,
        fields[1].expect(GENERALIZED_TIME).time(),
        tuple(singles),
        None if nonce is None else _nonce_value(nonce),
        tuple(certificates[:MAX_CERTIFICATES]),
        unknown,
    )


def _nonce_value(value: bytes) -> bytes:
    """The nonce: an OCTET STRING inside the extension; bare octets, as old responders write it."""
    try:
        return read(value, OCTET_STRING).value
    except DerError:
        return value


def _extensions(wrapper: Element, known: frozenset[str]) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Extension values by OID, and the unknown critical ones."""
    found: dict[str, bytes] = {}
    unknown: tuple[str, ...] = ()
    for element in wrapper:
        for identifier, critical, value in read_extensions(element):
            found[identifier] = value
            if critical and identifier not in known:
                unknown += (identifier,)
    return found, unknown


def _read_single(element: Element) -> tuple[SingleResponse, tuple[str, ...]]:
    parts = element.children()
    if len(parts) < 3:
        raise DerError("a SingleResponse that lacks fields", element.start)
    hashed = parts[0].expect(SEQUENCE).children()
    if len(hashed) != 4:
        raise DerError("a CertID that is not of four", parts[0].start)
    cert_id = CertId(
        hashed[0].expect(SEQUENCE).children()[0].oid() if hashed[0].content < hashed[0].end else "",
        hashed[1].expect(OCTET_STRING).value,
        hashed[2].expect(OCTET_STRING).value,
        hashed[3].integer(),
    )
    status = {0x80: "good", 0xA1: "revoked", 0x82: "unknown"}[parts[1].expect(0x80, 0xA1, 0x82).tag]
    revoked_at = reason = None
    if status == "revoked":
        info = parts[1].children()
        if not info:
            raise DerError("a revocation without its time", parts[1].start)
        revoked_at = info[0].expect(GENERALIZED_TIME).time()
        for extra in info[1:]:
            number = read(extra.expect(0xA0).value, ENUMERATED).integer()
            reason = REASON_NAMES.get(number, f"reason {number}")
    this_update = parts[2].expect(GENERALIZED_TIME).time()
    next_update = None
    unknown: tuple[str, ...] = ()
    for extra in parts[3:]:
        if extra.expect(0xA0, 0xA1).tag == 0xA0:
            next_update = read(extra.value, GENERALIZED_TIME).time()
        else:
            unknown = _extensions(extra, KNOWN_SINGLE_EXTENSIONS)[1]
    return SingleResponse(cert_id, status, this_update, next_update, revoked_at, reason), unknown
