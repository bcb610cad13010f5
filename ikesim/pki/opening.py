"""Opening a case: everything that came and is held is read, and the certificate that AUTH is about is found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ikesim.pki.budget import Budget, BudgetExceeded
from ikesim.pki.building import Links, is_self_signed
from ikesim.pki.certificates import Certificate, CertificateError, parse
from ikesim.pki.decision import Check, CheckOutcome
from ikesim.pki.identity import match_certificate
from ikesim.pki.path import Checks
from ikesim.pki.request import Anchor, Evidence, TrustPolicy, TrustRequest
from ikesim.reasons import Reason

MAX_CERTIFICATES = 48
"""CERT payloads of one peer; the longest chains in the field have ten, and 30 superfluous ones are borne (DC04)."""
MAX_OCTETS = 256 * 1024
"""Of all of them: four times what one IKE message carries without hash and URL."""


@dataclass(slots=True)
class Case:
    """One request with everything read that belongs to it."""

    request: TrustRequest
    evidence: Evidence
    budget: Budget
    links: Links
    end: Certificate
    pool: dict[bytes, Certificate] = field(default_factory=dict)
    """By DER, every certificate that may issue."""
    sources: dict[bytes, str] = field(default_factory=dict)
    anchors: dict[bytes, Anchor] = field(default_factory=dict)
    """By DER, what ends a path."""
    known: dict[bytes, Anchor] = field(default_factory=dict)
    """By DER, what would end a path if it were in the group."""
    profiles: dict[bytes, Anchor] = field(default_factory=dict)
    """By DER, what is configured about every CA held, whether it may end a path or only link."""
    common: Checks = field(default_factory=Checks)
    """The checks that are the same for every path: what came, the identity, AUTH."""

    def source(self, certificate: Certificate) -> str:
        """Where a certificate came from."""
        return self.sources.get(certificate.der, "revocation evidence")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why no path can even be searched."""

    check: Check


def open_case(request: TrustRequest, evidence: Evidence) -> Case | Refusal:
    """Read what came and what is held, and find the end certificate."""
    count, octets = len(request.certificates), sum(map(len, request.certificates))
    if not count:
        reason = Reason.CERT_ENCODING if request.encodings else Reason.CERT_NOT_SENT
        return _refuse(reason, "RFC 7296 3.6", "CERT", {"encodings": tuple(request.encodings)})
    if count > MAX_CERTIFICATES or octets > MAX_OCTETS:
        limits = {"certificates": count, "octets": octets, "limits": (MAX_CERTIFICATES, MAX_OCTETS)}
        return _refuse(Reason.CERT_TOO_MANY, "local limit", "CERT", limits)
    sent: list[Certificate] = []
    unreadable: dict[int, str] = {}
    for position, sent_octets in enumerate(request.certificates, start=1):
        try:
            sent.append(parse(sent_octets))
        except CertificateError as error:
            unreadable[position] = str(error)
    end = _end_certificate(sent, first_unreadable=1 in unreadable)
    if end is None:
        position, problem = next(iter(unreadable.items()))
        found = {"problem": problem, "position": position, "certificates": count}
        return _refuse(Reason.CERT_MALFORMED, "RFC 5280 4.1", f"CERT {position}", found)
    budget = Budget()
    case = Case(request, evidence, budget, Links(budget), end)
    try:
        _take_anchors(case, request.policy)
    except BudgetExceeded as error:
        return _refuse(Reason.CERT_PATH_BUDGET, "RFC 5280 6 (local limit)", "anchors", {"problem": str(error)})
    for certificate in sent:
        _take(case, certificate.der, "peer")
    for held in evidence.intermediates:
        _take(case, bytes(held), "store")
    position = request.certificates.index(end.der) + 1
    came = {"certificates": count, "end_certificate": position, "unreadable": unreadable}
    case.common.note(CheckOutcome.INFO, Reason.CERT_NOT_SENT, "RFC 7296 3.6", end.names, "peer", came)
    _check_identity(case)
    _check_auth(case)
    return case


def _refuse(reason: Reason, rule: str, subject: str, evidence: Mapping[str, object]) -> Refusal:
    return Refusal(Check(rule, subject, CheckOutcome.FAIL, evidence, "peer", reason))


def _end_certificate(sent: Sequence[Certificate], *, first_unreadable: bool) -> Certificate | None:
    """The certificate that AUTH is about: the first (RFC 7296 3.6), unless that one is plainly an issuer.

    So that the order of CERT payloads decides nothing else: a certificate that issued none of the others and is no CA
    goes before one that did or is.
    """
    issuers = {item.issuer for item in sent if not item.is_self_issued}
    ranked = [(item.subject in issuers, item.is_ca) for item in sent]
    if first_unreadable and (False, False) not in ranked:
        return None
    return sent[ranked.index(min(ranked))] if sent else None


def _take(case: Case, octets: bytes, source: str) -> Certificate | None:
    """Put a certificate into the pool; what cannot be read is left out."""
    if octets in case.pool:
        return case.pool[octets]
    try:
        certificate = parse(octets)
    except CertificateError:
        return None
    case.pool[octets] = certificate
    case.sources[octets] = source
    return certificate


def _take_anchors(case: Case, policy: TrustPolicy) -> None:
    """Anchors and known CAs, where their certificate may end a path; all of them may link."""
    for listed, target, source in (
        (policy.anchor_list, case.anchors, "anchor"),
        (policy.known_list, case.known, "store"),
    ):
        for anchor in listed:
            certificate = _take(case, anchor.certificate, source)
            if certificate is None or certificate.der in case.anchors:
                continue
            case.profiles.setdefault(certificate.der, anchor)
            if policy.allows_partial(anchor) or is_self_signed(certificate, case.links):
                target[certificate.der] = anchor
            else:
                case.sources[certificate.der] = "store"


def _check_identity(case: Case) -> None:
    identity, expected = case.request.identity, case.request.expected
    if identity is None:
        return
    if problem := identity.problem:
        evidence: Mapping[str, object] = {"identity": identity, "problem": problem}
        case.common.add(False, Reason.ID_INVALID, "RFC 7296 3.5", str(identity), "peer", evidence)
        return
    wildcard = case.request.policy.profile.wildcard_san == "expand"
    match = match_certificate(identity, case.end, wildcard_san=wildcard)
    case.common.add(match.proved, Reason.ID_MISMATCH, match.rule, case.end.names, "peer", match.evidence)
    if expected is not None:
        allowed = expected.matches(identity)
        case.common.add(
            allowed.proved, Reason.ID_NOT_ALLOWED, allowed.rule, str(identity), "configuration", allowed.evidence
        )


def _check_auth(case: Case) -> None:
    auth = case.evidence.auth
    if auth is None or auth.kind == "none":
        return
    subject = str(case.request.identity) if case.request.identity is not None else case.end.names
    if auth.kind == "pending":
        case.common.note(
            CheckOutcome.SKIPPED, Reason.AUTH_BAD_SIGNATURE, "RFC 7296 2.15", subject, "peer", {"auth": "pending"}
        )
    else:
        reason = auth.reason or Reason.AUTH_BAD_SIGNATURE
        case.common.add(auth.kind == "verified", reason, "RFC 7296 2.15", subject, "peer", auth.evidence)
