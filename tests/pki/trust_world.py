"""A hierarchy of root, intermediate and leaf, valid by default: a test states only its deviation."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from ikesim.pki import Check, CheckOutcome, Evidence, Identity, TrustDecision, TrustPolicy, TrustRequest, decide
from ikesim.pki.authority import Authority, Leaf

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@lru_cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    """One P-256 key for each name, the same in every run."""
    return ec.derive_private_key(int.from_bytes(sha256(name.encode()).digest()[:31], "big"), ec.SECP256R1())


def root(name: str = "root", **knobs: Any) -> Authority:
    """A self-signed CA."""
    knobs.setdefault("private_key", key(name))
    return Authority.create(name, now=NOW - 100 * DAY, **knobs)


def under(issuer: Authority, name: str = "sub", **knobs: Any) -> Authority:
    """A CA below another."""
    knobs.setdefault("private_key", key(name))
    return Authority.create(name, issuer=issuer, now=NOW - 50 * DAY, **knobs)


def leaf(
    issuer: Authority, sans: Sequence[Any] = ("fqdn:bob.example",), subject: str = "CN=bob", **knobs: Any
) -> Leaf:
    """An end certificate."""
    knobs.setdefault("private_key", key(f"leaf {subject}"))
    return issuer.leaf(subject, sans, NOW - 10 * DAY, **knobs)


@dataclass
class Hierarchy:
    """root -> sub -> bob; the knobs are those of the authority."""

    root_knobs: dict[str, Any] = field(default_factory=dict)
    sub_knobs: dict[str, Any] = field(default_factory=dict)
    leaf_knobs: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = root(**self.root_knobs)
        self.sub = under(self.root, **self.sub_knobs)
        self.leaf = leaf(self.sub, **self.leaf_knobs)

    @property
    def sent(self) -> list[bytes]:
        return [self.leaf.certificate, self.sub.certificate]

    def crls(self) -> list[bytes]:
        return [self.root.crl(NOW - DAY), self.sub.crl(NOW - DAY)]

    def decide(
        self,
        *,
        certificates: Sequence[bytes] | None = None,
        identity: str | None = "fqdn:bob.example",
        at: datetime = NOW,
        evidence: Evidence | None = None,
        anchors: Sequence[Any] | None = None,
        request: dict[str, Any] | None = None,
        **policy: Any,
    ) -> TrustDecision:
        policy.setdefault("revocation", "off")
        return decide(
            TrustRequest(
                certificates=self.sent if certificates is None else certificates,
                identity=None if identity is None else Identity.parse(identity),
                policy=TrustPolicy(anchors=[self.root.certificate] if anchors is None else anchors, **policy),
                at=at,
                **(request or {}),
            ),
            evidence or Evidence(),
        )


def failed(decision: TrustDecision) -> Check:
    """The check that decided: the first that failed, in the path that has the decision's reason."""
    for path in decision.paths:
        if path.reason is decision.reason:
            return next(check for check in path.checks if check.outcome is CheckOutcome.FAIL)
    raise AssertionError(f"no path failed with {decision.reason}: {decision.summary}")


def outcomes(decision: TrustDecision) -> dict[tuple[str, str], CheckOutcome]:
    """Every check of a decision with one path, by rule and subject."""
    (path,) = decision.paths
    return {(check.rule, check.subject): check.outcome for check in path.checks}
