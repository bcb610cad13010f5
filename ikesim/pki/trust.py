"""The trust decision: one pure function from what a peer sent and what is at hand to a decision that explains itself.

The order is that of the table of reasons: certificates are read, every path to an anchor is searched and judged
offline, then the identity, then AUTH, and only for a path that passed all of that revocation. While AUTH is pending
nothing is wanted and nothing accepted. What revocation lacks is in `wanted`: decide again with it in
`evidence.fetched`.
"""

from ikesim.pki import wording
from ikesim.pki.budget import BudgetExceeded
from ikesim.pki.building import Ending, Search
from ikesim.pki.certificates import Certificate
from ikesim.pki.decision import Check, CheckOutcome, PathReport, TrustDecision
from ikesim.pki.fetching import FetchRequest
from ikesim.pki.judging import Verdict, judge_candidate
from ikesim.pki.opening import Case, Refusal, open_case
from ikesim.pki.remembering import remembered
from ikesim.pki.request import (
    CHAIN_SCHEMES,
    Anchor,
    AuthState,
    Evidence,
    MinimumStrength,
    RuleProfile,
    TrustPolicy,
    TrustRequest,
    build_policy,
)
from ikesim.reasons import Reason, rank

__all__ = [
    "CHAIN_SCHEMES",
    "Anchor",
    "AuthState",
    "Evidence",
    "MinimumStrength",
    "RuleProfile",
    "TrustPolicy",
    "TrustRequest",
    "build_policy",
    "decide",
]

MAX_WANTED = 16
"""Requests of one decision: a path of seven certificates with a CRL and an OCSP responder each stays below."""


def decide(request: TrustRequest, evidence: Evidence | None = None) -> TrustDecision:
    """Whether the peer of `request` is who it says it is, by its certificates. Never raises on what a peer sent."""
    return remembered(request, evidence or Evidence(), _decide)


def _decide(request: TrustRequest, evidence: Evidence) -> TrustDecision:
    opened = open_case(request, evidence)
    if isinstance(opened, Refusal):
        return _refused_at_once(request, opened)
    case = opened
    verdicts: list[Verdict] = []
    exhausted: BudgetExceeded | None = None
    search = Search(tuple(case.pool.values()), case.anchors, case.known, case.links, request.policy.max_depth)
    try:
        for candidate in search.paths(case.end):
            case.budget.path()
            verdicts.append(judge_candidate(case, candidate))
            if verdicts[-1].accepted:
                break
    except BudgetExceeded as error:
        exhausted = error
    return _conclude(case, verdicts, exhausted)


def _conclude(case: Case, verdicts: list[Verdict], exhausted: BudgetExceeded | None) -> TrustDecision:
    """The decision over all candidate paths: accepted, still open, or refused by the path that came furthest."""
    paths = tuple(verdict.report() for verdict in verdicts)
    accepted = next((verdict for verdict in verdicts if verdict.accepted), None)
    if accepted is not None:
        path = accepted.candidate.certificates
        profile = case.anchors[path[-1].der].ca_profile
        summary = wording.acceptance(_whom(case), path[-1].names, profile, len(path), accepted.revocation)
        return _decision(case, paths, accepted, summary, accepted=True)
    pending = [verdict for verdict in verdicts if verdict.pending]
    if pending:
        wanted = tuple(dict.fromkeys(item for verdict in pending for item in verdict.wanted))[:MAX_WANTED]
        outstanding = f"{len(wanted)} to fetch" if wanted else "AUTH is not verified yet"
        summary = f"Not decided yet: {_whom(case)} is good so far; {outstanding}."
        return _decision(case, paths, pending[0], summary, wanted=wanted)
    best = max(verdicts, key=lambda verdict: rank(verdict.reason or Reason.CERT_NOT_SENT), default=None)
    if exhausted is not None or best is None:
        check = _exhausted(case.end, exhausted)
        paths = (*paths, PathReport((case.end.names,), check.reason, (check,)))
        summary = wording.refusal(Reason.CERT_PATH_BUDGET, check)
        return _decision(case, paths, None, summary, reason=Reason.CERT_PATH_BUDGET)
    assert best.reason is not None
    return _decision(case, paths, best, wording.refusal(best.reason, _decisive(best)), reason=best.reason)


def _decisive(verdict: Verdict) -> Check | None:
    """The check that says best why a path failed: the verdict on revocation, else the first that failed."""
    failed = [check for check in verdict.checks.ordered() if check.reason is verdict.reason]
    return next((check for check in failed if "ceiling" in check.evidence), failed[0] if failed else None)


def _exhausted(end: Certificate, error: BudgetExceeded | None) -> Check:
    problem = "no path was found" if error is None else str(error)
    return Check(
        "RFC 5280 6 (local limit)",
        end.names,
        CheckOutcome.FAIL,
        {"problem": problem},
        "local limit",
        Reason.CERT_PATH_BUDGET,
    )


def _whom(case: Case) -> str:
    return case.end.names if case.request.identity is None else str(case.request.identity)


def _decision(
    case: Case,
    paths: tuple[PathReport, ...],
    verdict: Verdict | None,
    summary: str,
    *,
    accepted: bool = False,
    reason: Reason | None = None,
    wanted: tuple[FetchRequest, ...] = (),
) -> TrustDecision:
    """The decision that `verdict` (the accepted, an open, or the furthest path) leads to."""
    profile = None
    if verdict is not None and verdict.candidate.ending in (Ending.ANCHOR, Ending.KNOWN):
        top = verdict.candidate.certificates[-1].der
        profile = (case.anchors.get(top) or case.known[top]).ca_profile
    identity = case.request.identity
    return TrustDecision(
        accepted=accepted,
        reason=reason,
        summary=summary,
        identity=None if identity is None else str(identity),
        certificate=case.end.summary,
        trusted_ca_group=case.request.policy.group,
        ca_profile=profile,
        revocation=None if verdict is None else verdict.revocation,
        paths=paths,
        wanted=wanted,
        pending=not accepted and reason is None,
        policies=verdict.policies if verdict is not None and accepted else frozenset(),
        learned_crls=() if verdict is None else tuple(dict.fromkeys(verdict.learned)),
        learned_ocsp=() if verdict is None else tuple(dict.fromkeys(verdict.learned_ocsp)),
        leaf=case.end,
    )


def _refused_at_once(request: TrustRequest, refusal: Refusal) -> TrustDecision:
    """The decision about certificates among which no path can be searched."""
    reason = refusal.check.reason
    assert reason is not None
    return TrustDecision(
        accepted=False,
        reason=reason,
        summary=wording.refusal(reason, refusal.check),
        identity=None if request.identity is None else str(request.identity),
        trusted_ca_group=request.policy.group,
        paths=(PathReport((), reason, (refusal.check,)),),
    )
