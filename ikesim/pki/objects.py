"""The PKI objects of an endpoint: key pairs, certificates (local, pending or CA) and CRLs. There are no others."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class CertificateClass(StrEnum):
    """What a certificate is to the endpoint that holds it."""

    LOCAL = "local"
    PENDING = "pending"
    CA = "ca"


class ObjectKind(StrEnum):
    """What can be listed and removed one by one, in Junos' words."""

    KEY_PAIR = "key-pair"
    CERTIFICATE_REQUEST = "certificate-request"
    LOCAL_CERTIFICATE = "local-certificate"
    CA_CERTIFICATE = "ca-certificate"
    CRL = "crl"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an object came from."""

    at: datetime
    """When it was made or loaded."""
    source: str
    """A file name, a URL, or what made it."""


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A PKCS#10 request that this endpoint made."""

    request: bytes
    """DER."""
    made: Provenance


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """What stands under a certificate-ID besides its key pair: a local certificate, a request that waits, or both."""

    id: str
    certificate: bytes | None = None
    """DER; None while pending."""
    loaded: Provenance | None = None
    chain: tuple[bytes, ...] = ()
    """DER of the intermediates that came in the same file."""
    origin: CertificateRequest | None = None
    """The request that the certificate answers."""
    waiting: CertificateRequest | None = None
    """The request that still waits for its certificate."""

    @property
    def certificate_class(self) -> CertificateClass:
        """Local once there is a certificate, pending before."""
        return CertificateClass.PENDING if self.certificate is None else CertificateClass.LOCAL


@dataclass(frozen=True, slots=True)
class CaCertificate:
    """The certificate of a CA profile."""

    profile: str
    certificate: bytes
    """DER."""
    loaded: Provenance


@dataclass(frozen=True, slots=True)
class HeldCrl:
    """A CRL, loaded by hand or kept from a fetch."""

    profile: str
    crl: bytes = field(repr=False)
    """DER."""
    loaded: Provenance
    fetched: bool = False
    """It came over the network, and was verified before it was kept."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What loading a file did."""

    kind: ObjectKind
    name: str
    """The certificate-ID or CA profile."""
    sentence: str
    """What happened, for people."""
    changed: bool = True
    """False when the same object was there already."""
    warnings: tuple[str, ...] = ()
