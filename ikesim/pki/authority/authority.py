"""One certification authority: a key, a certificate, what it issued and what it revoked."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Self, Unpack

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import ocsp

from ikesim.errors import NotFoundError, UsageError
from ikesim.pki import der
from ikesim.pki.authority.certificate import (
    CertificateKnobs,
    Issuer,
    build_certificate,
    key_identifier,
    name_bytes,
    public_key_bits,
)
from ikesim.pki.authority.crl import CrlKnobs, Revocation, build_crl, delta_entries
from ikesim.pki.authority.extensions import REASONS
from ikesim.pki.authority.ocsp import OcspKnobs, Responder, build_response
from ikesim.pki.der_writer import sequence
from ikesim.pki.general_names import GeneralNameText
from ikesim.pki.keys import Entropy, PrivateKey, PublicKey, make_key, parse_key_type, spki


@dataclass(frozen=True, slots=True)
class Issued:
    """One certificate in an authority's records."""

    serial: int
    certificate: bytes
    """DER."""
    name: str = ""
    """What the operator calls it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An end certificate together with its key, for peers that are not endpoints of ikesim and for responders."""

    certificate: bytes
    key: PrivateKey = field(repr=False)


class Authority:
    """A CA. Make one with :meth:`create`; its state is plain data, its private key is its own."""

    def __init__(
        self,
        name: str,
        key: PrivateKey,
        subject: bytes,
        certificate: bytes,
        *,
        issuer: "Authority | None" = None,
        entropy: Entropy | None = None,
        crl_at: Sequence[GeneralNameText] = (),
        ocsp_at: Sequence[str] = (),
    ) -> None:
        """Take up an authority that exists already; :meth:`create` makes a new one."""
        self.name = name
        self.key = key
        self.subject = subject
        """DER of its Name."""
        self.certificate = certificate
        """DER."""
        self.issuer = issuer
        """The authority above; None for a root."""
        self.crl_at = tuple(crl_at)
        """Where its CRL is published: the CDP of what it issues."""
        self.ocsp_at = tuple(ocsp_at)
        """Where its OCSP responder answers: the AIA of what it issues."""
        self.issued: dict[int, Issued] = {}
        self.revoked: dict[int, Revocation] = {}
        self.crl_number = 0
        """Of the newest CRL; the next one gets one more."""
        self.published: dict[int, dict[int, Revocation]] = {}
        """What each full CRL said, by number: the bases of delta CRLs."""
        self._given = entropy

    def __repr__(self) -> str:
        return f"<Authority {self.name}>"

    @classmethod
    def create(
        cls,
        name: str,
        *,
        now: datetime,
        subject: str | bytes | None = None,
        key_type: str = "ecdsa-p256",
        private_key: PrivateKey | None = None,
        issuer: "Authority | None" = None,
        entropy: Entropy | None = None,
        crl_at: Sequence[GeneralNameText] = (),
        ocsp_at: Sequence[str] = (),
        days: float = 3650,
        **knobs: Unpack[CertificateKnobs],
    ) -> Self:
        """A new root, or an intermediate under `issuer`; its subject is CN=`name` unless given.

        `crl_at` and `ocsp_at` say where it publishes, and go into what it issues. The knobs are those of its own
        certificate (whose `crl_urls` are by default where its issuer publishes). `private_key` spares making one.
        """
        source = entropy or (None if issuer is None else issuer._given)
        key = private_key or _make_key(key_type, source)
        authority = cls(
            name,
            key,
            name_bytes(f"CN={name}" if subject is None else subject),
            b"",
            issuer=issuer,
            entropy=source,
            crl_at=crl_at,
            ocsp_at=ocsp_at,
        )
        knobs.setdefault("ca", True)
        if issuer is None:
            knobs.setdefault("crl_urls", ())
            knobs.setdefault("ocsp_urls", ())
        authority.certificate = (issuer or authority)._issue(
            spki(key.public_key()), authority.subject, (), now, days, name, knobs
        )
        return authority

    @property
    def chain(self) -> tuple[bytes, ...]:
        """DER of its certificate and those above it, without the self-signed root: what a peer must send along."""
        return () if self.issuer is None else (self.certificate, *self.issuer.chain)

    @property
    def root(self) -> "Authority":
        """The authority at the top."""
        return self if self.issuer is None else self.issuer.root

    def issue(
        self,
        key: PublicKey | bytes,
        subject: str | bytes | None,
        sans: Sequence[GeneralNameText] | None,
        now: datetime,
        days: float = 365,
        *,
        name: str = "",
        **knobs: Unpack[CertificateKnobs],
    ) -> bytes:
        """The DER of a certificate for a public key or a PKCS#10 request (DER); end-entity unless `ca` is set.

        With a request, a subject or SANs of None are those it asks for; its proof of possession is checked
        (UsageError when that fails).
        """
        if isinstance(key, bytes):
            public, asked_subject, asked_sans = _read_request(key)
            return self._issue(
                public,
                asked_subject if subject is None else name_bytes(subject),
                asked_sans if sans is None else sans,
                now,
                days,
                name,
                knobs,
            )
        subject_der = sequence() if subject is None else name_bytes(subject)
        return self._issue(spki(key), subject_der, sans or (), now, days, name, knobs)

    def leaf(
        self,
        subject: str | bytes,
        sans: Sequence[GeneralNameText],
        now: datetime,
        days: float = 365,
        *,
        key_type: str = "ecdsa-p256",
        private_key: PrivateKey | None = None,
        name: str = "",
        **knobs: Unpack[CertificateKnobs],
    ) -> Leaf:
        """A certificate together with a new key."""
        if private_key is None:
            private_key = _make_key(key_type, self._given)
        certificate = self.issue(private_key.public_key(), subject, sans, now, days, name=name, **knobs)
        return Leaf(certificate, private_key)

    def cross_sign(
        self,
        other: "Authority",
        now: datetime,
        days: float = 1825,
        *,
        name: str | None = None,
        **knobs: Unpack[CertificateKnobs],
    ) -> bytes:
        """The DER of a CA certificate for the name and key of another authority, recorded as `name` (else its)."""
        knobs.setdefault("ca", True)
        public = spki(other.key.public_key())
        return self._issue(public, other.subject, (), now, days, other.name if name is None else name, knobs)

    def responder(
        self,
        now: datetime,
        days: float = 90,
        *,
        subject: str | None = None,
        key_type: str = "ecdsa-p256",
        **knobs: Unpack[CertificateKnobs],
    ) -> Responder:
        """A delegated OCSP signer (RFC 6960 4.2.2.2): OCSPSigning and nocheck, unless the knobs say otherwise."""
        knobs.setdefault("extended_key_usage", ("ocspSigning",))
        knobs.setdefault("nocheck", True)
        text = f"CN={self.name} OCSP" if subject is None else subject
        leaf = self.leaf(text, (), now, days, key_type=key_type, **knobs)
        return Responder(leaf.certificate, leaf.key, name_bytes(text), key_identifier(spki(leaf.key.public_key())))

    def revoke(
        self,
        certificate: int | bytes,
        reason: str | None = None,
        *,
        at: datetime,
        invalidity_date: datetime | None = None,
    ) -> int:
        """Revoke by serial or DER; the reason is a name of RFC 5280 5.3.1 such as key-compromise. Returns the serial.

        `certificate-hold` puts it on hold; :meth:`unrevoke` takes it off again. Raises UsageError for another reason.
        """
        if reason is not None and reason not in REASONS:
            raise UsageError(f"reason {reason!r} is not one of {', '.join(REASONS)}")
        serial = certificate if isinstance(certificate, int) else serial_of(certificate)
        self.revoked[serial] = Revocation(at, reason, invalidity_date)
        return serial

    def unrevoke(self, certificate: int | bytes) -> None:
        """Take a certificate off the list (RFC 5280 allows it after a hold; a lab allows it always)."""
        serial = certificate if isinstance(certificate, int) else serial_of(certificate)
        if self.revoked.pop(serial, None) is None:
            raise NotFoundError(f"serial {serial:x} is not revoked by {self.name}")

    def crl(
        self,
        now: datetime,
        days: float = 7,
        number: int | None = None,
        *,
        delta_base: int | None = None,
        others: Sequence["Authority"] = (),
        entries: Sequence[tuple[int, Revocation]] | None = None,
        **knobs: Unpack[CrlKnobs],
    ) -> bytes:
        """The DER of a CRL: full, or with `delta_base` (the number of an earlier full one) a delta CRL.

        Its number is one more than the last one's, unless given. `others` makes it indirect: their revoked
        certificates are listed under their names. `entries` replaces what is listed.
        """
        used = self.crl_number + 1 if number is None else number
        self.crl_number = max(self.crl_number, used)
        current = dict(self.revoked)
        if delta_base is not None:
            if entries is None and delta_base not in self.published:
                raise NotFoundError(f"{self.name} never made a full CRL with number {delta_base}")
            listed = list(delta_entries(self.published.get(delta_base, {}), current, now).items())
        else:
            self.published[used] = current
            listed = list(current.items())
        if others:
            knobs.setdefault("indirect", True)
            listed += _indirect(others)
        issuer = self.as_issuer()
        return build_crl(issuer, listed if entries is None else entries, now, days, used, delta_base, knobs)

    def ocsp(
        self,
        certificate: int | bytes,
        now: datetime,
        days: float = 1,
        *,
        status: str | None = None,
        **knobs: Unpack[OcspKnobs],
    ) -> bytes:
        """The DER of an OCSP response about a certificate (serial or DER), with the status it has unless given."""
        serial = certificate if isinstance(certificate, int) else serial_of(certificate)
        revocation = self.revoked.get(serial)
        known = "revoked" if revocation else "good" if serial in self.issued else "unknown"
        bits = public_key_bits(spki(self.key.public_key()))
        return build_response(self.as_issuer(), bits, serial, status or known, revocation, now, days, knobs)

    def respond(self, request: bytes, now: datetime, days: float = 1, **knobs: Unpack[OcspKnobs]) -> bytes:
        """Answer an OCSP request (DER), repeating its nonce; a request that cannot be read gets malformedRequest."""
        try:
            asked = ocsp.load_der_ocsp_request(request)
            serial = asked.serial_number
            hash_name = asked.hash_algorithm.name
            nonces = [one.value for one in asked.extensions if isinstance(one.value, x509.OCSPNonce)]
        except ValueError:
            return self.ocsp(0, now, response_status="malformed-request")
        knobs.setdefault("hash", hash_name)
        if nonces:
            knobs.setdefault("nonce", nonces[0].nonce)
        return self.ocsp(serial, now, days, **knobs)

    def find(self, name_or_serial: str) -> Issued:
        """A certificate by the name it was issued under (the newest of several) or its serial in hexadecimal."""
        named = [issued for issued in self.issued.values() if issued.name == name_or_serial]
        if named:
            return named[-1]
        try:
            return self.issued[int(name_or_serial.replace(":", ""), 16)]
        except (KeyError, ValueError):
            raise NotFoundError(f"{self.name} issued nothing named {name_or_serial}, and no such serial") from None

    def as_issuer(self) -> Issuer:
        """What its signatures need."""
        return Issuer(self.subject, self.key, key_identifier(spki(self.key.public_key())), self.crl_at, self.ocsp_at)

    def _issue(
        self,
        public_key_info: bytes,
        subject: bytes,
        sans: Sequence[GeneralNameText],
        now: datetime,
        days: float,
        name: str,
        knobs: CertificateKnobs,
    ) -> bytes:
        serial = knobs.get("serial", self._serial())
        certificate = build_certificate(self.as_issuer(), public_key_info, subject, sans, now, days, serial, knobs)
        self.issued[serial] = Issued(serial, certificate, name)
        return certificate

    def _serial(self) -> int:
        """A positive serial of 16 octets (RFC 5280 4.1.2.2 allows 20)."""
        return int.from_bytes((self._given or secrets.token_bytes)(16), "big") >> 2 | 1 << 125


def _make_key(key_type: str, entropy: Entropy | None) -> PrivateKey:
    """A CA's or leaf's key, from entropy where its scheme can be seeded."""
    kind, size = parse_key_type(key_type)
    return make_key(kind, size, None if kind == "rsa" else entropy)


def serial_of(certificate: bytes) -> int:
    """The serial number of a certificate (DER). Raises UsageError when it is none."""
    try:
        return x509.load_der_x509_certificate(certificate).serial_number
    except ValueError:
        raise UsageError("these octets are not a certificate") from None


def _indirect(others: Sequence[Authority]) -> list[tuple[int, Revocation]]:
    return [
        (serial, Revocation(entry.at, entry.reason, entry.invalidity_date, other.subject))
        for other in others
        for serial, entry in other.revoked.items()
    ]


def _read_request(request: bytes) -> tuple[bytes, bytes, list[GeneralNameText]]:
    """(SubjectPublicKeyInfo, subject, SANs) of a PKCS#10 request whose proof of possession holds."""
    try:
        asked = x509.load_der_x509_csr(request)
        valid = asked.is_signature_valid
    except ValueError:
        raise UsageError("these octets are not a PKCS#10 request") from None
    if not valid:
        raise UsageError("the PKCS#10 request is not signed by the key it holds")
    public = asked.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    try:
        names = asked.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return public, asked.subject.public_bytes(), []
    return public, asked.subject.public_bytes(), [name.der for name in der.read(names.public_bytes())]
