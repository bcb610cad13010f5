"""Decisions that need not be made again: the same certificates, policy and evidence, within the same window of time.

The key holds everything that a decision depends on but the time, by value; for the time there is the window in which
every comparison that was made comes out the same (:mod:`ikesim.pki.moment`). Kept is what peers get that come back:
accepted, and open only because AUTH is pending. What was fetched is never in it, and what is refused is judged anew.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from ikesim.pki.caching import Cache, Key
from ikesim.pki.decision import PathReport, TrustDecision
from ikesim.pki.moment import Moment
from ikesim.pki.request import Evidence, TrustRequest

LIMIT = 512
"""Decisions kept; one has some tens of checks and takes about 20 KiB."""
MAX_OCTETS = 32 * 1024
"""Of the certificates sent: strangers who add superfluous ones cannot fill the memory. Real chains have 10 KiB."""


@dataclass(frozen=True, slots=True)
class _Remembered:
    decision: TrustDecision
    earliest: datetime
    latest: datetime
    shown: tuple[tuple[int, int, str], ...]
    """Where evidence shows the time of the decision: path, check, name of the value."""

    def at(self, at: datetime) -> TrustDecision:
        """The decision as it is made at another moment of the window."""
        return _show(self.decision, self.shown, at)


_DECISIONS: Cache[Key, _Remembered] = Cache("decisions", LIMIT)


def remembered(
    request: TrustRequest, evidence: Evidence, judge: Callable[[TrustRequest, Evidence], TrustDecision]
) -> TrustDecision:
    """The decision of `judge`, made now or before."""
    key = _key(request, evidence)
    if key is None:
        return judge(request, evidence)
    at = request.at
    known = _DECISIONS.get(key)
    if known is not None and known.earliest <= at <= known.latest:
        return known.at(at)
    moment = Moment.of(at)
    decision = judge(replace(request, at=moment), evidence)
    shown = _places(decision, moment)
    decision = _show(decision, shown, at)
    auth = evidence.auth
    waits_for_auth = decision.pending and not decision.wanted and auth is not None and auth.kind == "pending"
    if (decision.accepted or waits_for_auth) and moment.earliest < moment.latest:
        _DECISIONS.put(key, _Remembered(decision, moment.earliest, moment.latest, shown))
    return decision


def _key(request: TrustRequest, evidence: Evidence) -> Key | None:
    """Everything but the time that a decision is a function of; None where it is not to be kept."""
    auth = evidence.auth
    if evidence.fetched or (auth is not None and auth.kind == "failed"):
        return None
    if sum(map(len, request.certificates)) > MAX_OCTETS:
        return None
    try:
        about_auth = None if auth is None else (auth.kind, auth.reason, tuple(auth.evidence.items()))
        return Key(request.key, evidence.key, about_auth)
    except TypeError:
        return None


def _places(decision: TrustDecision, moment: Moment) -> tuple[tuple[int, int, str], ...]:
    return tuple(
        (path, check, name)
        for path, report in enumerate(decision.paths)
        for check, item in enumerate(report.checks)
        for name, value in item.evidence.items()
        if value is moment
    )


def _show(decision: TrustDecision, shown: tuple[tuple[int, int, str], ...], at: datetime) -> TrustDecision:
    """The decision with `at` in these places."""
    if not shown:
        return decision
    paths = [list(path.checks) for path in decision.paths]
    for path, position, name in shown:
        rule, subject, outcome, evidence, source, reason = paths[path][position]
        paths[path][position] = type(paths[path][position])(
            rule, subject, outcome, {**evidence, name: at}, source, reason
        )
    reports = (
        PathReport(report.certificates, report.reason, tuple(checks))
        for report, checks in zip(decision.paths, paths, strict=True)
    )
    return decision.with_paths(tuple(reports))
