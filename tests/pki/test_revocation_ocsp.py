"""What OCSP responses say about a certificate, who may say it, and whom to ask next."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from ikesim.pki import der
from ikesim.pki.authority import Authority, Responder, Revocation
from ikesim.pki.authority.certificate import key_identifier, name_bytes
from ikesim.pki.authority.signing import sign_with
from ikesim.pki.certificates import parse
from ikesim.pki.decision import CheckOutcome, RevocationOutcome
from ikesim.pki.der_writer import bit_string, explicit, integer, octet_string, oid, sequence
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.pki.keys import spki
from ikesim.pki.ocsp import read_response
from ikesim.pki.profiles import OcspSettings, RevocationPolicy, RevocationSettings
from ikesim.pki.revocation import RevocationResult
from ikesim.reasons import TRUST_REASONS, Reason
from tests.pki.revocation_world import (
    AIA,
    CDP,
    CRL,
    DAY,
    HOUR,
    NOW,
    OCSP,
    OCSP_NO_NONCE,
    OCSP_THEN_CRL,
    World,
    answer,
    failed,
    line,
    serve,
)

UNKNOWN_OID = "1.3.6.1.4.1.99999.1"


@pytest.fixture
def world() -> World:
    return World(ocsp_at=(AIA,))


def ask(world: World, settings: RevocationSettings = OCSP, **knobs: Any) -> RevocationResult:
    """Ask the one responder, which answers what is asked with the nonce that came, but for `knobs`."""
    answers = {}
    given = {key: knobs.pop(key) for key in ("responders", "schemes") if key in knobs}
    (request,) = world.check(settings, fetch=True, **given).wanted
    answers[request] = answer(world.root.respond(request.body, knobs.pop("now", NOW), **knobs))
    return world.check(settings, fetch=True, fetched=answers, **given)


def test_good_response_is_good(world: World) -> None:
    result = ask(world)
    assert result.accepted
    assert result.outcome is RevocationOutcome.GOOD
    assert len(result.learned_ocsp) == 1
    assert result.checks[0].subject == "OCSP response of CN=north"


def delegated(world: World, **knobs: Any) -> Responder:
    return world.root.responder(knobs.pop("now", NOW - DAY), **knobs)


BY_ONE_FACT: dict[str, tuple[dict[str, Any], Reason]] = {
    "tryLater": ({"response_status": "try-later"}, Reason.OCSP_ERROR_STATUS),
    "unauthorized": ({"response_status": "unauthorized"}, Reason.OCSP_ERROR_STATUS),
    "another serial": ({"answer_serial": 4711}, Reason.OCSP_SERIAL_MISMATCH),
    "another CA": ({"issuer_name": "CN=elsewhere"}, Reason.OCSP_SERIAL_MISMATCH),
    "nonce missing": ({"nonce": None}, Reason.OCSP_NONCE),
    "nonce differs": ({"nonce": b"\x00" * 32}, Reason.OCSP_NONCE),
    "unknown": ({"status": "unknown"}, Reason.OCSP_UNKNOWN),
    "past nextUpdate": ({"next_update": NOW - timedelta(seconds=1)}, Reason.OCSP_STALE),
    "from the future": ({"this_update": NOW + HOUR}, Reason.OCSP_NOT_YET_VALID),
    "signature of one bit less": ({"tamper": True}, Reason.OCSP_BAD_SIGNATURE),
    "weak signature": ({"digest": "sha1"}, Reason.OCSP_BAD_SIGNATURE),
    "unknown critical extension": ({"critical": UNKNOWN_OID}, Reason.OCSP_MALFORMED),
}


@pytest.mark.parametrize("name", BY_ONE_FACT)
def test_one_fact_flips_one_check(world: World, name: str) -> None:
    knobs, reason = BY_ONE_FACT[name]
    assert ask(world).accepted
    result = ask(world, **knobs)
    assert not result.accepted
    assert result.reason is reason
    (check,) = failed(result)
    assert check.rule == TRUST_REASONS[reason].rule
    assert result.outcome is (RevocationOutcome.STALE if reason is Reason.OCSP_STALE else RevocationOutcome.FAILED)


@pytest.mark.parametrize("skew", [timedelta(seconds=300), timedelta(seconds=301)])
def test_clock_of_a_responder_may_be_five_minutes_ahead(world: World, skew: timedelta) -> None:
    assert ask(world, this_update=NOW + skew).accepted is (skew == timedelta(seconds=300))


@pytest.mark.parametrize(
    ("age", "nonce", "accepted"),
    [(DAY, None, True), (DAY + HOUR, None, False), (DAY + HOUR, b"", True)],
    ids=["a day old", "older", "older with our nonce"],
)
def test_without_next_update_age_or_nonce_decide(
    world: World, age: timedelta, nonce: bytes | None, accepted: bool
) -> None:
    settings = OCSP_NO_NONCE if nonce is None else OCSP
    result = answer_no_nonce(world, settings, this_update=NOW - age, next_update=None)
    assert result.accepted is accepted
    assert result.reason is (None if accepted else Reason.OCSP_STALE)


def answer_no_nonce(world: World, settings: RevocationSettings, **knobs: Any) -> RevocationResult:
    (request,) = world.check(settings, fetch=True).wanted
    body = (
        world.root.respond(request.body, NOW, **knobs)
        if request.body
        else world.root.ocsp(world.leaf.der, NOW, **knobs)
    )
    return world.check(settings, fetch=True, fetched={request: answer(body)})


def test_body_that_is_no_response(world: World) -> None:
    (request,) = world.check(OCSP, fetch=True).wanted
    result = world.check(OCSP, fetch=True, fetched={request: answer(b"<html>")})
    assert result.reason is Reason.OCSP_MALFORMED
    assert "HTML" in str(failed(result)[0].evidence["cause"])


@pytest.mark.parametrize("policy", [RevocationPolicy.STRICT, RevocationPolicy.RELAXED])
def test_revoked_and_on_hold(world: World, policy: RevocationPolicy) -> None:
    settings = replace(OCSP, policy=policy)
    world.root.revoke(world.leaf.serial, "certificate-hold", at=NOW - HOUR)
    assert ask(world, settings).reason is Reason.CERT_ON_HOLD
    world.root.revoke(world.leaf.serial, "key-compromise", at=NOW - HOUR)
    result = ask(world, settings)
    assert (result.outcome, result.reason) == (RevocationOutcome.REVOKED, Reason.CERT_REVOKED)
    assert result.checks[-1].evidence["revocation_date"] == NOW - HOUR


@pytest.mark.parametrize(
    "knobs", [{"nonce": b"old"}, {"next_update": NOW - HOUR}], ids=["another nonce", "past nextUpdate"]
)
def test_what_cannot_prove_good_still_proves_revoked(world: World, knobs: dict[str, Any]) -> None:
    world.root.revoke(world.leaf.serial, at=NOW - DAY)
    assert ask(world, **knobs).reason is Reason.CERT_REVOKED


def test_replayed_good_answer_does_not_survive_the_nonce(world: World) -> None:
    (request,) = world.check(OCSP, fetch=True, at=NOW - HOUR).wanted
    old = world.root.respond(request.body, NOW - HOUR)
    world.root.revoke(world.leaf.serial, at=NOW)
    (now,) = world.check(OCSP, fetch=True).wanted
    assert now != request
    assert world.check(OCSP, fetch=True, fetched={now: answer(old)}).reason is Reason.OCSP_NONCE


def test_answer_to_a_request_of_a_moment_ago_is_found_again(world: World) -> None:
    (request,) = world.check(OCSP, fetch=True).wanted
    fetched = {request: answer(world.root.respond(request.body, NOW))}
    result = world.check(OCSP, fetch=True, fetched=fetched, at=NOW + timedelta(seconds=9))
    assert result.accepted
    assert result.wanted == ()


def test_nonce_handed_in_is_used(world: World) -> None:
    (request,) = world.check(OCSP, fetch=True, nonce=b"entropy").wanted
    assert request.body.endswith(b"\x04\x07entropy")


# signers


def test_delegated_responder_by_name_and_by_key(world: World) -> None:
    for by_key in (False, True):
        result = ask(world, responder=delegated(world), by_key=by_key)
        assert result.accepted
        assert result.checks[0].evidence["signer"] == "CN=north OCSP"


DELEGATION: dict[str, tuple[dict[str, Any], Reason]] = {
    "without OCSPSigning": ({"extended_key_usage": ("serverAuth",)}, Reason.OCSP_SIGNER_NOT_AUTHORIZED),
    "any purpose is not OCSPSigning": ({"extended_key_usage": ("any",)}, Reason.OCSP_SIGNER_NOT_AUTHORIZED),
    "without EKU": ({"extended_key_usage": ()}, Reason.OCSP_SIGNER_NOT_AUTHORIZED),
    "expired": ({"not_after": NOW - timedelta(seconds=1)}, Reason.OCSP_SIGNER_EXPIRED),
    "not yet valid": ({"not_before": NOW + timedelta(seconds=1)}, Reason.OCSP_SIGNER_EXPIRED),
    "not signed by the CA": ({"tamper": True}, Reason.OCSP_SIGNER_NOT_AUTHORIZED),
    "of another CA": ({"issuer_name": "CN=south"}, Reason.OCSP_SIGNER_NOT_AUTHORIZED),
    "unknown critical extension": ({"critical": UNKNOWN_OID}, Reason.OCSP_SIGNER_NOT_AUTHORIZED),
}


@pytest.mark.parametrize("name", DELEGATION)
def test_one_fact_ends_a_delegation(world: World, name: str) -> None:
    knobs, reason = DELEGATION[name]
    result = ask(world, responder=delegated(world, **knobs))
    assert result.reason is reason
    assert failed(result)[0].rule == "RFC 6960 4.2.2.2"


def test_delegated_responder_must_send_its_certificate(world: World) -> None:
    assert ask(world, responder=delegated(world), certificates=()).reason is Reason.OCSP_SIGNER_NOT_AUTHORIZED


def test_key_of_a_stranger_under_the_name_of_the_ca(world: World) -> None:
    twin = Authority.create("north", now=NOW - DAY)
    assert ask(world, signing_key=twin.key).reason is Reason.OCSP_BAD_SIGNATURE


def test_directly_trusted_responder(world: World) -> None:
    stranger = Authority.create("watch", now=NOW - DAY)
    info = spki(stranger.key.public_key())
    responder = Responder(stranger.certificate, stranger.key, name_bytes("CN=watch"), key_identifier(info))
    assert ask(world, responder=responder).reason is Reason.OCSP_SIGNER_NOT_AUTHORIZED
    assert ask(world, responder=responder, responders=(parse(stranger.certificate),)).accepted


def test_revoked_responder_without_nocheck(world: World) -> None:
    def status(nocheck: bool) -> Reason | None:
        responder = delegated(world, nocheck=nocheck)
        (request,) = world.check(OCSP, fetch=True).wanted
        fetched = {request: answer(world.root.respond(request.body, NOW, responder=responder))}
        serial = parse(responder.certificate).serial
        crl = world.root.crl(NOW - HOUR, entries=[(serial, Revocation(NOW - DAY))])
        return world.check(OCSP, crl, fetch=True, fetched=fetched).reason

    assert status(nocheck=True) is None
    assert status(nocheck=False) is Reason.OCSP_SIGNER_NOT_AUTHORIZED


# whom to ask


def test_certificates_responder_then_the_operators() -> None:
    operator = "http://192.168.1.1/ocsp"
    world = World(ocsp_at=(AIA, f"{AIA}/2"))
    settings = replace(OCSP, ocsp=OcspSettings(url=(operator,)))
    fetched: dict[FetchRequest, FetchResult] = {}
    asked = []
    while wanted := world.check(settings, fetch=True, fetched=fetched).wanted:
        (request,) = wanted
        asked.append((request.url, request.operator))
        body = world.root.respond(request.body, NOW) if request.url == operator else None
        fetched[request] = answer(body, error="timed out")
    assert asked == [(AIA, False), (f"{AIA}/2", False), (operator, True)]
    result = world.check(settings, fetch=True, fetched=fetched)
    assert result.accepted
    assert [check.source for check in result.checks if check.reason is Reason.OCSP_FETCH_FAILED] == [
        AIA,
        f"{AIA}/2",
    ]


def test_get_that_a_server_refuses_is_repeated_as_post(world: World) -> None:
    (get,) = world.check(OCSP_NO_NONCE, fetch=True).wanted
    assert (get.method, get.body) == ("GET", b"")
    fetched = {get: answer(error="HTTP status 405", status=405)}
    (post,) = world.check(OCSP_NO_NONCE, fetch=True, fetched=fetched).wanted
    assert (post.method, post.url) == ("POST", AIA)
    fetched[post] = answer(world.root.respond(post.body, NOW))
    assert world.check(OCSP_NO_NONCE, fetch=True, fetched=fetched).accepted


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (answer(error="timed out"), Reason.OCSP_FETCH_FAILED),
        (answer(error="leads to 10.0.0.1", refused=True), Reason.OCSP_FETCH_REFUSED),
        (answer(b"whatever", status=500), Reason.OCSP_FETCH_FAILED),
    ],
)
def test_unreachable_and_refused(world: World, result: FetchResult, reason: Reason) -> None:
    (request,) = world.check(OCSP, fetch=True).wanted
    found = world.check(OCSP, fetch=True, fetched={request: result})
    assert (found.reason, found.outcome) == (reason, RevocationOutcome.FAILED)


def test_https_responder_is_refused() -> None:
    result = World(ocsp_at=("https://ocsp.example",)).check(OCSP, fetch=True)
    assert (result.reason, result.wanted) == (Reason.OCSP_FETCH_REFUSED, ())


def test_nobody_to_ask_is_skipped_and_asking_forbidden_is_failed(world: World) -> None:
    alone = World().check(OCSP, fetch=True)
    assert (alone.reason, alone.outcome) == (Reason.OCSP_MISSING, RevocationOutcome.SKIPPED)
    offline = world.check(OCSP)
    assert (offline.reason, offline.outcome, offline.wanted) == (Reason.OCSP_MISSING, RevocationOutcome.FAILED, ())


def test_unknown_may_be_accepted(world: World) -> None:
    settings = replace(OCSP, ocsp=OcspSettings(accept_unknown=True))
    result = ask(world, settings, status="unknown")
    assert result.accepted
    assert (result.outcome, result.ceiling) == (RevocationOutcome.SKIPPED, RevocationOutcome.SKIPPED)


def test_download_failure_may_be_accepted(world: World) -> None:
    settings = replace(OCSP, on_download_failure="accept")
    (request,) = world.check(settings, fetch=True).wanted
    result = world.check(settings, fetch=True, fetched={request: answer(error="timed out")})
    assert result.accepted
    assert result.outcome is RevocationOutcome.SKIPPED


# responses at hand


def test_response_at_hand_is_used_without_asking_until_it_is_stale(world: World) -> None:
    held = world.root.ocsp(world.leaf.der, NOW - HOUR, days=1)
    used = world.check(OCSP, ocsp=(held,), fetch=True)
    assert used.accepted
    assert used.learned_ocsp == (), "only what was fetched is new"
    assert world.check(OCSP, ocsp=(held,), fetch=True, at=NOW + DAY).wanted


def test_newer_of_two_responses_at_hand_counts_in_any_order(world: World) -> None:
    world.root.revoke(world.leaf.serial, "certificate-hold", at=NOW - 2 * HOUR)
    hold = world.root.ocsp(world.leaf.der, NOW - 2 * HOUR)
    world.root.unrevoke(world.leaf.serial)
    good = world.root.ocsp(world.leaf.der, NOW - HOUR)
    assert world.check(OCSP, ocsp=(hold,)).reason is Reason.CERT_ON_HOLD
    for order in ((hold, good), (good, hold)):
        assert world.check(OCSP, ocsp=order).accepted


def test_response_at_hand_for_another_serial_is_named(world: World) -> None:
    other = world.root.ocsp(4711, NOW - HOUR, status="good")
    assert world.check(OCSP, ocsp=(other,)).reason is Reason.OCSP_SERIAL_MISMATCH


# both methods


def test_ocsp_then_crl_falls_back_and_keeps_the_evidence() -> None:
    world = World(crl_at=(CDP,), ocsp_at=(AIA,))
    crl = world.root.crl(NOW - HOUR)
    result, asked = serve(world, OCSP_THEN_CRL, {CDP: answer(crl)})
    assert result.accepted
    assert asked == [AIA, CDP]
    assert line(result, Reason.OCSP_FETCH_FAILED).outcome is CheckOutcome.INFO
    assert serve(world, OCSP_THEN_CRL, {})[0].reason in (Reason.OCSP_FETCH_FAILED, Reason.CRL_FETCH_FAILED)


def test_ocsp_then_crl_without_anything_is_a_missing_crl() -> None:
    assert World().check(OCSP_THEN_CRL).reason is Reason.CRL_MISSING
    assert World(crl_at=(CDP,)).check(OCSP_THEN_CRL).reason is Reason.CRL_MISSING
    assert World(ocsp_at=(AIA,)).check(OCSP_THEN_CRL).reason is Reason.OCSP_MISSING


def test_dead_responder_is_refused_where_no_url_at_all_is_skipped() -> None:
    settings = replace(OCSP_THEN_CRL, policy=RevocationPolicy.IF_URI)
    assert World().check(settings, fetch=True).accepted
    result, _ = serve(World(ocsp_at=(AIA,)), settings, {})
    assert (result.reason, result.outcome) == (Reason.OCSP_FETCH_FAILED, RevocationOutcome.FAILED)


def test_crl_at_hand_that_lists_the_serial_wins_over_a_good_response(world: World) -> None:
    good = world.root.ocsp(world.leaf.der, NOW - HOUR)
    crl = world.root.crl(NOW - HOUR, entries=[(world.leaf.serial, Revocation(NOW - DAY))])
    assert world.check(OCSP, ocsp=(good,)).accepted
    result = world.check(OCSP, crl, ocsp=(good,), fetch=True)
    assert (result.reason, result.wanted) == (Reason.CERT_REVOKED, ())
    unasked = world.check(OCSP, crl, fetch=True)
    assert (unasked.reason, unasked.wanted) == (Reason.CERT_REVOKED, ()), "there is nothing left to ask"


def test_response_with_two_statuses_of_one_certificate_counts_the_graver(world: World) -> None:
    good, revoked = (
        der.read(read_response(world.root.ocsp(world.leaf.der, NOW - HOUR, status=status)).to_be_signed).children()
        for status in ("good", "revoked")
    )
    for order in ((good, revoked), (revoked, good)):
        singles = sequence(*(fields[2].children()[0].der for fields in order))
        data = sequence(good[0].der, good[1].der, singles)
        algorithm, signature = sign_with(world.root.key, data)
        basic = sequence(data, algorithm, bit_string(signature))
        body = explicit(0, sequence(oid("1.3.6.1.5.5.7.48.1.1"), octet_string(basic)))
        response = sequence(integer(0, tag=0x0A), body)
        assert world.check(OCSP, ocsp=(response,)).reason is Reason.CERT_REVOKED


def test_response_at_hand_speaks_under_method_crl(world: World) -> None:
    crl = world.root.crl(NOW - HOUR, entries=[])
    good = world.root.ocsp(world.leaf.der, NOW - HOUR, status="good")
    world.root.revoke(world.leaf.serial, at=NOW - DAY)
    revoked = world.root.ocsp(world.leaf.der, NOW - HOUR)
    assert world.check(CRL, ocsp=(good,)).accepted
    assert world.check(CRL, crl, ocsp=(revoked,)).reason is Reason.CERT_REVOKED


def test_good_crl_does_not_stand_in_for_a_response(world: World) -> None:
    assert world.check(OCSP, world.root.crl(NOW - HOUR)).reason is Reason.OCSP_MISSING
