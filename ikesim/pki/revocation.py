"""Revocation: is one certificate of a path still good, and what says so (RFC 5280 6.3, RFC 6960).

`check_revocation(certificate, issuer, settings, context) -> RevocationResult` judges one certificate; path validation
calls it for every certificate of a path but a self-signed anchor, with the certificate above it as `issuer` and the
settings of the issuer's CA profile (else the anchor's). It is a pure function: what it lacks it names in
`result.wanted`, and it is called again with the answers in `context.fetched`.

The boundary with path validation:

* Each CRL or OCSP response that is held, fetched or expected ends as one `Check`: used, or the step where it fell out.
  The last check of a result is the verdict ("outcome stale, ceiling good"). When the result is refused, the checks that
  fail carry `result.reason`; an accepted or still waiting result holds no failed check.
* `context.signers` are certificates that may have signed a CRL: the path's own, the peer's other ones, the store's,
  CAs held outside the group. Which of them is believed is the affair of `context.validate_signer(certificate, inner)`:
  it validates a path from that certificate to the anchor of the certificate under test, offline, and calls
  `check_revocation` for its members with the `inner` context that it was handed. The issuer itself is never asked
  for, its path stands already. A signer whose validation is under way is not validated again (`context.active`).
* `context.budget.signature()` is asked before each signature that no cache knows and says False once it is spent; the
  reason then is `cert-path-budget`.
* With `context.fetch` False nothing is ever wanted.

Ranks and ceilings: outcomes are ranked good < skipped < stale < failed < on-hold < revoked; the policy is a ceiling.
A verified "revoked" wins under every policy, whoever says it: every CRL and response at hand is looked at, whatever the
method. Under `crl` a verified OCSP response at hand counts when no CRL decides; under `ocsp` a CRL at hand
only ever speaks against a certificate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from ikesim.pki.certificates import Certificate
from ikesim.pki.decision import Check, RevocationOutcome
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.reasons import Reason


class SignatureBudget(Protocol):
    """Counts signature verifications for one decision."""

    def signature(self) -> bool:
        """Take one; False when none is left."""
        ...


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
    budget: SignatureBudget
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
    learned_ocsp: tuple[bytes, ...] = ()
    """Fetched and verified OCSP responses that may be used again until their nextUpdate."""

    @property
    def accepted(self) -> bool:
        """The certificate may be used: nothing is outstanding and the outcome is within the ceiling."""
        return not self.wanted and self.reason is None
