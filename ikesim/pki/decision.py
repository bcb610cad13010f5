"""What a trust decision says: data, made once, that explains itself.

A decision lists every candidate path, and for every path the checks in the order of the table of reasons; the first
check that failed gives the path's reason, and the path that came furthest (:func:`ikesim.reasons.rank`) the
decision's. Evidence holds the values that were compared; they become text only when somebody looks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, IntEnum, StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from ikesim.pki.fetching import FetchRequest
from ikesim.reasons import Reason

if TYPE_CHECKING:
    from ikesim.pki.certificates import Certificate


class CheckOutcome(StrEnum):
    """How a check ended; `info` only reports a fact."""

    PASS = "pass"
    FAIL = "fail"
    SKIPPED = "skipped"
    INFO = "info"


class RevocationOutcome(IntEnum):
    """What is known about a certificate's revocation, from best to worst; a policy is a ceiling over these."""

    GOOD = 0
    SKIPPED = 1
    STALE = 2
    FAILED = 3
    ON_HOLD = 4
    REVOKED = 5

    @property
    def text(self) -> str:
        """The name as written in documents: "on-hold"."""
        return self.name.lower().replace("_", "-")

    def to_json(self) -> str:
        """The name as written in documents."""
        return self.text


class Check(NamedTuple):
    """One rule applied to one thing."""

    rule: str
    """The section that demands it: "RFC 5280 6.1.3 (a)(1)"."""
    subject: str
    """What it was applied to, as people name it: the certificate, CRL, response or identity."""
    outcome: CheckOutcome
    evidence: Mapping[str, object]
    """The values compared; octets, times and enums as they are."""
    source: str
    """Where the thing came from: "peer", "store", "anchor", a URL."""
    reason: Reason | None = None
    """Of a failed check: the reason it gives."""

    def to_json(self) -> dict[str, Any]:
        """The check in the stable JSON form."""
        return {
            "rule": self.rule,
            "subject": self.subject,
            "outcome": self.outcome.value,
            "evidence": {key: plain(value) for key, value in self.evidence.items()},
            "source": self.source,
        }


@dataclass(frozen=True, slots=True)
class CertificateSummary:
    """A certificate as people name it."""

    subject: str
    issuer: str
    serial: str
    """Hexadecimal, as in certificates printed by other tools: "0x1a2b"."""
    san: tuple[str, ...]
    not_before: datetime
    not_after: datetime

    def to_json(self) -> dict[str, Any]:
        """The summary in the stable JSON form."""
        return {
            "subject": self.subject,
            "issuer": self.issuer,
            "serial": self.serial,
            "san": list(self.san),
            "not_before": plain(self.not_before),
            "not_after": plain(self.not_after),
        }


@dataclass(frozen=True, slots=True)
class PathReport:
    """One candidate path, end certificate first, and everything that was checked on it."""

    certificates: tuple[str, ...]
    """As people name them."""
    reason: Reason | None
    checks: tuple[Check, ...]

    def to_json(self) -> dict[str, Any]:
        """The path in the stable JSON form."""
        return {
            "certificates": list(self.certificates),
            "reason": None if self.reason is None else self.reason.value,
            "checks": [check.to_json() for check in self.checks],
        }


@dataclass(frozen=True, slots=True)
class RevocationSummary:
    """The worst revocation outcome of the path's certificates, and the worst that would have been accepted."""

    outcome: RevocationOutcome
    ceiling: RevocationOutcome

    def to_json(self) -> dict[str, str]:
        """The two names."""
        return {"outcome": self.outcome.text, "ceiling": self.ceiling.text}


@dataclass(frozen=True, slots=True)
class Attempt:
    """A connection that was tried for a peer, and why it was not the one (None: it is)."""

    connection: str
    reason: Reason | None

    def to_json(self) -> dict[str, str | None]:
        """The attempt in the stable JSON form."""
        return {"connection": self.connection, "reason": None if self.reason is None else self.reason.value}


class LearnedOcsp(NamedTuple):
    """A fetched and verified OCSP response that says "good" and may be used again."""

    der: bytes
    serial: int
    """Of the certificate that it is about."""
    until: datetime
    """Its nextUpdate."""


@dataclass(frozen=True, slots=True)
class TrustDecision:
    """Whether a peer's certificate is accepted, and why."""

    accepted: bool
    reason: Reason | None
    """None when accepted, and while `pending`."""
    summary: str
    """One sentence."""
    identity: str | None = None
    """The identity that was to be proved, None when none was asked for."""
    certificate: CertificateSummary | None = None
    trusted_ca_group: str | None = None
    ca_profile: str | None = None
    """The CA profile of the anchor."""
    revocation: RevocationSummary | None = None
    attempts: tuple[Attempt, ...] = ()
    paths: tuple[PathReport, ...] = ()
    wanted: tuple[FetchRequest, ...] = ()
    """What must be fetched before this can be decided; never accepted while there is any."""
    pending: bool = False
    """Nothing was refused, but AUTH or fetches are outstanding."""
    policies: frozenset[str] = frozenset()
    """The user-constrained policy set (RFC 5280 6.1.6) of the accepted path."""
    learned_crls: tuple[tuple[str | None, bytes, str], ...] = ()
    """Verified CRLs that were fetched: (CA profile, DER, URL), to be kept."""
    learned_ocsp: tuple[LearnedOcsp, ...] = ()
    leaf: "Certificate | None" = field(default=None, repr=False, compare=False)
    """The end certificate: AUTH is verified with its key."""

    def __deepcopy__(self, memo: object) -> "TrustDecision":
        return self

    def with_paths(self, paths: tuple[PathReport, ...]) -> "TrustDecision":
        """The same decision with other reports of its paths."""
        return self._but(self.attempts, paths)

    def with_attempts(self, attempts: tuple[Attempt, ...]) -> "TrustDecision":
        """The same decision with the connections that were tried."""
        return self._but(attempts, self.paths)

    def _but(self, attempts: tuple[Attempt, ...], paths: tuple[PathReport, ...]) -> "TrustDecision":
        """As `dataclasses.replace`, at a third of its price: every handshake makes copies."""
        return TrustDecision(
            self.accepted,
            self.reason,
            self.summary,
            self.identity,
            self.certificate,
            self.trusted_ca_group,
            self.ca_profile,
            self.revocation,
            attempts,
            paths,
            self.wanted,
            self.pending,
            self.policies,
            self.learned_crls,
            self.learned_ocsp,
            self.leaf,
        )

    def to_json(self) -> dict[str, Any]:
        """The decision in the stable JSON form."""
        return {
            "accepted": self.accepted,
            "reason": None if self.reason is None else self.reason.value,
            "summary": self.summary,
            "identity": self.identity,
            "certificate": None if self.certificate is None else self.certificate.to_json(),
            "trusted_ca_group": self.trusted_ca_group,
            "ca_profile": self.ca_profile,
            "revocation": None if self.revocation is None else self.revocation.to_json(),
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "paths": [path.to_json() for path in self.paths],
            "pending": self.pending,
            "wanted": [request.url for request in self.wanted],
            "policies": sorted(self.policies),
        }


def plain(value: object) -> Any:
    """A value of evidence as JSON types: octets as hex, times as UTC text, the rest as it is written."""
    if value is None or (isinstance(value, (bool, str)) and not isinstance(value, Enum)):
        return value
    if isinstance(value, RevocationOutcome):
        return value.text
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted(map(str, value))
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    return str(value)
