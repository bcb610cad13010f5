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
* `context.budget.signature()` is spent for each signature that no cache knows; a `BudgetExceeded` (from a callback too)
  is contained and ends in `cert-path-budget`.
* With `context.fetch` False nothing is ever wanted.

Ranks and ceilings: outcomes are ranked good < skipped < stale < failed < on-hold < revoked; the policy is a ceiling.
A verified "revoked" wins under every policy, whoever says it: every CRL and response at hand is looked at, whatever the
method. Under `crl` a verified OCSP response at hand counts when no CRL decides; under `ocsp` a CRL at hand
only ever speaks against a certificate.
"""

from ikesim.pki.revocation_types import LearnedCrl, RevocationContext, RevocationResult, SignerVerdict

__all__ = ["LearnedCrl", "RevocationContext", "RevocationResult", "SignerVerdict"]
