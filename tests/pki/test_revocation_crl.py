"""What CRLs say about a certificate: each fact flips its own check, and every reason has a case that ends in it."""

from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest

from ikesim.pki.authority import Authority, Revocation
from ikesim.pki.authority.extensions import REASONS, Extension, distribution_points, issuing_distribution_point
from ikesim.pki.budget import Budget
from ikesim.pki.certificates import parse
from ikesim.pki.decision import CheckOutcome, RevocationOutcome
from ikesim.pki.der_writer import explicit, implicit, oid, sequence, set_of, utf8
from ikesim.pki.profiles import RevocationMethod, RevocationPolicy, RevocationSettings
from ikesim.pki.revocation import RevocationResult, SignerVerdict, check_revocation
from ikesim.reasons import TRUST_REASONS, Reason
from tests.pki.revocation_world import CDP, CRL, DAY, HOUR, IF_URI, NOW, RELAXED, World, answer, failed, line, serve

UNKNOWN_OID = "1.3.6.1.4.1.99999.1"


@pytest.fixture(scope="module")
def world() -> World:
    """A certificate without CDP, so that only what is at hand counts."""
    return World()


def crl(world: World, **knobs: Any) -> bytes:
    """A CRL made an hour ago that revokes somebody else."""
    knobs.setdefault("entries", [(77, Revocation(NOW - DAY, "superseded"))])
    return world.root.crl(knobs.pop("now", NOW - HOUR), knobs.pop("days", 7), knobs.pop("number", 5), **knobs)


def listing(world: World, reason: str | None = "key-compromise", **knobs: Any) -> bytes:
    return crl(world, entries=[(world.leaf.serial, Revocation(NOW - DAY, reason))], **knobs)


def test_crl_at_hand_without_the_serial_is_good(world: World) -> None:
    result = world.check(CRL, crl(world))
    assert result.accepted
    assert (result.outcome, result.ceiling) == (RevocationOutcome.GOOD, RevocationOutcome.GOOD)
    used, verdict = result.checks
    assert (used.outcome, used.subject, used.source) == (CheckOutcome.PASS, "CRL 5 of CN=north", "held")
    assert verdict.outcome is CheckOutcome.PASS
    assert verdict.evidence["outcome"] is RevocationOutcome.GOOD
    assert verdict.subject == "CN=bob"


BY_ONE_FACT: dict[str, tuple[dict[str, Any], Reason]] = {
    "past nextUpdate": ({"now": NOW - 8 * DAY, "days": 7}, Reason.CRL_STALE),
    "thisUpdate in the future": ({"now": NOW + timedelta(seconds=1)}, Reason.CRL_NOT_YET_VALID),
    "nextUpdate missing": ({"next_update": None}, Reason.CRL_MALFORMED),
    "signature of one bit less": ({"tamper": True}, Reason.CRL_BAD_SIGNATURE),
    "unknown critical extension": ({"critical": UNKNOWN_OID}, Reason.CRL_CRITICAL_EXT),
    "unknown critical entry extension": ({"entry_critical": UNKNOWN_OID}, Reason.CRL_CRITICAL_EXT),
    "outer algorithm differs": ({"outer_algorithm": sequence(oid("1.2.840.10045.4.3.3"))}, Reason.CRL_MALFORMED),
    "another issuer": ({"issuer_name": "CN=elsewhere"}, Reason.CRL_BAD_ISSUER),
    "only for CA certificates": ({"only_ca": True}, Reason.CRL_SCOPE),
    "only for attribute certificates": ({"only_attribute": True}, Reason.CRL_SCOPE),
    "only for some reasons": ({"only_reasons": (1, 2)}, Reason.CRL_SCOPE),
    "for another distribution point": ({"urls": ("http://elsewhere.example/a.crl",)}, Reason.CRL_SCOPE),
    "delta alone": ({"delta_base": 4}, Reason.CRL_DELTA_BASE),
    "weak signature": ({"digest": "sha1"}, Reason.CRL_BAD_SIGNATURE),
}


@pytest.mark.parametrize("name", BY_ONE_FACT)
def test_one_fact_flips_one_check(world: World, name: str) -> None:
    knobs, reason = BY_ONE_FACT[name]
    assert world.check(CRL, crl(world)).accepted
    result = world.check(CRL, crl(world, **knobs))
    assert not result.accepted
    assert result.reason is reason
    (check,) = failed(result)
    assert check.rule == TRUST_REASONS[reason].rule
    stale = reason is Reason.CRL_STALE
    assert result.outcome is (RevocationOutcome.STALE if stale else RevocationOutcome.FAILED)
    assert result.checks[-1].outcome is CheckOutcome.FAIL


@pytest.mark.parametrize(("offset", "reason"), [(timedelta(0), None), (timedelta(seconds=1), Reason.CRL_STALE)])
def test_next_update_is_the_last_good_moment(world: World, offset: timedelta, reason: Reason | None) -> None:
    assert world.check(CRL, crl(world), at=NOW - HOUR + 7 * DAY + offset).reason is reason


@pytest.mark.parametrize(
    ("offset", "reason"), [(timedelta(0), None), (timedelta(seconds=-1), Reason.CRL_NOT_YET_VALID)]
)
def test_this_update_is_the_first_good_moment(world: World, offset: timedelta, reason: Reason | None) -> None:
    assert world.check(CRL, crl(world), at=NOW - HOUR + offset).reason is reason


def test_scope_only_user_fits_an_end_certificate_and_not_a_ca(world: World) -> None:
    assert world.check(CRL, crl(world, only_user=True)).accepted
    authority = World(knobs={"ca": True})
    assert authority.check(CRL, crl(authority, only_ca=True)).accepted
    assert authority.check(CRL, crl(authority, only_user=True)).reason is Reason.CRL_SCOPE


@pytest.mark.parametrize(
    "reason", [None, *(name for name in REASONS if name not in ("certificate-hold", "remove-from-crl"))]
)
def test_listed_is_revoked_under_every_policy(world: World, reason: str | None) -> None:
    for policy in (RevocationPolicy.STRICT, RevocationPolicy.IF_URI, RevocationPolicy.RELAXED):
        result = world.check(RevocationSettings(policy=policy), listing(world, reason))
        assert (result.outcome, result.reason) == (RevocationOutcome.REVOKED, Reason.CERT_REVOKED)
        verdict = result.checks[-1]
        assert verdict.subject == "CN=bob"
        assert verdict.evidence["revocation_date"] == NOW - DAY


@pytest.mark.parametrize("policy", [RevocationPolicy.STRICT, RevocationPolicy.RELAXED])
def test_on_hold_is_an_outcome_of_its_own(world: World, policy: RevocationPolicy) -> None:
    result = world.check(RevocationSettings(policy=policy), listing(world, "certificate-hold"))
    assert (result.outcome, result.reason) == (RevocationOutcome.ON_HOLD, Reason.CERT_ON_HOLD)


def test_remove_from_crl_in_a_complete_crl_is_no_revocation(world: World) -> None:
    assert world.check(CRL, listing(world, "remove-from-crl")).accepted


@pytest.mark.parametrize(
    "knobs",
    [
        {"now": NOW - 8 * DAY},
        {"next_update": None},
        {"this_update": NOW + HOUR},
        {"delta_base": 4},
    ],
    ids=["stale", "without nextUpdate", "from the future", "delta without base"],
)
def test_what_cannot_prove_good_still_proves_revoked(world: World, knobs: dict[str, Any]) -> None:
    assert world.check(RELAXED, listing(world, **knobs)).reason is Reason.CERT_REVOKED


def test_crl_from_the_future_does_not_revoke_before_the_revocation(world: World) -> None:
    assert world.check(CRL, listing(world), at=NOW - 2 * DAY).reason is Reason.CRL_NOT_YET_VALID


@pytest.mark.parametrize(
    "knobs", [{"tamper": True}, {"critical": UNKNOWN_OID}, {"only_ca": True}], ids=["unverified", "critical", "scope"]
)
def test_what_is_not_believed_does_not_revoke(world: World, knobs: dict[str, Any]) -> None:
    assert world.check(CRL, listing(world, **knobs)).reason is not Reason.CERT_REVOKED


@pytest.mark.parametrize(
    ("octets", "hint"),
    [
        (b"", "nothing came"),
        (b"<html>404</html>", "HTML"),
        (b"\x1f\x8b\x08\x00", "gzip"),
        (b"-----BEGIN X509 CRL-----\n", "PEM"),
    ],
)
def test_body_that_is_no_crl_says_what_it_looks_like(octets: bytes, hint: str) -> None:
    world = World(crl_at=(CDP,))
    result, _ = serve(world, CRL, {CDP: answer(octets)})
    assert result.reason is Reason.CRL_MALFORMED
    (check,) = failed(result)
    assert check.source == CDP
    assert hint in str(check.evidence["cause"])


# ceilings


@pytest.mark.parametrize(
    ("settings", "accepted"), [(CRL, False), (IF_URI, False), (RELAXED, True)], ids=["strict", "if-uri", "relaxed"]
)
def test_ceiling_of_each_policy_over_a_stale_crl(world: World, settings: RevocationSettings, accepted: bool) -> None:
    result = world.check(settings, crl(world, now=NOW - 8 * DAY))
    assert result.accepted is accepted
    assert result.outcome is RevocationOutcome.STALE
    assert not (accepted and any(check.outcome is CheckOutcome.FAIL for check in result.checks))


@pytest.mark.parametrize(
    ("settings", "accepted"), [(CRL, False), (IF_URI, True), (RELAXED, True)], ids=["strict", "if-uri", "relaxed"]
)
def test_nothing_held_and_no_url_is_skipped(world: World, settings: RevocationSettings, accepted: bool) -> None:
    result = world.check(settings)
    assert result.outcome is RevocationOutcome.SKIPPED
    assert result.accepted is accepted
    assert result.reason is (None if accepted else Reason.CRL_MISSING)


def test_url_that_may_not_be_asked_is_missing_and_not_skipped() -> None:
    result = World(crl_at=(CDP,)).check(IF_URI)
    assert (result.outcome, result.reason, result.wanted) == (RevocationOutcome.FAILED, Reason.CRL_MISSING, ())
    assert line(result, Reason.CRL_MISSING).evidence["urls"] == (CDP,)


@pytest.mark.parametrize(
    "settings",
    [RevocationSettings(method=RevocationMethod.DISABLE), RevocationSettings(policy=RevocationPolicy.OFF)],
    ids=["method", "policy"],
)
def test_switched_off_looks_at_nothing_and_says_so(world: World, settings: RevocationSettings) -> None:
    result = world.check(settings, listing(world), fetch=True)
    assert result.accepted
    assert result.outcome is RevocationOutcome.SKIPPED
    assert result.checks[-1].outcome is CheckOutcome.SKIPPED


# fetching


def test_cdp_then_operator_urls_in_order_until_one_answers() -> None:
    second, operator, backup = f"{CDP}2", "http://192.168.1.1/a.crl", "http://192.168.1.1/b.crl"
    world = World(crl_at=(CDP, second))
    settings = replace(CRL, url=(operator, backup))
    result, asked = serve(world, settings, {backup: answer(crl(world))})
    assert result.accepted
    assert asked == [CDP, second, operator, backup]
    assert [item.url for item in result.learned] == [backup]
    assert [check.evidence["cause"] for check in result.checks if check.reason is Reason.CRL_FETCH_FAILED] == [
        "connection refused"
    ] * 3


def test_only_urls_of_the_operator_may_lead_anywhere() -> None:
    operator = "http://192.168.1.1/a.crl"
    world = World(crl_at=(CDP, "http://10.0.0.1/x.crl"))
    settings = replace(CRL, url=(operator, "http://10.0.0.1/x.crl"))
    flags = {}
    fetched: dict[Any, Any] = {}
    while wanted := world.check(settings, fetch=True, fetched=fetched).wanted:
        for request in wanted:
            flags[request.url] = request.operator
            fetched[request] = answer(error="down")
    assert flags == {CDP: False, operator: True, "http://10.0.0.1/x.crl": True}
    assert sum(request.timeout for request in fetched) <= 10


def test_crl_at_hand_is_used_without_a_fetch() -> None:
    world = World(crl_at=(CDP,))
    result, asked = serve(world, CRL, {}, crl(world))
    assert result.accepted
    assert asked == []
    assert result.learned == ()


def test_stale_crl_is_replaced_by_a_fetched_one() -> None:
    world = World(crl_at=(CDP,))
    stale, fresh = crl(world, now=NOW - 9 * DAY), crl(world, number=6)
    result, asked = serve(world, CRL, {CDP: answer(fresh)}, stale)
    assert result.accepted
    assert asked == [CDP]
    assert [item.der for item in result.learned] == [fresh]
    revoking = listing(world, number=6)
    assert serve(world, CRL, {CDP: answer(revoking)}, stale)[0].reason is Reason.CERT_REVOKED


def test_stale_crl_comes_last_and_gives_the_reason_when_the_fetch_fails() -> None:
    world = World(crl_at=(CDP,))
    result, _ = serve(world, CRL, {}, crl(world, now=NOW - 9 * DAY))
    assert (result.outcome, result.reason) == (RevocationOutcome.STALE, Reason.CRL_STALE)
    assert line(result, Reason.CRL_FETCH_FAILED).evidence["cause"] == "connection refused"


def test_stale_crl_that_lists_the_serial_needs_no_fetch() -> None:
    world = World(crl_at=(CDP,))
    result, asked = serve(world, CRL, {}, listing(world, now=NOW - 9 * DAY))
    assert result.reason is Reason.CERT_REVOKED
    assert asked == []


def test_hold_on_a_stale_crl_is_asked_for_again() -> None:
    world = World(crl_at=(CDP,))
    held = listing(world, "certificate-hold", now=NOW - 9 * DAY)
    assert serve(world, CRL, {}, held)[0].reason is Reason.CERT_ON_HOLD
    assert serve(world, CRL, {CDP: answer(crl(world, number=6))}, held)[0].accepted


def test_unreachable_url_is_a_failure_that_names_url_and_cause() -> None:
    world = World(crl_at=(CDP,))
    result, _ = serve(world, IF_URI, {CDP: answer(error="HTTP status 503", status=503)})
    assert (result.outcome, result.reason) == (RevocationOutcome.FAILED, Reason.CRL_FETCH_FAILED)
    (check,) = failed(result)
    assert (check.source, check.evidence["status"]) == (CDP, 503)


def test_refused_url_is_another_reason_than_an_unreachable_one() -> None:
    world = World(crl_at=(CDP,))
    result, _ = serve(world, CRL, {CDP: answer(error="leads to 127.0.0.1", refused=True)})
    assert result.reason is Reason.CRL_FETCH_REFUSED


@pytest.mark.parametrize(
    "url",
    [
        "https://crl.example/a",
        "ldap://ldap.example/cn=x?certificateRevocationList",
        "http:///nohost",
        "http://a b/",
        "x",
    ],
)
def test_url_other_than_http_is_refused_and_not_asked(url: str) -> None:
    result, asked = serve(World(crl_at=(url,)), CRL, {})
    assert result.reason is Reason.CRL_FETCH_REFUSED
    assert asked == []


def test_ldap_beside_http_is_no_cause_of_its_own() -> None:
    world = World(crl_at=("ldap://ldap.example/x", CDP))
    result, asked = serve(world, CRL, {})
    assert (result.reason, asked) == (Reason.CRL_FETCH_FAILED, [CDP])


def test_concurrent_demands_are_the_same_request() -> None:
    world = World(crl_at=(CDP,))
    other = parse(world.root.leaf("CN=carol", (), NOW).certificate)
    first = world.check(CRL, fetch=True).wanted
    world.leaf = other
    assert world.check(CRL, fetch=True, at=NOW + HOUR).wanted == first


# on-download-failure (design rule 8)

ACCEPT = replace(CRL, on_download_failure="accept")


def test_download_failure_may_be_accepted() -> None:
    result, _ = serve(World(crl_at=(CDP,)), ACCEPT, {})
    assert result.accepted
    assert (result.outcome, result.ceiling) == (RevocationOutcome.SKIPPED, RevocationOutcome.SKIPPED)
    assert result.checks[-1].evidence["accepted"] == "on-download-failure"


def test_download_failure_is_accepted_over_a_stale_crl_that_does_not_list_the_serial() -> None:
    world = World(crl_at=(CDP,))
    assert serve(world, ACCEPT, {}, crl(world, now=NOW - 9 * DAY))[0].accepted
    assert serve(world, ACCEPT, {}, listing(world, now=NOW - 9 * DAY))[0].reason is Reason.CERT_REVOKED


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (answer(b"<html>"), Reason.CRL_MALFORMED),
        (answer(error="private address", refused=True), Reason.CRL_FETCH_REFUSED),
    ],
)
def test_other_causes_than_an_unreachable_url_are_not_accepted(body: Any, reason: Reason) -> None:
    assert serve(World(crl_at=(CDP,)), ACCEPT, {CDP: body})[0].reason is reason


def test_one_url_with_a_bad_crl_and_one_that_is_dead_is_not_only_a_download_failure() -> None:
    world = World(crl_at=(CDP, f"{CDP}2"))
    assert serve(world, ACCEPT, {CDP: answer(b"<html>")})[0].reason is Reason.CRL_MALFORMED
    assert serve(world, ACCEPT, {})[0].accepted


def test_what_never_was_a_source_is_no_cause_beside_a_download_failure() -> None:
    world = World(crl_at=("ldap://ldap.example/x", CDP))
    unfit = crl(world, tamper=True), crl(world, only_ca=True), b"junk"
    result, asked = serve(world, ACCEPT, {}, *unfit)
    assert result.accepted
    assert asked == [CDP]


def test_nothing_to_download_is_no_download_failure(world: World) -> None:
    assert world.check(ACCEPT, fetch=True).reason is Reason.CRL_MISSING


# refresh-interval

DAILY = replace(CRL, refresh_interval=86400.0)


@pytest.mark.parametrize(("age", "asked"), [(DAY, []), (DAY + timedelta(seconds=1), [CDP])])
def test_refresh_interval_asks_again_before_next_update(age: timedelta, asked: list[str]) -> None:
    world = World(crl_at=(CDP,))
    result, urls = serve(world, DAILY, {CDP: answer(crl(world, number=6))}, crl(world, now=NOW - age))
    assert result.accepted
    assert urls == asked


def test_refresh_interval_counts_from_when_the_crl_was_obtained() -> None:
    world = World(crl_at=(CDP,))
    der = crl(world, now=NOW - 2 * DAY)
    loaded = {sha256(der).digest(): (NOW - HOUR).timestamp()}
    assert serve(world, DAILY, {}, der, crl_loaded_at=loaded)[1] == []
    assert serve(world, DAILY, {}, der)[1] == [CDP]


def test_crl_due_for_refresh_still_serves_when_the_fetch_fails() -> None:
    world = World(crl_at=(CDP,))
    result, asked = serve(world, DAILY, {}, crl(world, now=NOW - 2 * DAY))
    assert result.accepted
    assert result.outcome is RevocationOutcome.GOOD
    assert asked == [CDP]


# numbers


def test_newer_crl_replaces_the_older_one_in_any_order(world: World) -> None:
    older = listing(world, "certificate-hold", number=5, now=NOW - 2 * HOUR)
    newer = crl(world, number=6)
    for order in ((older, newer), (newer, older)):
        assert world.check(CRL, *order).accepted
    again = listing(world, "certificate-hold", number=7)
    assert world.check(CRL, newer, again).reason is Reason.CERT_ON_HOLD


def test_fetched_crl_with_a_lower_number_than_the_one_held() -> None:
    world = World(crl_at=(CDP,))
    held = crl(world, number=6, now=NOW - 9 * DAY)
    result, _ = serve(world, CRL, {CDP: answer(crl(world, number=5))}, held)
    assert result.reason is Reason.CRL_NUMBER_BACKWARDS
    (check,) = failed(result)
    assert (check.source, check.evidence["held"]) == (CDP, 6)
    assert result.learned == ()
    assert serve(world, CRL, {CDP: answer(crl(world, number=7))}, held)[0].accepted


def test_numbers_of_different_scopes_do_not_meet(world: World) -> None:
    users, everybody = crl(world, number=3, only_user=True), crl(world, number=9, only_ca=True)
    assert world.check(CRL, users, everybody).accepted


def test_keys_of_one_ca_number_their_crls_apart(world: World) -> None:
    old = _signer(world, world.root.subject)
    signers = (old.certificate,)
    lists = old.crl(NOW - HOUR, number=3, entries=[(world.leaf.serial, Revocation(NOW - DAY))])
    silent = old.crl(NOW - HOUR, number=3, entries=[])
    for number in (1, 9):
        new = crl(world, number=number)
        assert world.check(CRL, _for_signers(world), new, silent, signers=signers).accepted
        revoked = world.check(CRL, _for_signers(world), new, lists, signers=signers)
        assert revoked.reason is Reason.CERT_REVOKED


# deltas


def test_delta_adds_to_its_base(world: World) -> None:
    base = crl(world, number=5, now=NOW - 2 * DAY)
    assert world.check(CRL, base, crl(world, number=6, delta_base=5)).accepted
    revoking = listing(world, number=6, delta_base=5)
    result = world.check(CRL, base, revoking)
    assert result.reason is Reason.CERT_REVOKED
    assert result.checks[-1].evidence["says"] == "delta CRL 6 of CN=north"


def test_delta_takes_a_hold_back(world: World) -> None:
    base = listing(world, "certificate-hold", number=5, now=NOW - 2 * DAY)
    assert world.check(CRL, base).reason is Reason.CERT_ON_HOLD
    assert world.check(CRL, base, listing(world, "remove-from-crl", number=6, delta_base=5)).accepted


def test_delta_of_a_later_base_does_not_take_a_hold_back(world: World) -> None:
    base = listing(world, "certificate-hold", number=5, now=NOW - 2 * DAY)
    later = listing(world, "remove-from-crl", number=8, delta_base=6)
    result = world.check(CRL, base, later)
    assert result.reason is Reason.CERT_ON_HOLD
    assert line(result, Reason.CRL_DELTA_BASE).evidence["cause"] == "it builds on CRL 6, the one at hand is 5"


def test_stale_delta_does_not_take_a_hold_back(world: World) -> None:
    base = listing(world, "certificate-hold", number=5, now=NOW - 2 * DAY)
    stale = listing(world, "remove-from-crl", number=6, delta_base=5, now=NOW - 2 * DAY, days=1)
    assert world.check(CRL, base, stale).reason is Reason.CERT_ON_HOLD


def test_current_delta_keeps_a_stale_base_in_use(world: World) -> None:
    base = crl(world, number=5, now=NOW - 9 * DAY)
    assert world.check(CRL, base).reason is Reason.CRL_STALE
    assert world.check(CRL, base, crl(world, number=6, delta_base=5)).accepted


def test_delta_of_another_scope_does_not_count(world: World) -> None:
    base = listing(world, "certificate-hold", number=5, now=NOW - 2 * DAY)
    other = listing(world, "remove-from-crl", number=6, delta_base=5, only_user=True)
    assert world.check(CRL, base, other).reason is Reason.CERT_ON_HOLD


def test_delta_by_another_authority_key_identifier_does_not_fit(world: World) -> None:
    base = listing(world, "certificate-hold", number=5, now=NOW - 2 * DAY)
    other = listing(world, "remove-from-crl", number=6, delta_base=5, authority_key_id=b"another key")
    assert world.check(CRL, base, other).reason is Reason.CERT_ON_HOLD


def test_freshest_crl_of_certificate_or_crl_is_fetched_and_kept() -> None:
    delta_url = "http://crl.north.example/delta.crl"
    for by_certificate in (True, False):
        world = World(crl_at=(CDP,), knobs={"freshest_crl_urls": (delta_url,)} if by_certificate else {})
        base = crl(world, **({} if by_certificate else {"freshest_crl_urls": (delta_url,)}))
        delta = listing(world, number=6, delta_base=5)
        result, asked = serve(world, CRL, {CDP: answer(base), delta_url: answer(delta)})
        assert result.reason is Reason.CERT_REVOKED
        assert asked == [CDP, delta_url]
        assert {item.der for item in result.learned} == {base, delta}


def test_delta_that_cannot_be_fetched_leaves_its_base_in_force() -> None:
    world = World(crl_at=(CDP,), knobs={"freshest_crl_urls": (f"{CDP}d",)})
    result, asked = serve(world, CRL, {CDP: answer(crl(world))})
    assert result.accepted
    assert asked == [CDP, f"{CDP}d"]


# scopes and distribution points


def test_distribution_point_names_must_meet() -> None:
    world = World(crl_at=(CDP,))
    assert world.check(CRL, crl(world, urls=("HTTP://CRL.North.Example/north.crl",))).accepted
    result = world.check(CRL, crl(world, urls=("http://crl.north.example/NORTH.crl",)))
    assert result.reason is Reason.CRL_SCOPE
    assert "NORTH.crl" in str(failed(result)[0].evidence["cause"])


def _relative(name: str) -> bytes:
    """nameRelativeToCRLIssuer of one common name."""
    return explicit(0, implicit(1, sequence(oid("2.5.4.3"), utf8(name)), constructed=True))


@pytest.mark.parametrize(("name", "reason"), [("part 1", None), ("part 2", Reason.CRL_SCOPE)])
def test_relative_names_are_resolved_on_both_sides(name: str, reason: Reason | None) -> None:
    point = Extension("2.5.29.31", False, sequence(sequence(_relative("part 1"))))
    world = World(knobs={"extra": (point,)})
    full = Extension("2.5.29.28", True, sequence(explicit(0, implicit(0, _directory(f"{name}"), constructed=True))))
    relative = Extension("2.5.29.28", True, sequence(_relative(name)))
    for idp in (full, relative):
        assert world.check(CRL, crl(world, extra=(idp,))).reason is reason


def _directory(name: str) -> bytes:
    """A directoryName: the CA's own name and a common name below it."""
    rdn = set_of([sequence(oid("2.5.4.3"), utf8("north"))])
    return explicit(4, sequence(rdn, set_of([sequence(oid("2.5.4.3"), utf8(name))])))


def test_reasons_add_up_over_crls_until_all_are_covered(world: World) -> None:
    compromise = crl(world, only_reasons=(1, 2))
    others = crl(world, only_reasons=(3, 4, 5, 6, 7, 8), number=2)
    assert world.check(CRL, compromise, others).accepted
    lacking = crl(world, only_reasons=(3, 4, 5, 6, 7), number=2)
    result = world.check(CRL, compromise, lacking)
    assert result.reason is Reason.CRL_SCOPE
    assert failed(result)[0].evidence["reasons"] == ("aACompromise",)


def test_distribution_point_for_some_reasons_is_covered_for_those_only() -> None:
    world = World(crl_at=(CDP,), knobs={"crl_reasons": (1, 2)})
    result = world.check(CRL, crl(world, urls=(CDP,)))
    assert result.reason is Reason.CRL_SCOPE
    assert "superseded" in str(failed(result)[0].evidence["reasons"])
    world = World(crl_at=(CDP,), knobs={"crl_reasons": tuple(range(1, 9))})
    assert world.check(CRL, crl(world, urls=(CDP,))).accepted


def test_alternatives_are_asked_one_after_the_other() -> None:
    world = World(crl_at=(CDP, f"{CDP}2"))
    assert [request.url for request in world.check(CRL, fetch=True).wanted] == [CDP]
    assert serve(world, CRL, {CDP: answer(crl(world))})[1] == [CDP]


def test_reasons_of_distribution_points_are_fetched_together() -> None:
    points = sequence(
        *(
            sequence(
                explicit(0, implicit(0, implicit(6, f"{CDP}{n}".encode()), constructed=True)) + implicit(1, bits)
            )
            for n, bits in ((1, b"\x05\x60"), (2, b"\x07\x1f\x80"))
        )
    )
    world = World(knobs={"extra": (Extension("2.5.29.31", False, points),)})
    first = crl(world, urls=(f"{CDP}1",), only_reasons=(1, 2))
    second = crl(world, urls=(f"{CDP}2",), only_reasons=(3, 4, 5, 6, 7, 8))
    wanted = world.check(CRL, fetch=True).wanted
    assert [request.url for request in wanted] == [f"{CDP}1", f"{CDP}2"]
    assert serve(world, CRL, {f"{CDP}1": answer(first), f"{CDP}2": answer(second)})[0].accepted
    assert serve(world, CRL, {f"{CDP}1": answer(first)})[0].reason is Reason.CRL_FETCH_FAILED


# indirect CRLs and other signers


@pytest.fixture(scope="module")
def indirect() -> tuple[World, Authority]:
    """A certificate whose CDP names another CRL issuer, which the root certified."""
    world = World()
    issuer = _signer(world, "CN=crl issuer")
    leaf = world.root.leaf("CN=bob", (), NOW - DAY, extra=(distribution_points((), issuer.subject),))
    world.leaf = parse(leaf.certificate)
    return world, issuer


SIGNERS_CRL = "http://crl.north.example/signers.crl"
"""The scope of the CRL that covers CRL signers and nobody else."""


def _signer(world: World, subject: str | bytes, **knobs: Any) -> Authority:
    given = {"ca": False, "key_usage": ("cRLSign",), "crl_urls": (SIGNERS_CRL,)} | knobs
    return Authority.create("signer", now=NOW - 20 * DAY, subject=subject, issuer=world.root, **given)


def _for_signers(world: World, *revoked: Authority) -> bytes:
    entries = [(parse(one.certificate).serial, Revocation(NOW - DAY)) for one in revoked]
    return world.root.crl(NOW - HOUR, number=1, entries=entries, urls=(SIGNERS_CRL,))


def _indirect(world: World, issuer: Authority, named: bytes | None, serial: int, **knobs: Any) -> bytes:
    knobs.setdefault("indirect", True)
    entry = Revocation(NOW - DAY, "key-compromise", issuer=named)
    return issuer.crl(NOW - HOUR, number=1, entries=[(serial, entry)], **knobs)


def _status(world: World, issuer: Authority, der: bytes, **given: Any) -> Reason | None:
    """The reason, with a CRL at hand for the status of the CRL issuer."""
    return world.check(
        CRL, _for_signers(world), der, signers=(world.root.certificate, issuer.certificate), **given
    ).reason


def test_indirect_crl_lists_by_issuer_and_serial(indirect: tuple[World, Authority]) -> None:
    world, issuer = indirect
    serial, north = world.leaf.serial, world.root.subject
    assert _status(world, issuer, _indirect(world, issuer, north, serial)) is Reason.CERT_REVOKED
    assert _status(world, issuer, _indirect(world, issuer, north, serial + 1)) is None
    assert _status(world, issuer, _indirect(world, issuer, issuer.subject, serial)) is None
    assert _status(world, issuer, _indirect(world, issuer, None, serial)) is None


def test_certificate_issuer_of_an_entry_holds_for_the_next_ones(indirect: tuple[World, Authority]) -> None:
    world, issuer = indirect
    revoked = Revocation(NOW - DAY)
    entries = [(7, replace(revoked, issuer=world.root.subject)), (world.leaf.serial, revoked)]
    assert _status(world, issuer, issuer.crl(NOW - HOUR, number=2, entries=entries, indirect=True)) is (
        Reason.CERT_REVOKED
    )
    entries.insert(1, (8, replace(revoked, issuer=issuer.subject)))
    assert _status(world, issuer, issuer.crl(NOW - HOUR, number=3, entries=entries, indirect=True)) is None


def test_crl_of_another_issuer_must_say_that_it_is_indirect(indirect: tuple[World, Authority]) -> None:
    world, issuer = indirect
    plain = _indirect(world, issuer, world.root.subject, 1, indirect=False)
    assert _status(world, issuer, plain) is Reason.CRL_SCOPE


def test_indirect_crl_issuer_must_be_named_by_the_certificate(
    world: World, indirect: tuple[World, Authority]
) -> None:
    _, issuer = indirect
    stranger = _indirect(world, issuer, world.root.subject, 1)
    assert world.check(CRL, stranger).reason is Reason.CRL_BAD_ISSUER


def test_separate_signer_needs_a_path_and_crl_sign(world: World) -> None:
    def check(**knobs: Any) -> RevocationResult:
        one = _signer(world, world.root.subject, **knobs)
        der = one.crl(NOW - HOUR, number=8, entries=[])
        return world.check(CRL, _for_signers(world), der, signers=(one.certificate,))

    assert check().accepted
    cases: dict[str, dict[str, Any]] = {
        "digitalSignature, without cRLSign": {"key_usage": ("digitalSignature",)},
        "cert-expired": {"not_after": NOW - DAY},
        "cert-no-issuer": {"tamper": True},
    }
    for cause, knobs in cases.items():
        result = check(**knobs)
        assert result.reason is Reason.CRL_SIGNER_USAGE
        assert cause in str(line(result, Reason.CRL_SIGNER_USAGE).evidence["cause"])


def test_revoked_signer_is_not_believed(world: World) -> None:
    one = _signer(world, world.root.subject)
    der = one.crl(NOW - HOUR, number=8, entries=[])
    assert world.check(CRL, _for_signers(world), der, signers=(one.certificate,)).accepted
    result = world.check(CRL, _for_signers(world, one), der, signers=(one.certificate,))
    assert result.reason is Reason.CRL_SIGNER_USAGE
    assert "cert-revoked" in str(line(result, Reason.CRL_SIGNER_USAGE).evidence["cause"])


def test_ca_without_crl_sign_may_not_sign() -> None:
    world = World()
    other = Authority.create("north", now=NOW - 30 * DAY, private_key=world.root.key, key_usage=("keyCertSign",))
    world.root.certificate = other.certificate
    result = world.check(CRL, crl(world))
    assert result.reason is Reason.CRL_SIGNER_USAGE
    assert "keyCertSign, without cRLSign" in str(failed(result)[0].evidence["cause"])


def test_twin_ca_of_the_same_name_signs_nothing(world: World) -> None:
    twin = Authority.create("north", now=NOW - 30 * DAY)
    result = world.check(CRL, twin.crl(NOW - HOUR, number=5))
    assert result.reason is Reason.CRL_BAD_SIGNATURE
    assert world.check(CRL, twin.crl(NOW - HOUR, number=5), crl(world)).accepted


def test_what_a_signer_still_wants_is_wanted(indirect: tuple[World, Authority]) -> None:
    world, issuer = indirect
    url = "http://elsewhere.example/signer.crl"
    asked = World(crl_at=(url,)).check(CRL, fetch=True).wanted
    context = replace(
        world.context(crls=(_indirect(world, issuer, None, 1),), signers=(issuer.certificate,), fetch=True),
        validate_signer=lambda signer, inner: SignerVerdict(wanted=asked),
    )
    result = check_revocation(world.leaf, world.issuer, CRL, context)
    assert result.wanted == asked
    assert result.reason is None
    assert not result.accepted


# limits


def test_spent_budget_ends_in_its_own_reason(world: World) -> None:
    result = world.check(CRL, crl(world, number=4711), budget=Budget(signatures=0))
    assert result.reason is Reason.CERT_PATH_BUDGET
    assert result.outcome is RevocationOutcome.FAILED


def test_crls_of_other_cas_are_one_line_and_no_reason(world: World) -> None:
    others = [Authority.create(f"ca {n}", now=NOW - DAY) for n in range(3)]
    crls = [other.crl(NOW - HOUR) for other in others]
    result = world.check(CRL, *crls, signers=tuple(other.certificate for other in others))
    assert result.reason is Reason.CRL_MISSING
    (mentioned,) = [check for check in result.checks if check.subject == "CRLs"]
    assert mentioned.evidence["count"] == 3


def test_ip_scope_flags_exclude_each_other(world: World) -> None:
    both = issuing_distribution_point(only_user=True, only_ca=True)
    assert world.check(CRL, crl(world, extra=(both,))).reason is Reason.CRL_MALFORMED
