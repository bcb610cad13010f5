"""Revocation: is one certificate of a path still good, and what says so (RFC 5280 6.3, RFC 6960).

`check_revocation(certificate, issuer, settings, context) -> RevocationResult` judges one certificate; path validation
calls it for every certificate of a path but a self-signed anchor, with the certificate above it as `issuer` and the
settings of the issuer's CA profile (else the anchor's). It is a pure function: what it lacks it names in
`result.wanted`, and it is called again with the answers in `context.fetched`.

The boundary with path validation:

* Each CRL or OCSP response that is held, fetched or expected ends as one `Check`: used, or the step where it fell
  out. The last check is the verdict, about the certificate itself: outcome and ceiling. When the result is refused,
  the checks that fail carry `result.reason`; an accepted or still waiting result holds no failed check.
* `context.signers` are certificates that may have signed a CRL: the path's own, the peer's other ones, the store's,
  CAs held outside the group. Which of them is believed is the affair of `context.validate_signer(certificate,
  inner)`: it validates a path from that certificate to the anchor of the certificate under test, offline, and calls
  `check_revocation` for its members with the `inner` context that it was handed. The issuer itself is never asked
  for, its path stands already. A signer whose validation is under way is not validated again (`context.active`).
* `context.budget` is spent for each signature, once in a decision where a cache knows it, so that answers do not
  depend on what is cached; a `BudgetExceeded`, also out of the callback, is contained: `cert-path-budget`.
* With `context.fetch` False nothing is ever wanted.

Ranks and ceilings: outcomes are ranked good < skipped < stale < failed < on-hold < revoked; the policy is a ceiling.
A verified "revoked" wins under every policy, whoever says it: every CRL and response at hand is looked at, whatever
the method. Under `crl` a verified OCSP response at hand counts when no CRL decides; under `ocsp` a CRL at hand only
ever speaks against a certificate. A CRL with an unknown critical extension says nothing at all (RFC 5280 5.2, 5.3).

What came furthest by the rank of the reasons is the reason, with three exceptions: what is simply missing, and a CRL
at hand for other certificates, count only when nothing else was there; a CRL number that went backwards outranks the
stale CRL that it should replace.
"""

from typing import NamedTuple

from ikesim.pki.budget import BudgetExceeded
from ikesim.pki.certificates import Certificate
from ikesim.pki.crl_candidates import HELD
from ikesim.pki.crl_status import look_at_crls
from ikesim.pki.decision import Check, CheckOutcome, RevocationOutcome
from ikesim.pki.ocsp_status import look_at_ocsp
from ikesim.pki.profiles import RevocationMethod, RevocationPolicy, RevocationSettings
from ikesim.pki.revocation_case import Case, wanted_check
from ikesim.pki.revocation_types import LearnedCrl, RevocationContext, RevocationResult, SignerVerdict
from ikesim.reasons import Reason, rank

__all__ = ["LearnedCrl", "RevocationContext", "RevocationResult", "SignerVerdict", "ceiling", "check_revocation"]

VERDICT_RULE = "RFC 5280 6.3.3"
_CEILINGS = {
    RevocationPolicy.STRICT: RevocationOutcome.GOOD,
    RevocationPolicy.IF_URI: RevocationOutcome.SKIPPED,
    RevocationPolicy.RELAXED: RevocationOutcome.FAILED,
    RevocationPolicy.OFF: RevocationOutcome.SKIPPED,
}
_UNREACHABLE = frozenset((Reason.CRL_FETCH_FAILED, Reason.OCSP_FETCH_FAILED))
_FETCH = _UNREACHABLE | {Reason.CRL_FETCH_REFUSED, Reason.OCSP_FETCH_REFUSED}
_STALE = frozenset((Reason.CRL_STALE, Reason.OCSP_STALE))


class _Verdict(NamedTuple):
    outcome: RevocationOutcome
    ceiling: RevocationOutcome
    reason: Reason | None
    """What is behind an outcome that is not good."""
    source: str
    evidence: dict[str, object]


def ceiling(settings: RevocationSettings) -> RevocationOutcome:
    """The worst outcome that the settings accept (design rule 8)."""
    if settings.method is RevocationMethod.DISABLE:
        return RevocationOutcome.SKIPPED
    return _CEILINGS[settings.policy]


def check_revocation(
    certificate: Certificate, issuer: Certificate, settings: RevocationSettings, context: RevocationContext
) -> RevocationResult:
    """Judge one certificate. Never raises: whatever the evidence is made of, it ends in an outcome and a reason."""
    case = Case(certificate, issuer, settings, context)
    limit = ceiling(settings)
    if settings.method is RevocationMethod.DISABLE or settings.policy is RevocationPolicy.OFF:
        evidence: dict[str, object] = {"cause": "revocation checking is off"}
        return _result(case, _Verdict(RevocationOutcome.SKIPPED, limit, None, "settings", evidence))
    try:
        _look(case)
    except BudgetExceeded as error:
        case.wanted.clear()
        evidence = {"cause": str(error)}
        verdict = _Verdict(RevocationOutcome.FAILED, limit, Reason.CERT_PATH_BUDGET, "budget", evidence)
        return _result(case, verdict if case.revoked is None else _judge(case, limit))
    return _result(case, _judge(case, limit))


def _look(case: Case) -> None:
    """Look at CRLs and responses as the method says; those of the other kind only speak against the certificate."""
    method = case.settings.method
    if method is RevocationMethod.CRL:
        look_at_crls(case)
        _look_aside(case, crls=False)
    else:
        look_at_ocsp(case)
        undecided = case.good is None and case.revoked is None and not case.wanted
        if method is RevocationMethod.OCSP_THEN_CRL and undecided:
            _fall_back(case)
        else:
            _look_aside(case, crls=True)
    if case.revoked is not None or not case.context.fetch:
        case.wanted.clear()


def _look_aside(case: Case, *, crls: bool) -> None:
    """What the method does not ask for: its faults are no reason."""
    before = len(case.lines)
    if crls:
        look_at_crls(case, decisive=False)
    else:
        look_at_ocsp(case, decisive=False)
    for line in case.lines[before:]:
        line.counts = False


def _fall_back(case: Case) -> None:
    """OCSP did not decide: CRLs do; that no response was there is no reason where they fail no less."""
    before = len(case.lines)
    look_at_crls(case)
    faults = [line.result for line in case.lines[before:] if line.counts and line.reason is not None]
    for line in case.lines[:before]:
        if line.reason is Reason.OCSP_MISSING and faults and max(faults) >= line.result:
            line.counts = False


def _judge(case: Case, limit: RevocationOutcome) -> _Verdict:
    found = case.revoked or case.on_hold
    if found is not None:
        outcome = RevocationOutcome.REVOKED if found is case.revoked else RevocationOutcome.ON_HOLD
        return _Verdict(outcome, limit, found.reason, found.line.source, found.evidence)
    if case.good is not None:
        return _Verdict(RevocationOutcome.GOOD, limit, None, case.good.source, {"says": case.good.subject})
    skipped = RevocationOutcome.SKIPPED
    if case.unknown is not None and case.settings.ocsp.accept_unknown:
        evidence: dict[str, object] = {"says": case.unknown.subject, "accepted": "accept-unknown"}
        return _Verdict(skipped, max(limit, skipped), Reason.OCSP_UNKNOWN, case.unknown.source, evidence)
    return _judge_faults(case, limit)


def _judge_faults(case: Case, limit: RevocationOutcome) -> _Verdict:
    """Nothing says good or revoked: the line that came furthest gives reason and outcome."""
    lines = [line for line in case.lines if line.counts and line.reason is not None]
    if any(line.reason in _FETCH for line in lines):
        # what lies in the store and does not fit is no cause when the right one could not be fetched
        kept = (*_FETCH, *_STALE, Reason.CRL_NUMBER_BACKWARDS)
        for line in lines:
            line.counts = line.source != HELD or line.reason in kept
        lines = [line for line in lines if line.counts]
    # a CRL for other certificates says nothing about this one, unless there is nothing else
    lines = [line for line in lines if line.source != HELD or line.reason is not Reason.CRL_SCOPE] or lines
    if not lines:
        return _Verdict(RevocationOutcome.FAILED, limit, None, "nowhere", {})
    serious = [line for line in lines if line.result is not RevocationOutcome.SKIPPED] or lines
    worst = max(serious, key=lambda line: rank(line.reason) if line.reason else 0)
    evidence: dict[str, object] = {"cause": worst.evidence.get("cause", "")}
    reasons = {line.reason for line in serious}
    unreachable = bool(reasons & _UNREACHABLE) and reasons <= _UNREACHABLE | _STALE
    if unreachable and case.settings.on_download_failure == "accept":
        evidence["accepted"] = "on-download-failure"
        skipped = RevocationOutcome.SKIPPED
        return _Verdict(skipped, max(limit, skipped), worst.reason, worst.source, evidence)
    return _Verdict(worst.result, limit, worst.reason, worst.source, evidence)


def _result(case: Case, verdict: _Verdict) -> RevocationResult:
    waiting = bool(case.wanted)
    refused = None if waiting or verdict.outcome <= verdict.ceiling else verdict.reason
    checks: list[Check] = []
    for line in case.lines:
        outcome = line.outcome
        if outcome is CheckOutcome.FAIL and (refused is None or line.reason is not refused or not line.counts):
            outcome = CheckOutcome.INFO
        checks.append(line.check(outcome))
    checks += [wanted_check(request) for request in case.wanted]
    if waiting:
        summary = CheckOutcome.INFO
    elif refused is not None:
        summary = CheckOutcome.FAIL
    else:
        summary = CheckOutcome.PASS if verdict.outcome is RevocationOutcome.GOOD else CheckOutcome.SKIPPED
    evidence = {
        "outcome": verdict.outcome,
        "ceiling": verdict.ceiling,
        "policy": case.settings.policy,
        "method": case.settings.method,
        **verdict.evidence,
    }
    subject, reason = case.certificate.names, verdict.reason
    checks.append(Check(VERDICT_RULE, subject, summary, evidence, verdict.source, reason))
    return RevocationResult(
        outcome=verdict.outcome,
        ceiling=verdict.ceiling,
        reason=refused,
        checks=tuple(checks),
        wanted=tuple(case.wanted),
        learned=tuple(case.learned.values()),
        learned_ocsp=tuple(case.learned_ocsp.values()),
    )
