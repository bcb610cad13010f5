"""IKE_SA_INIT: cookies, key exchange methods, the choice of algorithms, what strangers say (RFC 7296 1.2, 2.6)."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from ikesim.ike.events import Anomaly, SaEstablished, SaRefused
from ikesim.ike.negotiation import parse_ike_proposal
from ikesim.sim.network import Transit
from ikesim.testing import Pair, assert_established, assert_refused
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Flags, Header, Message, encode_message
from ikesim.wire.payloads import AUTH, KE, SA, Nonce, Notify, Opaque, Payload
from ikesim.wire.proposals import Proposal, Transform
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    MakePair,
    counters,
    deliver,
    header,
    hold,
    is_message,
    sent,
    states,
    tap,
    times,
)

WHOLE = {"fragment_size": 0}
NO_PROPOSAL_CHOSEN, INVALID_KE_PAYLOAD, COOKIE = 14, 17, 16390
TWO_METHODS = ("aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384")


def init_messages(pair: Pair) -> list[tuple[str, Message]]:
    """All IKE_SA_INIT messages in order, by the side that sent them."""
    found = []
    for entry in pair.world.network.log:
        side = "i" if entry.source in pair.alice.sockets else "r"
        if is_message(entry, IKE_SA_INIT):
            found.append((side, Message.parse(entry.octets)))
    return found


def summary(pair: Pair) -> list[tuple[str, bool, int | None, list[int]]]:
    """Side, whether it leads with a COOKIE, KE method, and error or cookie notifies of each IKE_SA_INIT message."""
    rows = []
    for side, message in init_messages(pair):
        exchange = message.get(KE)
        leads = message.payloads[0].kind == 41 and message.notifies()[0].type == COOKIE
        said = [int(item.type) for item in message.notifies() if item.type < 16384 or item.type == COOKIE]
        rows.append((side, leads, exchange.method if exchange else None, said))
    return rows


def from_stranger(payloads: Sequence[Payload], **fields: object) -> bytes:
    values = {"spi_i": b"stranger", "spi_r": bytes(8), "flags": int(Flags.INITIATOR), "exchange": 34, "message_id": 0}
    made = Header(next_payload=0, version=0x20, length=0, **{**values, **fields})  # type: ignore[arg-type]
    return encode_message(made, list(payloads))


STRANGER = Path(Address("192.0.2.2", 500), Address("192.0.2.1", 500))
OFFER = SA((replace(parse_ike_proposal("aes128gcm16-prfsha256-x25519"), number=1),))


def test_a_loaded_responder_asks_for_a_cookie_and_keeps_no_state(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"cookie_threshold": 0}, alice=WHOLE)
    pair.alice.initiate("bob")
    # HDR(A,0), SAi1, KEi, Ni -->
    first = deliver(pair, to=pair.bob)
    assert pair.sas(pair.bob) == []
    # <-- HDR(A,0), N(COOKIE)
    challenge = deliver(pair, to=pair.alice)
    (cookie,) = challenge.notifies()
    assert (challenge.header.spi_i, challenge.header.spi_r) == (first.header.spi_i, bytes(8))
    assert (cookie.type, cookie.protocol, cookie.spi) == (COOKIE, 0, b"")
    assert 1 <= len(cookie.data) <= 64
    # HDR(A,0), N(COOKIE), SAi1, KEi, Ni --> : all other payloads unchanged
    second = deliver(pair, to=pair.bob)
    assert second.notifies()[0] == cookie
    assert second.kinds == (41, *first.kinds)
    assert [bytes(raw.body) for raw in second.payloads[1:]] == [bytes(raw.body) for raw in first.payloads]
    pair.world.settle()
    assert_established(pair)
    assert (counters(pair.bob)["cookies-sent"], counters(pair.bob)["cookies-accepted"]) == (1, 1)


def test_cookies_are_asked_from_the_threshold_on(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"cookie_threshold": 3}, alice={"unique": "never"})
    hold(pair, lambda item: is_message(item, IKE_AUTH))
    for _ in range(5):
        pair.alice.initiate("bob")
        pair.world.settle()
    # three half-open SAs came without, two more with a cookie
    assert counters(pair.bob)["cookies-sent"] == 2
    assert states(pair, pair.bob) == ["awaits-auth-request"] * 5


@pytest.mark.parametrize("settings", [WHOLE, {}])
@pytest.mark.parametrize("scenario", ["plain", "cookie", "other method", "both"])
def test_the_last_ike_sa_init_enters_auth(ike_pair: MakePair, scenario: str, settings: dict[str, int]) -> None:
    # RFC 7296 2.15: after COOKIE or INVALID_KE_PAYLOAD, AUTH covers the last IKE_SA_INIT request. Whether both ends
    # mean the same octets shows in that AUTH verifies; the requests differ.
    bob: dict[str, object] = {}
    if scenario in ("cookie", "both"):
        bob["cookie_threshold"] = 0
    if scenario in ("other method", "both"):
        bob["proposals"] = TWO_METHODS[1]
    pair = ike_pair(alice={"proposals": TWO_METHODS, **settings}, bob={**bob, **settings})
    pair.up()
    assert_established(pair)
    requests = [entry.octets for entry in sent(pair, pair.alice, IKE_SA_INIT)]
    assert len(set(requests)) == len(requests) == {"plain": 1, "cookie": 2, "other method": 2, "both": 3}[scenario]


def test_auth_over_an_earlier_ike_sa_init_does_not_verify(ike_pair: MakePair) -> None:
    # the same with a copy of bob that signs what alice first sent: cookie exchange, but AUTH without it
    pair = ike_pair(bob={"cookie_threshold": 0})
    first: list[bytes] = []
    real: list[bytes] = []

    def stale(sa: object, octets: bytes, certificate: str) -> bytes:
        first.append(sent(pair, pair.alice, IKE_SA_INIT)[0].octets)
        real.append(sent(pair, pair.alice, IKE_SA_INIT)[1].octets)
        assert octets.startswith(real[0])
        return first[0] + octets[len(real[0]) :]

    pair.alice.hooks.before_sign = stale
    pair.up()
    assert first[0] != real[0]
    assert_refused(pair, "auth-bad-signature", by="bob")


def test_a_cookie_with_wrong_data_is_asked_for_again(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"cookie_threshold": 0}, alice=WHOLE)
    spoiled: list[int] = []

    def spoil(transit: Transit) -> None:
        octets = bytearray(transit.octets)
        if is_message(transit, IKE_SA_INIT, response=False) and octets[16] == 41 and not spoiled:
            octets[28 + 8 + 5] ^= 1
            transit.octets = bytes(octets)
            spoiled.append(transit.number)

    pair.world.network.add_filter(spoil)
    pair.up()
    # the responder answers a wrong cookie with a new one (2.6); alice sees it is the one she sent, and retransmits
    assert spoiled
    assert counters(pair.bob)["cookies-sent"] == 2
    assert_established(pair)


def test_a_cookie_for_another_address_is_worth_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"cookie_threshold": 0, "remote": None})
    kept = hold(pair, lambda item: is_message(item, IKE_SA_INIT, response=False) and len(item.octets) > 310)
    pair.alice.initiate("bob")
    pair.world.settle()
    (request,) = kept
    pair.bob.inject(request.octets, Path(request.destination, Address("203.0.113.9", 500)))
    assert "cookies-accepted" not in counters(pair.bob)
    assert [item.type for item in Message.parse(sent(pair, pair.bob)[-1].octets).notifies()] == [COOKIE]


def test_invalid_ke_payload_makes_the_initiator_start_again(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"proposals": TWO_METHODS}, bob={"proposals": TWO_METHODS[1]})
    pair.up()
    # HDR, SAi1, KEi(31), Ni --> ; <-- HDR, N(INVALID_KE_PAYLOAD, 20) ; HDR, SAi1, KEi(20), Ni -->
    assert summary(pair) == [
        ("i", False, 31, []),
        ("r", False, None, [INVALID_KE_PAYLOAD]),
        ("i", False, 20, []),
        ("r", False, 20, []),
    ]
    (first, refusal, second, _) = [message for _, message in init_messages(pair)]
    assert refusal.notifies()[0].data == (20).to_bytes(2)
    # 1.2: the initiator repeats its full set of proposals, since the answer was not authenticated
    assert second.get(SA) == first.get(SA)
    assert second.header.spi_i == first.header.spi_i
    assert_established(pair)
    assert pair.sas(pair.alice)[0]["proposal"] == TWO_METHODS[1]


def test_cookie_and_invalid_ke_payload_together(ike_pair: MakePair) -> None:
    # RFC 7296 2.6.1: the cookie comes back in the request with the other method as well, which saves a round trip
    pair = ike_pair(alice={"proposals": TWO_METHODS}, bob={"proposals": TWO_METHODS[1], "cookie_threshold": 0})
    pair.up()
    assert summary(pair) == [
        ("i", False, 31, []),
        ("r", True, None, [COOKIE]),
        ("i", True, 31, [COOKIE]),
        ("r", False, None, [INVALID_KE_PAYLOAD]),
        ("i", True, 20, [COOKIE]),
        ("r", False, 20, []),
    ]
    assert_established(pair)
    assert times(pair, pair.alice, IKE_SA_INIT) == [0.0, 0.02, 0.04]


def test_without_a_proposal_in_common_both_ends_say_so(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"proposals": TWO_METHODS[0]}, bob={"proposals": TWO_METHODS[1]})
    pair.up()
    assert summary(pair)[-1] == ("r", False, None, [NO_PROPOSAL_CHOSEN])
    assert [(event.by, event.reason) for event in pair.bob.of(SaRefused)] == [("us", "proposal-mismatch")]
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.reason, refusal.authenticated) == ("peer", "proposal-mismatch", False)
    # 2.21.1: anybody may have said that, so alice waited for something better
    assert refusal.time.second == 1


def test_a_method_that_was_not_offered_is_no_way_to_go_on(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"proposals": TWO_METHODS[0]})
    hold(pair, lambda item: is_message(item, IKE_SA_INIT, response=True))
    pair.alice.initiate("bob")
    (request,) = sent(pair, pair.alice)
    spi_i = header(request.octets).spi_i
    # <-- HDR, N(INVALID_KE_PAYLOAD, modp1024): a downgrade that alice does not take
    answer = from_stranger([Notify(INVALID_KE_PAYLOAD, (2).to_bytes(2))], spi_i=spi_i, flags=int(Flags.RESPONSE))
    pair.alice.inject(answer, Path(request.source, request.destination))
    assert len(sent(pair, pair.alice)) == 1
    pair.world.run_until(lambda: pair.alice.of(SaRefused))
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.reason) == ("peer", "ke-mismatch")


@pytest.mark.parametrize("method", [0, 2, 33, 1023, 65535])
def test_a_group_that_is_unknown_gets_the_one_that_is_meant(ike_pair: MakePair, method: int) -> None:
    pair = ike_pair()
    pair.bob.inject(from_stranger([OFFER, KE(method, bytes(96)), Nonce(bytes(32))]), STRANGER)
    answer = Message.parse(sent(pair, pair.bob)[-1].octets)
    # 1.3: the responder names the method of the proposal that it would choose
    assert [(item.type, item.data) for item in answer.notifies()] == [(INVALID_KE_PAYLOAD, (31).to_bytes(2))]
    assert pair.sas(pair.bob) == []


def test_a_proposal_with_an_unknown_group_only_is_not_chosen(ike_pair: MakePair) -> None:
    pair = ike_pair()
    strange = Proposal(1, 1, b"", (Transform(1, 20, 128), Transform(2, 5), Transform(4, 4711)))
    pair.bob.inject(from_stranger([SA((strange,)), KE(4711, bytes(96)), Nonce(bytes(32))]), STRANGER)
    answer = Message.parse(sent(pair, pair.bob)[-1].octets)
    assert [item.type for item in answer.notifies()] == [NO_PROPOSAL_CHOSEN]


def test_the_responder_picks_by_its_own_or_the_peers_preference(ike_pair: MakePair) -> None:
    for prefer, chosen in (("ours", TWO_METHODS[1]), ("theirs", TWO_METHODS[0])):
        pair = ike_pair(alice={"proposals": TWO_METHODS}, bob={"proposals": TWO_METHODS[::-1], "prefer": prefer})
        pair.up()
        assert_established(pair)
        assert pair.sas(pair.bob)[0]["proposal"] == chosen


@pytest.mark.parametrize(
    ("method", "public"),
    [
        (31, bytes(32)),  # the all-zero shared secret (RFC 8031 5)
        (31, bytes(31)),
        (20, b"\4" * 96),  # not on the curve (RFC 6989 2.3)
        (14, bytes(256)),  # 0 (RFC 6989 2.1)
        (14, (1).to_bytes(256)),
    ],
)
def test_an_impossible_public_value_is_invalid_syntax_and_makes_no_sa(
    ike_pair: MakePair, method: int, public: bytes
) -> None:
    # CVE-2015-3240: libreswan stopped at a public value of 0
    pair = ike_pair()
    keyword = {31: TWO_METHODS[0], 20: TWO_METHODS[1], 14: "aes128-sha256-modp2048"}[method]
    offer = SA((replace(parse_ike_proposal(keyword), number=1),))
    pair.bob.inject(from_stranger([offer, KE(method, public), Nonce(bytes(32))]), STRANGER)
    answer = Message.parse(sent(pair, pair.bob)[-1].octets)
    assert [item.type for item in answer.notifies()] == [7]
    assert pair.sas(pair.bob) == []
    assert len(pair.bob.of(Anomaly)) == 1


BROKEN_NOTIFY = Opaque(41, b"\x00\xff\x40\x00\x01\x02")
"""An SPI of 255 octets in a Notify payload of 6."""


def test_a_malformed_payload_leaves_no_half_made_sa(ike_pair: MakePair) -> None:
    pair = ike_pair()
    payloads: list[Payload] = [OFFER, KE(31, b"\x09" * 32), Nonce(bytes(32)), BROKEN_NOTIFY]
    for number in range(20):
        pair.bob.inject(from_stranger(payloads, spi_i=bytes((number + 1,)) * 8), STRANGER)
    assert pair.sas(pair.bob) == []
    assert pair.bob.next_deadline() is None
    # nor does it count as half-open: alice is not asked for a cookie
    pair.up()
    assert_established(pair)
    assert "cookies-sent" not in counters(pair.bob)


def test_a_malformed_answer_leaves_the_initiation_as_it_was(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.alice.initiate("bob")
    forged: list[Payload] = [OFFER, KE(31, b"\x09" * 32), Nonce(bytes(32)), BROKEN_NOTIFY]
    request = sent(pair, pair.alice, IKE_SA_INIT)[-1]
    spi_i, flags = header(request.octets).spi_i, int(Flags.RESPONSE)
    octets = from_stranger(forged, spi_i=spi_i, spi_r=b"responde", flags=flags)
    pair.alice.inject(octets, Path(request.source, request.destination))
    assert len(pair.alice.of(Anomaly)) == 1
    pair.world.settle()
    assert_established(pair)


def test_a_critical_payload_that_is_unknown_is_named(ike_pair: MakePair) -> None:
    pair = ike_pair()
    payloads: list[Payload] = [OFFER, KE(31, b"\x09" * 32), Nonce(bytes(32)), Opaque(200, b"?", critical=True)]
    pair.bob.inject(from_stranger(payloads), STRANGER)
    answer = Message.parse(sent(pair, pair.bob)[-1].octets)
    assert [(item.type, item.data) for item in answer.notifies()] == [(1, bytes((200,)))]
    # the same payload, not critical, is passed over (2.5)
    pair.bob.inject(from_stranger([*payloads[:-1], Opaque(200, b"?")], spi_i=b"strange2"), STRANGER)
    assert states(pair, pair.bob) == ["awaits-auth-request"]


def test_clear_error_answers_are_limited(ike_pair: MakePair) -> None:
    # RFC 7296 2.21.4: answers to messages of no SA must be limited, anybody can cause them
    pair = ike_pair()
    for number in range(50):
        spi = number.to_bytes(8)
        pair.bob.inject(from_stranger([], spi_i=b"stranger", spi_r=b"r" + spi[1:], exchange=37), STRANGER)
    assert len(sent(pair, pair.bob)) == 10
    pair.world.run_until(1.0)
    pair.bob.inject(from_stranger([], spi_i=b"stranger", spi_r=b"r" * 8, exchange=37), STRANGER)
    assert len(sent(pair, pair.bob)) == 11


# what strangers say before anything is authenticated (DC25)


def answer_from_anybody(pair: Pair, payloads: Sequence[Payload]) -> None:
    """An unprotected IKE_SA_INIT response for the request that alice sent last, from whoever saw it."""
    request = sent(pair, pair.alice, IKE_SA_INIT)[-1]
    octets = from_stranger(payloads, spi_i=header(request.octets).spi_i, flags=int(Flags.RESPONSE))
    pair.alice.inject(octets, Path(request.source, request.destination))


@pytest.mark.parametrize(
    "payloads",
    [
        [Notify(24)],
        [Notify(NO_PROPOSAL_CHOSEN)],
        [Notify(5)],
        [Notify(INVALID_KE_PAYLOAD, (14).to_bytes(2))],
        [Notify(INVALID_KE_PAYLOAD, (2).to_bytes(2))],
        [Notify(INVALID_KE_PAYLOAD, b"")],
        [Notify(COOKIE, b"")],
        [Notify(COOKIE, bytes(65))],
        [Notify(16404)],
        [OFFER, KE(31, bytes(32)), Nonce(bytes(32))],
        [OFFER, Nonce(bytes(32))],
        [],
    ],
    ids=lambda payloads: (
        "+".join(type(item).__name__ + str(getattr(item, "type", "")) for item in payloads) or "empty"
    ),
)
def test_a_forged_answer_ahead_of_the_true_one_does_not_kill_the_sa(
    ike_pair: MakePair, payloads: Sequence[Payload]
) -> None:
    pair = ike_pair()
    pair.alice.initiate("bob")
    answer_from_anybody(pair, payloads)
    pair.world.run_until(60.0)
    assert_established(pair)
    assert pair.alice.of(SaRefused) == []
    assert pair.ping() == 1


def test_a_forged_cookie_ahead_of_the_true_answer_does_not_kill_the_sa(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.alice.initiate("bob")
    answer_from_anybody(pair, [Notify(COOKIE, b"biscuit")])
    pair.world.run_until(60.0)
    assert_established(pair)


def test_endless_cookies_come_to_an_end(ike_pair: MakePair) -> None:
    pair = ike_pair()
    hold(pair, lambda item: item.source.host == "192.0.2.2")
    pair.alice.initiate("bob")
    for number in range(1, 100):
        answer_from_anybody(pair, [Notify(COOKIE, bytes((number,)))])
    assert len(sent(pair, pair.alice)) <= 8
    pair.world.run_until(lambda: pair.alice.of(SaRefused))
    assert_refused(pair, "nobody-answered", by="nobody-answered")


def test_forged_answers_after_the_true_one_are_dropped(ike_pair: MakePair) -> None:
    pair = ike_pair()
    hold(pair, lambda item: is_message(item, IKE_AUTH, response=False), times=2)
    pair.alice.initiate("bob")
    pair.world.settle()
    assert states(pair, pair.alice) == ["awaits-auth-response"]
    for payloads in ([Notify(24)], [Notify(COOKIE, b"biscuit")], [Notify(INVALID_KE_PAYLOAD, (20).to_bytes(2))]):
        answer_from_anybody(pair, payloads)
    assert states(pair, pair.alice) == ["awaits-auth-response"]
    pair.world.run_until(10.0)
    assert_established(pair)


def test_the_peers_word_is_taken_when_nothing_better_comes(ike_pair: MakePair) -> None:
    pair = ike_pair()
    hold(pair, lambda item: item.source.host == "192.0.2.2")
    pair.alice.initiate("bob")
    answer_from_anybody(pair, [Notify(24)])
    assert pair.alice.of(SaRefused) == []
    pair.world.run_until(1.1)
    (refusal,) = pair.alice.of(SaRefused)
    assert (refusal.by, refusal.reason, refusal.authenticated) == ("peer", "peer-refused", False)


def test_a_repeated_ike_sa_init_makes_one_sa(ike_pair: MakePair) -> None:
    pair = ike_pair()
    hold(pair, lambda item: is_message(item, IKE_SA_INIT, response=True), times=3)
    pair.up()
    assert len(sent(pair, pair.alice, IKE_SA_INIT)) == 4
    assert isinstance(pair.bob.events[0], SaEstablished)
    assert len(pair.sas(pair.bob)) == 1
    answers = sent(pair, pair.bob, IKE_SA_INIT)
    assert len(answers) == 4
    assert len({item.octets for item in answers}) == 1


def test_auth_signs_what_was_sent_not_what_was_meant(ike_pair: MakePair) -> None:
    # a payload that we do not know, added to IKE_SA_INIT on the way: the responder's AUTH check must fail
    pair = ike_pair()
    tapped = tap(pair.alice)

    def add(transit: Transit) -> None:
        if is_message(transit, IKE_SA_INIT, response=False):
            parsed = Message.parse(transit.octets)
            payloads = [*(raw.payload() for raw in parsed.payloads), Opaque(200, b"?")]
            transit.octets = encode_message(parsed.header, payloads)

    pair.world.network.add_filter(add)
    pair.up()
    assert tapped.of(IKE_AUTH, response=False)[0].get(AUTH).method == 14
    assert_refused(pair, "auth-bad-signature", by="bob")
