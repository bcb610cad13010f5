"""Judging one candidate path: offline, then identity and AUTH, and for one that passed all of that revocation."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from ikesim.pki.building import Candidate, Ending, Search, is_self_signed
from ikesim.pki.certificates import Certificate, CertificateError, parse
from ikesim.pki.decision import CheckOutcome, LearnedOcsp, PathReport, RevocationOutcome, RevocationSummary
from ikesim.pki.fetching import FetchRequest
from ikesim.pki.opening import Case
from ikesim.pki.path import Checks, check_key, check_scheme, check_signature, check_structure, check_validity, judge
from ikesim.pki.profiles import RevocationMethod, RevocationPolicy
from ikesim.pki.request import CEILINGS, revocation_settings
from ikesim.pki.revocation import RevocationContext, SignerVerdict, check_revocation
from ikesim.reasons import Reason, rank


@dataclass(slots=True)
class Verdict:
    """What one candidate path came to."""

    candidate: Candidate
    checks: Checks
    reason: Reason | None = None
    pending: bool = False
    wanted: tuple[FetchRequest, ...] = ()
    revocation: RevocationSummary | None = None
    policies: frozenset[str] = frozenset()
    learned: list[tuple[str | None, bytes, str]] = field(default_factory=list)
    learned_ocsp: list[LearnedOcsp] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Nothing failed and nothing is outstanding."""
        return self.reason is None and not self.pending

    def report(self) -> PathReport:
        """The path as the decision shows it."""
        return PathReport(
            tuple(item.names for item in self.candidate.certificates), self.reason, self.checks.ordered()
        )


def judge_candidate(case: Case, candidate: Candidate) -> Verdict:
    """Judge a candidate path: offline, then (for one that passed) by revocation. Raises BudgetExceeded."""
    path, policy = candidate.certificates, case.request.policy
    sources = [case.source(item) for item in path]
    checks = Checks(case.common.entries)
    verdict = Verdict(candidate, checks)
    for certificate, issuer in _downward(path):
        check_signature(checks, certificate, issuer, case.source(certificate), case.links)
    top = path[-1]
    if top.der in case.anchors or top.der in case.known:
        judgement = judge(path, sources, policy, case.links)
        checks.extend(judgement.entries)
        verdict.policies = judgement.policies
        _check_group(case, checks, top)
    else:
        for certificate, source in zip(path, sources, strict=True):
            check_structure(checks, certificate, source)
            check_key(checks, certificate, source, policy)
            check_scheme(checks, certificate, source, policy)
    check_validity(checks, path, sources, case.request.at)
    _check_ending(case, checks, candidate)
    failure = checks.failure()
    if failure is not None:
        verdict.reason = failure.reason
    elif case.evidence.auth is not None and case.evidence.auth.kind == "pending":
        verdict.pending = True
    else:
        _check_revocation(case, verdict)
    return verdict


def _check_group(case: Case, checks: Checks, top: Certificate) -> None:
    policy = case.request.policy
    inside = top.der in case.anchors
    anchor = case.anchors[top.der] if inside else case.known[top.der]
    evidence = {
        "group": policy.group,
        "ca_profile": anchor.ca_profile,
        "allowed": tuple(item.ca_profile for item in policy.anchor_list if item.ca_profile),
    }
    checks.add(inside, Reason.CERT_CA_NOT_ALLOWED, "trusted CA group", top.names, case.sources[top.der], evidence)


def _check_ending(case: Case, checks: Checks, candidate: Candidate) -> None:
    """Why the search went no further, where that is no other check."""
    top = candidate.certificates[-1]
    source = case.source(top)
    evidence: dict[str, object] = {"issuer": top.issuer, "ending": candidate.ending.value}
    if candidate.ending is Ending.NO_ISSUER:
        evidence["anchors"] = tuple(case.pool[octets].names for octets in list(case.anchors)[:20])
        checks.add(False, Reason.CERT_NO_ISSUER, "RFC 5280 6.1.3 (a)(4)", top.names, source, evidence)
    elif candidate.ending is Ending.LOOP:
        checks.add(False, Reason.CERT_PATH_LOOP, "RFC 5280 6.1", top.names, source, evidence)
    elif candidate.ending is Ending.DEPTH:
        evidence["max_depth"] = case.request.policy.max_depth
        checks.add(False, Reason.CERT_PATH_LENGTH, "local limit: chain depth", top.names, source, evidence)


# revocation


def _check_revocation(case: Case, verdict: Verdict) -> None:
    """Revocation of every certificate below the anchor, and above a partial one as far as issuers are held."""
    path = verdict.candidate.certificates
    context = RevocationContext(
        at=case.request.at,
        validate_signer=partial(_validate_signer, case, path[-1]),
        budget=case.budget,
        crls=case.evidence.crls,
        ocsp=case.evidence.ocsp,
        fetched=case.evidence.fetched,
        signers=tuple(case.pool.values()),
        responders=_readable(case.evidence.responders),
        crl_loaded_at=case.evidence.crl_loaded_at,
        fetch=case.request.policy.fetch,
        nonce=case.request.nonce,
    )
    worst: tuple[RevocationOutcome, RevocationOutcome, Reason | None] | None = None
    wanted: dict[FetchRequest, None] = {}
    checked = (*_above(case, path[-1]), *_downward(path))
    if case.request.policy.profile.revocation_levels == "end":
        checked = checked[-1:]
    for certificate, issuer in checked:
        found = _revocation_of(case, verdict, certificate, issuer, path[-1], context, wanted)
        if worst is None or _severity(found) > _severity(worst):
            worst = found
    if worst is None:
        return
    outcome, ceiling, reason = worst
    verdict.revocation = RevocationSummary(outcome, ceiling)
    verdict.reason = reason
    if reason is None and wanted:
        verdict.pending = True
        verdict.wanted = tuple(wanted)


def _severity(found: tuple[RevocationOutcome, RevocationOutcome, Reason | None]) -> tuple[bool, int]:
    """Refused before accepted, then by outcome."""
    return found[2] is not None, found[0]


def _downward(path: Sequence[Certificate]) -> list[tuple[Certificate, Certificate]]:
    """Each certificate of a path with its issuer, from below the anchor to the end certificate."""
    return [(path[position], path[position + 1]) for position in range(len(path) - 2, -1, -1)]


def _above(case: Case, anchor: Certificate) -> list[tuple[Certificate, Certificate]]:
    """A partial anchor and what is held above it, each with its issuer, the highest first."""
    found: list[tuple[Certificate, Certificate]] = []
    certificate = anchor
    while len(found) < case.request.policy.max_depth and not is_self_signed(certificate, case.links):
        issuers = Search(tuple(case.pool.values()), {}, {}, case.links, 1).issuers(certificate)
        seen = {item.der for item, _ in found}
        issuer = next(
            (item for item in issuers if item.der not in seen and case.links.verify(certificate, item)), None
        )
        if issuer is None:
            break
        found.append((certificate, issuer))
        certificate = issuer
    return found[::-1]


def _revocation_of(
    case: Case,
    verdict: Verdict,
    certificate: Certificate,
    issuer: Certificate,
    anchor: Certificate,
    context: RevocationContext,
    wanted: dict[FetchRequest, None],
) -> tuple[RevocationOutcome, RevocationOutcome, Reason | None]:
    """One certificate under the settings of its issuer's CA profile, else of the anchor's."""
    configured = case.profiles.get(issuer.der) or case.profiles[anchor.der]
    if certificate.serial in case.evidence.assumed_revoked:
        assumed = {"serial": hex(certificate.serial), "assumed": True}
        verdict.checks.add(False, Reason.CERT_REVOKED, "what if", certificate.names, "assumption", assumed)
        return (
            RevocationOutcome.REVOKED,
            CEILINGS[RevocationPolicy(configured.policy or "strict")],
            Reason.CERT_REVOKED,
        )
    settings = revocation_settings(configured, case.request.policy, case.evidence)
    if settings.policy is RevocationPolicy.OFF or settings.method is RevocationMethod.DISABLE:
        why = {"policy": settings.policy, "method": settings.method, "ca_profile": configured.ca_profile}
        verdict.checks.note(
            CheckOutcome.SKIPPED, Reason.CERT_REVOKED, "RFC 5280 6.3", certificate.names, "configuration", why
        )
        return RevocationOutcome.SKIPPED, max(CEILINGS[settings.policy], RevocationOutcome.SKIPPED), None
    result = check_revocation(certificate, issuer, settings, context)
    place = rank(Reason.CERT_REVOKED)
    verdict.checks.extend([(place, check) for check in result.checks])
    verdict.learned_ocsp.extend(result.learned_ocsp)
    verdict.learned.extend((configured.ca_profile, item.der, item.url) for item in result.learned)
    wanted.update(dict.fromkeys(result.wanted))
    return result.outcome, result.ceiling, result.reason


def _readable(certificates: Iterable[bytes]) -> tuple[Certificate, ...]:
    found = []
    for octets in certificates:
        try:
            found.append(parse(bytes(octets)))
        except CertificateError:
            continue
    return tuple(found)


def _validate_signer(
    case: Case, anchor: Certificate, signer: Certificate, context: RevocationContext
) -> SignerVerdict:
    """RFC 5280 6.3.3 (f): a path from a CRL signer to the same anchor, revocation included. Raises BudgetExceeded."""
    if signer.der == anchor.der:
        return SignerVerdict()
    policy = case.request.policy
    only = {anchor.der: case.anchors[anchor.der]}
    best = SignerVerdict(Reason.CERT_NO_ISSUER)
    for candidate in Search(tuple(case.pool.values()), only, {}, case.links, policy.max_depth).paths(signer):
        case.budget.path()
        path = candidate.certificates
        sources = [case.source(item) for item in path]
        verdict = Verdict(candidate, Checks())
        for certificate, issuer in _downward(path):
            check_signature(verdict.checks, certificate, issuer, case.source(certificate), case.links)
        if candidate.ending is Ending.ANCHOR:
            verdict.checks.extend(judge(path, sources, policy, case.links, signer=True).entries)
            check_validity(verdict.checks, path, sources, case.request.at)
        _check_ending(case, verdict.checks, candidate)
        failure = verdict.checks.failure()
        wanted: dict[FetchRequest, None] = {}
        reason = None if failure is None else failure.reason
        if failure is None:
            for certificate, issuer in _downward(path):
                found = _revocation_of(case, verdict, certificate, issuer, anchor, context, wanted)
                reason = reason or found[2]
        result = SignerVerdict(reason, verdict.checks.ordered(), tuple(wanted) if reason is None else ())
        if reason is None and not wanted:
            return result
        if reason is None or (best.reason is not None and rank(reason) > rank(best.reason)):
            best = result
    return best
