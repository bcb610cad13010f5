"""Versions, flags, SPIs, reserved bits: the lies of strongSwan's conftest, and good reactions (features 4.1)."""

from typing import Any

import pytest

from ikesim.ike.events import SaClosed
from ikesim.sim.network import Transit
from ikesim.testing import Pair, assert_established
from ikesim.wire.address import Path
from ikesim.wire.message import Flags, Header, Message, encode_message
from ikesim.wire.payloads import Delete, Notify, Opaque, Payload
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MARKER,
    Forger,
    MakePair,
    Tap,
    counters,
    forger,
    header,
    hold,
    is_message,
    path_to,
    sent,
    states,
    tap,
    times,
)

INVALID_MAJOR_VERSION, INVALID_IKE_SPI, INVALID_SYNTAX, UNSUPPORTED_CRITICAL_PAYLOAD = 5, 4, 7, 1
WHOLE = {"fragment_size": 0}


def change(pair: Pair, exchange: int, *, response: bool, how: Any) -> None:
    """Let `how` change the octets (a bytearray without the marker) of the first such message on its way."""
    done: list[int] = []

    def spoil(transit: Transit) -> None:
        if done or not is_message(transit, exchange, response=response):
            return
        done.append(transit.number)
        start = 4 if transit.octets[:4] == MARKER else 0
        octets = bytearray(transit.octets[start:])
        how(octets)
        transit.octets = transit.octets[:start] + bytes(octets)

    pair.world.network.add_filter(spoil)


def up(make: MakePair) -> tuple[Pair, Tap, Tap, Forger, Path]:
    """An established pair, and a forger that speaks to bob as alice."""
    pair = make(alice=WHOLE, bob=WHOLE)
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    return pair, ours, theirs, forger(ours, initiator=True), path_to(pair.bob, pair.alice)


# DH14: the critical bit on payloads that everybody knows must be ignored


def set_critical(octets: bytearray) -> None:
    kind, at = octets[16], 28
    while kind:
        following = octets[at]
        octets[at + 1] |= 0x80
        at += int.from_bytes(octets[at + 2 : at + 4])
        kind = following


def test_critical_bits_of_known_payloads_are_ignored(ike_pair: MakePair) -> None:
    pair = ike_pair()
    change(pair, IKE_SA_INIT, response=False, how=set_critical)
    sa = pair.alice.initiate("bob")
    pair.world.settle()
    # bob answered: the request was good to him. (What alice sent is not what he got, so AUTH cannot verify.)
    answer = Message.parse(sent(pair, pair.bob, IKE_SA_INIT)[0].octets)
    assert answer.kinds[0] == 33
    assert pair.alice.verdict(sa) is not None
    assert counters(pair.bob)["refused-auth-bad-signature"] == 1


def test_critical_bits_inside_sk_are_ignored(ike_pair: MakePair) -> None:
    pair = ike_pair()

    def critical(sa: object, plaintext: bytes, made: Header) -> bytes:
        octets = bytearray(28) + plaintext
        octets[16] = 35 if made.exchange == IKE_AUTH else 0
        set_critical(octets)
        return bytes(octets[28:])

    pair.alice.hooks.before_protect = critical
    pair.bob.hooks.before_protect = lambda sa, plaintext, made: (
        critical(sa, plaintext, made) if made.exchange == IKE_AUTH else None
    )
    pair.up()
    assert_established(pair)
    assert pair.ping() == 1


@pytest.mark.parametrize("critical", [False, True])
def test_an_unknown_payload_inside_sk(ike_pair: MakePair, critical: bool) -> None:
    pair, _, theirs, forged, path = up(ike_pair)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [Opaque(200, b"?", critical=critical), Delete(1)]), path)
    said = theirs.of(INFORMATIONAL, response=True)[-1]
    if critical:
        # RFC 7296 2.5: the message is rejected, and nothing in it is done
        assert said.payloads == [Notify(UNSUPPORTED_CRITICAL_PAYLOAD, bytes((200,)))]
        assert states(pair, pair.bob) == ["established"]
    else:
        assert said.payloads == []
        assert [event.reason for event in pair.bob.of(SaClosed)] == ["deleted-by-peer"]


# DH15, DH16: flags


@pytest.mark.parametrize("flag", [Flags.INITIATOR, Flags.RESPONSE, Flags.INITIATOR | Flags.RESPONSE])
@pytest.mark.parametrize("exchange", [IKE_SA_INIT, IKE_AUTH])
def test_a_wrong_flag_is_dropped_and_the_retransmission_taken(ike_pair: MakePair, exchange: int, flag: int) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)

    def flip(octets: bytearray) -> None:
        octets[19] ^= flag

    change(pair, exchange, response=False, how=flip)
    pair.up()
    assert_established(pair)
    assert len(times(pair, pair.alice, exchange)) == 2
    assert pair.bob.of(SaClosed) == []


@pytest.mark.parametrize("flags", [0, Flags.RESPONSE, Flags.INITIATOR | Flags.RESPONSE])
def test_wrong_flags_on_an_established_sa_are_dropped(ike_pair: MakePair, flags: int) -> None:
    # sealed with the right keys, so that nothing but the flags is wrong
    pair, _, _, forged, path = up(ike_pair)
    quiet = len(sent(pair, pair.bob))
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [Delete(1)], flags=flags), path)
    assert states(pair, pair.bob) == ["established"]
    answers = [Message.parse(item.octets[4:]) for item in sent(pair, pair.bob)[quiet:]]
    # a request whose flag makes the other SPI the receiver's names an SPI that nobody has
    assert [[item.type for item in answer.notifies()] for answer in answers] == ([] if flags else [[INVALID_IKE_SPI]])


def test_a_message_that_comes_back_to_its_sender_is_dropped(ike_pair: MakePair) -> None:
    pair, _, _, _, _ = up(ike_pair)
    pair.alice.check_liveness(pair.alice.established[0])
    (request,) = sent(pair, pair.alice, INFORMATIONAL)
    # reflection: alice's own request, from bob's address
    pair.alice.inject(request.octets, path_to(pair.alice, pair.bob))
    assert counters(pair.alice)["ike-unknown-spi"] == 1
    # with the SPIs swapped as well, it finds the SA, from its wrong end
    plain = request.octets[4:]
    pair.alice.inject(MARKER + plain[8:16] + plain[:8] + plain[16:], path_to(pair.alice, pair.bob))
    assert counters(pair.alice)["ike-wrong-direction"] == 1
    pair.world.settle()
    assert_established(pair)


@pytest.mark.parametrize("bits", [0x01, 0x02, 0x04, 0x40, 0x80, 0xC7])
def test_reserved_flags_are_ignored(ike_pair: MakePair, bits: int) -> None:
    pair, _, theirs, forged, path = up(ike_pair)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [], flags=int(Flags.INITIATOR) | bits), path)
    assert theirs.of(INFORMATIONAL, response=True)[-1].payloads == []


# DH17: SPIs


@pytest.mark.parametrize("which", ["initiator", "responder", "both"])
def test_wrong_spis(ike_pair: MakePair, which: str) -> None:
    pair, _, _, forged, path = up(ike_pair)
    fields: dict[str, Any] = {}
    if which != "responder":
        fields["spi_i"] = b"\xaa" * 8
    if which != "initiator":
        fields["spi_r"] = b"\xbb" * 8
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [Delete(1)], **fields), path)
    assert states(pair, pair.bob) == ["established"]
    last = sent(pair, pair.bob)[-1]
    if which == "initiator":
        # bob's SPI finds the SA, whose other SPI it is not: dropped, though sealed with the right keys
        assert counters(pair.bob)["ike-wrong-spi"] == 1
        assert header(last.octets).exchange == IKE_AUTH
    else:
        # RFC 7296 2.21.4: HDR, N(INVALID_IKE_SPI), in the clear, with the SPIs and message ID of the request
        answer = Message.parse(last.octets[4:])
        assert [item.type for item in answer.notifies()] == [INVALID_IKE_SPI]
        assert (answer.header.spi_r, answer.header.message_id, answer.header.is_response) == (b"\xbb" * 8, 2, True)


def test_invalid_ike_spi_for_an_established_sa_does_not_kill_it(ike_pair: MakePair) -> None:
    # RFC 7296 2.21.4: an unprotected hint may make us ask, but never believe
    pair, ours, _, _, _ = up(ike_pair)
    pair.alice.check_liveness(pair.alice.established[0])
    answer = Forger(ours.keys[-1], initiator=False)
    for number in (INVALID_IKE_SPI, INVALID_SYNTAX, INVALID_MAJOR_VERSION, 24):
        clear = answer.clear(INFORMATIONAL, 2, [Notify(number)], response=True)
        pair.alice.inject(clear, path_to(pair.alice, pair.bob))
    pair.world.settle()
    assert_established(pair)
    assert counters(pair.alice)["ike-integrity"] == 4


@pytest.mark.parametrize(
    "payloads",
    [[Notify(24)], [Notify(16384)], [Delete(1)], [Notify(INVALID_SYNTAX)], [Opaque(200, b"?", critical=True)], []],
    ids=["AUTHENTICATION_FAILED", "INITIAL_CONTACT", "D", "INVALID_SYNTAX", "unknown critical", "empty"],
)
@pytest.mark.parametrize("to", ["alice", "bob"])
def test_an_unencrypted_request_on_an_established_sa_does_nothing(
    ike_pair: MakePair, to: str, payloads: list[Payload]
) -> None:
    # DH22, DC25
    pair, ours, _, _, _ = up(ike_pair)
    host, peer = (pair.alice, pair.bob) if to == "alice" else (pair.bob, pair.alice)
    forged = Forger(ours.keys[-1], initiator=to == "bob")
    quiet = len(sent(pair, host))
    pair_state = states(pair, host)
    for message_id in (0, 2):
        host.inject(forged.clear(INFORMATIONAL, message_id, payloads), path_to(host, peer))
    assert len(sent(pair, host)) == quiet
    assert states(pair, host) == pair_state == ["established"]
    # and the next true request is still in its turn
    peer.check_liveness(peer.established[0])
    pair.world.settle()
    assert_established(pair)


@pytest.mark.parametrize(
    "payloads",
    [[Notify(24)], [Notify(14)], [Notify(INVALID_SYNTAX)], [Delete(1)], []],
    ids=["AUTHENTICATION_FAILED", "NO_PROPOSAL_CHOSEN", "INVALID_SYNTAX", "D", "empty"],
)
def test_an_unencrypted_answer_to_ike_auth_does_nothing(ike_pair: MakePair, payloads: list[Payload]) -> None:
    # DC25: whoever reads IKE_SA_INIT knows SPIs and message ID
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    tapped = tap(pair.alice)
    hold(pair, lambda item: is_message(item, IKE_AUTH, response=False), times=1)
    pair.alice.initiate("bob")
    pair.world.settle()
    forged = Forger(tapped.keys[-1], initiator=False)
    path = path_to(pair.alice, pair.bob)
    pair.alice.inject(forged.clear(IKE_AUTH, 1, payloads, response=True), path)
    pair.alice.inject(forged.clear(IKE_SA_INIT, 0, payloads, response=True), path)
    # octets that do not even parse
    broken = bytearray(forged.clear(IKE_AUTH, 1, [Notify(24)], response=True))
    broken[4 + 30] = 0xFF
    pair.alice.inject(bytes(broken), path)
    assert states(pair, pair.alice) == ["awaits-auth-response"]
    pair.world.run_until(10.0)
    assert_established(pair)


# before IKE_AUTH


@pytest.mark.parametrize(
    ("exchange", "payloads"),
    [
        (INFORMATIONAL, [Delete(1)]),
        (INFORMATIONAL, [Notify(24)]),
        (INFORMATIONAL, []),
        (INFORMATIONAL, [Notify(16400), Notify(16401, b"c" * 8)]),
        (36, []),
        (36, [Notify(16393, protocol=3, spi=b"abcd")]),
        (43, []),
    ],
)
def test_nothing_but_ike_auth_is_taken_before_ike_auth(
    ike_pair: MakePair, exchange: int, payloads: list[Payload]
) -> None:
    # CVE-2019-12312: INFORMATIONAL between IKE_SA_INIT and IKE_AUTH; CVE-2014-2338: CREATE_CHILD_SA there
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    tapped = tap(pair.alice)
    kept = hold(pair, lambda item: is_message(item, IKE_AUTH, response=False), times=1)
    pair.alice.initiate("bob")
    pair.world.settle()
    assert kept
    forged, path = forger(tapped, initiator=True), path_to(pair.bob, pair.alice)
    quiet = len(sent(pair, pair.bob))
    for message_id in (0, 1, 2):
        pair.bob.inject(forged.sealed(exchange, message_id, payloads), path)
        pair.bob.inject(forged.clear(exchange, message_id, payloads), path)
    assert len(sent(pair, pair.bob)) == quiet
    assert states(pair, pair.bob) == ["awaits-auth-request"]
    # to the initiator, from a responder that has not authenticated itself
    other, back = forger(tapped, initiator=False), path_to(pair.alice, pair.bob)
    quiet = len(sent(pair, pair.alice))
    pair.alice.inject(other.sealed(exchange, 0, payloads), back)
    assert len(sent(pair, pair.alice)) == quiet
    assert states(pair, pair.alice) == ["awaits-auth-response"]
    pair.world.run_until(10.0)
    assert_established(pair)


@pytest.mark.parametrize("exchange", [IKE_SA_INIT, 38, 43, 44, 255])
def test_an_exchange_that_has_no_place_on_an_established_sa(ike_pair: MakePair, exchange: int) -> None:
    pair, _, _, forged, path = up(ike_pair)
    pair.bob.inject(forged.sealed(exchange, 2, [Notify(16384)]), path)
    # IKE_SA_INIT is dropped, the others come from the peer itself: INVALID_SYNTAX, which ends the SA
    assert [event.reason for event in pair.bob.of(SaClosed)] == (
        [] if exchange == IKE_SA_INIT else ["payload-malformed"]
    )


def test_ike_auth_on_an_established_sa_makes_nothing_new(ike_pair: MakePair) -> None:
    pair, ours, theirs, forged, path = up(ike_pair)
    (auth,) = ours.of(IKE_AUTH, response=False)
    pair.bob.inject(forged.sealed(IKE_AUTH, 2, auth.payloads), path)
    assert theirs.of(IKE_AUTH, response=True)[-1].notifies == [INVALID_SYNTAX]
    assert len(pair.bob.of(SaClosed)) == 1


# DH18: versions


@pytest.mark.parametrize("major", [3, 4, 15])
def test_a_higher_major_version_is_answered_with_ours(ike_pair: MakePair, major: int) -> None:
    pair = ike_pair()
    made = Header(b"stranger", bytes(8), 0, major << 4, IKE_SA_INIT, int(Flags.INITIATOR), 0, 0)
    pair.bob.inject(encode_message(made, [Notify(1)]), Path(pair.bob.sockets[0], pair.alice.sockets[0]))
    # RFC 7296 2.5: N(INVALID_MAJOR_VERSION) in a message of our own version
    answer = Message.parse(sent(pair, pair.bob)[-1].octets)
    assert (answer.header.version, answer.header.is_response) == (0x20, True)
    assert [item.type for item in answer.notifies()] == [INVALID_MAJOR_VERSION]
    assert pair.sas(pair.bob) == []


def test_a_higher_major_version_in_a_response_is_not_answered(ike_pair: MakePair) -> None:
    pair = ike_pair()
    made = Header(b"stranger", b"s" * 8, 0, 0x30, IKE_SA_INIT, int(Flags.RESPONSE), 0, 0)
    pair.bob.inject(encode_message(made, []), Path(pair.bob.sockets[0], pair.alice.sockets[0]))
    assert sent(pair, pair.bob) == []


def test_ikev1_is_met_with_silence(ike_pair: MakePair) -> None:
    pair = ike_pair()
    made = Header(b"stranger", bytes(8), 0, 0x10, 2, 0, 0, 0)
    pair.bob.inject(encode_message(made, [Notify(1)]), Path(pair.bob.sockets[0], pair.alice.sockets[0]))
    pair.bob.inject(MARKER + encode_message(made, []), path_to(pair.bob, pair.alice))
    assert sent(pair, pair.bob) == []
    assert len(pair.world.network.log) == 0


def test_a_peer_that_only_speaks_another_version_is_believed_after_a_while(ike_pair: MakePair) -> None:
    pair = ike_pair()
    hold(pair, lambda item: item.source.host == "192.0.2.2")
    sa = pair.alice.initiate("bob")
    (request,) = sent(pair, pair.alice)
    made = Header(header(request.octets).spi_i, bytes(8), 0, 0x20, IKE_SA_INIT, int(Flags.RESPONSE), 0, 0)
    pair.alice.inject(
        encode_message(made, [Notify(INVALID_MAJOR_VERSION)]), Path(request.source, request.destination)
    )
    assert pair.alice.verdict(sa) is None
    pair.world.run_until(1.0)
    verdict = pair.alice.verdict(sa)
    assert verdict is not None
    assert getattr(verdict, "reason", None) == "major-version"


@pytest.mark.parametrize("minor", [1, 7, 15])
def test_a_higher_minor_version_is_ignored(ike_pair: MakePair, minor: int) -> None:
    pair, _, theirs, forged, path = up(ike_pair)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [], version=0x20 | minor), path)
    assert theirs.of(INFORMATIONAL, response=True)[-1].payloads == []
    # our own messages say 2.0, whatever the peer says
    assert header(sent(pair, pair.bob)[-1].octets).version == 0x20


def test_the_version_flag_is_ignored(ike_pair: MakePair) -> None:
    pair, _, theirs, forged, path = up(ike_pair)
    flags = int(Flags.INITIATOR | Flags.VERSION)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [], flags=flags), path)
    assert theirs.of(INFORMATIONAL, response=True)[-1].payloads == []
    assert header(sent(pair, pair.bob)[-1].octets).flags == int(Flags.RESPONSE)


# DH21: reserved octets


def set_reserved(octets: bytearray) -> None:
    """All seven reserved bits of every generic payload header."""
    kind, at = octets[16], 28
    while kind:
        following = octets[at]
        octets[at + 1] |= 0x7F
        at += int.from_bytes(octets[at + 2 : at + 4])
        kind = following


def test_reserved_bits_of_payload_headers_are_ignored(ike_pair: MakePair) -> None:
    # set before AUTH is made, on both sides' IKE_SA_INIT: nothing is re-encoded, so AUTH verifies (RFC 7296 3.2)
    pair = ike_pair()

    def inside(sa: object, plaintext: bytes, made: Header) -> bytes:
        octets = bytearray(28) + plaintext
        octets[16] = 1
        set_reserved(octets)
        return bytes(octets[28:])

    pair.alice.hooks.before_protect = inside
    pair.bob.hooks.before_protect = lambda sa, plaintext, made: inside(sa, plaintext, made) if plaintext else None
    pair.up()
    assert_established(pair)
    assert pair.ping() == 1


def test_reserved_octets_of_ike_sa_init_are_ignored(ike_pair: MakePair) -> None:
    pair = ike_pair()
    change(pair, IKE_SA_INIT, response=False, how=set_reserved)
    sa = pair.alice.initiate("bob")
    pair.world.settle()
    assert Message.parse(sent(pair, pair.bob, IKE_SA_INIT)[0].octets).kinds[0] == 33
    assert pair.alice.verdict(sa) is not None


def test_lengths_that_lie_are_met_with_silence(ike_pair: MakePair) -> None:
    # DH19 in the header: what is not a whole message is not answered
    pair = ike_pair()
    pair.alice.initiate("bob")
    pair.world.settle()
    request = sent(pair, pair.alice, IKE_SA_INIT)[0]
    quiet = len(sent(pair, pair.bob))
    for octets in (request.octets + b"\0", request.octets[:-1], request.octets[:28], request.octets[:20]):
        pair.bob.inject(b"\x01" + octets[1:], Path(request.destination, request.source))
    assert len(sent(pair, pair.bob)) == quiet


@pytest.mark.parametrize("difference", [-5, -1, 1, 5, 1000])
def test_a_payload_length_that_lies_is_invalid_syntax(ike_pair: MakePair, difference: int) -> None:
    pair = ike_pair()
    pair.alice.initiate("bob")
    pair.world.settle()
    request = sent(pair, pair.alice, IKE_SA_INIT)[0]
    octets = bytearray(request.octets)
    octets[0] ^= 1
    length = int.from_bytes(octets[30:32]) + difference
    octets[30:32] = length.to_bytes(2)
    pair.bob.inject(bytes(octets), Path(request.destination, request.source))
    answer = Message.parse(sent(pair, pair.bob)[-1].octets)
    assert [item.type for item in answer.notifies()] == [INVALID_SYNTAX]
    assert len(pair.sas(pair.bob)) == 1
