"""CA profiles and trusted CA groups: the Junos objects that say which CA is trusted, and how it is checked."""

from dataclasses import dataclass, field
from enum import StrEnum


class RevocationMethod(StrEnum):
    """How certificates issued by a CA are checked for revocation."""

    CRL = "crl"
    OCSP = "ocsp"
    OCSP_THEN_CRL = "ocsp-then-crl"
    DISABLE = "disable"


class RevocationPolicy(StrEnum):
    """The worst revocation outcome that is still accepted (strict: good, if-uri: skipped, relaxed: failed)."""

    STRICT = "strict"
    IF_URI = "if-uri"
    RELAXED = "relaxed"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class OcspSettings:
    """The OCSP part of a CA profile."""

    url: tuple[str, ...] = ()
    nonce: bool = True
    accept_unknown: bool = False


@dataclass(frozen=True, slots=True)
class RevocationSettings:
    """`[pki.ca-profile.NAME.revocation-check]`; `refresh_interval` in seconds, 0 follows nextUpdate."""

    method: RevocationMethod = RevocationMethod.CRL
    policy: RevocationPolicy = RevocationPolicy.STRICT
    on_download_failure: str = "reject"
    url: tuple[str, ...] = ()
    refresh_interval: float = 0.0
    ocsp: OcspSettings = field(default_factory=OcspSettings)


@dataclass(frozen=True, slots=True)
class CaProfile:
    """`[pki.ca-profile.NAME]`: what is configured about one CA. Its certificate lives in the store."""

    name: str
    ca_identity: str
    administrator_email: str | None = None
    partial_chain: bool = False
    revocation: RevocationSettings = field(default_factory=RevocationSettings)


@dataclass(frozen=True, slots=True)
class TrustedCaGroup:
    """`[pki.trusted-ca-group.NAME]`: the CA profiles that may validate a peer, at most 20."""

    name: str
    ca_profiles: tuple[str, ...]
