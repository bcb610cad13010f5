"""Peers that rule profiles decide about, as data: what each presents, and what each daemon says to it.

Every case has a root of its own, so that all of them can be held at once; the end certificates are all for the one
key that our daemon signs with, and differ in what the case is about.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from ikesim.pki import Evidence, Identity, RuleProfile, TrustPolicy, TrustRequest, decide
from ikesim.pki.authority import Authority
from ikesim.pki.decision import TrustDecision
from ikesim.pki.der_writer import oid, sequence

DOMAIN = "profiles.test"
UNCHECKED = "crl-missing"
"""What a strict profile says where nobody has a CRL."""
NOT_HELD = "not-held"
CODE_SIGNING = ("codeSigning",)
NOBODY = "http://10.88.0.2:9/none.crl"
"""A distribution point where nobody answers."""


@dataclass
class Workshop:
    """What a case makes: CAs that the daemon holds, and what the peer sends."""

    name: str
    request: bytes
    """PKCS#10 of the key that every end certificate is for, DER."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    anchors: list[bytes] = field(default_factory=list)
    crls: list[bytes] = field(default_factory=list)

    @property
    def host(self) -> str:
        """The host name that the peer claims."""
        return f"{self.name}.{DOMAIN}"

    def root(self, **knobs: Any) -> Authority:
        """A root that the daemon holds."""
        made = Authority.create("root", subject=f"O={self.name}, CN=root", now=self.now, **knobs)
        self.anchors.append(made.certificate)
        return made

    def below(self, issuer: Authority, name: str = "issuing", **knobs: Any) -> Authority:
        """A CA that the peer sends along."""
        return Authority.create(name, subject=f"O={self.name}, CN={name}", issuer=issuer, now=self.now, **knobs)

    def leaf(self, issuer: Authority, *, sans: tuple[str, ...] = (), **knobs: Any) -> tuple[bytes, ...]:
        """The end certificate and the CAs above it that are not roots."""
        subject, names = f"O={self.name}, CN=peer", sans or (f"fqdn:{self.host}",)
        return (issuer.issue(self.request, subject, names, self.now, **knobs), *issuer.chain)


Chain = tuple[bytes, ...]


@dataclass(frozen=True)
class ProfileCase:
    """One peer, and the reasons that our models of the daemons give, None where they accept."""

    name: str
    row: str
    """Of the table of features."""
    make: Callable[[Workshop], Chain]
    rfc: str | None = None
    strongswan: str | None = None
    libreswan: str | None = None
    openiked: str | None = None
    charon: str = ""
    """A pattern of what strongSwan says of it when it refuses."""
    iked: str = ""
    """A pattern of what OpenIKED says of it when it refuses."""
    held_crls: bool = False
    """What OpenIKED says is from its run with CRLs: one that it holds makes it ask for all."""
    differs: dict[str, str] = field(default_factory=dict)
    """By "charon" or "iked": why this version of the daemon does not do what the model says."""

    @classmethod
    def everywhere(
        cls, name: str, row: str, make: Callable[[Workshop], Chain], reason: str, charon: str, iked: str, **other: Any
    ) -> "ProfileCase":
        """A case that all refuse, for one reason."""
        reasons = {"rfc": reason, "strongswan": reason, "libreswan": reason, "openiked": reason}
        return cls(name, row, make, charon=charon, iked=iked, **{**reasons, **other})


def _plain(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root()))


def _code_signing(w: Workshop) -> Chain:
    return w.leaf(w.root(), extended_key_usage=CODE_SIGNING)


def _no_signature_usage(w: Workshop) -> Chain:
    return w.leaf(w.root(), key_usage=("keyEncipherment",))


def _end_is_ca(w: Workshop) -> Chain:
    return w.leaf(w.root(), ca=True, key_usage=("digitalSignature", "keyCertSign"))


def _partial(w: Workshop) -> Chain:
    unheld = Authority.create("root", subject=f"O={w.name}, CN=root", now=w.now)
    issuing = w.below(unheld)
    w.anchors.append(issuing.certificate)
    return w.leaf(issuing)[:1]


def _wildcard(w: Workshop) -> Chain:
    return w.leaf(w.root(), sans=(f"fqdn:*.{DOMAIN}",))


def _path_length(w: Workshop) -> Chain:
    return w.leaf(w.below(w.below(w.root(path_length=0)), "second"))


def _permitted(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root(), permitted=("fqdn:elsewhere.test",)))


def _excluded(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root(), excluded=(f"fqdn:{DOMAIN}",)))


def _permitted_inside(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root(), permitted=(f"fqdn:{DOMAIN}",)))


def _critical(w: Workshop) -> Chain:
    return w.leaf(w.root(), critical="1.3.6.1.4.1.99999.1")


def _no_crl(w: Workshop) -> Chain:
    return w.leaf(w.root(), crl_urls=(NOBODY,))


def _not_yet(w: Workshop) -> Chain:
    return w.leaf(w.root(), not_before=w.now + timedelta(days=2))


def _ca_expired(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root(), not_before=w.now - timedelta(days=9), not_after=w.now - timedelta(days=1)))


def _issuer_no_ca(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root(), ca=False, key_usage=("keyCertSign",)))


def _issuer_no_key_cert_sign(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root(), key_usage=("digitalSignature", "cRLSign")))


def _explicit_policy(w: Workshop) -> Chain:
    return w.leaf(w.below(w.root(), require_explicit=0))


def _crl_sign(w: Workshop) -> Chain:
    root = w.root(key_usage=("keyCertSign",))
    chain = w.leaf(root)
    root.revoke(chain[0], "key-compromise", at=w.now - timedelta(days=1))
    _held(w, root)
    return chain


def _outer_algorithm(w: Workshop) -> Chain:
    return w.leaf(w.root(), outer_algorithm=sequence(oid("1.2.840.10045.4.3.3")))  # ecdsa-with-SHA384


def _far_future(w: Workshop) -> Chain:
    until = datetime(2099, 12, 31, tzinfo=UTC)
    return w.leaf(w.root(not_after=until), not_after=until)


def _deep(w: Workshop) -> Chain:
    issuer = w.root()
    for number in range(7):
        issuer = w.below(issuer, f"level {number}")
    return w.leaf(issuer)


def _held(w: Workshop, root: Authority, *others: Authority, **knobs: Any) -> None:
    for authority in (root, *others):
        w.crls.append(authority.crl(w.now - timedelta(hours=1), **knobs))


def _good_by_crl(w: Workshop) -> Chain:
    root = w.root()
    chain = w.leaf(root)
    _held(w, root)
    return chain


def _revoked(w: Workshop) -> Chain:
    root = w.root()
    chain = w.leaf(root)
    root.revoke(chain[0], "key-compromise", at=w.now - timedelta(days=1))
    _held(w, root)
    return chain


def _on_hold(w: Workshop) -> Chain:
    root = w.root()
    chain = w.leaf(root)
    root.revoke(chain[0], "certificate-hold", at=w.now - timedelta(days=1))
    _held(w, root)
    return chain


def _sub_ca_revoked(w: Workshop) -> Chain:
    root = w.root()
    issuing = w.below(root)
    chain = w.leaf(issuing)
    root.revoke(issuing.certificate, "ca-compromise", at=w.now - timedelta(days=1))
    _held(w, root, issuing)
    return chain


def _stale(w: Workshop) -> Chain:
    root = w.root()
    chain = w.leaf(root)
    w.crls.append(root.crl(w.now - timedelta(days=9), days=7))
    return chain


def _without_a_crl(w: Workshop) -> Chain:
    return w.leaf(w.root())


CASES = (
    ProfileCase("plain", "B07", _plain, rfc=UNCHECKED),
    ProfileCase(
        NOT_HELD,
        "B07",
        _plain,
        rfc=UNCHECKED,
        differs={"iked": "7.2 looks at the first CERT payload only: it wants issuing CAs in its own folder"},
    ),
    ProfileCase("code-signing", "B19", _code_signing, rfc="cert-eku", libreswan="cert-eku"),
    ProfileCase(
        "no-signature-usage",
        "B18",
        _no_signature_usage,
        rfc="cert-key-usage",
        strongswan="cert-key-usage",
        libreswan="cert-key-usage",
        charon="rejecting certificate without digitalSignature or nonRepudiation keyUsage flags",
    ),
    ProfileCase("end-is-ca", "B13", _end_is_ca, rfc=UNCHECKED, libreswan="cert-end-is-ca"),
    ProfileCase.everywhere(
        "partial", "B02", _partial, "cert-no-issuer", "no issuer certificate found for .*CN=issuing", "issuer certif"
    ),
    ProfileCase.everywhere(
        "wildcard",
        "RFC 4945 3.1.2",
        _wildcard,
        "id-mismatch",
        "no trusted ECDSA public key found",
        "invalid subjectAltName",
        libreswan=None,
    ),
    ProfileCase.everywhere(
        "path-length",
        "B14",
        _path_length,
        "cert-path-length",
        "path length of 2 violates constraint of 0",
        "path length constraint exceeded",
    ),
    ProfileCase.everywhere(
        "not-permitted",
        "B15",
        _permitted,
        "cert-name-constraint",
        "does not match permitted name constraint",
        "permitted subtree violation",
    ),
    ProfileCase.everywhere(
        "excluded",
        "B15",
        _excluded,
        "cert-name-constraint",
        "excluded name constraint|contains? .*name constraint|matches excluded",
        "excluded subtree violation",
    ),
    ProfileCase("permitted", "B15", _permitted_inside, rfc=UNCHECKED),
    ProfileCase.everywhere(
        "critical",
        "B17",
        _critical,
        "cert-critical-ext",
        "unsupported critical|critical .* extension",
        "unhandled critical extension",
    ),
    ProfileCase("no-crl", "B39", _no_crl, rfc=UNCHECKED),
    ProfileCase.everywhere(
        "not-yet-valid", "B20", _not_yet, "cert-not-yet-valid", "subject certificate invalid", "not yet valid"
    ),
    ProfileCase.everywhere("ca-expired", "B20", _ca_expired, "cert-expired", "certificate invalid", "has expired"),
    ProfileCase.everywhere("issuer-no-ca", "B12", _issuer_no_ca, "cert-not-ca", "no issuer certificate", "CA cert"),
    ProfileCase.everywhere(
        "issuer-no-cert-sign",
        "B12",
        _issuer_no_key_cert_sign,
        "cert-not-ca",
        "",
        "invalid CA certificate",
        strongswan=None,
    ),
    ProfileCase(
        "explicit-policy", "B16", _explicit_policy, rfc="cert-policy", strongswan=None, libreswan="cert-policy"
    ),
    ProfileCase.everywhere(
        "outer-algorithm", "B26", _outer_algorithm, "cert-malformed", "no trusted", "signature failure"
    ),
    ProfileCase("far-future", "B22", _far_future, rfc=UNCHECKED),
    ProfileCase.everywhere(
        "deep",
        "B08",
        _deep,
        "cert-path-length",
        "maximum path length|no trusted",
        "",
        differs={
            "charon": "it counts seven CAs below the anchor; ours is the connection's max-chain-depth",
            "iked": "its cap is OpenSSL's, 100; the connection's max-chain-depth is ours",
        },
    ),
    ProfileCase("good-by-crl", "B30", _good_by_crl, held_crls=True),
    ProfileCase.everywhere(
        "revoked",
        "B30",
        _revoked,
        "cert-revoked",
        "certificate was revoked on .* key compromise",
        "certificate revoked",
        held_crls=True,
    ),
    ProfileCase.everywhere(
        "on-hold", "B38", _on_hold, "cert-on-hold", "certificate hold|on hold", "certificate revoked", held_crls=True
    ),
    ProfileCase.everywhere(
        "sub-ca-revoked",
        "B40",
        _sub_ca_revoked,
        "cert-revoked",
        "certificate was revoked on .* ca compromise",
        "certificate revoked",
        libreswan=None,
        held_crls=True,
    ),
    ProfileCase(
        "stale", "B38", _stale, rfc="crl-stale", openiked="crl-stale", iked="CRL has expired", held_crls=True
    ),
    ProfileCase(
        "without-a-crl",
        "B39",
        _without_a_crl,
        rfc=UNCHECKED,
        openiked=UNCHECKED,
        iked="unable to get certificate CRL",
        held_crls=True,
    ),
    ProfileCase(
        "crl-sign",
        "B37",
        _crl_sign,
        rfc="crl-signer-usage",
        openiked="crl-signer-usage",
        charon="certificate was revoked on .* key compromise",
        iked="CRL signature|key usage|CRL issuer|CRL sign",
        held_crls=True,
        differs={"charon": "only since 5.9.11 does the signer of a CRL need the usage cRLSign"},
    ),
)


@dataclass(frozen=True)
class Stage:
    """All cases made, and what a daemon holds for them."""

    chains: dict[str, Chain]
    anchors: list[bytes]
    crls: list[bytes]

    @classmethod
    def of(cls, request: bytes) -> "Stage":
        """The cases, for the key of a PKCS#10 request (DER)."""
        shops = {case.name: Workshop(case.name, request) for case in CASES}
        chains = {case.name: case.make(shops[case.name]) for case in CASES}
        return cls(
            chains,
            [der for shop in shops.values() for der in shop.anchors],
            [der for shop in shops.values() for der in shop.crls],
        )

    @property
    def issuing(self) -> list[bytes]:
        """The CAs below the roots, but for those of the case that is about not holding them."""
        return sorted({der for name, chain in self.chains.items() if name != NOT_HELD for der in chain[1:]})

    def decide(self, case: ProfileCase, profile: RuleProfile, *, crls: bool = True) -> TrustDecision:
        """Our decision about a case under a profile."""
        request = TrustRequest(
            certificates=self.chains[case.name],
            identity=Identity.parse(f"fqdn:{case.name}.{DOMAIN}"),
            policy=TrustPolicy(anchors=self.anchors, profile=profile),
            at=datetime.now(UTC),
        )
        return decide(request, Evidence(intermediates=self.issuing, crls=self.crls if crls else ()))
