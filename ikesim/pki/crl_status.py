"""What CRLs say about one certificate: scope, reasons, deltas and time (RFC 5280 6.3.3), and which to fetch next.

CRLs of one issuer, scope and signing key form a family: its newest complete CRL is the base, brought up to date by
the newest delta that fits. Families are laid over the certificate's distribution points until every reason is
covered. One that is before its nextUpdate and within the refresh interval is used as it is; else the certificate's
own URLs are fetched, then the operator's; one that is due for refresh, or past its nextUpdate, comes last.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ikesim.pki.certificates import CRL_DISTRIBUTION_POINTS, Certificate
from ikesim.pki.crl import FRESHEST_CRL, RevokedEntry
from ikesim.pki.crl_candidates import HELD, Candidate, Opening, learn
from ikesim.pki.crl_scope import (
    ALL_REASONS,
    DistributionPoint,
    PointName,
    read_distribution_points,
    reason_names,
    shared_name,
)
from ikesim.pki.decision import RevocationOutcome
from ikesim.pki.der import DerError
from ikesim.pki.fetching import FetchKind, FetchRequest
from ikesim.pki.names import GeneralName
from ikesim.pki.revocation_case import (
    MAX_URLS,
    Case,
    Finding,
    excerpt,
    fetch_time,
    url_problem,
)
from ikesim.reasons import Reason

FETCH_RULE = "RFC 5280 6.3.3 (a)"
LONGEST_INTERVAL = 10 * 365 * 86400.0
"""Of a refresh, in seconds; a longer one says never, and what is added to a date must leave one."""


@dataclass(slots=True, eq=False)
class _Family:
    """The CRLs of one issuer, scope and signing key."""

    complete: list[Candidate] = field(default_factory=list)
    deltas: list[Candidate] = field(default_factory=list)
    base: Candidate | None = None
    """The newest complete one, where there is any."""
    delta: Candidate | None = None
    """The newest that brings the base up to date and is current."""
    next_update: datetime | None = None
    due: bool = False
    """Past the refresh interval."""
    strays: list[Candidate] = field(default_factory=list)
    """From the future, or a delta without its base: not usable, but a revocation that they list counts."""

    def current(self, at: datetime) -> bool:
        """Before its nextUpdate."""
        return self.base is not None and self.next_update is not None and at <= self.next_update

    def deciding(self) -> Candidate | None:
        """The CRL whose entry decides: the delta, else the base (RFC 5280 6.3.3 (i) and (j)); None: not listed."""
        for candidate in (self.delta, self.base):
            if candidate is not None and candidate.listed is not None:
                return candidate
        return None


Scoped = list[tuple[_Family, list[DistributionPoint]]]
"""Families, each with the distribution points that it serves."""


@dataclass(slots=True, eq=False)
class _Sources:
    """Where CRLs of one certificate may come from."""

    points: tuple[DistributionPoint, ...]
    """The certificate's own, and at the end the one that stands for its issuer (RFC 5280 6.3.3, last paragraph)."""
    requests: list[list[FetchRequest]]
    """For each point the fetches that are alternatives for it; the last list is the operator's."""
    freshest: list[FetchRequest]

    def urls(self) -> tuple[str, ...]:
        """Where a complete CRL may be fetched, in order."""
        return tuple(request.url for requests in self.requests for request in requests)


def look_at_crls(case: Case, *, decisive: bool = True) -> None:
    """Judge by CRLs. When not `decisive` they can only speak against the certificate, and nothing is fetched."""
    at = case.context.at
    sources = _sources(case)
    points = sources.points
    opening = Opening(case, points)
    for octets in dict.fromkeys(case.context.crls):
        opening.open(octets, HELD, None)
    if decisive:
        _open_fetched(case, opening, [request for requests in sources.requests for request in requests], counts=True)
        sources.freshest += _freshest(opening, len(sources.freshest))
        _open_fetched(case, opening, sources.freshest, counts=False)
    opening.mention_others()
    families = _families(case, opening.candidates)
    scoped = [(family, _points_of(case, family, points)) for family in families]
    for family, matches in scoped:
        if matches:
            _note_entries(case, family)
    if case.revoked is not None or not decisive:
        return
    mask = _covered(scoped, at, due=False)
    if mask == ALL_REASONS:
        _note_good(case, scoped, at)
        _want_delta(case, sources, scoped)
        return
    for request in opening.signers_want:
        case.want(request)
    _want_next(case, sources, mask)
    mask = _covered(scoped, at, due=True)
    if mask == ALL_REASONS:
        _note_good(case, scoped, at)
    else:
        _note_missing(case, sources, bool(opening.candidates), mask)


# where CRLs come from


def _sources(case: Case) -> _Sources:
    certificate, settings = case.certificate, case.settings
    points = _read_points(case, CRL_DISTRIBUTION_POINTS)
    implicit = DistributionPoint(PointName(full=(GeneralName("dn", certificate.issuer),)))
    delta_points = _read_points(case, FRESHEST_CRL)
    listed = [list(point.urls()) for point in points]
    operator = dict.fromkeys(settings.url)
    count = len({url for urls in listed for url in urls if url_problem(url) is None} | operator.keys())
    timeout = fetch_time(min(count, MAX_URLS))
    seen: set[str] = set()
    refused: list[tuple[str, str]] = []

    def requests(urls: list[str], mine: bool) -> list[FetchRequest]:
        made = []
        for url in urls:
            problem = url_problem(url)
            if problem is not None:
                refused.append((url, problem))
            elif url not in seen and len(seen) < MAX_URLS:
                seen.add(url)
                trusted = mine or url in operator
                made.append(FetchRequest(FetchKind.CRL, url, timeout=timeout, operator=trusted))
        return made

    plan = [requests(urls, False) for urls in listed]
    plan.append(requests(list(operator), True))
    usable = bool(seen)
    freshest = requests([url for point in delta_points for url in point.urls()], False)
    for url, problem in refused:
        line = case.line("CRL", excerpt(url), FETCH_RULE)
        line.out(Reason.CRL_FETCH_REFUSED, problem, counts=not usable)
    return _Sources((*points, implicit), plan, freshest)


def _read_points(case: Case, oid: str) -> tuple[DistributionPoint, ...]:
    """The distribution points of an extension; none, with a line, when it cannot be read."""
    extension = case.certificate.extensions.get(oid)
    if extension is None:
        return ()
    try:
        return read_distribution_points(extension.value)
    except DerError as error:
        line = case.line(case.certificate.names, "certificate", "RFC 5280 4.2.1.13", extension=oid)
        line.unused(f"distribution points that cannot be read: {error}")
        return ()


def _freshest(opening: Opening, count: int) -> list[FetchRequest]:
    """The delta CRLs that the CRLs themselves point to."""
    urls = dict.fromkeys(
        url for candidate in opening.candidates for point in candidate.crl.freshest for url in point.urls()
    )
    usable = [url for url in urls if url_problem(url) is None]
    return [FetchRequest(FetchKind.CRL, url) for url in usable[: MAX_URLS - count]]


def _open_fetched(case: Case, opening: Opening, requests: list[FetchRequest], *, counts: bool) -> None:
    """Open what the fetches brought; those that failed get their line here."""
    for request in requests:
        result = case.context.fetched.get(request)
        if result is None:
            continue
        if result.body is not None and result.status in (None, 200):
            opening.open(result.body, request.url, result.at)
            continue
        line = case.line("CRL", request.url, FETCH_RULE, status=result.status)
        if result.final_url:
            line.evidence["final_url"] = excerpt(result.final_url)
        if result.refused:
            line.out(Reason.CRL_FETCH_REFUSED, excerpt(result.error), counts=counts)
        else:
            cause = excerpt(result.error) or f"HTTP status {result.status}"
            line.out(Reason.CRL_FETCH_FAILED, cause, counts=counts)


def _want_next(case: Case, sources: _Sources, mask: int) -> None:
    """Ask for the first untried URL of every distribution point that is needed, the operator's where none is left."""
    if not case.context.fetch:
        return
    assumed = mask
    for point, requests in zip((*sources.points[:-1], DistributionPoint()), sources.requests, strict=True):
        if point.reasons & ~assumed:
            untried = next((request for request in requests if request not in case.context.fetched), None)
            if untried is not None:
                case.want(untried)
                assumed |= point.reasons


def _want_delta(case: Case, sources: _Sources, scoped: Scoped) -> None:
    """Ask for a delta CRL where certificate or CRL name one (freshestCRL) and no current one is at hand."""
    context = case.context
    if context.fetch and any(matches and family.base and family.delta is None for family, matches in scoped):
        untried = next((request for request in sources.freshest if request not in context.fetched), None)
        if untried is not None:
            case.want(untried)


# families


def _families(case: Case, candidates: list[Candidate]) -> list[_Family]:
    at = case.context.at
    found: dict[tuple[object, ...], _Family] = {}
    for candidate in candidates:
        crl = candidate.crl
        family = found.setdefault((crl.issuer, crl.idp_der, candidate.key), _Family())
        if crl.this_update > at:
            candidate.line.out(Reason.CRL_NOT_YET_VALID, "thisUpdate is in the future", at=at)
            family.strays.append(candidate)
        else:
            (family.deltas if crl.is_delta else family.complete).append(candidate)
    for family in found.values():
        _settle(case, family)
    return list(found.values())


def _settle(case: Case, family: _Family) -> None:
    """Choose base and delta, and say what became of the others."""
    at = case.context.at
    family.complete.sort(key=lambda candidate: candidate.order, reverse=True)
    family.deltas.sort(key=lambda candidate: candidate.order, reverse=True)
    if family.complete:
        family.base = family.complete[0]
        family.next_update = family.base.crl.next_update
    for delta in family.deltas:
        _place_delta(case, family, delta)
    base = family.base
    if base is None:
        return
    interval = case.settings.refresh_interval
    same = [candidate for candidate in family.complete if candidate.crl.der == base.crl.der]
    newest = max(candidate.obtained for candidate in same)
    family.due = interval > 0 and at > newest + timedelta(seconds=min(interval, LONGEST_INTERVAL))
    if base.crl.next_update is None:
        base.line.out(Reason.CRL_MALFORMED, "nextUpdate is missing (RFC 5280 5.1.2.5)")
    elif not family.current(at):
        base.line.out(Reason.CRL_STALE, "past nextUpdate", at=at)
    elif family.due:
        base.line.evidence["refresh_due"] = newest + timedelta(seconds=min(interval, LONGEST_INTERVAL))
    # Also one that is held already, fetched again: that it was obtained just now is what the interval asks for.
    learn(case, next((candidate for candidate in same if candidate.fetched), base))
    for older in family.complete[1:]:
        _set_aside(case, family, base, older)


def _set_aside(case: Case, family: _Family, base: Candidate, older: Candidate) -> None:
    """A complete CRL that is not the newest of its family: it went backwards, or was replaced."""
    if older.crl.der == base.crl.der:
        older.line.unused("the same CRL is used already")
        return
    backwards = older.crl.number is not None and base.crl.number is not None and older.crl.number < base.crl.number
    replaces = (
        older.fetched or (older.crl.next_update is not None and case.context.at <= older.crl.next_update)
    ) and not family.current(case.context.at)
    if backwards and (older.fetched or replaces):
        cause = f"number {older.crl.number} after {base.crl.number}"
        older.line.out(Reason.CRL_NUMBER_BACKWARDS, cause, counts=replaces, held=base.crl.number)
        if replaces:
            base.line.counts = False
    else:
        older.line.unused("replaced by a newer one")


def _place_delta(case: Case, family: _Family, delta: Candidate) -> None:
    """Take a delta into its family, or say where it fell out (RFC 5280 5.2.4, 6.3.3 (c))."""
    at, crl, base = case.context.at, delta.crl, family.base
    number = None if base is None else base.crl.number
    if family.delta is not None:
        delta.line.unused("replaced by a newer one")
        return
    if number is not None and crl.number is not None and crl.number <= number:
        delta.line.unused(f"not newer than the complete CRL {number}")
        return
    if base is None:
        delta.line.out(Reason.CRL_DELTA_BASE, "no complete CRL of its scope")
    elif number is None or crl.number is None or crl.base_number is None or number < crl.base_number:
        cause = f"it builds on CRL {crl.base_number}, the one at hand is {number}"
        delta.line.out(Reason.CRL_DELTA_BASE, cause, counts=False)
    elif crl.authority_key_id != base.crl.authority_key_id:
        delta.line.out(Reason.CRL_DELTA_BASE, "its authority key identifier is another", counts=False)
    elif crl.next_update is None:
        delta.line.out(Reason.CRL_MALFORMED, "nextUpdate is missing (RFC 5280 5.1.2.5)", counts=False)
    elif at > crl.next_update:
        delta.line.out(Reason.CRL_STALE, "past nextUpdate", counts=False, at=at)
    else:
        family.delta = delta
        learn(case, delta)
        if family.next_update is not None:
            family.next_update = max(family.next_update, crl.next_update)
        return
    family.strays.append(delta)


# scope and coverage


def _points_of(case: Case, family: _Family, points: tuple[DistributionPoint, ...]) -> list[DistributionPoint]:
    """The distribution points that a family serves; a line that serves none is out by its scope."""
    everyone = (*family.complete, *family.deltas, *family.strays)
    sample = everyone[0]
    matches: list[DistributionPoint] = []
    causes = []
    for point in points:
        cause = _mismatch(case.certificate, sample, point)
        if cause is None:
            matches.append(point)
        elif cause not in causes:
            causes.append(cause)
    if not matches:
        for candidate in everyone:
            bad_issuer = all(cause.startswith("issued by") for cause in causes)
            reason = Reason.CRL_BAD_ISSUER if bad_issuer else Reason.CRL_SCOPE
            candidate.line.out(reason, causes[0], causes=tuple(causes))
    return matches


def _mismatch(certificate: Certificate, candidate: Candidate, point: DistributionPoint) -> str | None:
    """Why a CRL does not serve a distribution point, None when it does (RFC 5280 6.3.3 (b))."""
    crl = candidate.crl
    idp = crl.idp
    if point.crl_issuer:
        named = point.issuers()
        if crl.issuer not in named:
            return f"issued by {crl.issuer.text}, the distribution point names {', '.join(n.text for n in named)}"
        if idp is None or not idp.indirect:
            return "not an indirect CRL, which a distribution point with cRLIssuer asks for"
    elif crl.issuer != certificate.issuer:
        return f"issued by {crl.issuer.text}, the certificate by {certificate.issuer.text}"
    if idp is None:
        return None
    if idp.name is not None:
        theirs = idp.name.resolve(crl.issuer)
        ours = point.crl_issuer
        if point.name is not None:
            ours = point.name.resolve((point.issuers() or (certificate.issuer,))[0])
        if shared_name(ours, theirs) is None:
            return (
                f"for distribution point {', '.join(excerpt(name.text) for name in theirs)}, "
                f"not {', '.join(excerpt(name.text) for name in ours)}"
            )
    if idp.only_attribute:
        return "only for attribute certificates"
    if idp.only_user and certificate.is_ca:
        return "only for end certificates"
    return "only for CA certificates" if idp.only_ca and not certificate.is_ca else None


def _covered(scoped: Scoped, at: datetime, *, due: bool) -> int:
    """The reasons that current families cover (RFC 5280 6.3.3 (d) and (e)); `due`: also those due for refresh."""
    mask = 0
    for family, matches in scoped:
        if family.base is not None and family.current(at) and (due or not family.due):
            idp = family.base.crl.idp
            reasons = ALL_REASONS if idp is None else idp.reasons
            for point in matches:
                mask |= reasons & point.reasons
    return mask


# what was found


def _note_entries(case: Case, family: _Family) -> None:
    """Note what the family's CRLs list, however old they are."""
    candidate = family.deciding()
    if candidate is not None and candidate.listed is not None:
        candidate.line.evidence["entry"] = candidate.listed.reason or "without a reason"
        candidate.line.evidence["revocation_date"] = candidate.listed.date
        if not candidate.listed.removed:
            case.found(_finding(candidate, candidate.listed))
    for stray in family.strays:
        entry = stray.listed
        if entry is not None and not (entry.removed or entry.on_hold) and entry.date <= case.context.at:
            case.found(_finding(stray, entry))


def _finding(candidate: Candidate, entry: RevokedEntry) -> Finding:
    reason = Reason.CERT_ON_HOLD if entry.on_hold else Reason.CERT_REVOKED
    evidence: dict[str, object] = {
        "revocation_date": entry.date,
        "revocation_reason": entry.reason or "without a reason",
        "says": candidate.line.subject,
    }
    return Finding(reason, candidate.line, evidence)


def _note_good(case: Case, scoped: Scoped, at: datetime) -> None:
    for family, matches in scoped:
        if matches and family.base is not None and family.current(at):
            case.good = case.good or family.base.line


def _note_missing(case: Case, sources: _Sources, any_candidate: bool, mask: int) -> None:
    """Say what is lacking, where no line says so yet."""
    if case.wanted or case.has_fault("crl-"):
        return
    if any_candidate:
        lacking = reason_names(ALL_REASONS & ~mask)
        line = case.line("CRLs", "held", "RFC 5280 6.3.3 (e)", reasons=lacking)
        line.out(Reason.CRL_SCOPE, f"no CRL covers {', '.join(lacking)}")
        return
    urls = sources.urls()
    line = case.line("CRL", "nowhere", "RFC 5280 6.3", urls=urls, fetching=case.context.fetch)
    if urls:
        line.out(Reason.CRL_MISSING, "none is held, and nothing is fetched")
    else:
        line.out(Reason.CRL_MISSING, "none is held, and neither certificate nor profile name a URL")
        line.result = RevocationOutcome.SKIPPED
