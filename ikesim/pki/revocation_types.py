"""What goes into a revocation check and what comes out of it; `ikesim.pki.revocation` describes both."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from ikesim.pki.budget import Budget
from ikesim.pki.certificates import Certificate
from ikesim.pki.decision import Check, LearnedOcsp, RevocationOutcome
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.reasons import Reason


@dataclass(frozen=True, slots=True)
class SignerVerdict:
    """Whether a separate CRL signer has a valid path to the anchor: no reason means yes."""

    reason: Reason | None = None
    checks: tuple[Check, ...] = ()
    wanted: tuple[FetchRequest, ...] = ()
    """What the revocation check of its path still needs; the signer is not believed before."""


@dataclass(frozen=True, slots=True)
class LearnedCrl:
    """A CRL that was fetched and verified: to be kept."""

    der: bytes = field(repr=False)
    url: str = ""


@dataclass(frozen=True, slots=True)
class RevocationContext:
    """What a revocation check may use, the same for all certificates of a path."""

    at: datetime
    """The moment to judge for, aware."""
    validate_signer: Callable[[Certificate, "RevocationContext"], SignerVerdict]
    budget: Budget
    crls: Sequence[bytes] = ()
    """DER of the CRLs at hand, of whichever issuer."""
    ocsp: Sequence[bytes] = ()
    """DER of the OCSP responses at hand."""
    fetched: Mapping[FetchRequest, FetchResult] = field(default_factory=dict)
    signers: Sequence[Certificate] = ()
    responders: Sequence[Certificate] = ()
    """OCSP responders that are trusted directly (RFC 6960 4.2.2.2, first case)."""
    crl_loaded_at: Mapping[bytes, float] = field(default_factory=dict)
    """As in `TrustStore`."""
    fetch: bool = False
    schemes: frozenset[str] | None = None
    """Names of the signature algorithms allowed on CRLs and responses; None: all but those with MD5 or SHA-1."""
    nonce: bytes | None = None
    """1 to 32 octets for OCSP requests; None: derived from the request and `at`."""
    active: frozenset[bytes] = frozenset()
    """DER of the signers whose validation is under way."""


@dataclass(frozen=True, slots=True)
class RevocationResult:
    """What is known about one certificate."""

    outcome: RevocationOutcome
    ceiling: RevocationOutcome
    reason: Reason | None
    """Why it is refused; None when accepted, and while something is wanted."""
    checks: tuple[Check, ...]
    wanted: tuple[FetchRequest, ...] = ()
    """To be fetched, all at once, before this can be decided."""
    learned: tuple[LearnedCrl, ...] = ()
    learned_ocsp: tuple[LearnedOcsp, ...] = ()

    @property
    def accepted(self) -> bool:
        """The certificate may be used: nothing is outstanding and the outcome is within the ceiling."""
        return not self.wanted and self.reason is None
