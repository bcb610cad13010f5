"""Message IDs, retransmission with backoff, and the memory of responses (RFC 7296 2.1 to 2.3)."""

import pytest

from ikesim.ike.events import Anomaly, Retransmitted, SaClosed, SaRefused
from ikesim.testing import assert_established, assert_refused
from ikesim.wire.address import Address, Path
from ikesim.wire.payloads import Delete, Notify
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MakePair,
    counters,
    deliver,
    forger,
    header,
    hold,
    is_message,
    path_to,
    release,
    sent,
    states,
    tap,
    times,
)

WHOLE = {"fragment_size": 0}


def sums(initial: float, factor: float, count: int) -> list[float]:
    """When the first send and `count` retransmissions happen: 0, initial, initial + initial * factor, ..."""
    moments, wait = [0.0], initial
    for _ in range(count):
        moments.append(moments[-1] + wait)
        wait *= factor
    return [round(moment, 6) for moment in moments]


def test_backoff_is_4_then_7_2_then_12_96_seconds_and_so_on(ike_pair: MakePair) -> None:
    pair = ike_pair(loss=1.0)
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    # 4 s, 4 * 1.8 = 7.2 s, 12.96 s, 23.328 s, 41.9904 s; after 75.58272 s more it is over
    assert times(pair, pair.alice) == [0.0, 4.0, 11.2, 24.16, 47.488, 89.4784]
    assert [event.count for event in pair.alice.of(Retransmitted)] == [1, 2, 3, 4, 5]
    assert {event.message_id for event in pair.alice.of(Retransmitted)} == {0}
    assert round(pair.world.now, 5) == 165.06112
    assert (verdict.by, verdict.reason) == ("nobody-answered", "nobody-answered")
    assert verdict.detail == "no answer to IKE_SA_INIT from 192.0.2.2:500"
    assert pair.sas(pair.alice) == []
    assert pair.alice.next_deadline() is None


@pytest.mark.parametrize(
    ("settings", "moments", "end"),
    [
        ({"initial": 1.0, "factor": 2.0, "tries": 3}, [0, 1, 3, 7], 15),
        ({"initial": 0.5, "factor": 1.0, "tries": 2}, [0, 0.5, 1.0], 1.5),
        ({"initial": 2.0, "factor": 1.8, "tries": 0}, [0], 2.0),
    ],
)
def test_the_settings_say_when_and_how_often(
    ike_pair: MakePair, settings: dict[str, float], moments: list[float], end: float
) -> None:
    pair = ike_pair(loss=1.0, alice={"retransmit": settings})
    pair.up()
    assert times(pair, pair.alice) == moments
    assert pair.world.now == pytest.approx(end)
    assert_refused(pair, "nobody-answered", by="nobody-answered")


def test_a_retransmission_is_bitwise_identical(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    hold(pair, lambda item: is_message(item, IKE_AUTH, response=False), times=2)
    pair.up()
    first, second, third = sent(pair, pair.alice, IKE_AUTH)
    assert first.octets == second.octets == third.octets
    assert times(pair, pair.alice, IKE_AUTH) == [0.02, 4.02, 11.22]
    assert_established(pair)


@pytest.mark.parametrize("exchange", [IKE_SA_INIT, IKE_AUTH])
def test_a_lost_response_is_sent_again_and_nothing_is_processed_twice(ike_pair: MakePair, exchange: int) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    lost = hold(pair, lambda item: is_message(item, exchange, response=True), times=1)
    tapped = tap(pair.bob)
    pair.up()
    first, second = sent(pair, pair.bob, exchange, response=True)
    assert first.octets == second.octets == lost[0].octets
    assert len(tapped.of(exchange, response=True)) == 1
    assert_established(pair)
    assert len(pair.sas(pair.bob)) == 1


def test_no_answer_to_ike_auth_says_which_message_it_was(ike_pair: MakePair) -> None:
    pair = ike_pair()
    hold(pair, lambda item: is_message(item, IKE_AUTH))
    pair.up()
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.detail) == ("nobody-answered", "no answer to IKE_AUTH from 192.0.2.2:4500")


def test_the_answer_to_a_repeated_request_goes_where_it_came_from(ike_pair: MakePair) -> None:
    # RFC 7296 2.11: the response goes to the address and port the request came from, retransmitted ones too
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    pair.up()
    (request,) = sent(pair, pair.alice, IKE_AUTH)
    mapped = Address("192.0.2.1", 61234)
    pair.bob.inject(request.octets, Path(request.destination, mapped))
    last = sent(pair, pair.bob)[-1]
    assert (last.destination, last.source) == (mapped, request.destination)
    assert last.octets == sent(pair, pair.bob, IKE_AUTH)[0].octets
    # ... and the SA stays where it was: nothing new was authenticated
    assert pair.sas(pair.bob)[0]["remote"] == "192.0.2.1:4500"


def test_an_informational_request_is_answered_from_memory(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.alice.check_liveness(pair.alice.established[0])
    pair.world.settle()
    (request,) = sent(pair, pair.alice, INFORMATIONAL)
    for _ in range(3):
        pair.bob.inject(request.octets, Path(request.destination, request.source))
    answers = sent(pair, pair.bob, INFORMATIONAL)
    assert len(answers) == 4
    assert len({item.octets for item in answers}) == 1
    assert counters(pair.bob)["requests-repeated"] == 3


def test_a_stale_or_early_message_id_is_dropped(ike_pair: MakePair) -> None:
    pair = ike_pair()
    tapped = tap(pair.alice)
    pair.up()
    forged, path = forger(tapped, initiator=True), path_to(pair.bob, pair.alice)
    quiet = len(sent(pair, pair.bob))
    # the window is 1: after IKE_AUTH (1) bob awaits 2
    for message_id in (0, 1, 3, 4, 0x7FFFFFFF, 0xFFFFFFFF):
        pair.bob.inject(forged.sealed(INFORMATIONAL, message_id, [Delete(1)]), path)
    assert len(sent(pair, pair.bob)) == quiet
    assert (counters(pair.bob)["requests-stale"], counters(pair.bob)["requests-early"]) == (2, 4)
    assert states(pair, pair.bob) == ["established"]
    # HDR(2), SK {D} --> is in its turn
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [Delete(1)]), path)
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["deleted-by-peer"]


def test_another_request_under_an_answered_message_id_is_not_answered(ike_pair: MakePair) -> None:
    pair = ike_pair()
    tapped = tap(pair.alice)
    pair.up()
    forged, path = forger(tapped, initiator=True), path_to(pair.bob, pair.alice)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, []), path)
    quiet = len(sent(pair, pair.bob))
    # HDR(2), SK {D} --> not the request that was answered, so neither processed nor answered
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [Delete(1)]), path)
    assert len(sent(pair, pair.bob)) == quiet
    assert states(pair, pair.bob) == ["established"]


def test_a_response_that_nobody_asked_for_is_dropped(ike_pair: MakePair) -> None:
    pair = ike_pair()
    tapped = tap(pair.bob)
    pair.up()
    forged, path = forger(tapped, initiator=False), path_to(pair.alice, pair.bob)
    for exchange, message_id in ((INFORMATIONAL, 2), (IKE_AUTH, 1), (INFORMATIONAL, 99)):
        pair.alice.inject(forged.sealed(exchange, message_id, [Notify(24)], response=True), path)
    assert counters(pair.alice)["responses-unexpected"] == 3
    assert_established(pair)


def test_a_response_of_another_exchange_is_dropped(ike_pair: MakePair) -> None:
    pair = ike_pair()
    tapped = tap(pair.bob)
    pair.up()
    pair.alice.check_liveness(pair.alice.established[0])
    # <-- HDR(2, IKE_AUTH), SK {N(AUTHENTICATION_FAILED)} while an INFORMATIONAL is outstanding
    forged = forger(tapped, initiator=False)
    pair.alice.inject(forged.sealed(IKE_AUTH, 2, [Notify(24)], response=True), path_to(pair.alice, pair.bob))
    assert counters(pair.alice)["responses-unexpected"] == 1
    pair.world.settle()
    assert_established(pair)


def test_a_late_response_is_no_response_to_the_next_request(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    (sa,) = pair.alice.established
    pair.alice.check_liveness(sa)
    pair.world.settle()
    (old,) = sent(pair, pair.bob, INFORMATIONAL)
    pair.alice.check_liveness(sa)
    pair.alice.inject(old.octets, Path(old.destination, old.source))
    assert counters(pair.alice)["responses-unexpected"] == 1
    pair.world.settle()
    assert [header(item.octets).message_id for item in sent(pair, pair.bob, INFORMATIONAL)] == [2, 3]
    assert_established(pair)


def test_a_forged_copy_that_comes_first_spoils_no_retransmission(ike_pair: MakePair) -> None:
    # Whoever sees a request can send a damaged copy ahead of it. What does not verify must leave no trace: the true
    # request is answered, and so is its retransmission.
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    pair.up()
    pair.alice.check_liveness(pair.alice.established[0])
    (request,) = sent(pair, pair.alice, INFORMATIONAL)
    damaged = request.octets[:-1] + bytes((request.octets[-1] ^ 1,))
    path = Path(request.destination, request.source)
    pair.bob.inject(damaged, path)
    assert counters(pair.bob)["ike-integrity"] == 1
    lost = hold(pair, lambda item: is_message(item, INFORMATIONAL, response=True), times=1)
    pair.world.run_until(pair.world.now + 10)
    answers = sent(pair, pair.bob, INFORMATIONAL)
    assert [item.octets for item in answers] == [lost[0].octets] * 2
    assert_established(pair)


def test_duplicated_datagrams_change_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(duplicate=1.0)
    pair.up()
    assert_established(pair)
    assert [len(pair.alice.established), len(pair.bob.established)] == [1, 1]
    pair.alice.rekey(pair.alice.established[0])
    pair.world.settle()
    assert_established(pair)
    assert pair.ping() == 1
    assert pair.alice.of(Anomaly) == pair.bob.of(Anomaly) == []


def test_a_dead_peer_is_noticed_by_any_request(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"liveness": {"interval": 0}})
    pair.up()
    start = pair.world.now
    pair.bob.alive = False
    pair.alice.rekey(pair.alice.established[0])
    pair.world.run_until(lambda: not pair.alice.established)
    assert round(pair.world.now - start, 5) == 165.06112
    assert [event.reason for event in pair.alice.of(SaClosed)] == ["dead-peer"]


def test_half_open_responder_expires(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"half_open_timeout": 30.0})
    hold(pair, lambda item: is_message(item, IKE_AUTH))
    pair.alice.initiate("bob")
    pair.world.run_until(30.0)
    assert states(pair, pair.bob) == ["awaits-auth-request"]
    pair.world.run_until(30.1)
    assert pair.sas(pair.bob) == []
    (refusal,) = pair.bob.of(SaRefused)
    assert (refusal.by, refusal.reason, refusal.time.second) == ("nobody-answered", "half-open-timeout", 30)


def test_a_request_that_is_late_by_a_whole_half_open_time_finds_no_sa(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob={**WHOLE, "half_open_timeout": 3.0})
    (kept,) = [hold(pair, lambda item: is_message(item, IKE_AUTH))]
    pair.alice.initiate("bob")
    pair.world.run_until(3.5)
    release(pair, kept[0])
    # <-- HDR, N(INVALID_IKE_SPI) in the clear
    last = sent(pair, pair.bob)[-1]
    assert (header(last.octets).exchange, header(last.octets).is_response) == (IKE_AUTH, True)
    assert counters(pair.bob)["ike-unknown-spi"] == 1


def test_half_open_sas_are_limited(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"max_half_open": 3, "cookie_threshold": 100}, alice={"unique": "never"})
    hold(pair, lambda item: is_message(item, IKE_AUTH))
    for _ in range(5):
        pair.alice.initiate("bob")
    pair.world.settle()
    assert states(pair, pair.bob) == ["awaits-auth-request"] * 3
    assert counters(pair.bob)["half-open-limit"] == 2
    # what was half-open makes room again
    pair.world.run_until(31.0)
    assert counters(pair.bob)["refused-half-open-timeout"] == 3


def test_the_first_message_is_delivered_step_by_step(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    pair.alice.initiate("bob")
    for receiver, expected in ((pair.bob, (34, False)), (pair.alice, (34, True)), (pair.bob, (35, False))):
        message = deliver(pair, to=receiver)
        assert (message.header.exchange, message.header.is_response) == expected
