"""What a trust decision is asked: what the peer sent, under which policy, with which evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property
from typing import ClassVar

from ikesim.errors import UsageError
from ikesim.pki.caching import Key
from ikesim.pki.decision import RevocationOutcome
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.pki.identity import Identity, IdentityPattern
from ikesim.pki.profiles import (
    CaProfile,
    OcspSettings,
    RevocationMethod,
    RevocationPolicy,
    RevocationSettings,
    TrustedCaGroup,
)
from ikesim.pki.snapshot import TrustStore
from ikesim.reasons import Reason

CHAIN_SCHEMES = (
    "ed25519",
    "ed448",
    "ecdsa-sha256",
    "ecdsa-sha384",
    "ecdsa-sha512",
    "rsa-pss-sha256",
    "rsa-pss-sha384",
    "rsa-pss-sha512",
    "rsa-pkcs1-sha256",
    "rsa-pkcs1-sha384",
    "rsa-pkcs1-sha512",
)
"""What certificates may be signed with: nothing that rests on MD5 or SHA-1."""

STRICT_IF_HELD = "if-held"
"""Revocation as OpenSSL based daemons do it: strict once any CRL is held, else off."""
_ASKING = (RevocationMethod.OCSP, RevocationMethod.OCSP_THEN_CRL)
_REVOCATIONS = ("strict", "if-uri", "relaxed", "off", STRICT_IF_HELD)


@dataclass(frozen=True, slots=True)
class MinimumStrength:
    """The smallest keys that are accepted, in bits."""

    rsa: int = 2048
    ecdsa: int = 256


@dataclass(frozen=True)
class RuleProfile:
    """The rules on which IKE daemons differ, one field each: a model of how each of them decides."""

    name: str
    eku: str = "ike"
    """Of the end certificate, where extendedKeyUsage is present: "ike" wants ipsecIKE or any (RFC 4945 5.1.3.12), or
    the older iKEIntermediate; "ike-or-tls" also takes serverAuth and clientAuth; "ignore"."""
    key_usage: str = "signing"
    """Of the end certificate, where keyUsage is present: "signing" wants digitalSignature or nonRepudiation, or
    "ignore"."""
    end_ca: str = "accept"
    """An end certificate with CA=true: "accept" or "refuse"."""
    issuer_usage: str = "cert-sign"
    """Of an issuer, where keyUsage is present: "cert-sign" wants keyCertSign, or "ignore"."""
    policy_constraints: str = "obey"
    """What certificates demand by policyConstraints: "obey" or "ignore"; what a TrustPolicy demands always binds."""
    partial_chain: str = "configured"
    """An anchor that is not self-signed: where its profile says so ("configured"), or "never"."""
    wildcard_san: str = "exact"
    """A dNSName `*.example`: compared as it stands ("exact"), or taken for one label ("expand")."""
    revocation: str = "strict"
    """The revocation policy of a TrustPolicy that names none."""
    revocation_levels: str = "path"
    """Which certificates are checked for revocation: all of the "path" below its anchor, or the "end" one only."""

    RFC: ClassVar["RuleProfile"]
    STRONGSWAN: ClassVar["RuleProfile"]
    LIBRESWAN: ClassVar["RuleProfile"]
    OPENIKED: ClassVar["RuleProfile"]

    def __post_init__(self) -> None:
        """Refuse unknown values, so that a misspelled rule never means "do not check"."""
        for key, allowed in _RULES.items():
            if getattr(self, key) not in allowed:
                raise UsageError(
                    f"rule {key} of a profile is one of {', '.join(allowed)}, not {getattr(self, key)!r}"
                )

    @classmethod
    def named(cls, name: str) -> "RuleProfile":
        """The profile of that name: rfc, strongswan, libreswan, openiked. Raises UsageError."""
        if name not in PROFILES:
            raise UsageError(f"rule profile {name!r} is not one of {', '.join(PROFILES)}")
        return PROFILES[name]


_RULES = {
    "eku": ("ike", "ike-or-tls", "ignore"),
    "key_usage": ("signing", "ignore"),
    "end_ca": ("accept", "refuse"),
    "issuer_usage": ("cert-sign", "ignore"),
    "policy_constraints": ("obey", "ignore"),
    "partial_chain": ("configured", "never"),
    "wildcard_san": ("exact", "expand"),
    "revocation": _REVOCATIONS,
    "revocation_levels": ("path", "end"),
}
RuleProfile.RFC = RuleProfile("rfc")
RuleProfile.STRONGSWAN = RuleProfile(
    "strongswan",
    eku="ignore",
    issuer_usage="ignore",
    policy_constraints="ignore",
    partial_chain="never",
    revocation="relaxed",
)
RuleProfile.LIBRESWAN = RuleProfile(
    "libreswan",
    eku="ike-or-tls",
    end_ca="refuse",
    partial_chain="never",
    wildcard_san="expand",
    revocation="relaxed",
    revocation_levels="end",
)
RuleProfile.OPENIKED = RuleProfile(
    "openiked", eku="ignore", key_usage="ignore", policy_constraints="ignore", revocation=STRICT_IF_HELD
)
PROFILES = {
    profile.name: profile
    for profile in (RuleProfile.RFC, RuleProfile.STRONGSWAN, RuleProfile.LIBRESWAN, RuleProfile.OPENIKED)
}


@dataclass(frozen=True, slots=True)
class Anchor:
    """A CA certificate that may end a path, and how certificates below it are checked.

    What is None comes from the policy; without a method, OCSP is asked first where OCSP responses are at hand.
    """

    certificate: bytes
    """DER."""
    ca_profile: str | None = None
    method: str | None = None
    """crl | ocsp | ocsp-then-crl | disable."""
    policy: str | None = None
    """strict | if-uri | relaxed | off."""
    on_download_failure: str = "reject"
    urls: tuple[str, ...] = ()
    """CRL URLs of the operator."""
    partial_chain: bool | None = None
    """Whether it ends a path although it is not self-signed."""
    ocsp: OcspSettings = field(default_factory=OcspSettings)
    refresh_interval: float = 0.0

    @classmethod
    def from_profile(cls, profile: CaProfile, certificate: bytes) -> "Anchor":
        """The anchor of a CA profile whose certificate is held."""
        settings = profile.revocation
        return cls(
            certificate=certificate,
            ca_profile=profile.name,
            method=settings.method.value,
            policy=settings.policy.value,
            on_download_failure=settings.on_download_failure,
            urls=settings.url,
            partial_chain=profile.partial_chain,
            ocsp=settings.ocsp,
            refresh_interval=settings.refresh_interval,
        )


@dataclass(frozen=True)
class TrustPolicy:
    """What is trusted, and how strictly: the inputs of RFC 5280 6.1.1 (c)-(g) and the local rules around it.

    `anchors` and `known` (CAs that are held, but outside the trusted CA group) are DER or :class:`Anchor`; `schemes`
    and `minimum_strength` bind the certificates of a path, AUTH has rules of its own.
    """

    anchors: Sequence[bytes | Anchor]
    known: Sequence[bytes | Anchor] = ()
    revocation: str = ""
    """strict | if-uri | relaxed | off; not given: what the profile says, which for RFC is strict."""
    policies: Sequence[str] = ()
    """user-initial-policy-set, OIDs; none means any-policy."""
    explicit_policy: bool = False
    inhibit_any_policy: bool = False
    inhibit_policy_mapping: bool = False
    profile: RuleProfile = RuleProfile.RFC
    minimum_strength: MinimumStrength | Mapping[str, int] = MinimumStrength()
    schemes: Sequence[str] = CHAIN_SCHEMES
    partial_chain: bool = False
    max_depth: int = 7
    """Certificates above the end certificate, the anchor among them."""
    fetch: bool = False
    group: str | None = None
    """The trusted CA group or CA profile that `anchors` are of, for the decision."""

    def __post_init__(self) -> None:
        """Make everything hashable. Raises UsageError for values that do not exist."""
        strength = self.minimum_strength
        if not isinstance(strength, MinimumStrength):
            unknown = set(strength) - {"rsa", "ecdsa"}
            if unknown:
                raise UsageError(f"minimum strength of {sorted(unknown)[0]!r}: only rsa and ecdsa have one")
            object.__setattr__(self, "minimum_strength", MinimumStrength(**strength))
        object.__setattr__(self, "revocation", str(self.revocation or self.profile.revocation))
        if self.revocation not in _REVOCATIONS:
            raise UsageError(f"revocation policy {self.revocation!r} is not one of strict, if-uri, relaxed, off")
        for key in ("anchors", "known", "policies"):
            object.__setattr__(self, key, tuple(getattr(self, key)))
        object.__setattr__(self, "schemes", tuple(str(scheme) for scheme in self.schemes))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Computed once: a policy serves many decisions and is part of the key of each."""
        return hash(tuple(getattr(self, item.name) for item in fields(self)))

    @cached_property
    def anchor_list(self) -> tuple[Anchor, ...]:
        """The anchors, whichever way they were given."""
        return tuple(item if isinstance(item, Anchor) else Anchor(bytes(item)) for item in self.anchors)

    @cached_property
    def known_list(self) -> tuple[Anchor, ...]:
        """The CAs outside the group, whichever way they were given."""
        return tuple(item if isinstance(item, Anchor) else Anchor(bytes(item)) for item in self.known)

    @cached_property
    def strength(self) -> MinimumStrength:
        """The minimum strengths."""
        assert isinstance(self.minimum_strength, MinimumStrength)
        return self.minimum_strength

    @cached_property
    def path_rules(self) -> tuple[object, ...]:
        """Everything of this policy that the judgement of a given path depends on."""
        return (
            tuple(sorted(set(self.policies))),
            (self.explicit_policy, self.inhibit_any_policy, self.inhibit_policy_mapping),
            self.profile,
            self.strength,
            self.schemes,
        )

    @cached_property
    def asks_with_nonce(self) -> bool:
        """Whether OCSP requests with a nonce may be wanted."""
        return self.fetch and any(
            anchor.method in _ASKING and anchor.ocsp.nonce for anchor in (*self.anchor_list, *self.known_list)
        )

    def allows_partial(self, anchor: Anchor) -> bool:
        """Whether an anchor ends a path although it is not self-signed."""
        configured = self.partial_chain if anchor.partial_chain is None else anchor.partial_chain
        return configured and self.profile.partial_chain != "never"


@dataclass(frozen=True, slots=True)
class AuthState:
    """What is known about AUTH: nothing in this use, still to be verified, verified, or failed."""

    kind: str = "none"
    """none | pending | verified | failed."""
    reason: Reason | None = None
    evidence: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def none(cls) -> "AuthState":
        """There is no AUTH in this use."""
        return cls()

    @classmethod
    def pending(cls) -> "AuthState":
        """AUTH came and is not verified yet: nothing is fetched, and nothing accepted."""
        return cls("pending")

    @classmethod
    def verified(cls, evidence: Mapping[str, object] | None = None) -> "AuthState":
        """AUTH verified with the end certificate's key."""
        return cls("verified", None, dict(evidence or {}))

    @classmethod
    def failed(cls, reason: Reason, evidence: Mapping[str, object] | None = None) -> "AuthState":
        """AUTH does not prove its sender."""
        return cls("failed", reason, dict(evidence or {}))


@dataclass(frozen=True, kw_only=True)
class TrustRequest:
    """What a peer sent and who it says it is, to be judged under `policy` at the time `at` (aware)."""

    certificates: Sequence[bytes]
    """DER, as the peer sent them: the end certificate first (RFC 7296 3.6), the others in any order."""
    policy: TrustPolicy
    at: datetime
    identity: Identity | None = None
    """None: not checked."""
    expected: IdentityPattern | None = None
    """Whom the connection expects; None: not checked."""
    encodings: Sequence[int] = ()
    """The CERT encodings that came, also those that are not in `certificates`."""
    connection: str | None = None
    nonce: bytes | None = None
    """1 to 32 fresh octets for the OCSP requests that may be wanted; None: derived from the request and `at`."""

    def __post_init__(self) -> None:
        """Make the lists tuples. Raises UsageError for a time without a zone."""
        if self.at.tzinfo is None:
            raise UsageError("a decision needs an aware time: give `at` a time zone")
        object.__setattr__(self, "certificates", tuple(map(bytes, self.certificates)))
        object.__setattr__(self, "encodings", tuple(self.encodings))

    @cached_property
    def key(self) -> Key:
        """Everything but the time, to find a decision by."""
        return Key(
            self.certificates, self.policy, self.identity, self.expected, tuple(self.encodings), self.connection
        )


@dataclass(frozen=True)
class Evidence:
    """What is at hand besides what the peer sent: held, fetched, or found out about AUTH."""

    intermediates: Sequence[bytes] = ()
    crls: Sequence[bytes] = ()
    ocsp: Sequence[bytes] = ()
    fetched: Mapping[FetchRequest, FetchResult] = field(default_factory=dict)
    auth: AuthState | None = None
    """None: no AUTH in this use."""
    responders: Sequence[bytes] = ()
    """DER of OCSP responders that are trusted directly."""
    crl_loaded_at: Mapping[bytes, float] = field(default_factory=dict)
    """As `TrustStore.crl_loaded_at`."""
    assumed_revoked: frozenset[int] = frozenset()
    """Serial numbers that count as revoked, whatever CRLs and responders say: the question "what if"."""

    @classmethod
    def from_store(
        cls,
        store: TrustStore,
        *,
        auth: AuthState | None = None,
        fetched: Mapping[FetchRequest, FetchResult] | None = None,
    ) -> "Evidence":
        """The evidence that an endpoint holds: every CA, the chains of its own certificates, every CRL."""
        intermediates = dict.fromkeys(store.ca.values())
        for local in store.local.values():
            intermediates.update(dict.fromkeys(local.chain))
        return cls(
            intermediates=tuple(intermediates),
            crls=tuple(dict.fromkeys(crl for held in store.crls.values() for crl in held)),
            fetched=dict(fetched or {}),
            auth=auth,
            crl_loaded_at=store.crl_loaded_at,
        )

    def __deepcopy__(self, memo: object) -> "Evidence":
        return self

    @cached_property
    def key(self) -> Key:
        """What is held, to find a decision by; AUTH and what was fetched are not in it. Raises TypeError."""
        return Key(
            tuple(self.intermediates),
            tuple(self.crls),
            tuple(self.ocsp),
            tuple(self.responders),
            tuple(self.crl_loaded_at.items()),
            self.assumed_revoked,
        )

    def with_responses(self, responses: Sequence[bytes]) -> "Evidence":
        """The same with further OCSP responses (DER) at hand."""
        return replace(self, ocsp=(*self.ocsp, *responses)) if responses else self

    def with_auth(self, auth: AuthState, fetched: Mapping[FetchRequest, FetchResult] | None = None) -> "Evidence":
        """The same with what is known about AUTH, and with what was fetched."""
        evidence = Evidence(
            self.intermediates,
            self.crls,
            self.ocsp,
            dict(fetched or {}),
            auth,
            self.responders,
            self.crl_loaded_at,
            self.assumed_revoked,
        )
        evidence.__dict__["key"] = self.key  # what is held stays the same
        return evidence


def revocation_settings(anchor: Anchor, policy: TrustPolicy, evidence: Evidence) -> RevocationSettings:
    """How certificates are checked whose settings come from `anchor`."""
    wanted = anchor.policy or policy.revocation
    if wanted == STRICT_IF_HELD:
        wanted = "strict" if evidence.crls else "off"
    if anchor.method is not None:
        method = RevocationMethod(anchor.method)
    elif evidence.ocsp:
        method = RevocationMethod.OCSP_THEN_CRL if evidence.crls else RevocationMethod.OCSP
    else:
        method = RevocationMethod.CRL
    return RevocationSettings(
        method=method,
        policy=RevocationPolicy(wanted),
        on_download_failure=anchor.on_download_failure,
        url=tuple(anchor.urls),
        refresh_interval=anchor.refresh_interval,
        ocsp=anchor.ocsp,
    )


CEILINGS = {
    RevocationPolicy.STRICT: RevocationOutcome.GOOD,
    RevocationPolicy.IF_URI: RevocationOutcome.SKIPPED,
    RevocationPolicy.RELAXED: RevocationOutcome.FAILED,
    RevocationPolicy.OFF: RevocationOutcome.FAILED,
}
"""The worst outcome that each policy accepts."""


def build_policy(
    connection_trusted_ca: str | None,
    trusted_ca_group: str | None,
    profiles: Mapping[str, CaProfile],
    groups: Mapping[str, TrustedCaGroup],
    store: TrustStore,
    *,
    minimum_rsa: int = 2048,
    minimum_ecdsa: int = 256,
    schemes: Sequence[str] = CHAIN_SCHEMES,
    max_depth: int = 7,
    rule_profile: str = "rfc",
    policy_oids: Sequence[str] = (),
    fetch: bool = True,
) -> TrustPolicy:
    """The policy of a connection: the CA profiles of its group that have a certificate are anchors, all others known.

    Without a CA or a group every profile is an anchor. A list of policy OIDs means that one must hold for the path.
    `schemes` are those of the chain: what a connection allows for AUTH says nothing about how CAs sign.
    """
    if connection_trusted_ca is not None:
        names: Sequence[str] = (connection_trusted_ca,)
    elif trusted_ca_group is not None:
        names = groups[trusted_ca_group].ca_profiles
    else:
        names = tuple(profiles)
    chosen = frozenset(names)
    held = [Anchor.from_profile(profiles[name], store.ca[name]) for name in profiles if name in store.ca]
    return TrustPolicy(
        anchors=tuple(anchor for anchor in held if anchor.ca_profile in chosen),
        known=tuple(anchor for anchor in held if anchor.ca_profile not in chosen),
        policies=tuple(policy_oids),
        explicit_policy=bool(policy_oids),
        profile=RuleProfile.named(rule_profile),
        minimum_strength=MinimumStrength(minimum_rsa, minimum_ecdsa),
        schemes=tuple(schemes),
        max_depth=max_depth,
        fetch=fetch,
        group=connection_trusted_ca or trusted_ca_group,
    )
