"""X.509 certificates (RFC 5280 section 4), read once and kept as they came.

The structure is read with the tolerant reader of pki/der.py, so that what other implementations accept is judged by
named rules and not refused by a parser; keys are loaded by `cryptography`. Whatever is wrong inside a certificate
that can be read at all is a *defect*: listed, and a failed check of the path. Only what cannot be read raises.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import NamedTuple

from ikesim.errors import IkesimError
from ikesim.pki import der
from ikesim.pki.caching import Cache
from ikesim.pki.decision import CertificateSummary
from ikesim.pki.names import COMMON_NAME, GeneralName, general_name, general_names, name
from ikesim.pki.publickeys import PublicKey, load_public_key
from ikesim.pki.verification import SignatureAlgorithm, signature_algorithm
from ikesim.reasons import Reason

MAX_OCTETS = 65535
"""Of one certificate: a CERT payload cannot carry more (RFC 7296 3.2)."""
MAX_EXTENSIONS = 128
"""Of one certificate; the fullest in the field have about 20."""

SUBJECT_KEY_IDENTIFIER = "2.5.29.14"
KEY_USAGE = "2.5.29.15"
SUBJECT_ALT_NAME = "2.5.29.17"
BASIC_CONSTRAINTS = "2.5.29.19"
NAME_CONSTRAINTS = "2.5.29.30"
CRL_DISTRIBUTION_POINTS = "2.5.29.31"
CERTIFICATE_POLICIES = "2.5.29.32"
POLICY_MAPPINGS = "2.5.29.33"
AUTHORITY_KEY_IDENTIFIER = "2.5.29.35"
POLICY_CONSTRAINTS = "2.5.29.36"
EXTENDED_KEY_USAGE = "2.5.29.37"
INHIBIT_ANY_POLICY = "2.5.29.54"

ANY_POLICY = "2.5.29.32.0"

DIGITAL_SIGNATURE, CONTENT_COMMITMENT, KEY_CERT_SIGN, CRL_SIGN = 1 << 0, 1 << 1, 1 << 5, 1 << 6
_KEY_USAGES = (
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
)


class CertificateError(IkesimError):
    """Octets that are no certificate (`cert-malformed`), or a key that cannot be one (`key-invalid`)."""

    exit_code = 1

    def __init__(self, message: str, *, reason: Reason = Reason.CERT_MALFORMED) -> None:
        super().__init__(message)
        self.reason = reason


class Extension(NamedTuple):
    """An extension as it came."""

    oid: str
    critical: bool
    value: bytes
    """The DER inside the OCTET STRING."""


class BasicConstraints(NamedTuple):
    """RFC 5280 4.2.1.9; `path_length` is None without a limit."""

    ca: bool
    path_length: int | None


class NameConstraints(NamedTuple):
    """RFC 5280 4.2.1.10: the base of each subtree. A base of an IP range is address and mask together."""

    permitted: tuple[GeneralName, ...]
    excluded: tuple[GeneralName, ...]


class PolicyConstraints(NamedTuple):
    """RFC 5280 4.2.1.11: certificates until it applies, None where absent."""

    require_explicit: int | None
    inhibit_mapping: int | None


class KeyIdentifiers(NamedTuple):
    """RFC 5280 4.2.1.1: what the certificate says about its issuer's key."""

    key_id: bytes | None
    issuer: tuple[GeneralName, ...]
    serial: int | None


class Defect(NamedTuple):
    """Something wrong inside a certificate."""

    rule: str
    message: str


class Certificate:
    """A certificate; equal to another of the same octets. Make them with :func:`parse`.

    An attribute that holds an extension is None (or an empty tuple) where the extension is absent, and where it
    cannot be decoded: then there is a defect.
    """

    basic_constraints: BasicConstraints | None = None
    key_usage: int | None = None
    """The named bits, bit 0 (digitalSignature) lowest."""
    extended_key_usage: tuple[str, ...] | None = None
    """OIDs."""
    san: tuple[GeneralName, ...] = ()
    name_constraints: NameConstraints | None = None
    policies: tuple[str, ...] | None = None
    """OIDs, without qualifiers."""
    policy_mappings: tuple[tuple[str, str], ...] = ()
    """Pairs (issuer's policy, subject's policy)."""
    policy_constraints: PolicyConstraints | None = None
    inhibit_any_policy: int | None = None
    authority_key: KeyIdentifiers | None = None
    subject_key_id: bytes | None = None
    defects: tuple[Defect, ...] = ()
    """Everything that is wrong inside."""
    critical: tuple[str, ...] = ()
    """OIDs of the critical extensions that path validation does not process."""

    def __init__(self, octets: bytes) -> None:
        """Read everything. Raises CertificateError."""
        if len(octets) > MAX_OCTETS:
            raise CertificateError(f"{len(octets)} octets are more than a certificate may have ({MAX_OCTETS})")
        self.der = octets
        defects: list[Defect] = []
        try:
            self._read(defects)
        except der.DerError as error:
            raise CertificateError(f"not a certificate: {error}") from None
        if defects:
            self.defects = tuple(defects)

    def _read(self, defects: list[Defect]) -> None:
        outer = der.read(self.der, der.SEQUENCE).children()
        if len(outer) != 3:
            raise der.DerError("a certificate is a sequence of three")
        tbs, algorithm, signature = outer
        self.tbs = tbs.der
        self.outer_algorithm = algorithm.expect(der.SEQUENCE).der
        bits, unused = signature.bits()
        self.signature = b"" if unused else bits
        """Empty when it is not a whole number of octets: no algorithm makes such a signature."""
        fields = tbs.expect(der.SEQUENCE).children()
        self.version = 1
        if fields and fields[0].tag == 0xA0:
            self.version = der.read(fields.pop(0).value, der.INTEGER).integer() + 1
        if len(fields) < 6:
            raise der.DerError("a TBSCertificate that lacks fields", tbs.start)
        serial, inner, issuer, validity, subject, spki = fields[:6]
        self.serial = serial.integer()
        self.inner_algorithm = inner.expect(der.SEQUENCE).der
        self.algorithm: SignatureAlgorithm = signature_algorithm(self.inner_algorithm)
        """What it is signed with, by the field inside the signed part."""
        self.issuer = name(issuer.expect(der.SEQUENCE).der)
        self.subject = name(subject.expect(der.SEQUENCE).der)
        _ = self.issuer.key, self.subject.key
        bounds = validity.expect(der.SEQUENCE).children()
        if len(bounds) != 2:
            raise der.DerError("a validity that is not two times", validity.start)
        self.not_before: datetime = bounds[0].time()
        self.not_after: datetime = bounds[1].time()
        self.spki = spki.expect(der.SEQUENCE).der
        key_parts = spki.children()
        if len(key_parts) != 2:
            raise der.DerError("a SubjectPublicKeyInfo that is not algorithm and key", spki.start)
        self.key_bits = key_parts[1].value[1:] if key_parts[1].tag == der.BIT_STRING else b""
        """The octets of subjectPublicKey; empty when it is no BIT STRING, and then the key is invalid."""
        self.extensions: Mapping[str, Extension] = self._read_extensions(fields[6:], defects)
        if self.outer_algorithm != self.inner_algorithm:
            message = "the signature algorithms outside and inside the signed part differ"
            defects.append(Defect("RFC 5280 4.1.1.2", message))
        if self.algorithm.irregular:
            defects.append(Defect("RFC 5280 4.1.1.2", self.algorithm.irregular))
        if self.version not in (1, 2, 3) or (self.extensions and self.version != 3):
            message = f"version {self.version} with {len(self.extensions)} extensions"
            defects.append(Defect("RFC 5280 4.1.2.1", message))
        if self.issuer.is_empty:
            defects.append(Defect("RFC 5280 4.1.2.4", "the issuer's name is empty"))

    def _read_extensions(self, fields: list[der.Element], defects: list[Defect]) -> Mapping[str, Extension]:
        found: dict[str, Extension] = {}
        for element in fields:
            if element.tag in (0x81, 0x82, 0xA1, 0xA2):
                continue
            if element.tag != 0xA3:
                raise der.DerError(f"an unknown field with tag {element.tag:#04x}", element.start)
            listed = element.children()
            if len(listed) != 1:
                raise der.DerError("extensions that are not one sequence", element.start)
            for item in listed[0].expect(der.SEQUENCE).children():
                parts = item.expect(der.SEQUENCE).children()
                if not 2 <= len(parts) <= 3:
                    raise der.DerError("an extension that is not identifier, criticality and value", item.start)
                oid = parts[0].oid()
                critical = parts[1].boolean() if len(parts) == 3 else False
                value = parts[-1].expect(der.OCTET_STRING).value
                if oid in found:
                    defects.append(Defect("RFC 5280 4.2", f"extension {oid} stands there twice"))
                elif len(found) >= MAX_EXTENSIONS:
                    raise der.DerError(f"more than {MAX_EXTENSIONS} extensions", item.start)
                else:
                    found[oid] = Extension(oid, critical, value)
                    self._take(oid, critical, value, defects)
        return MappingProxyType(found)

    def _take(self, oid: str, critical: bool, value: bytes, defects: list[Defect]) -> None:
        known = _KNOWN.get(oid)
        if known is None:
            if critical and oid not in _PROCESSED:
                self.critical = (*self.critical, oid)
            return
        try:
            setattr(self, known.attribute, known.decode(value))
        except der.DerError as error:
            defects.append(Defect(known.rule, f"{known.label} cannot be read: {error}"))

    def __repr__(self) -> str:
        return f"Certificate({self.names!r}, serial={self.serial:#x})"

    def __eq__(self, other: object) -> bool:
        return self.der == other.der if isinstance(other, Certificate) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.der)

    def __deepcopy__(self, memo: object) -> "Certificate":
        return self

    @cached_property
    def fingerprint(self) -> bytes:
        """SHA-256 of the DER."""
        return hashlib.sha256(self.der).digest()

    @cached_property
    def names(self) -> str:
        """A short human name: the subject, else the first alternative name, else the serial number."""
        if not self.subject.is_empty:
            return self.subject.text
        return self.san[0].text if self.san else f"serial {self.serial:#x}"

    @cached_property
    def common_names(self) -> tuple[str, ...]:
        """The subject's CNs, which IKE does not take as identities."""
        return self.subject.values(COMMON_NAME)

    @cached_property
    def summary(self) -> CertificateSummary:
        """The certificate as people name it."""
        return CertificateSummary(
            subject=self.subject.text,
            issuer=self.issuer.text,
            serial=f"{self.serial:#x}",
            san=tuple(item.text for item in self.san),
            not_before=self.not_before,
            not_after=self.not_after,
        )

    @cached_property
    def _key(self) -> "PublicKey | CertificateError":
        try:
            return load_public_key(self.spki)
        except ValueError as error:
            return CertificateError(str(error), reason=Reason.KEY_INVALID)

    @property
    def public_key(self) -> PublicKey:
        """The key. Raises CertificateError (`key-invalid`) for one that is impossible or of no use in IKE."""
        key = self._key
        if isinstance(key, CertificateError):
            raise CertificateError(str(key), reason=key.reason)
        return key

    @cached_property
    def spki_sha1(self) -> bytes:
        """SHA-1 of the SubjectPublicKeyInfo: the "hash" of a CA in CERTREQ (RFC 7296 3.7)."""
        return hashlib.sha1(self.spki, usedforsecurity=False).digest()

    @cached_property
    def key_sha1(self) -> bytes:
        """SHA-1 of the subjectPublicKey's bits: the usual key identifier (RFC 5280 4.2.1.2 (1)), OCSP's key hash."""
        return hashlib.sha1(self.key_bits, usedforsecurity=False).digest()

    @property
    def is_self_issued(self) -> bool:
        """Subject and issuer are the same name (RFC 5280 6.1)."""
        return self.subject == self.issuer

    @property
    def is_ca(self) -> bool:
        """basicConstraints says CA."""
        return self.basic_constraints is not None and self.basic_constraints.ca


def key_usage_names(bits: int) -> tuple[str, ...]:
    """The names of the key usage bits that are set."""
    return tuple(label for position, label in enumerate(_KEY_USAGES) if bits >> position & 1)


_CERTIFICATES: Cache[bytes, Certificate] = Cache("certificates", 512)


def parse(octets: bytes) -> Certificate:
    """The certificate of these octets; the same octets give the same object while they are remembered.

    Raises CertificateError with `cert-malformed`. A key that is impossible shows when `public_key` is asked for.
    """
    known = _CERTIFICATES.get(octets)
    return _CERTIFICATES.put(octets, Certificate(bytes(octets))) if known is None else known


def _basic_constraints(value: bytes) -> BasicConstraints:
    parts = der.read(value, der.SEQUENCE).children()
    ca = parts.pop(0).boolean() if parts and parts[0].tag == der.BOOLEAN else False
    length = parts.pop(0).integer() if parts else None
    if parts or (length is not None and length < 0):
        raise der.DerError("not a flag and a length")
    return BasicConstraints(ca, length)


def _key_usage(value: bytes) -> int:
    octets, _ = der.read(value, der.BIT_STRING).bits()
    bits = 0
    for position in range(min(len(octets) * 8, len(_KEY_USAGES))):
        if octets[position // 8] >> (7 - position % 8) & 1:
            bits |= 1 << position
    return bits


def _oids(value: bytes) -> tuple[str, ...]:
    oids = tuple(element.oid() for element in der.read(value, der.SEQUENCE))
    if not oids:
        raise der.DerError("an empty list")
    return oids


def _name_constraints(value: bytes) -> NameConstraints:
    subtrees: dict[int, tuple[GeneralName, ...]] = {}
    for part in der.read(value, der.SEQUENCE):
        if part.tag in subtrees:
            raise der.DerError("a list of subtrees that stands there twice", part.start)
        subtrees[part.expect(0xA0, 0xA1).tag] = tuple(_subtree(item) for item in part)
    if not subtrees:
        raise der.DerError("neither permitted nor excluded subtrees")
    return NameConstraints(subtrees.get(0xA0, ()), subtrees.get(0xA1, ()))


def _subtree(element: der.Element) -> GeneralName:
    """A GeneralSubtree; minimum must be 0 and maximum absent (RFC 5280 4.2.1.10)."""
    base, *rest = element.expect(der.SEQUENCE).children() or [element]
    for bound in rest:
        if bound.expect(0x80).value.strip(b"\x00"):
            raise der.DerError("a subtree whose minimum is not 0", bound.start)
    return general_name(base)


def _policies(value: bytes) -> tuple[str, ...]:
    policies: dict[str, None] = {}
    for information in der.read(value, der.SEQUENCE):
        parts = information.expect(der.SEQUENCE).children()
        if not 1 <= len(parts) <= 2:
            raise der.DerError("a policy that is not identifier and qualifiers", information.start)
        policy = parts[0].oid()
        if policy in policies:
            raise der.DerError(f"policy {policy} stands there twice", information.start)
        policies[policy] = None
    if not policies:
        raise der.DerError("an empty list")
    return tuple(policies)


def _policy_mappings(value: bytes) -> tuple[tuple[str, str], ...]:
    mappings = []
    for pair in der.read(value, der.SEQUENCE):
        parts = pair.expect(der.SEQUENCE).children()
        if len(parts) != 2:
            raise der.DerError("a mapping that is not two policies", pair.start)
        mappings.append((parts[0].oid(), parts[1].oid()))
    if not mappings:
        raise der.DerError("an empty list")
    return tuple(mappings)


def _policy_constraints(value: bytes) -> PolicyConstraints:
    numbers: dict[int, int] = {}
    for part in der.read(value, der.SEQUENCE):
        numbers[part.expect(0x80, 0x81).tag] = _count(part.value)
    return PolicyConstraints(numbers.get(0x80), numbers.get(0x81))


def _skip_certs(value: bytes) -> int:
    return _count(der.read(value, der.INTEGER).value)


def _count(octets: bytes) -> int:
    number = int.from_bytes(octets, "big", signed=True)
    if not octets or number < 0:
        raise der.DerError("a count of certificates that is none")
    return number


def _authority_key(value: bytes) -> KeyIdentifiers:
    parts = {part.tag: part for part in der.read(value, der.SEQUENCE)}
    key_id = parts[0x80].value if 0x80 in parts else None
    issuer = tuple(general_name(item) for item in parts[0xA1]) if 0xA1 in parts else ()
    serial = int.from_bytes(parts[0x82].value, "big", signed=True) if 0x82 in parts else None
    return KeyIdentifiers(key_id, issuer, serial)


def _key_id(value: bytes) -> bytes:
    return der.read(value, der.OCTET_STRING).value


class _Known(NamedTuple):
    """An extension that path validation processes: its attribute, section, name and decoder."""

    attribute: str
    rule: str
    label: str
    decode: Callable[[bytes], object]


_KNOWN = {
    AUTHORITY_KEY_IDENTIFIER: _Known("authority_key", "RFC 5280 4.2.1.1", "authorityKeyIdentifier", _authority_key),
    SUBJECT_KEY_IDENTIFIER: _Known("subject_key_id", "RFC 5280 4.2.1.2", "subjectKeyIdentifier", _key_id),
    KEY_USAGE: _Known("key_usage", "RFC 5280 4.2.1.3", "keyUsage", _key_usage),
    CERTIFICATE_POLICIES: _Known("policies", "RFC 5280 4.2.1.4", "certificatePolicies", _policies),
    POLICY_MAPPINGS: _Known("policy_mappings", "RFC 5280 4.2.1.5", "policyMappings", _policy_mappings),
    SUBJECT_ALT_NAME: _Known("san", "RFC 5280 4.2.1.6", "subjectAltName", general_names),
    BASIC_CONSTRAINTS: _Known("basic_constraints", "RFC 5280 4.2.1.9", "basicConstraints", _basic_constraints),
    NAME_CONSTRAINTS: _Known("name_constraints", "RFC 5280 4.2.1.10", "nameConstraints", _name_constraints),
    POLICY_CONSTRAINTS: _Known("policy_constraints", "RFC 5280 4.2.1.11", "policyConstraints", _policy_constraints),
    EXTENDED_KEY_USAGE: _Known("extended_key_usage", "RFC 5280 4.2.1.12", "extKeyUsage", _oids),
    INHIBIT_ANY_POLICY: _Known("inhibit_any_policy", "RFC 5280 4.2.1.14", "inhibitAnyPolicy", _skip_certs),
}
_PROCESSED = frozenset(_KNOWN) | {CRL_DISTRIBUTION_POINTS}
