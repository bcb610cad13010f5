"""RFC 5280 section 6.1 over one path, its state variables written out, every comparison kept as a Check.

Certificates are processed from below the anchor to the end certificate; the checks are then put in the order of the
table of reasons, so that the first one that failed is what the path failed of. What an anchor's own certificate says
about path length and names is applied (RFC 5937), its policies are not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter

from ikesim.pki import certificates as x509
from ikesim.pki.budget import Budget
from ikesim.pki.building import Links
from ikesim.pki.caching import Cache
from ikesim.pki.certificates import Certificate, CertificateError, key_usage_names
from ikesim.pki.constraints import Level, level, violation
from ikesim.pki.decision import Check, CheckOutcome
from ikesim.pki.policy import PolicyState
from ikesim.pki.publickeys import key_strength
from ikesim.pki.request import RuleProfile, TrustPolicy
from ikesim.reasons import TRUST_REASONS, Reason, rank

IKE_PURPOSES = {
    "1.3.6.1.5.5.7.3.17": "ipsecIKE",
    "2.5.29.37.0": "anyExtendedKeyUsage",
    "1.3.6.1.5.5.8.2.2": "iKEIntermediate",
}
TLS_PURPOSES = {"1.3.6.1.5.5.7.3.1": "serverAuth", "1.3.6.1.5.5.7.3.2": "clientAuth"}
_PURPOSES = {
    **IKE_PURPOSES,
    **TLS_PURPOSES,
    "1.3.6.1.5.5.7.3.3": "codeSigning",
    "1.3.6.1.5.5.7.3.4": "emailProtection",
    "1.3.6.1.5.5.7.3.8": "timeStamping",
    "1.3.6.1.5.5.7.3.9": "OCSPSigning",
}


_PLACES = {reason: rank(reason) for reason in TRUST_REASONS}
_place_of = itemgetter(0)


class Checks:
    """The checks of one path as they are made, each at the place in the table of reasons where it would fail."""

    __slots__ = ("_entries", "_failed")

    def __init__(self, entries: Sequence[tuple[int, Check]] = ()) -> None:
        self._entries: list[tuple[int, Check]] = []
        self._failed: list[tuple[int, Check]] = []
        self.extend(entries)

    def add(
        self,
        passed: bool,
        reason: Reason,
        rule: str,
        subject: str,
        source: str,
        evidence: Mapping[str, object],
    ) -> None:
        """A check that passed, or that failed with `reason`."""
        if passed:
            self._entries.append((_PLACES[reason], Check(rule, subject, CheckOutcome.PASS, evidence, source)))
        else:
            entry = (_PLACES[reason], Check(rule, subject, CheckOutcome.FAIL, evidence, source, reason))
            self._entries.append(entry)
            self._failed.append(entry)

    def note(
        self,
        outcome: CheckOutcome,
        reason: Reason,
        rule: str,
        subject: str,
        source: str,
        evidence: Mapping[str, object],
    ) -> None:
        """A check that was skipped or only informs, at the place of `reason`."""
        self._entries.append((_PLACES[reason], Check(rule, subject, outcome, evidence, source)))

    def extend(self, entries: Sequence[tuple[int, Check]]) -> None:
        """Checks that were made before."""
        self._entries += entries
        self._failed += [entry for entry in entries if entry[1].outcome is CheckOutcome.FAIL]

    @property
    def entries(self) -> tuple[tuple[int, Check], ...]:
        """Place and check, as made."""
        return tuple(self._entries)

    def ordered(self) -> tuple[Check, ...]:
        """In the order of the table of reasons, within one place as made."""
        return tuple(check for _, check in sorted(self._entries, key=_place_of))

    def failure(self) -> Check | None:
        """The first check that failed."""
        return min(self._failed, key=_place_of)[1] if self._failed else None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the rules that do not depend on the time say about a path."""

    entries: tuple[tuple[int, Check], ...]
    policies: frozenset[str] = frozenset()
    """user-constrained-policy-set."""
    authorities: frozenset[str] = frozenset()
    """authorities-constrained-policy-set."""
    names_spent: int = 0
    policies_spent: int = 0


_JUDGEMENTS: Cache[tuple[object, ...], Judgement] = Cache("paths", 512)


def judge(
    path: Sequence[Certificate], sources: Sequence[str], policy: TrustPolicy, links: Links, *, signer: bool = False
) -> Judgement:
    """RFC 5280 6.1 over `path` (end certificate first, anchor last), but for signatures and validity.

    `signer`: the end certificate signs CRLs, so that the rules for IKE's end certificates and for policies do not
    apply. Remembered by path, sources and rules; signatures and the budget are not. Raises BudgetExceeded.
    """
    key = (tuple(item.der for item in path), tuple(sources), policy.path_rules, signer)
    budget = links.budget
    known = _JUDGEMENTS.get(key)
    if known is not None:
        budget.name(known.names_spent)
        budget.policy(known.policies_spent)
        return known
    names, policies = budget.names, budget.policies
    made = _judge(path, sources, policy, budget, signer)
    made = Judgement(made.entries, made.policies, made.authorities, names - budget.names, policies - budget.policies)
    return _JUDGEMENTS.put(key, made)


def _judge(
    path: Sequence[Certificate], sources: Sequence[str], policy: TrustPolicy, budget: Budget, signer: bool
) -> Judgement:
    checks = Checks()
    anchor = path[-1]
    length = len(path) - 1
    # 6.1.2 Initialization, with the anchor's own constraints (RFC 5937 3.2)
    state = _State(
        max_path_length=length,
        levels=[],
        policy=PolicyState.start(
            length,
            budget,
            () if signer else policy.policies,
            explicit=policy.explicit_policy and not signer,
            inhibit_any=policy.inhibit_any_policy and not signer,
            inhibit_mapping=policy.inhibit_policy_mapping and not signer,
            obeys_constraints=policy.profile.policy_constraints == "obey",
        ),
    )
    check_key(checks, anchor, sources[-1], policy)
    check_structure(checks, anchor, sources[-1])
    _check_ca(checks, anchor, sources[-1], policy.profile, anchor=True)
    _check_critical(checks, anchor, sources[-1], "RFC 5937 3.2")
    _take_constraints(state, anchor)
    for position in range(length - 1, -1, -1):
        certificate, issuer, source = path[position], path[position + 1], sources[position]
        final = position == 0
        check_structure(checks, certificate, source)
        # 6.1.3 Basic Certificate Processing
        checks.add(
            True,
            Reason.CERT_NO_ISSUER,
            "RFC 5280 6.1.3 (a)(4)",
            certificate.names,
            source,
            {"issuer": certificate.issuer, "found": issuer.names},
        )
        check_scheme(checks, certificate, source, policy)
        if final or not certificate.is_self_issued:
            _check_names(checks, certificate, source, state.levels, budget)
        if not signer:
            _check_policy(checks, certificate, source, state.policy, final)
        check_key(checks, certificate, source, policy)
        if not final:
            # 6.1.4 Preparation for Certificate i+1
            if not signer:
                problem = state.policy.prepare(certificate)
                if certificate.policy_mappings:
                    evidence = {"mappings": certificate.policy_mappings, "problem": problem or "none"}
                    checks.add(
                        not problem, Reason.CERT_POLICY, "RFC 5280 6.1.4 (a)", certificate.names, source, evidence
                    )
            _check_ca(checks, certificate, source, policy.profile, anchor=False)
            if not certificate.is_self_issued:
                checks.add(
                    state.max_path_length > 0,
                    Reason.CERT_PATH_LENGTH,
                    "RFC 5280 6.1.4 (l)",
                    certificate.names,
                    source,
                    {"max_path_length": state.max_path_length, "set_by": state.path_length_set_by},
                )
                state.max_path_length = max(0, state.max_path_length - 1)
            _take_constraints(state, certificate)
            _check_critical(checks, certificate, source, "RFC 5280 6.1.4 (o)")
    # 6.1.5 Wrap-Up Procedure
    end, source = path[0], sources[0]
    _check_critical(checks, end, source, "RFC 5280 6.1.5 (f)")
    if signer:
        return Judgement(checks.entries)
    satisfied, authorities, user = state.policy.wrap_up(end)
    checks.add(
        satisfied,
        Reason.CERT_POLICY,
        "RFC 5280 6.1.5 (g)",
        end.names,
        source,
        {
            "explicit_policy": state.policy.explicit_policy,
            "wanted": state.policy.initial,
            "authorities_constrained": authorities,
            "user_constrained": user,
        },
    )
    _check_end(checks, end, source, policy.profile)
    return Judgement(checks.entries, user, authorities)


@dataclass(slots=True)
class _State:
    """The state variables of RFC 5280 6.1.2 that are not about policies.

    working_public_key and working_issuer_name are the certificate above; signatures are verified by the search.
    """

    max_path_length: int
    levels: list[Level]
    """permitted_subtrees and excluded_subtrees, one level for each certificate that sets any."""
    policy: PolicyState
    path_length_set_by: str = field(default="the length of the path")


def _take_constraints(state: _State, certificate: Certificate) -> None:
    """6.1.4 (g) and (m): what a CA certificate sets for those below it."""
    constraints = certificate.basic_constraints
    limit = None if constraints is None else constraints.path_length
    if limit is not None and limit < state.max_path_length:
        state.max_path_length = limit
        state.path_length_set_by = certificate.names
    subtrees = level(certificate)
    if subtrees is not None:
        state.levels.append(subtrees)


def check_signature(checks: Checks, certificate: Certificate, issuer: Certificate, source: str, links: Links) -> None:
    """6.1.3 (a)(1). Raises BudgetExceeded."""
    verified = links.verify(certificate, issuer)
    evidence = {"issuer": issuer.names, "algorithm": certificate.algorithm.label}
    rule, subject = "RFC 5280 6.1.3 (a)(1)", certificate.names
    if verified is None:
        evidence["problem"] = "the issuer's key cannot be used"
        checks.note(CheckOutcome.SKIPPED, Reason.CERT_BAD_SIGNATURE, rule, subject, source, evidence)
    else:
        checks.add(verified, Reason.CERT_BAD_SIGNATURE, rule, subject, source, evidence)


def check_scheme(checks: Checks, certificate: Certificate, source: str, policy: TrustPolicy) -> None:
    """The policy for signatures on certificates."""
    scheme = certificate.algorithm.scheme
    evidence = {"algorithm": certificate.algorithm.label, "allowed": policy.schemes}
    checks.add(
        scheme in policy.schemes,
        Reason.CERT_SIGNATURE_WEAK,
        "policy: signature schemes",
        certificate.names,
        source,
        evidence,
    )


def check_key(checks: Checks, certificate: Certificate, source: str, policy: TrustPolicy) -> None:
    """The subject's key: possible, and strong enough."""
    rule, subject = "RFC 5280 4.1.2.7", certificate.names
    try:
        kind, bits = key_strength(certificate.public_key)
    except CertificateError as error:
        checks.add(False, Reason.KEY_INVALID, rule, subject, source, {"problem": str(error)})
        return
    checks.add(True, Reason.KEY_INVALID, rule, subject, source, {"key": kind, "bits": bits})
    minimum = {"rsa": policy.strength.rsa, "dsa": policy.strength.rsa, "ecdsa": policy.strength.ecdsa}.get(kind, 0)
    evidence = {"key": kind, "bits": bits, "minimum": minimum}
    checks.add(bits >= minimum, Reason.KEY_WEAK, "policy: minimum strength", subject, source, evidence)


def check_validity(checks: Checks, path: Sequence[Certificate], sources: Sequence[str], at: datetime) -> None:
    """6.1.3 (a)(2) for every certificate, the anchor's own among them."""
    for certificate, source in zip(reversed(path), reversed(sources), strict=True):
        early = at < certificate.not_before
        valid = not early and at <= certificate.not_after
        evidence: dict[str, object] = {"not_before": certificate.not_before, "not_after": certificate.not_after}
        if not valid:
            evidence["at"] = at
        reason = Reason.CERT_NOT_YET_VALID if early else Reason.CERT_EXPIRED
        checks.add(valid, reason, "RFC 5280 6.1.3 (a)(2)", certificate.names, source, evidence)


def check_structure(checks: Checks, certificate: Certificate, source: str) -> None:
    """RFC 5280 section 4: every defect of a certificate, or that there is none."""
    defects = certificate.defects
    for defect in defects:
        checks.add(False, Reason.CERT_MALFORMED, defect.rule, certificate.names, source, {"problem": defect.message})
    if not defects:
        evidence = {"version": certificate.version, "extensions": len(certificate.extensions)}
        checks.add(True, Reason.CERT_MALFORMED, "RFC 5280 4.1", certificate.names, source, evidence)


def _check_ca(checks: Checks, certificate: Certificate, source: str, profile: RuleProfile, *, anchor: bool) -> None:
    """6.1.4 (k) and (n). A version 1 certificate can be a CA only as an anchor, which somebody chose."""
    constraints = certificate.basic_constraints
    if anchor and certificate.version == 1 and constraints is None:
        evidence: dict[str, object] = {"version": 1, "trusted": "as an anchor, by configuration"}
        checks.note(CheckOutcome.INFO, Reason.CERT_NOT_CA, "RFC 5280 6.1.4 (k)", certificate.names, source, evidence)
    else:
        checks.add(
            constraints is not None and constraints.ca,
            Reason.CERT_NOT_CA,
            "RFC 5280 6.1.4 (k)",
            certificate.names,
            source,
            {"basic_constraints": "absent" if constraints is None else f"CA={constraints.ca}".lower()},
        )
    usage = certificate.key_usage
    if usage is not None:
        _by_profile(
            checks,
            bool(usage & x509.KEY_CERT_SIGN),
            profile.issuer_usage == "ignore",
            Reason.CERT_NOT_CA,
            "RFC 5280 6.1.4 (n)",
            certificate,
            source,
            {"key_usage": key_usage_names(usage), "needed": "keyCertSign", "profile": profile.name},
        )


def _check_critical(checks: Checks, certificate: Certificate, source: str, rule: str) -> None:
    unknown = certificate.critical
    checks.add(not unknown, Reason.CERT_CRITICAL_EXT, rule, certificate.names, source, {"unknown_critical": unknown})


def _check_names(
    checks: Checks, certificate: Certificate, source: str, levels: Sequence[Level], budget: Budget
) -> None:
    """6.1.3 (b)(c)."""
    if not levels:
        return
    found = violation(certificate, levels, budget)
    set_by = tuple(item.issuer for item in levels)
    evidence: dict[str, object] = {"constrained_by": set_by}
    if found is not None:
        evidence = {
            "name": found.name,
            "problem": found.kind,
            "constrained_by": found.issuer,
            "subtrees": found.constraints,
        }
    checks.add(
        found is None, Reason.CERT_NAME_CONSTRAINT, "RFC 5280 6.1.3 (b)(c)", certificate.names, source, evidence
    )


def _check_policy(checks: Checks, certificate: Certificate, source: str, state: PolicyState, final: bool) -> None:
    """6.1.3 (d)-(f)."""
    satisfied = state.process(certificate, final)
    checks.add(
        satisfied,
        Reason.CERT_POLICY,
        "RFC 5280 6.1.3 (f)",
        certificate.names,
        source,
        {
            "explicit_policy": state.explicit_policy,
            "certificate_policies": certificate.policies or (),
            "valid_policies": "none" if state.levels is None else tuple(state.levels[-1]),
        },
    )


def _check_end(checks: Checks, end: Certificate, source: str, profile: RuleProfile) -> None:
    """RFC 4945 5.1.3: what the end certificate may be used for, by rule profile."""
    usage = end.key_usage
    if usage is not None:
        _by_profile(
            checks,
            bool(usage & (x509.DIGITAL_SIGNATURE | x509.CONTENT_COMMITMENT)),
            profile.key_usage == "ignore",
            Reason.CERT_KEY_USAGE,
            "RFC 4945 5.1.3.2",
            end,
            source,
            {
                "key_usage": key_usage_names(usage),
                "needed": "digitalSignature or nonRepudiation",
                "profile": profile.name,
            },
        )
    purposes = end.extended_key_usage
    if purposes is not None:
        accepted = {**IKE_PURPOSES, **TLS_PURPOSES} if profile.eku == "ike-or-tls" else IKE_PURPOSES
        _by_profile(
            checks,
            any(purpose in accepted for purpose in purposes),
            profile.eku == "ignore",
            Reason.CERT_EKU,
            "RFC 4945 5.1.3.12",
            end,
            source,
            {
                "extended_key_usage": tuple(_PURPOSES.get(purpose, purpose) for purpose in purposes),
                "needed": tuple(accepted.values()),
                "profile": profile.name,
            },
        )
    if end.is_ca:
        _by_profile(
            checks,
            False,
            profile.end_ca == "accept",
            Reason.CERT_END_IS_CA,
            "RFC 4945 5.1.3.9",
            end,
            source,
            {"basic_constraints": "ca=true", "profile": profile.name},
        )


def _by_profile(
    checks: Checks,
    passed: bool,
    ignored: bool,
    reason: Reason,
    rule: str,
    certificate: Certificate,
    source: str,
    evidence: Mapping[str, object],
) -> None:
    """A check that a rule profile may ignore: then it only informs."""
    if passed or not ignored:
        checks.add(passed, reason, rule, certificate.names, source, evidence)
    else:
        checks.note(CheckOutcome.INFO, reason, rule, certificate.names, source, evidence)
