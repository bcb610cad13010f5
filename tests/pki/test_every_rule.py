"""Every rule that a decision can fail by has a pair of inputs that differ in one fact and flip that one check.

A pair's second half is refused with this reason, by a check with this rule and about this subject, and no other check
fails but those that say the same again (the verdict that sums up a certificate's revocation) or must follow from it.
The rules of paths alone are in `test_path_rules.PAIRS`; the last tests read the source and say what has no pair.
"""

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import ikesim.pki
from ikesim.pki import (
    Anchor,
    AuthState,
    CheckOutcome,
    Evidence,
    FetchResult,
    Identity,
    IdentityPattern,
    RuleProfile,
    TrustDecision,
    TrustPolicy,
    TrustRequest,
    decide,
)
from ikesim.pki.authority import Authority, Extension
from ikesim.pki.profiles import OcspSettings
from ikesim.reasons import TRUST_REASONS, Reason
from ikesim.wire.registry import IdType
from tests.pki.test_path_rules import BOB, IMPOSSIBLE, PAIRS, ROOT, SUB
from tests.pki.trust_world import DAY, NOW, Hierarchy, failed, key, leaf, root, under

HOUR = timedelta(hours=1)
VERDICT = "RFC 5280 6.3.3"
UNKNOWN = "1.3.6.1.4.1.99999.9"
FQDN = "fqdn:bob.example"


@dataclass(frozen=True)
class Pair:
    rule: str
    subject: str
    reason: str
    good: Callable[[], TrustDecision]
    bad: Callable[[], TrustDecision]
    follows: tuple[tuple[str, str], ...] = field(default=())
    """Checks that cannot but fail too: (rule, subject)."""

    def __str__(self) -> str:
        return f"{self.reason} by {self.rule} of {self.subject}"


def plain(**changed: Any) -> Callable[[], TrustDecision]:
    return lambda: Hierarchy().decide(**changed)


def leaf_with(**knobs: Any) -> Callable[[], TrustDecision]:
    return lambda: Hierarchy(leaf_knobs=knobs).decide()


def proving(identity: str, san: str) -> Callable[[], TrustDecision]:
    return lambda: Hierarchy(leaf_knobs={"sans": (san,)}).decide(identity=identity)


def loop(closed: bool) -> TrustDecision:
    """bob below one, one below two; two below the root, or below one again."""
    top = root()
    two = under(top, "two")
    one = under(two, "one")
    again = one.cross_sign(two, NOW - 50 * DAY)
    end = leaf(one)
    above = again if closed else two.certificate
    policy = TrustPolicy(anchors=[top.certificate], revocation="off")
    return decide(TrustRequest(certificates=[end.certificate, one.certificate, above], policy=policy, at=NOW))


def lookalikes(count: int) -> TrustDecision:
    """As many CAs of the issuer's name, none of which has its key, and all of which look likelier."""
    likely = b"likely"
    world = Hierarchy(leaf_knobs={"authority_key_id": likely})
    others = [
        under(world.root, private_key=key(f"lookalike {number}"), subject_key_id=likely) for number in range(count)
    ]
    request = [world.leaf.certificate, *(item.certificate for item in others)]
    policy = TrustPolicy(anchors=[world.root.certificate], revocation="off")
    evidence = Evidence(intermediates=[world.sub.certificate])
    return decide(TrustRequest(certificates=request[:40], policy=policy, at=NOW), _and(evidence, request[40:]))


def _and(evidence: Evidence, more: Sequence[bytes]) -> Evidence:
    return Evidence(intermediates=[*evidence.intermediates, *more])


def many(count: int) -> TrustDecision:
    world = Hierarchy()
    extra = [
        Authority.create(f"other {n}", now=NOW - DAY, private_key=key(f"other {n}")).certificate
        for n in range(count - 2)
    ]
    return world.decide(certificates=[*world.sent, *extra])


def identified(identity: Identity) -> Callable[[], TrustDecision]:
    world = Hierarchy()
    policy = TrustPolicy(anchors=[world.root.certificate], revocation="off")
    return lambda: decide(TrustRequest(certificates=world.sent, identity=identity, policy=policy, at=NOW))


def group(inside: bool) -> TrustDecision:
    world, other = Hierarchy(), root("other")
    anchors, known = ([world.root, other], []) if inside else ([other], [world.root])
    return world.decide(
        anchors=[Anchor(item.certificate) for item in anchors], known=[Anchor(item.certificate) for item in known]
    )


def unreadable(number: str) -> Callable[[], TrustDecision]:
    """An extension whose value is not what its type says."""
    name = f"2.5.29.{number}"
    return leaf_with(without=(name,), extra=(Extension(name, False, b"\xff"),))


def impossible(name: str) -> Callable[[], TrustDecision]:
    return leaf_with(public_key_info=IMPOSSIBLE[name])


TRUST: list[Pair] = [
    Pair("RFC 7296 3.6", "CERT", "cert-not-sent", plain(), plain(certificates=[])),
    Pair("RFC 7296 3.6", "CERT", "cert-encoding", plain(), plain(certificates=[], request={"encodings": (1,)})),
    Pair("local limit", "CERT", "cert-too-many", lambda: many(48), lambda: many(49)),
    Pair("RFC 5280 4.1", "CERT 1", "cert-malformed", plain(), plain(certificates=[b"\x30\x03\x02\x01\x01"])),
    Pair("RFC 5280 6 (local limit)", BOB, "cert-path-budget", lambda: lookalikes(20), lambda: lookalikes(120)),
    Pair(
        "RFC 5280 6.1.3 (a)(4)",
        BOB,
        "cert-no-issuer",
        plain(),
        lambda: Hierarchy().decide(certificates=Hierarchy().sent[:1]),
    ),
    Pair("RFC 5280 6.1", "CN=two", "cert-path-loop", lambda: loop(False), lambda: loop(True)),
    Pair("trusted CA group", ROOT, "cert-ca-not-allowed", lambda: group(True), lambda: group(False)),
    Pair("local limit: chain depth", ROOT, "cert-path-length", plain(max_depth=2), plain(max_depth=1)),
    Pair("RFC 5280 4.1.2.7", BOB, "key-invalid", plain(), impossible("RSA exponent even")),
    Pair("RFC 5280 4.1.2.7", BOB, "key-invalid", plain(), impossible("EC point off the curve")),
    Pair(
        "RFC 5280 4.1.2.4",
        BOB,
        "cert-malformed",
        plain(),
        leaf_with(issuer_name=b"\x30\x00"),
        (("RFC 5280 6.1.3 (a)(4)", BOB),),
    ),
    *(
        Pair(f"RFC 5280 4.2.1.{section}", BOB, "cert-malformed", plain(), unreadable(number))
        for section, number in (
            *(("1", "35"), ("2", "14"), ("3", "15"), ("4", "32"), ("5", "33"), ("9", "19"), ("10", "30")),
            *(("11", "36"), ("12", "37"), ("14", "54")),
        )
    ),
    Pair(
        "RFC 5280 4.2.1.6",
        BOB,
        "cert-malformed",
        plain(),
        unreadable("17"),
        (("RFC 4945 3.1.2", BOB),),
    ),
    Pair(
        "RFC 5280 6.1.3 (b)(c)",
        BOB,
        "cert-name-constraint",
        lambda: Hierarchy(sub_knobs={"permitted": ("fqdn:example",)}).decide(),
        lambda: Hierarchy(sub_knobs={"permitted": ("fqdn:example.net",)}).decide(),
    ),
    Pair(
        "RFC 5280 6.1.3 (f)",
        BOB,
        "cert-policy",
        lambda: Hierarchy(
            sub_knobs={"require_explicit": 0, "policies": ("1.2.3",)}, leaf_knobs={"policies": ("1.2.3",)}
        ).decide(),
        lambda: Hierarchy(sub_knobs={"require_explicit": 0, "policies": ("1.2.3",)}).decide(),
        (("RFC 5280 6.1.5 (g)", BOB),),
    ),
    Pair(
        "RFC 5280 6.1.4 (a)",
        SUB,
        "cert-policy",
        lambda: mapped("1.2.3"),
        lambda: mapped("2.5.29.32.0"),
    ),
    Pair(
        "RFC 5280 6.1.5 (g)",
        BOB,
        "cert-policy",
        lambda: wanting("1.2.3"),
        lambda: wanting("1.2.4"),
    ),
    Pair(
        "RFC 4945 5.1.3.12",
        BOB,
        "cert-eku",
        leaf_with(extended_key_usage=("ipsecIKE",)),
        leaf_with(extended_key_usage=("codeSigning",)),
    ),
    Pair(
        "RFC 4945 5.1.3.9",
        BOB,
        "cert-end-is-ca",
        plain(profile=RuleProfile.LIBRESWAN),
        lambda: Hierarchy(leaf_knobs={"ca": True, "key_usage": ("digitalSignature", "keyCertSign")}).decide(
            profile=RuleProfile.LIBRESWAN
        ),
    ),
    Pair(
        "RFC 7296 3.5",
        "fqdn:bob\\u{0}.example",
        "id-invalid",
        identified(Identity(IdType.ID_FQDN, b"bob.example")),
        identified(Identity(IdType.ID_FQDN, b"bob\x00.example")),
    ),
    *(
        Pair(rule, BOB, "id-mismatch", proving(identity, identity), proving(identity, other))
        for rule, identity, other in (
            ("RFC 4945 3.1.1", "ipv4:192.0.2.1", "ipv4:192.0.2.2"),
            ("RFC 4945 3.1.1", "ipv6:2001:db8::1", "ipv4:192.0.2.1"),
            ("RFC 4945 3.1.2", FQDN, "fqdn:bob.example.net"),
            ("RFC 4945 3.1.3", "rfc822:bob@example", "rfc822:Bob@example"),
        )
    ),
    Pair("RFC 4945 3.1.5", BOB, "id-mismatch", plain(identity="dn:CN=bob"), plain(identity="dn:CN=rob")),
    Pair(
        "RFC 4945 3.1.7",
        BOB,
        "id-mismatch",
        lambda: Hierarchy(leaf_knobs={"subject_key_id": b"0123"}).decide(identity="key-id:0123"),
        lambda: Hierarchy(leaf_knobs={"subject_key_id": b"0124"}).decide(identity="key-id:0123"),
    ),
    Pair(
        "RFC 4301 4.4.3",
        FQDN,
        "id-not-allowed",
        plain(request={"expected": IdentityPattern.parse("fqdn:*.example")}),
        plain(request={"expected": IdentityPattern.parse("fqdn:*.net")}),
    ),
    *(
        Pair(
            "RFC 7296 2.15",
            FQDN,
            reason.value,
            plain(evidence=Evidence(auth=AuthState.verified({}))),
            plain(evidence=Evidence(auth=AuthState.failed(reason, {}))),
        )
        for reason in Reason
        if reason.value.startswith("auth-")
    ),
]


def mapped(policy: str) -> TrustDecision:
    """A CA that maps a policy to this one."""
    knobs = {"policies": ("1.2.3",), "policy_mappings": (("1.2.3", policy),)}
    return Hierarchy(sub_knobs=knobs, leaf_knobs={"policies": ("1.2.3",)}).decide()


def wanting(policy: str) -> TrustDecision:
    world = Hierarchy(sub_knobs={"policies": ("1.2.3",)}, leaf_knobs={"policies": ("1.2.3",)})
    return world.decide(policies=(policy,), explicit_policy=True)


# revocation


def by_crl(sub: Mapping[str, Any] | None = None, **knobs: Any) -> Callable[[], TrustDecision]:
    """bob judged by a CRL of his CA with these knobs; `sub` are the CA's own."""

    def judged() -> TrustDecision:
        world = Hierarchy(sub_knobs=dict(sub or {}))
        given = dict(knobs)
        reason = given.pop("revoked", None)
        if reason:
            world.sub.revoke(world.leaf.certificate, reason, at=NOW - HOUR)
        crl = world.sub.crl(given.pop("now", NOW - HOUR), **given)
        return world.decide(revocation="strict", evidence=Evidence(crls=[world.root.crl(NOW - DAY), crl]))

    return judged


def held(*numbers: int) -> TrustDecision:
    """A delta CRL that builds on number 4, and complete CRLs of these numbers."""
    world = Hierarchy()
    complete = [world.sub.crl(NOW - 2 * HOUR, number=number) for number in numbers]
    world.sub.crl(NOW - 3 * HOUR, number=4)
    delta = world.sub.crl(NOW - HOUR, number=6, delta_base=4)
    return world.decide(revocation="strict", evidence=Evidence(crls=[world.root.crl(NOW - DAY), *complete, delta]))


def without_crl(missing: bool) -> TrustDecision:
    world = Hierarchy()
    crls = world.crls()[:1] if missing else world.crls()
    return world.decide(revocation="strict", evidence=Evidence(crls=crls))


CDP = "http://crl.example/sub.crl"
AIA = "http://ocsp.example/"


def fetching(answer: Callable[[Hierarchy], FetchResult], *held: Callable[[Hierarchy], bytes]) -> TrustDecision:
    """bob's CRL is fetched, with this outcome."""
    world = Hierarchy(sub_knobs={"crl_at": (CDP,)})
    evidence = Evidence(crls=[world.root.crl(NOW - DAY), *(make(world) for make in held)])
    policy: dict[str, Any] = {"revocation": "strict", "fetch": True}
    first = world.decide(evidence=evidence, **policy)
    assert [item.url for item in first.wanted] == [CDP]
    return world.decide(
        evidence=Evidence(crls=evidence.crls, fetched={item: answer(world) for item in first.wanted}), **policy
    )


def served(world: Hierarchy) -> FetchResult:
    return FetchResult(NOW, world.sub.crl(NOW - HOUR, number=7))


def by_ocsp(**knobs: Any) -> Callable[[], TrustDecision]:
    """bob judged by a response of his CA with these knobs; his CA's own is good."""

    def judged() -> TrustDecision:
        world = Hierarchy()
        given = dict(knobs)
        made = given.pop("by", None)
        if made is not None:
            given["responder"] = made(world)
        responses = [world.root.ocsp(world.sub.certificate, NOW - HOUR)]
        if not given.pop("missing", False):
            responses.append(world.sub.ocsp(world.leaf.certificate, NOW - HOUR, **given))
        anchor = Anchor(world.root.certificate, method="ocsp")
        return world.decide(anchors=[anchor], revocation="strict", evidence=Evidence(ocsp=responses))

    return judged


def asking(answer: Callable[[Hierarchy, bytes], FetchResult], **settings: Any) -> Callable[[], TrustDecision]:
    """bob's responder is asked, with this outcome."""

    def judged() -> TrustDecision:
        world = Hierarchy(sub_knobs={"ocsp_at": (AIA,)})
        evidence = Evidence(ocsp=[world.root.ocsp(world.sub.certificate, NOW - HOUR)])
        anchor = Anchor(world.root.certificate, method="ocsp", ocsp=OcspSettings(**settings))
        policy: dict[str, Any] = {"anchors": [anchor], "revocation": "strict", "fetch": True}
        first = world.decide(evidence=evidence, **policy)
        assert [item.url for item in first.wanted] == [AIA]
        fetched = {item: answer(world, item.body) for item in first.wanted}
        return world.decide(evidence=Evidence(ocsp=evidence.ocsp, fetched=fetched), **policy)

    return judged


def answered(**knobs: Any) -> Callable[[Hierarchy, bytes], FetchResult]:
    return lambda world, body: FetchResult(NOW, world.sub.respond(body, NOW, **knobs), status=200)


def responder(**knobs: Any) -> Callable[[Hierarchy], Any]:
    return lambda world: world.sub.responder(NOW - 2 * DAY, **knobs)


def revocation(
    reason: str, subject: str, good: Callable[[], TrustDecision], bad: Callable[[], TrustDecision]
) -> Pair:
    rule = TRUST_REASONS[Reason(reason)].rule
    return Pair(rule, subject, reason, good, bad, ((VERDICT, BOB), (rule, subject)))


CRL, OCSP = "CRL 1 of CN=sub", "OCSP response of CN=sub"
REVOCATION: list[Pair] = [
    revocation("crl-missing", "CRL", lambda: without_crl(False), lambda: without_crl(True)),
    revocation("crl-malformed", CRL, by_crl(), by_crl(next_update=None)),
    revocation("crl-critical-ext", CRL, by_crl(), by_crl(critical=UNKNOWN)),
    revocation("crl-bad-issuer", "CRL 1 of CN=elsewhere", by_crl(), by_crl(issuer_name="CN=elsewhere")),
    revocation("crl-signer-usage", CRL, by_crl(), by_crl(sub={"key_usage": ("keyCertSign",)})),
    revocation("crl-bad-signature", CRL, by_crl(), by_crl(tamper=True)),
    revocation("crl-scope", CRL, by_crl(only_user=True), by_crl(only_ca=True)),
    revocation("crl-delta-base", "delta CRL 6 of CN=sub", lambda: held(5), lambda: held()),
    revocation(
        "crl-number-backwards",
        "CRL 7 of CN=sub",
        lambda: fetching(served, lambda world: world.sub.crl(NOW - 9 * DAY, number=6)),
        lambda: fetching(served, lambda world: world.sub.crl(NOW - 9 * DAY, number=8)),
    ),
    revocation("crl-not-yet-valid", CRL, by_crl(now=NOW), by_crl(now=NOW + HOUR)),
    revocation("crl-stale", CRL, by_crl(now=NOW - 7 * DAY), by_crl(now=NOW - 7 * DAY - HOUR)),
    revocation(
        "crl-fetch-failed",
        "CRL",
        lambda: fetching(served),
        lambda: fetching(lambda world: FetchResult(NOW, error="connection refused")),
    ),
    revocation(
        "crl-fetch-refused",
        "CRL",
        lambda: fetching(served),
        lambda: fetching(lambda world: FetchResult(NOW, error="a private address", refused=True)),
    ),
    Pair(VERDICT, BOB, "cert-on-hold", by_crl(), by_crl(revoked="certificate-hold")),
    Pair(VERDICT, BOB, "cert-revoked", by_crl(), by_crl(revoked="key-compromise")),
    Pair(
        "what if",
        BOB,
        "cert-revoked",
        lambda: assumed(0xF00),
        lambda: assumed(None),
    ),
    revocation("ocsp-missing", "OCSP response", by_ocsp(), by_ocsp(missing=True)),
    revocation("ocsp-malformed", OCSP, by_ocsp(), by_ocsp(critical=UNKNOWN)),
    revocation("ocsp-bad-signature", OCSP, by_ocsp(), by_ocsp(tamper=True)),
    revocation("ocsp-error-status", "OCSP response", by_ocsp(), by_ocsp(response_status="try-later")),
    revocation("ocsp-serial-mismatch", OCSP, by_ocsp(), by_ocsp(answer_serial=4711)),
    revocation("ocsp-unknown", OCSP, by_ocsp(status="good"), by_ocsp(status="unknown")),
    revocation("ocsp-stale", OCSP, by_ocsp(next_update=NOW), by_ocsp(next_update=NOW - timedelta(seconds=1))),
    revocation("ocsp-not-yet-valid", OCSP, by_ocsp(), by_ocsp(this_update=NOW + HOUR)),
    revocation(
        "ocsp-signer-not-authorized",
        "OCSP response of CN=sub OCSP",
        by_ocsp(by=responder()),
        by_ocsp(by=responder(extended_key_usage=("serverAuth",))),
    ),
    revocation(
        "ocsp-signer-expired",
        "OCSP response of CN=sub OCSP",
        by_ocsp(by=responder(days=3)),
        by_ocsp(by=responder(days=1)),
    ),
    revocation("ocsp-nonce", OCSP, asking(answered()), asking(answered(nonce=b"\x00" * 32))),
    revocation(
        "ocsp-fetch-failed",
        "OCSP response",
        asking(answered()),
        asking(lambda world, body: FetchResult(NOW, error="timed out")),
    ),
    revocation(
        "ocsp-fetch-refused",
        "OCSP response",
        asking(answered()),
        asking(lambda world, body: FetchResult(NOW, error="a private address", refused=True)),
    ),
]


def assumed(serial: int | None) -> TrustDecision:
    world = Hierarchy(leaf_knobs={"serial": 0xB0B})
    serials = frozenset((0xB0B if serial is None else serial,))
    return world.decide(revocation="strict", evidence=Evidence(crls=world.crls(), assumed_revoked=serials))


@pytest.mark.parametrize("pair", [*TRUST, *REVOCATION], ids=str)
def test_one_fact_flips_one_check(pair: Pair) -> None:
    good, bad = pair.good(), pair.bad()
    assert good.accepted, good.summary
    assert not bad.accepted
    assert bad.reason == pair.reason, bad.summary
    path = next(path for path in bad.paths if path.reason is bad.reason)
    failing = [check for check in path.checks if check.outcome is CheckOutcome.FAIL]
    places = {(check.rule, check.subject) for check in failing}
    assert (pair.rule, pair.subject) in places
    assert places <= {(pair.rule, pair.subject), *pair.follows}
    assert failed(bad).reason == pair.reason
    accepted = next(path for path in good.paths if path.reason is None)
    assert not [check for check in accepted.checks if check.outcome is CheckOutcome.FAIL]


RULE = re.compile(
    r"RFC \d{4} [\d.]+( \([a-z0-9]\))*(\([a-z0-9]\))*( \(local limit\))?|policy: .*|local limit.*|trusted CA group"
)
BY_REASON = {"crl_candidates", "crl_scope", "crl_status", "ocsp_status", "revocation", "revocation_case"}
"""Where a line that falls out takes the rule of its reason; what the source names are lines that did not."""


def rules_in(module: Path) -> set[str]:
    """The rules that a module's source names, docstrings aside."""
    tree = ast.parse(module.read_text())
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in prose
        and RULE.fullmatch(node.value)
    }


def test_every_rule_in_the_source_has_a_pair() -> None:
    folder = Path(ikesim.pki.__file__).parent
    found = {rule for module in folder.glob("*.py") if module.stem not in BY_REASON for rule in rules_in(module)}
    assert len(found) > 40
    paired = {rule for rule, *_ in PAIRS} | {pair.rule for pair in (*TRUST, *REVOCATION)}
    assert found - paired == set()
    assert "RFC 5280 6.1.3 (a)(1)" in found and "trusted CA group" in found


def test_every_reason_has_a_pair() -> None:
    paired = {reason for _, _, reason, _ in PAIRS} | {pair.reason for pair in (*TRUST, *REVOCATION)}
    elsewhere = {"cert-fetch-refused"}  # hash-and-URL is judged where it is fetched
    assert {reason.value for reason in TRUST_REASONS} - paired == elsewhere
