"""The decision as a whole: which path, which reason, what it wants, and that order and caches decide nothing."""

import itertools
import json
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from ikesim.errors import UsageError
from ikesim.pki import (
    Anchor,
    AuthState,
    CheckOutcome,
    Evidence,
    FetchKind,
    FetchResult,
    Identity,
    IdentityPattern,
    RuleProfile,
    TrustDecision,
    TrustPolicy,
    TrustRequest,
    cache_counters,
    clear_caches,
    decide,
)
from ikesim.pki.authority import Authority
from ikesim.pki.profiles import CaProfile, RevocationPolicy, RevocationSettings, TrustedCaGroup
from ikesim.pki.snapshot import TrustStore
from ikesim.pki.trust import build_policy
from ikesim.reasons import Reason
from tests.pki.trust_world import DAY, NOW, Hierarchy, failed, key, leaf, root, under


def test_accepted_as_in_the_interface() -> None:
    hierarchy = Hierarchy()
    decision = decide(
        TrustRequest(
            certificates=hierarchy.sent,
            identity=Identity.parse("fqdn:bob.example"),
            policy=TrustPolicy(anchors=[hierarchy.root.certificate], revocation="strict"),
            at=NOW,
        ),
        Evidence(intermediates=[], crls=hierarchy.crls(), ocsp=[]),
    )
    assert decision.accepted and decision.reason is None
    document = json.loads(json.dumps(decision.to_json()))
    assert set(document) >= {
        "accepted",
        "reason",
        "summary",
        "identity",
        "certificate",
        "trusted_ca_group",
        "ca_profile",
        "revocation",
        "attempts",
        "paths",
    }
    assert document["reason"] is None
    assert document["identity"] == "fqdn:bob.example"
    assert document["certificate"]["subject"] == "CN=bob"
    assert document["certificate"]["issuer"] == "CN=sub"
    assert document["certificate"]["san"] == ["fqdn:bob.example"]
    assert document["certificate"]["not_before"] == (NOW - 10 * DAY - timedelta(hours=1)).isoformat().replace(
        "+00:00", "Z"
    )
    assert document["revocation"] == {"outcome": "good", "ceiling": "good"}
    (path,) = document["paths"]
    assert path["certificates"] == ["CN=bob", "CN=sub", "CN=root"]
    assert set(path["checks"][0]) == {"rule", "subject", "outcome", "evidence", "source"}
    assert {check["outcome"] for check in path["checks"]} <= {"pass", "fail", "skipped", "info"}
    assert decision.summary.count(".") >= 1 and "CN=root" in decision.summary


def test_without_crls_strict_refuses_and_wants_nothing() -> None:
    decision = Hierarchy().decide(revocation="strict")
    assert decision.reason == "crl-missing"
    assert decision.wanted == () and not decision.pending


@pytest.mark.parametrize(
    ("revocation", "accepted"), [("strict", False), ("if-uri", True), ("relaxed", True), ("off", True)]
)
def test_revocation_policies_without_evidence(revocation: str, accepted: bool) -> None:
    decision = Hierarchy().decide(revocation=revocation)
    assert decision.accepted is accepted
    assert decision.revocation is not None and decision.revocation.outcome.text == "skipped"


@pytest.mark.parametrize("victim", ["leaf", "sub"])
@pytest.mark.parametrize("revocation", ["strict", "if-uri", "relaxed"])
def test_revoked_at_any_level_under_every_policy(victim: str, revocation: str) -> None:
    hierarchy = Hierarchy()
    if victim == "leaf":
        hierarchy.sub.revoke(hierarchy.leaf.certificate, at=NOW - 2 * DAY)
    else:
        hierarchy.root.revoke(hierarchy.sub.certificate, at=NOW - 2 * DAY)
    decision = hierarchy.decide(revocation=revocation, evidence=Evidence(crls=hierarchy.crls()))
    assert decision.reason == "cert-revoked", decision.summary
    assert failed(decision).subject == ("CN=bob" if victim == "leaf" else "CN=sub") or victim in str(failed(decision))


# what came


def test_no_certificate() -> None:
    assert Hierarchy().decide(certificates=[]).reason == "cert-not-sent"
    assert Hierarchy().decide(certificates=[], request={"encodings": (12, 13)}).reason == "cert-encoding"


def test_too_many_certificates() -> None:
    hierarchy = Hierarchy()
    many = [hierarchy.leaf.certificate] + [leaf(hierarchy.sub, subject=f"CN=x{n}").certificate for n in range(48)]
    assert hierarchy.decide(certificates=many).reason == "cert-too-many"


def test_thirty_superfluous_certificates_do_no_harm() -> None:
    """DC04."""
    hierarchy = Hierarchy()
    others = [leaf(hierarchy.sub, subject=f"CN=x{n}").certificate for n in range(30)]
    assert hierarchy.decide(certificates=[*hierarchy.sent, *others, hierarchy.sub.certificate]).accepted


def test_garbage_beside_the_chain_is_noted_and_ignored() -> None:
    hierarchy = Hierarchy()
    decision = hierarchy.decide(certificates=[*hierarchy.sent, b"garbage"])
    assert decision.accepted
    (note,) = [check for check in decision.paths[0].checks if check.rule == "RFC 7296 3.6"]
    assert note.outcome is CheckOutcome.INFO
    assert list(note.evidence["unreadable"]) == [3]  # type: ignore[call-overload]  # a mapping by position


@pytest.mark.parametrize("octets", [b"", b"garbage", b"\x30\x80\x00\x00", b"\x30\x03\x02\x01"])
def test_garbage_as_the_end_certificate(octets: bytes) -> None:
    hierarchy = Hierarchy()
    decision = hierarchy.decide(certificates=[octets, hierarchy.sub.certificate])
    assert decision.reason == "cert-malformed"
    assert failed(decision).rule == "RFC 5280 4.1"


def test_the_order_of_cert_payloads_decides_nothing() -> None:
    top = root()
    middle = under(top, "middle")
    low = under(middle, "low")
    end = leaf(low)
    hierarchy = Hierarchy()
    seen = set()
    for order in itertools.permutations([end.certificate, low.certificate, middle.certificate]):
        decision = hierarchy.decide(certificates=order, anchors=[top.certificate])
        assert decision.accepted, decision.summary
        seen.add(json.dumps(decision.to_json()["paths"][0]["certificates"]))
    assert len(seen) == 1


def test_the_first_certificate_is_the_end_certificate() -> None:
    """Two end certificates: the first is meant (RFC 7296 3.6), the other is somebody else's."""
    hierarchy = Hierarchy()
    alice = leaf(hierarchy.sub, ("fqdn:alice.example",), "CN=alice").certificate
    assert hierarchy.decide(certificates=[*hierarchy.sent, alice]).accepted
    decision = hierarchy.decide(certificates=[alice, *hierarchy.sent])
    assert decision.reason == "id-mismatch" and "fqdn:alice.example" in decision.summary


# which path


def test_no_issuer() -> None:
    hierarchy = Hierarchy()
    decision = hierarchy.decide(certificates=[hierarchy.leaf.certificate])
    assert decision.reason == "cert-no-issuer"
    assert (failed(decision).rule, failed(decision).subject) == ("RFC 5280 6.1.3 (a)(4)", "CN=bob")
    assert str(failed(decision).evidence["issuer"]) == "CN=sub"


def test_intermediate_from_the_store() -> None:
    hierarchy = Hierarchy()
    evidence = Evidence(intermediates=[hierarchy.sub.certificate])
    assert hierarchy.decide(certificates=[hierarchy.leaf.certificate], evidence=evidence).accepted


def test_unknown_ca() -> None:
    hierarchy = Hierarchy()
    other = root("stranger", private_key=key("stranger"))
    assert hierarchy.decide(anchors=[other.certificate]).reason == "cert-no-issuer"
    # a root that the peer sends along is no anchor
    decision = hierarchy.decide(
        certificates=[*hierarchy.sent, hierarchy.root.certificate], anchors=[other.certificate]
    )
    assert decision.reason == "cert-no-issuer"


def test_look_alike_ca_of_the_same_name_and_key_identifier() -> None:
    """DC02: everything but the key is that of the trusted root."""
    real = root()
    false = root(private_key=key("attacker"), subject_key_id=None)
    hierarchy = Hierarchy()
    end = leaf(false).certificate
    for sent in ([end], [end, false.certificate]):
        decision = hierarchy.decide(certificates=sent, anchors=[real.certificate])
        assert decision.reason == "cert-bad-signature"
        assert failed(decision).evidence["issuer"] == "CN=root"


def test_known_ca_outside_the_group() -> None:
    hierarchy = Hierarchy()
    north = root("north", private_key=key("north"))
    decision = hierarchy.decide(anchors=[north.certificate], known=[hierarchy.root.certificate], group="partners")
    assert decision.reason == "cert-ca-not-allowed"
    assert failed(decision).rule == "trusted CA group"
    assert decision.trusted_ca_group == "partners" and "partners" in decision.summary


def test_a_held_intermediate_outside_the_group_may_link_but_not_anchor() -> None:
    hierarchy = Hierarchy()
    only_leaf = [hierarchy.leaf.certificate]
    assert hierarchy.decide(certificates=only_leaf, known=[hierarchy.sub.certificate]).accepted
    north = root("north", private_key=key("north"))
    decision = hierarchy.decide(
        certificates=only_leaf, anchors=[north.certificate], known=[hierarchy.sub.certificate]
    )
    assert decision.reason == "cert-no-issuer"


def test_a_known_ca_that_could_anchor_elsewhere_still_links() -> None:
    hierarchy = Hierarchy()
    known = [Anchor(hierarchy.sub.certificate, ca_profile="sub", partial_chain=True)]
    decision = hierarchy.decide(known=known)
    assert decision.accepted, decision.summary
    north = root("north", private_key=key("north"))
    assert hierarchy.decide(anchors=[north.certificate], known=known).reason == "cert-ca-not-allowed"


@pytest.mark.parametrize(
    ("partial", "profile", "reason"),
    [
        (True, RuleProfile.RFC, None),
        (False, RuleProfile.RFC, "cert-no-issuer"),
        (True, RuleProfile.STRONGSWAN, "cert-no-issuer"),
        (True, RuleProfile.LIBRESWAN, "cert-no-issuer"),
        (True, RuleProfile.OPENIKED, None),
    ],
)
def test_partial_chain(partial: bool, profile: RuleProfile, reason: str | None) -> None:
    """B02: an intermediate anchors only where its profile says so, and only OpenIKED has such a setting."""
    hierarchy = Hierarchy()
    anchor = Anchor(hierarchy.sub.certificate, ca_profile="sub", partial_chain=partial)
    decision = hierarchy.decide(anchors=[anchor], profile=profile)
    assert decision.reason == reason
    if reason is None:
        assert decision.ca_profile == "sub"
        assert hierarchy.decide(anchors=[hierarchy.sub.certificate], partial_chain=True).accepted


def test_levels_above_a_partial_anchor_are_checked_for_revocation() -> None:
    hierarchy = Hierarchy()
    anchor = Anchor(hierarchy.sub.certificate, partial_chain=True)
    evidence = Evidence(crls=hierarchy.crls())
    assert hierarchy.decide(anchors=[anchor], revocation="strict", evidence=evidence).accepted
    hierarchy.root.revoke(hierarchy.sub.certificate, at=NOW - 2 * DAY)
    evidence = Evidence(intermediates=[hierarchy.root.certificate], crls=hierarchy.crls())
    decision = hierarchy.decide(anchors=[anchor], revocation="strict", evidence=evidence)
    assert decision.reason == "cert-revoked"


def test_cross_signed_ca_whose_first_issuer_is_of_no_use() -> None:
    """B10: two certificates for one CA; whichever comes first, the good one is found."""
    good, bad = root("good"), root("bad", not_after=NOW - DAY)
    own = under(good, "cross", private_key=key("cross"))
    crossed = bad.cross_sign(own, NOW - 50 * DAY)
    end = leaf(own).certificate
    hierarchy = Hierarchy()
    anchors = [good.certificate, bad.certificate]
    for order in ([own.certificate, crossed], [crossed, own.certificate]):
        assert hierarchy.decide(certificates=[end, *order], anchors=anchors).accepted
    only_bad = hierarchy.decide(certificates=[end, own.certificate, crossed], anchors=[bad.certificate])
    assert only_bad.reason == "cert-expired"
    assert {path.reason for path in only_bad.paths} == {Reason.CERT_EXPIRED, Reason.CERT_NO_ISSUER}


def test_two_generations_of_one_ca() -> None:
    """B11: same name, new key; the key identifiers lead to the right one, and lying ones do not matter."""
    old = root("gen", private_key=key("old"), not_after=NOW - DAY)
    new = root("gen", private_key=key("new"))
    hierarchy = Hierarchy()
    anchors = [old.certificate, new.certificate]
    assert hierarchy.decide(certificates=[leaf(new).certificate], anchors=anchors).accepted
    assert hierarchy.decide(certificates=[leaf(old).certificate], anchors=anchors).reason == "cert-expired"
    lying = leaf(new, authority_key_id=old.as_issuer().key_id).certificate
    assert hierarchy.decide(certificates=[lying], anchors=anchors).accepted
    silent = leaf(new, authority_key_id=None, subject_key_id=None).certificate
    assert hierarchy.decide(certificates=[silent], anchors=anchors).accepted


def test_issuer_loop() -> None:
    """CS06: two CAs that signed each other, and no anchor."""
    one = root("one", private_key=key("one"))
    two = under(one, "two", private_key=key("two"))
    back = two.cross_sign(one, NOW - 50 * DAY)
    end = leaf(two).certificate
    decision = Hierarchy().decide(certificates=[end, two.certificate, back])
    assert decision.reason == "cert-path-loop"
    assert failed(decision).rule == "RFC 5280 6.1"
    # a loop beside a good path is no fault
    assert Hierarchy().decide(certificates=[end, two.certificate, back], anchors=[one.certificate]).accepted


def test_a_self_signed_peer_certificate_is_no_path_even_when_it_is_an_anchor() -> None:
    own = root("self", private_key=key("self"))
    for anchors in ([], [own.certificate]):
        assert (
            Hierarchy().decide(certificates=[own.certificate], identity=None, anchors=anchors).reason
            == "cert-no-issuer"
        )


def test_a_version_1_root_is_a_ca_because_somebody_chose_it() -> None:
    """RFC 5280 6.1.4 (k): without extensions, being a CA is known out of band; an intermediate cannot be one so."""
    old = root("old", private_key=key("old"), version=1)
    decision = Hierarchy().decide(certificates=[leaf(old).certificate], anchors=[old.certificate])
    assert decision.accepted, decision.summary
    middle = under(root(), "middle", version=1)
    sent = [leaf(middle).certificate, middle.certificate]
    decision = Hierarchy().decide(certificates=sent, anchors=[root().certificate])
    assert decision.reason == "cert-not-ca"


def test_an_anchor_that_cannot_be_read_is_no_anchor() -> None:
    hierarchy = Hierarchy()
    assert hierarchy.decide(anchors=[b"garbage", hierarchy.root.certificate]).accepted
    assert hierarchy.decide(anchors=[b"garbage"]).reason == "cert-no-issuer"


def test_a_responder_that_is_trusted_directly() -> None:
    top, far = root(), root("far", private_key=key("far"))
    end = leaf(top).certificate
    signer = far.responder(NOW - DAY)
    answer = top.ocsp(end, NOW, responder=signer)
    for responders, accepted in (((b"garbage", signer.certificate), True), ((), False)):
        evidence = Evidence(ocsp=[answer], responders=responders)
        decision = Hierarchy().decide(
            certificates=[end], anchors=[top.certificate], revocation="strict", evidence=evidence
        )
        assert decision.accepted is accepted, decision.summary


def test_the_reason_is_that_of_the_path_that_came_furthest() -> None:
    """One path ends at nothing, one at a bad signature, one at an expired root: the last came furthest."""
    expired = root("north", private_key=key("north"), not_after=NOW - DAY)
    fake = root("north", private_key=key("fake"))
    end = leaf(expired).certificate
    decision = Hierarchy().decide(certificates=[end, fake.certificate], anchors=[expired.certificate])
    assert decision.reason == "cert-expired"
    assert [path.reason for path in decision.paths] == [Reason.CERT_EXPIRED, Reason.CERT_BAD_SIGNATURE]


def test_within_a_path_the_first_failing_check_gives_the_reason() -> None:
    """Expired, revoked and of the wrong name: validity stands first, and the path's checks are in that order."""
    hierarchy = Hierarchy(leaf_knobs={"not_after": NOW - DAY, "sans": ("fqdn:alice.example",)})
    hierarchy.sub.revoke(hierarchy.leaf.certificate, at=NOW - 2 * DAY)
    decision = hierarchy.decide(revocation="strict", evidence=Evidence(crls=hierarchy.crls()))
    assert decision.reason == "cert-expired"
    failures = [check.reason for check in decision.paths[0].checks if check.outcome is CheckOutcome.FAIL]
    assert failures == [Reason.CERT_EXPIRED, Reason.ID_MISMATCH]


# identity and AUTH


def test_expected_identity() -> None:
    for pattern, reason in (("fqdn:*.example", None), ("*", None), ("fqdn:carol.example", "id-not-allowed")):
        decision = Hierarchy().decide(request={"expected": IdentityPattern.parse(pattern)})
        assert decision.reason == reason
    assert failed(decision).rule == "RFC 4301 4.4.3"


def test_unsound_identity() -> None:
    hierarchy = Hierarchy()
    request = TrustRequest(
        certificates=hierarchy.sent,
        identity=Identity(Identity.parse("fqdn:x").type, b"bob.example\x00"),
        policy=TrustPolicy(anchors=[hierarchy.root.certificate], revocation="off"),
        at=NOW,
    )
    assert decide(request).reason == "id-invalid"


@pytest.mark.parametrize("broken", [False, True])
def test_while_auth_is_pending_nothing_is_wanted_and_nothing_accepted(broken: bool) -> None:
    knobs: dict[str, Any] = {"crl_at": ("http://crl.example/x.crl",)}
    hierarchy = Hierarchy(root_knobs=knobs, sub_knobs=knobs, leaf_knobs={"tamper": broken})
    waiting = hierarchy.decide(revocation="strict", fetch=True, evidence=Evidence(auth=AuthState.pending()))
    assert not waiting.accepted and waiting.wanted == ()
    if broken:
        assert waiting.reason == "cert-bad-signature" and not waiting.pending
        return
    assert waiting.pending and waiting.reason is None and waiting.leaf is not None
    assert waiting.leaf.der == hierarchy.leaf.certificate
    verified = hierarchy.decide(revocation="strict", fetch=True, evidence=Evidence(auth=AuthState.verified()))
    assert verified.pending and {item.url for item in verified.wanted} == {"http://crl.example/x.crl"}
    refused = hierarchy.decide(
        revocation="strict",
        fetch=True,
        evidence=Evidence(auth=AuthState.failed(Reason.AUTH_BAD_SIGNATURE, {"method": 14})),
    )
    assert refused.reason == "auth-bad-signature" and refused.wanted == ()
    assert failed(refused).rule == "RFC 7296 2.15" and failed(refused).evidence == {"method": 14}


def test_fetches_end_in_a_decision_and_the_crl_is_learned() -> None:
    url = "http://crl.example/north.crl"
    top = root("north", private_key=key("north"), crl_at=(url,))
    end = leaf(top).certificate
    anchor = Anchor(top.certificate, ca_profile="north")
    hierarchy = Hierarchy()
    first = hierarchy.decide(certificates=[end], anchors=[anchor], revocation="strict", fetch=True)
    assert first.pending and not first.accepted
    (wanted,) = first.wanted
    assert (wanted.kind, wanted.url, wanted.operator) == (FetchKind.CRL, url, False)
    crl = top.crl(NOW - DAY)
    fetched = {wanted: FetchResult(NOW, body=crl)}
    second = hierarchy.decide(
        certificates=[end], anchors=[anchor], revocation="strict", fetch=True, evidence=Evidence(fetched=fetched)
    )
    assert second.accepted and second.wanted == ()
    assert second.learned_crls == (("north", crl, url),)
    lost = {wanted: FetchResult(NOW, error="connection refused")}
    third = hierarchy.decide(
        certificates=[end], anchors=[anchor], revocation="strict", fetch=True, evidence=Evidence(fetched=lost)
    )
    assert third.reason == "crl-fetch-failed" and third.wanted == ()


def test_no_url_is_wanted_for_a_chain_outside_the_group() -> None:
    url = "http://crl.example/north.crl"
    top = root("north", private_key=key("north"), crl_at=(url,))
    other = root("south", private_key=key("south"))
    decision = Hierarchy().decide(
        certificates=[leaf(top).certificate],
        anchors=[other.certificate],
        known=[top.certificate],
        revocation="strict",
        fetch=True,
    )
    assert decision.reason == "cert-ca-not-allowed" and decision.wanted == ()


def test_ocsp_evidence_is_used_for_bare_anchors() -> None:
    top = root()
    end = leaf(top).certificate
    hierarchy = Hierarchy()
    good = Evidence(ocsp=[top.ocsp(end, NOW)])
    assert hierarchy.decide(
        certificates=[end], anchors=[top.certificate], revocation="strict", evidence=good
    ).accepted
    top.revoke(end, at=NOW - DAY)
    bad = Evidence(ocsp=[top.ocsp(end, NOW)])
    decision = hierarchy.decide(certificates=[end], anchors=[top.certificate], revocation="strict", evidence=bad)
    assert decision.reason == "cert-revoked"


def test_a_separate_crl_signer_needs_a_path_to_the_same_anchor() -> None:
    """An indirect CRL whose issuer hangs below the same root; below another root it is not believed."""
    top = root()
    signer = under(top, "crl signer", private_key=key("crl signer"))
    far = root("far", private_key=key("far"))
    stranger = under(far, "crl signer", private_key=key("stranger"))
    end = leaf(top, crl_issuer="CN=crl signer", crl_urls=()).certificate
    for issuer, accepted in ((signer, True), (stranger, False)):
        evidence = Evidence(
            intermediates=[issuer.certificate, far.certificate],
            crls=[
                issuer.crl(NOW - DAY, others=(top,)),
                top.crl(NOW - DAY, only_ca=True),
                far.crl(NOW - DAY, only_ca=True),
            ],
        )
        decision = Hierarchy().decide(
            certificates=[end], anchors=[top.certificate], revocation="strict", evidence=evidence
        )
        assert decision.accepted is accepted, decision.summary


# settings


def test_settings_come_from_the_issuers_profile_else_from_the_anchor() -> None:
    hierarchy = Hierarchy()
    strict = Anchor(hierarchy.root.certificate, ca_profile="root", policy="strict")
    relaxed = Anchor(hierarchy.sub.certificate, ca_profile="sub", policy="relaxed")
    only_root = Evidence(crls=[hierarchy.root.crl(NOW - DAY)])
    assert hierarchy.decide(anchors=[strict], known=[relaxed], evidence=only_root).accepted
    assert hierarchy.decide(anchors=[strict], evidence=only_root).reason == "crl-missing"
    off = replace(strict, method="disable")
    assert hierarchy.decide(anchors=[off]).accepted


def test_policy_of_a_connection() -> None:
    north, south = root("north", private_key=key("north")), root("south", private_key=key("south"))
    strict = RevocationSettings(policy=RevocationPolicy.STRICT)
    profiles = {name: CaProfile(name, f"{name}.example", revocation=strict) for name in ("north", "south", "empty")}
    groups = {"partners": TrustedCaGroup("partners", ("north",))}
    store = TrustStore(
        ca={"north": north.certificate, "south": south.certificate},
        crls={"north": (north.crl(NOW - DAY),), "south": (south.crl(NOW - DAY),)},
    )

    def judge(authority: Authority, trusted_ca: str | None, group: str | None, **more: Any) -> TrustDecision:
        policy = build_policy(trusted_ca, group, profiles, groups, store, **more)
        request = TrustRequest(certificates=[leaf(authority).certificate], policy=policy, at=NOW)
        return decide(request, Evidence.from_store(store))

    assert judge(north, None, "partners").accepted
    assert judge(south, None, "partners").reason == "cert-ca-not-allowed"
    assert judge(south, "south", None).accepted
    assert judge(north, "south", None).reason == "cert-ca-not-allowed"
    everything = judge(south, None, None)
    assert everything.accepted and everything.ca_profile == "south" and everything.trusted_ca_group is None
    assert judge(north, None, None, policy_oids=("1.2.3",)).reason == "cert-policy"


@pytest.mark.parametrize(
    ("profile", "crls", "reason"),
    [
        ("rfc", False, "crl-missing"),
        ("strongswan", False, None),
        ("libreswan", False, None),
        ("openiked", False, None),
        ("openiked", True, "crl-missing"),
    ],
)
def test_revocation_default_of_the_profiles(profile: str, crls: bool, reason: str | None) -> None:
    """B39: relaxed by default in strongSwan and libreswan; OpenIKED is strict once any CRL is held."""
    other = root("other", private_key=key("other"))
    evidence = Evidence(intermediates=[other.certificate], crls=[other.crl(NOW - DAY)] if crls else [])
    decision = Hierarchy().decide(profile=RuleProfile.named(profile), revocation="", evidence=evidence)
    assert decision.reason == reason


def test_what_is_set_wins_over_the_profile() -> None:
    assert Hierarchy().decide(profile=RuleProfile.STRONGSWAN, revocation="strict").reason == "crl-missing"
    ignoring = replace(RuleProfile.RFC, key_usage="ignore")
    assert Hierarchy(leaf_knobs={"key_usage": ("keyEncipherment",)}).decide(profile=ignoring).accepted
    with pytest.raises(UsageError, match="eku"):
        replace(RuleProfile.RFC, eku="ignroe")


def test_values_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UsageError, match="paranoid"):
        TrustPolicy(anchors=(), revocation="paranoid")
    with pytest.raises(UsageError, match="dsa"):
        TrustPolicy(anchors=(), minimum_strength={"dsa": 1})
    with pytest.raises(UsageError, match="aware"):
        TrustRequest(certificates=(), policy=TrustPolicy(anchors=()), at=datetime(2026, 1, 1))


# caches


def test_warm_caches_answer_the_same_without_verifying_again() -> None:
    hierarchy = Hierarchy()
    evidence = Evidence(crls=hierarchy.crls())
    clear_caches()
    cold = hierarchy.decide(revocation="strict", evidence=evidence)
    verified = cache_counters()["signatures"]
    assert verified["misses"] > 0
    warm = hierarchy.decide(revocation="strict", evidence=evidence)
    counters = cache_counters()
    assert warm.to_json() == cold.to_json()
    assert counters["signatures"]["misses"] == verified["misses"]
    assert counters["decisions"]["hits"] > 0
    later = hierarchy.decide(revocation="off", at=NOW + 400 * DAY)
    assert later.reason == "cert-expired"
    assert hierarchy.decide(revocation="off", schemes=("ed25519",)).reason == "cert-signature-weak"


def test_a_path_cached_for_one_group_means_nothing_for_another() -> None:
    hierarchy = Hierarchy()
    assert hierarchy.decide().accepted
    north = root("north", private_key=key("north"))
    decision = hierarchy.decide(anchors=[north.certificate], known=[hierarchy.root.certificate])
    assert decision.reason == "cert-ca-not-allowed"
    assert hierarchy.decide().accepted


def test_caches_are_bounded() -> None:
    hierarchy = Hierarchy()
    for number in range(600):
        hierarchy.decide(certificates=[leaf(hierarchy.sub, serial=number + 1).certificate, hierarchy.sub.certificate])
    assert all(counter["entries"] <= counter["limit"] for counter in cache_counters().values())
    assert cache_counters()["certificates"]["entries"] == cache_counters()["certificates"]["limit"]
