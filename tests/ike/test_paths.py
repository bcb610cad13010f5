"""Ports, framing, NAT detection and MOBIKE (RFC 7296 2.23, RFC 3948, RFC 4555; the rules of strongSwan's ports)."""

from hashlib import sha1
from ipaddress import ip_address
from typing import Any

import pytest

from ikesim.esp.host import echo_request
from ikesim.ike.events import ChildDown, SaClosed
from ikesim.testing import Pair, assert_established
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Message
from ikesim.wire.payloads import Notify
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MARKER,
    MakePair,
    counters,
    forger,
    hold,
    is_message,
    path_to,
    release,
    sent,
    states,
    tap,
)

SOURCE_IP, DESTINATION_IP, MOBIKE_SUPPORTED = 16388, 16389, 16396
UPDATE_SA_ADDRESSES, COOKIE2 = 16400, 16401

PACKET = echo_request("10.2.0.1", "10.1.0.1", 1, 1, b"")


def natd(message: Message, kind: int) -> bytes:
    found = message.notify(kind)
    assert found is not None
    return found.data


def digest(message: Message, host: str, port: int) -> bytes:
    """RFC 7296 2.23: SHA-1 of the SPIs as in the header, the address and the port."""
    octets = message.header.spi_i + message.header.spi_r + ip_address(host).packed + port.to_bytes(2)
    return sha1(octets, usedforsecurity=False).digest()


def init(pair: Pair) -> tuple[Message, Message]:
    found = [entry.octets for entry in pair.world.network.log if is_message(entry, IKE_SA_INIT)]
    request, response = [Message.parse(item[4:] if item[:4] == MARKER else item) for item in found]
    return request, response


def route(pair: Pair) -> list[tuple[str, int, int, bool]]:
    """Sender, source port, destination port and whether marked, of each IKE message of the handshake, in order."""
    rows = []
    for entry in pair.world.network.log:
        if is_message(entry, IKE_SA_INIT) or is_message(entry, IKE_AUTH):
            side = "i" if entry.source in pair.alice.sockets else "r"
            rows.append((side, entry.source.port, entry.destination.port, entry.octets[:4] == MARKER))
    return rows


WHOLE = {"fragment_size": 0}


def test_nat_detection_hashes_are_those_of_the_real_addresses(ike_pair: MakePair) -> None:
    auto = {"encapsulation": "auto"}
    pair = ike_pair(alice=auto, bob=auto)
    pair.up()
    request, response = init(pair)
    assert request.header.spi_r == bytes(8)
    assert natd(request, SOURCE_IP) == digest(request, "192.0.2.1", 500)
    assert natd(request, DESTINATION_IP) == digest(request, "192.0.2.2", 500)
    assert natd(response, SOURCE_IP) == digest(response, "192.0.2.2", 500)
    assert natd(response, DESTINATION_IP) == digest(response, "192.0.2.1", 500)


def test_a_pretended_nat_hides_only_our_source(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"encapsulation": "auto"})
    pair.up()
    request, response = init(pair)
    assert natd(request, SOURCE_IP) == digest(request, "0.0.0.0", 0)
    assert natd(request, DESTINATION_IP) == digest(request, "192.0.2.2", 500)
    assert natd(response, SOURCE_IP) == digest(response, "192.0.2.2", 500)
    # bob sees a NAT at alice's side, so ESP goes in UDP at both ends
    assert pair.ping() == 1


def test_the_hashes_of_ipv6_addresses(ike_pair: MakePair) -> None:
    pair = ike_pair(
        alice={"listen": "[2001:db8::1]:500", "encapsulation": "auto"},
        bob={"listen": "[2001:db8::2]:500", "encapsulation": "auto"},
    )
    pair.up()
    request, _ = init(pair)
    assert natd(request, SOURCE_IP) == digest(request, "2001:db8::1", 500)
    assert natd(request, DESTINATION_IP) == digest(request, "2001:db8::2", 500)


@pytest.mark.parametrize(
    ("alice", "bob", "expected"),
    [
        # port 500: bare, then over to 4500
        (
            {},
            {},
            [("i", 500, 500, False), ("r", 500, 500, False), ("i", 4500, 4500, True), ("r", 4500, 4500, True)],
        ),
        # neither is 500: marked from the start, the remote port stays, only the source port moves
        (
            {"listen": "192.0.2.1:5500", "listen_nat_t": "192.0.2.1:5501"},
            {"listen": "192.0.2.2:6500", "listen_nat_t": "192.0.2.2:6501"},
            [("i", 5500, 6500, True), ("r", 6500, 5500, True), ("i", 5501, 6500, True), ("r", 6500, 5501, True)],
        ),
        # one of them is 500: bare, then to remote-nat-t
        (
            {"listen": "192.0.2.1:5500", "listen_nat_t": "192.0.2.1:5501"},
            {"listen_nat_t": "192.0.2.2:6501"},
            [("i", 5500, 500, False), ("r", 500, 5500, False), ("i", 5501, 6501, True), ("r", 6501, 5501, True)],
        ),
        (
            {},
            {"listen": "192.0.2.2:6500", "listen_nat_t": "192.0.2.2:6501"},
            [("i", 500, 6500, False), ("r", 6500, 500, False), ("i", 4500, 6501, True), ("r", 6501, 4500, True)],
        ),
        # the other habit
        (
            {"listen": "192.0.2.1:5500", "listen_nat_t": "192.0.2.1:5501", "framing": "bare-init"},
            {"listen": "192.0.2.2:6500", "listen_nat_t": "192.0.2.2:6501"},
            [("i", 5500, 6500, False), ("r", 6500, 5500, False), ("i", 5501, 6501, True), ("r", 6501, 5501, True)],
        ),
        # no NAT and no MOBIKE: nothing moves
        (
            {"encapsulation": "auto", "mobike": False},
            {"encapsulation": "auto"},
            [("i", 500, 500, False), ("r", 500, 500, False), ("i", 500, 500, False), ("r", 500, 500, False)],
        ),
    ],
)
def test_ports_and_framing(
    ike_pair: MakePair, alice: dict[str, Any], bob: dict[str, Any], expected: list[tuple[str, int, int, bool]]
) -> None:
    pair = ike_pair(alice={**alice, **WHOLE}, bob={**bob, **WHOLE})
    pair.up()
    assert_established(pair)
    assert route(pair) == expected
    if alice.get("encapsulation") != "auto":
        assert pair.ping() == 1


def test_the_answer_has_the_framing_and_the_address_of_the_request(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    tapped = tap(pair.alice)
    pair.up()
    forged = forger(tapped, initiator=True)
    # HDR, SK {} --> bare and marked, to either socket, from ports never seen before
    for message_id, (marked, port) in enumerate(((False, 500), (True, 500), (False, 4500), (True, 4500)), 2):
        forged.marked = marked
        source = Address("192.0.2.1", 40_000 + message_id)
        pair.bob.inject(forged.sealed(INFORMATIONAL, message_id, []), Path(Address("192.0.2.2", port), source))
        answer = sent(pair, pair.bob)[-1]
        assert (answer.source.port, answer.destination) == (port, source)
        assert (answer.octets[:4] == MARKER) is marked


def test_a_keepalive_is_sent_behind_a_nat_only(ike_pair: MakePair) -> None:
    def keepalives(**settings: Any) -> list[float]:
        pair = ike_pair(alice={"liveness": {"interval": 0}, **settings}, bob={"liveness": {"interval": 0}})
        pair.up()
        pair.world.run_until(70.0)
        alice = pair.alice.sockets
        return [
            round(item.sent_at, 2)
            for item in pair.world.network.log
            if item.octets == b"\xff" and item.source in alice
        ]

    # 20 s after the SA came up at 0.04 s, and every 20 s again (RFC 3948 4)
    assert keepalives() == [20.04, 40.04, 60.04]
    assert keepalives(keepalive=50.0) == [50.04]
    assert keepalives(keepalive=0.0) == []
    assert keepalives(encapsulation="auto") == []


def test_a_keepalive_is_taken_in_silence(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    before = len(pair.world.network.log)
    pair.bob.inject(b"\xff", path_to(pair.bob, pair.alice))
    assert len(pair.world.network.log) == before
    assert counters(pair.bob)["datagrams-keepalive"] == 1


@pytest.mark.parametrize("junk", [b"", b"\0", b"\xff\xff", bytes(4), bytes(28), bytes(32), b"GET / HTTP/1.1\r\n\r\n"])
def test_what_is_not_plausibly_ike_is_never_answered(ike_pair: MakePair, junk: bytes) -> None:
    pair = ike_pair()
    pair.bob.inject(junk, path_to(pair.bob, pair.alice))
    assert len(pair.world.network.log) == 0
    assert pair.sas(pair.bob) == []


def test_encapsulation_is_required(ike_pair: MakePair, ike_pki: Any) -> None:
    auto = {"encapsulation": "auto"}
    pair = ike_pair(alice=auto, bob=auto)
    tapped = tap(pair.bob)
    pair.up()
    # <-- HDR, SK {IDr, CERT, AUTH, N(NO_PROPOSAL_CHOSEN)}: the IKE SA stays
    assert_established(pair)
    assert 14 in tapped.of(IKE_AUTH, response=True)[0].notifies
    assert [event.reason for event in pair.bob.of(ChildDown)] == ["encapsulation-required"]
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["proposal-mismatch"]
    assert "encapsulation" in pair.bob.of(ChildDown)[0].detail
    assert pair.children(pair.alice) == pair.children(pair.bob) == []


def test_an_initiator_that_offers_no_native_esp_says_the_same(ike_pair: MakePair) -> None:
    # bob pretends a NAT, and alice cannot see it: his response has no NAT_DETECTION notifies
    pair = ike_pair(alice={"encapsulation": "auto"})
    tapped = tap(pair.bob)
    tapped.change = lambda said: (
        [
            item
            for item in said.payloads
            if not isinstance(item, Notify) or item.type not in (SOURCE_IP, DESTINATION_IP)
        ]
        if said.exchange == IKE_SA_INIT
        else None
    )
    pair.up()
    assert_established(pair)
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["encapsulation-required"]
    # HDR, SK {D} --> since bob believes the CHILD SA up
    assert [event.reason for event in pair.bob.of(ChildDown)] == ["deleted-by-peer"]
    assert pair.children(pair.alice) == pair.children(pair.bob) == []


# MOBIKE (RFC 4555): its notifies are answered


def test_update_sa_addresses_moves_the_sa(ike_pair: MakePair) -> None:
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert ours.of(IKE_AUTH, response=False)[0].notify(MOBIKE_SUPPORTED) is not None
    assert theirs.of(IKE_AUTH, response=True)[0].notify(MOBIKE_SUPPORTED) is not None
    forged = forger(ours, initiator=True)
    moved = Address("198.51.100.7", 4500)
    hashes = [Notify(SOURCE_IP, bytes(20)), Notify(DESTINATION_IP, bytes(20))]
    # HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_*), N(COOKIE2)} --> from a new address
    payloads = [Notify(UPDATE_SA_ADDRESSES), *hashes, Notify(COOKIE2, b"c" * 16)]
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, payloads), Path(Address("192.0.2.2", 4500), moved))
    # <-- HDR, SK {N(NAT_DETECTION_*), N(COOKIE2)} to where it came from
    answer = theirs.of(INFORMATIONAL, response=True)[-1]
    assert answer.notifies == [SOURCE_IP, DESTINATION_IP, COOKIE2]
    assert answer.payloads[-1].data == b"c" * 16
    assert sent(pair, pair.bob)[-1].destination == moved
    assert pair.sas(pair.bob)[0]["remote"] == "198.51.100.7:4500"
    # <-- HDR, SK {N(COOKIE2)}: ESP follows when that has come back (3.7)
    (asked,) = theirs.of(INFORMATIONAL, response=False)
    assert asked.notifies == [COOKIE2]
    pair.bob.send_inner(PACKET)
    assert pair.world.network.log[-1].destination == Address("192.0.2.1", 4500)
    returned = forged.sealed(INFORMATIONAL, 0, asked.payloads, response=True)
    pair.bob.inject(returned, Path(Address("192.0.2.2", 4500), moved))
    pair.bob.send_inner(PACKET)
    assert pair.world.network.log[-1].destination == moved


def test_an_address_that_returns_another_cookie_ends_the_sa(ike_pair: MakePair) -> None:
    # RFC 4555 3.7: the IKE SA must be closed
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    forged = forger(ours, initiator=True)
    moved = Path(Address("192.0.2.2", 4500), Address("198.51.100.7", 4500))
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, [Notify(UPDATE_SA_ADDRESSES)]), moved)
    assert theirs.of(INFORMATIONAL, response=False)[0].notifies == [COOKIE2]
    pair.bob.inject(forged.sealed(INFORMATIONAL, 0, [Notify(COOKIE2, bytes(16))], response=True), moved)
    assert states(pair, pair.bob) == []


def test_cookie2_alone_is_answered(ike_pair: MakePair) -> None:
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    sealed = forger(ours, initiator=True).sealed(INFORMATIONAL, 2, [Notify(COOKIE2, b"biscuit8")])
    pair.bob.inject(sealed, path_to(pair.bob, pair.alice))
    assert theirs.of(INFORMATIONAL, response=True)[-1].payloads == [Notify(COOKIE2, b"biscuit8")]


def test_without_mobike_an_address_update_moves_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"encapsulation": "auto"}, bob={"mobike": False})
    ours = tap(pair.alice)
    pair.up()
    moved = Path(Address("192.0.2.2", 4500), Address("198.51.100.7", 4500))
    sealed = forger(ours, initiator=True).sealed(INFORMATIONAL, 2, [Notify(UPDATE_SA_ADDRESSES)])
    pair.bob.inject(sealed, moved)
    # alice is behind no NAT whose mapping could have changed, so this is not followed either
    assert pair.sas(pair.bob)[0]["remote"] == "192.0.2.1:4500"
    assert sent(pair, pair.bob)[-1].destination == moved.remote
    assert_established(pair)


def test_a_nat_mapping_that_changes_is_followed_once_the_peer_has_proved_itself(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"mobike": False})
    tapped = tap(pair.alice)
    pair.up()
    forged = forger(tapped, initiator=True)
    mapped = Path(Address("192.0.2.2", 4500), Address("192.0.2.1", 61000))
    # unverified datagrams move nothing, whoever sends them
    good = forged.sealed(INFORMATIONAL, 2, [])
    pair.bob.inject(good[:-1] + bytes((good[-1] ^ 1,)), mapped)
    assert pair.sas(pair.bob)[0]["remote"] == "192.0.2.1:4500"
    pair.bob.inject(good, mapped)
    assert pair.sas(pair.bob)[0]["remote"] == "192.0.2.1:61000"


def test_a_replayed_request_moves_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"mobike": False})
    pair.up()
    pair.alice.check_liveness(pair.alice.established[0])
    pair.world.settle()
    (request,) = sent(pair, pair.alice, INFORMATIONAL)
    pair.bob.inject(request.octets, Path(request.destination, Address("203.0.113.66", 666)))
    assert pair.sas(pair.bob)[0]["remote"] == "192.0.2.1:4500"


def test_datagrams_to_the_old_port_still_arrive(ike_pair: MakePair) -> None:
    # a response that was sent before the move and comes late
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    kept = hold(pair, lambda item: is_message(item, IKE_AUTH, response=True), times=1)
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    release(pair, kept[0])
    assert_established(pair)
    assert pair.alice.of(SaClosed) == []
