"""Decisions that are kept: they save work and never change an answer (see also this folder's conftest.py)."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ikesim.pki import (
    Anchor,
    AuthState,
    Evidence,
    Identity,
    TrustDecision,
    TrustPolicy,
    TrustRequest,
    cache_counters,
    clear_caches,
    parse,
    remembering,
    trust,
    verification,
)
from ikesim.pki.moment import Moment
from ikesim.reasons import Reason
from tests.pki.trust_world import DAY, NOW, Hierarchy, leaf

SECOND = timedelta(seconds=1)
TICK = timedelta(microseconds=1)


@pytest.fixture(autouse=True)
def as_it_is(cached_and_made_anew: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the comparison that this folder's other tests make: here the work is counted."""
    monkeypatch.setattr(trust, "remembered", remembering.remembered)
    clear_caches()
    yield
    clear_caches()


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry for every signature that is checked."""
    found: list[str] = []
    real = verification._verify

    def counted(*args: Any) -> None:
        found.append("signature")
        real(*args)

    monkeypatch.setattr(verification, "_verify", counted)
    return found


def hits() -> int:
    return cache_counters()["decisions"]["hits"]


def kept() -> int:
    return cache_counters()["decisions"]["entries"]


def anew(hierarchy: Hierarchy, **asked: Any) -> TrustDecision:
    """The answer to the same question, made without the cache of decisions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trust, "remembered", lambda request, evidence, judge: judge(request, evidence))
        return hierarchy.decide(**asked)


def test_a_peer_that_comes_back_costs_no_signature_check(verified: list[str]) -> None:
    hierarchy = Hierarchy()
    asked: dict[str, Any] = {"revocation": "strict", "evidence": Evidence(crls=hierarchy.crls())}
    first = hierarchy.decide(**asked)
    # leaf and intermediate, two CRLs
    assert first.accepted and len(verified) == 4
    again = hierarchy.decide(**asked, at=NOW + SECOND)
    assert again.accepted and len(verified) == 4 and hits() == 1
    assert again.to_json() == anew(hierarchy, **asked, at=NOW + SECOND).to_json()


def test_a_decision_that_waits_for_auth_is_kept_apart_from_the_one_after_it() -> None:
    hierarchy = Hierarchy()
    states = (
        AuthState.pending(),
        AuthState.verified({"scheme": "ecdsa-sha256"}),
        AuthState.verified({"scheme": "ed25519"}),
        AuthState.failed(Reason.AUTH_BAD_SIGNATURE),
    )
    for _ in range(2):
        decisions = [hierarchy.decide(evidence=Evidence(auth=state)) for state in states]
        assert [item.pending for item in decisions] == [True, False, False, False]
        assert [item.accepted for item in decisions] == [False, True, True, False]
        schemes = [str(check.evidence.get("scheme")) for item in decisions for check in item.paths[0].checks]
        assert schemes.count("ecdsa-sha256") == schemes.count("ed25519") == 1
    assert (kept(), hits()) == (3, 3)


def test_at_every_edge_of_the_window_the_answer_is_that_of_an_empty_cache() -> None:
    hierarchy = Hierarchy(leaf_knobs={"days": 5 + 10})
    ends, subs = parse(hierarchy.leaf.certificate), parse(hierarchy.sub.certificate)
    this = NOW - DAY
    crls = [hierarchy.root.crl(this, days=3), hierarchy.sub.crl(this, days=2)]
    edges = {
        "leaf notBefore": ends.not_before,
        "leaf notAfter": ends.not_after,
        "sub notBefore": subs.not_before,
        "thisUpdate": this,
        "first nextUpdate": NOW + DAY,
        "second nextUpdate": NOW + 2 * DAY,
        "refresh due": this + 30 * 3600 * SECOND,
    }
    expected = {
        "leaf notBefore": ("cert-not-yet-valid", "crl-not-yet-valid"),
        "leaf notAfter": ("crl-stale", "cert-expired"),
        "sub notBefore": ("cert-not-yet-valid", "cert-not-yet-valid"),
        "thisUpdate": ("crl-not-yet-valid", None),
        "first nextUpdate": (None, "crl-stale"),
        "second nextUpdate": ("crl-stale", "crl-stale"),
        "refresh due": (None, None),
    }
    for refresh in (0.0, 30 * 3600.0):
        anchor = Anchor(hierarchy.root.certificate, refresh_interval=refresh)
        asked: dict[str, Any] = {"revocation": "strict", "evidence": Evidence(crls=crls), "anchors": [anchor]}
        clear_caches()
        assert hierarchy.decide(**asked).accepted
        for name, edge in edges.items():
            for moment in (edge - SECOND, edge - TICK, edge, edge + TICK, edge + SECOND):
                warm = hierarchy.decide(**asked, at=moment)
                assert warm == anew(hierarchy, **asked, at=moment), (name, moment)
            before, after = (hierarchy.decide(**asked, at=edge + step * SECOND).reason for step in (-1, 1))
            assert (before, after) == expected[name], name
    assert hits() > 10


def test_a_window_ends_where_the_certificate_does_to_the_second() -> None:
    hierarchy = Hierarchy(leaf_knobs={"days": 20})
    assert hierarchy.decide().accepted
    end = NOW + 10 * DAY
    assert hierarchy.decide(at=end).accepted and hits() == 1
    assert hierarchy.decide(at=end + SECOND).reason == "cert-expired"
    assert hierarchy.decide(at=end).accepted


def test_a_new_crl_a_new_policy_and_a_new_name_are_new_questions() -> None:
    hierarchy = Hierarchy()
    crls = hierarchy.crls()
    asked: dict[str, Any] = {"revocation": "strict"}
    assert hierarchy.decide(**asked, evidence=Evidence(crls=crls)).accepted
    hierarchy.sub.revoke(hierarchy.leaf.certificate, at=NOW - SECOND)
    revoking = hierarchy.sub.crl(NOW - SECOND)
    assert hierarchy.decide(**asked, evidence=Evidence(crls=[crls[0], revoking])).reason == "cert-revoked"
    assert hierarchy.decide(**asked, evidence=Evidence(crls=[*crls, revoking])).reason == "cert-revoked"
    assert hierarchy.decide(**asked, evidence=Evidence(crls=crls)).accepted
    assert hierarchy.decide(**asked, evidence=Evidence(crls=crls[:1])).reason == "crl-missing"
    assert hierarchy.decide(**asked, schemes=("ed25519",), evidence=Evidence(crls=crls)).reason == (
        "cert-signature-weak"
    )
    assert (
        hierarchy.decide(**asked, evidence=Evidence(crls=crls), identity="fqdn:eve.example").reason == "id-mismatch"
    )
    chain = [leaf(hierarchy.sub, serial=77).certificate, hierarchy.sub.certificate]
    hierarchy.sub.revoke(77, at=NOW - SECOND)
    newest = Evidence(crls=[crls[0], hierarchy.sub.crl(NOW - SECOND)])
    assert hierarchy.decide(**asked, certificates=chain, evidence=newest).reason == "cert-revoked"


def test_the_key_holds_everything_that_a_decision_depends_on() -> None:
    """A field that is added to request or evidence belongs into `remembering._key`, unless it is the time or the
    nonce: that stands in requests only, and what wants or has a fetch is not remembered.
    """
    assert {item.name for item in fields(TrustRequest)} == {
        *("certificates", "policy", "at", "identity", "expected", "encodings", "connection", "nonce")
    }
    assert {item.name for item in fields(Evidence)} == {
        *("intermediates", "crls", "ocsp", "fetched", "auth", "responders", "crl_loaded_at", "assumed_revoked")
    }
    request = TrustRequest(certificates=[b"a"], policy=TrustPolicy(anchors=()), at=NOW)
    evidence = Evidence()
    key = remembering._key(request, evidence)
    changed = [
        (replace(request, certificates=[b"b"]), evidence),
        (replace(request, policy=TrustPolicy(anchors=(), max_depth=3)), evidence),
        (replace(request, identity=Identity.parse("fqdn:a.example")), evidence),
        (replace(request, encodings=[4]), evidence),
        (replace(request, connection="bob"), evidence),
        (request, Evidence(intermediates=[b"a"])),
        (request, Evidence(crls=[b"a"])),
        (request, Evidence(ocsp=[b"a"])),
        (request, Evidence(responders=[b"a"])),
        (request, Evidence(crl_loaded_at={b"a": 1.0})),
        (request, Evidence(assumed_revoked=frozenset((1,)))),
        (request, Evidence(auth=AuthState.pending())),
        (request, Evidence(auth=AuthState.verified())),
    ]
    keys = [remembering._key(*pair) for pair in changed]
    assert None not in keys and key not in keys and len(set(keys)) == len(keys)
    assert remembering._key(replace(request, at=NOW + DAY), evidence) == key


def test_what_is_refused_too_large_or_cannot_be_compared_is_not_kept() -> None:
    hierarchy = Hierarchy()
    assert hierarchy.decide(at=NOW + 400 * DAY).reason == "cert-expired"
    junk = [bytes(remembering.MAX_OCTETS)]
    assert hierarchy.decide(certificates=[*hierarchy.sent, *junk]).accepted
    assert hierarchy.decide(evidence=Evidence(auth=AuthState.verified({"list": []}))).accepted
    assert kept() == 0


def test_equal_policies_have_one_hash() -> None:
    one, two = (TrustPolicy(anchors=[b"a"], max_depth=depth) for depth in (7, 7))
    assert one == two and hash(one) == hash(two) and one != TrustPolicy(anchors=[b"a"], max_depth=6)


def test_a_moment_narrows_its_window_by_every_comparison() -> None:
    at = datetime(2026, 3, 1, tzinfo=UTC)

    def window(compare: Any) -> tuple[datetime, datetime]:
        moment = Moment.of(at)
        compare(moment)
        return moment.earliest, moment.latest

    first, last = window(lambda m: m)
    assert first < at - 700_000 * DAY and last > at + 2_900_000 * DAY
    for compare, expected in (
        (lambda m: m < at + DAY, (first, at + DAY - TICK)),
        (lambda m: at + DAY > m, (first, at + DAY - TICK)),
        (lambda m: m <= at + DAY, (first, at + DAY)),
        (lambda m: m > at + DAY, (first, at + DAY)),
        (lambda m: m >= at, (at, last)),
        (lambda m: m > at - DAY, (at - DAY + TICK, last)),
        (lambda m: at - DAY <= m < at + DAY, (at - DAY, at + DAY - TICK)),
        (lambda m: max(m, at - DAY), (at - DAY + TICK, last)),
        (lambda m: m - at, (at, at)),
        (lambda m: m + DAY, (at, at)),
        (lambda m: m == at, (at, at)),
        (lambda m: f"{m}", (at, at)),
        (lambda m: m.isoformat(), (at, at)),
        (lambda m: m.timestamp(), (at, at)),
        (lambda m: m.year, (at, at)),
    ):
        found = window(compare)
        # `max` may ask either way round, which moves the edge by a tick to the safe side
        assert found == expected or (expected[0] - TICK, expected[1]) == found
    assert type(Moment.of(at) + DAY) is datetime and type(Moment.of(at).plain) is datetime
