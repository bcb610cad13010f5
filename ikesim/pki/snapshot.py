"""The PKI objects of one endpoint at one moment, as the core sees them: immutable, without any private key."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class LocalCertificate:
    """A certificate whose private key is in the vault under the same certificate-ID."""

    certificate_id: str
    certificate: bytes
    """DER."""
    chain: tuple[bytes, ...] = ()
    """DER of the intermediates above it, issuer first, without the self-signed anchor."""


@dataclass(frozen=True, slots=True)
class TrustStore:
    """What an endpoint holds. A new snapshot replaces the old one whenever anything changes."""

    local: Mapping[str, LocalCertificate] = field(default_factory=dict)
    """By certificate-ID. Pending certificates are not here: they cannot authenticate."""
    ca: Mapping[str, bytes] = field(default_factory=dict)
    """DER of the CA certificate, by CA profile name."""
    crls: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    """DER of the CRLs held, by CA profile name, loaded by hand or kept from earlier fetches."""
    pending: frozenset[str] = frozenset()
    """Certificate-IDs whose request still waits for its certificate."""
    crl_loaded_at: Mapping[bytes, float] = field(default_factory=dict)
    """POSIX time at which a CRL was obtained, by SHA-256 of its DER; absent: unknown, taken as its thisUpdate."""
