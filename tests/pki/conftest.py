"""Every decision of these tests is also made without the cache of decisions, and must come out the same."""

from collections.abc import Callable
from typing import Any

import pytest

from ikesim.pki import CheckOutcome, Evidence, PathReport, TrustDecision, TrustRequest, trust
from ikesim.pki.moment import Moment
from ikesim.pki.remembering import remembered

Judge = Callable[[TrustRequest, Evidence], TrustDecision]


@pytest.fixture(autouse=True)
def cached_and_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compare what the cache gives with what it spares."""

    def compared(request: TrustRequest, evidence: Evidence, judge: Judge) -> TrustDecision:
        anew = judge(request, evidence)
        decision = remembered(request, evidence, judge)
        if decision.reason is None:
            decision = remembered(request, evidence, judge)
        assert decision == anew
        assert decision.leaf is None or (anew.leaf is not None and decision.leaf.der == anew.leaf.der)
        assert not leaks(decision.paths)
        assert_sound(decision)
        return decision

    monkeypatch.setattr(trust, "remembered", compared)


def assert_sound(decision: TrustDecision) -> None:
    """Accepted by a path on which nothing failed, or refused by a check that names rule, subject and reason."""
    if decision.pending:
        return
    path = next(path for path in decision.paths if path.reason is decision.reason)
    failures = [check for check in path.checks if check.outcome is CheckOutcome.FAIL]
    if decision.accepted:
        assert not failures and not decision.wanted
    else:
        assert decision.reason is not None
        deciding = [check for check in failures if check.reason is decision.reason]
        assert deciding and all(check.rule and check.subject for check in failures)
        assert decision.reason.value in decision.summary


def leaks(value: Any) -> bool:
    """Whether the moment that a decision was made for is still in what it says."""
    if isinstance(value, Moment):
        return True
    if isinstance(value, dict):
        return any(leaks(item) for item in value.values())
    if isinstance(value, (tuple, list)):
        return any(leaks(item) for item in value)
    return isinstance(value, PathReport) and leaks(value.checks)
