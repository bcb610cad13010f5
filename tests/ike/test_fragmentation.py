"""IKE fragmentation (RFC 7383): IKE_AUTH in pieces, whatever happens to them on the way."""

from itertools import permutations
from typing import Any

import pytest

from ikesim.ike.events import SaClosed
from ikesim.sim.network import LogEntry, Transit
from ikesim.testing import SimPki, assert_established
from ikesim.wire.address import Path
from ikesim.wire.message import Message
from ikesim.wire.payloads import CERT, Delete
from ikesim.wire.registry import PayloadType
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MARKER,
    MakePair,
    counters,
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

SMALL = {"fragment_size": 576}
FRAGMENTATION_SUPPORTED = 16430


def numbers(item: LogEntry | Transit) -> tuple[int, int] | None:
    """Fragment number and total of a datagram; None where it is whole."""
    plain = item.octets[4:] if item.octets[:4] == MARKER else item.octets
    if len(plain) < 36 or plain[16] != PayloadType.SKF:
        return None
    return int.from_bytes(plain[32:34]), int.from_bytes(plain[34:36])


def is_fragment(item: Transit, number: int, *, response: bool) -> bool:
    found = numbers(item)
    return found is not None and found[0] == number and is_message(item, IKE_AUTH, response=response)


@pytest.mark.parametrize("size", [300, 576, 1280])
@pytest.mark.parametrize("host", ["192.0.2.{}:500", "[2001:db8::{}]:500"])
def test_no_packet_is_larger_than_fragment_size_says(
    ike_pair: MakePair, ike_pki: SimPki, size: int, host: str
) -> None:
    for name in ("alice", "bob"):
        ike_pki.issue(name, key="rsa", size=3072)
    settings: dict[str, Any] = {"fragment_size": size}
    pair = ike_pair(alice={"listen": host.format(1), **settings}, bob={"listen": host.format(2), **settings})
    pair.up()
    assert_established(pair)
    overhead = 48 if ":" in pair.alice.config.listen[0].host else 28
    for side in (pair.alice, pair.bob):
        pieces = sent(pair, side, IKE_AUTH)
        found = [numbers(item) for item in pieces]
        assert len(pieces) > 1
        assert found == [(number, len(pieces)) for number in range(1, len(pieces) + 1)]
        lengths = [len(item.octets) + overhead for item in pieces]
        assert max(lengths) <= size
        # the room is used: all but the last are as large as one another
        assert len(set(lengths[:-1])) == 1
        assert lengths[0] > size - 32
        # RFC 7383 2.5: only the first names the type of the first payload inside
        plain = [item.octets[4:] for item in pieces]
        first = PayloadType.IDi if side is pair.alice else PayloadType.IDr
        assert [item[28] for item in plain] == [first] + [0] * (len(pieces) - 1)


def test_ike_sa_init_says_that_fragments_are_understood(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=SMALL, bob={"fragment_size": 0})
    pair.up()
    request, response = (Message.parse(sent(pair, host, IKE_SA_INIT)[0].octets) for host in (pair.alice, pair.bob))
    assert request.notify(FRAGMENTATION_SUPPORTED) is not None
    assert response.notify(FRAGMENTATION_SUPPORTED) is None


@pytest.mark.parametrize(("ours", "theirs"), [(0, 576), (576, 0), (0, 0)])
def test_nothing_is_fragmented_when_either_side_is_off(ike_pair: MakePair, ours: int, theirs: int) -> None:
    pair = ike_pair(alice={"fragment_size": ours}, bob={"fragment_size": theirs})
    pair.up()
    assert_established(pair)
    assert [numbers(item) for item in pair.world.network.log if is_message(item, IKE_AUTH)] == [None, None]


def test_what_fits_is_not_fragmented(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"fragment_size": 3000}, bob={"fragment_size": 3000})
    pair.up()
    assert [numbers(item) for item in pair.world.network.log if is_message(item, IKE_AUTH)] == [None, None]


def test_a_fragment_that_nobody_negotiated_is_dropped(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=SMALL, bob={"fragment_size": 0})
    tapped = tap(pair.alice)
    pair.up()
    sealed = forger(tapped, initiator=True).sealed(INFORMATIONAL, 2, [Delete(1)], number=1, total=1)
    pair.bob.inject(sealed, path_to(pair.bob, pair.alice))
    assert states(pair, pair.bob) == ["established"]
    assert counters(pair.bob)["ike-integrity"] == 1


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("response", [False, True])
def test_a_lost_fragment_comes_with_the_retransmission(ike_pair: MakePair, response: bool, number: int) -> None:
    pair = ike_pair(alice=SMALL, bob=SMALL)
    kept = hold(pair, lambda item: is_fragment(item, number, response=response), times=1)
    tapped = tap(pair.bob)
    pair.up()
    assert len(kept) == 1
    assert_established(pair)
    assert times(pair, pair.alice, IKE_AUTH)[0] == 0.02
    assert times(pair, pair.alice, IKE_AUTH)[-1] == 4.02
    # all fragments again, the very same octets; the answer is made once
    for host in (pair.alice, pair.bob) if response else (pair.alice,):
        pieces = [item.octets for item in sent(pair, host, IKE_AUTH)]
        assert pieces[: len(pieces) // 2] == pieces[len(pieces) // 2 :]
    assert len(tapped.of(IKE_AUTH, response=True)) == 1


def test_a_retransmission_is_answered_on_fragment_1_only(ike_pair: MakePair) -> None:
    # RFC 7383 2.6.1: a peer that has answered reacts to the first fragment, whole, and to no other
    pair = ike_pair(alice=SMALL, bob=SMALL)
    pair.up()
    requests, answers = sent(pair, pair.alice, IKE_AUTH), sent(pair, pair.bob, IKE_AUTH)
    assert len(requests) == 3
    for request in requests[1:]:
        pair.bob.inject(request.octets, Path(request.destination, request.source))
    assert sent(pair, pair.bob, IKE_AUTH) == answers
    pair.bob.inject(requests[0].octets, Path(requests[0].destination, requests[0].source))
    again = sent(pair, pair.bob, IKE_AUTH)[len(answers) :]
    assert [item.octets for item in again] == [item.octets for item in answers]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_fragments_arrive_in_any_order(ike_pair: MakePair, order: tuple[int, ...]) -> None:
    pair = ike_pair(alice=SMALL, bob=SMALL)
    kept = hold(pair, lambda item: is_message(item, IKE_AUTH, response=False), times=3)
    pair.alice.initiate("bob")
    pair.world.settle()
    for index in order:
        assert states(pair, pair.bob) == ["awaits-auth-request"]
        release(pair, kept[index])
    pair.world.settle()
    assert_established(pair)
    # whatever their order, it is fragment 1 that is answered again
    quiet = len(sent(pair, pair.bob))
    release(pair, kept[1])
    release(pair, kept[2])
    assert len(sent(pair, pair.bob)) == quiet
    release(pair, kept[0])
    assert len(sent(pair, pair.bob)) > quiet


def test_duplicated_fragments_are_passed_over(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=SMALL, bob=SMALL, duplicate=1.0)
    tapped = tap(pair.bob)
    pair.up()
    assert_established(pair)
    assert len(tapped.of(IKE_AUTH, response=True)) == 1


def test_a_damaged_fragment_counts_for_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=SMALL, bob=SMALL)
    kept = hold(pair, lambda item: is_message(item, IKE_AUTH, response=False), times=3)
    pair.alice.initiate("bob")
    pair.world.settle()
    for transit in kept:
        whole = transit.octets
        for spoiled in (
            whole[:-1] + bytes((whole[-1] ^ 1,)),  # the check value
            whole[:36] + bytes((0, 7)) + whole[38:],  # the fragment number, which is authenticated (2.5)
            whole[:38] + bytes((0, 9)) + whole[40:],  # the total
        ):
            transit.octets = spoiled
            release(pair, transit)
        transit.octets = whole
    assert states(pair, pair.bob) == ["awaits-auth-request"]
    for transit in kept:
        release(pair, transit)
    pair.world.settle()
    assert_established(pair)


def test_a_forged_fragment_1_spoils_no_retransmission(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=SMALL, bob=SMALL)
    kept = hold(pair, lambda item: is_message(item, IKE_AUTH, response=False), times=3)
    pair.alice.initiate("bob")
    pair.world.settle()
    release(pair, kept[0])
    whole = kept[0].octets
    kept[0].octets = whole[:-1] + bytes((whole[-1] ^ 1,))
    release(pair, kept[0])
    release(pair, kept[1])
    release(pair, kept[2])
    kept[0].octets = whole
    answers = len(sent(pair, pair.bob, IKE_AUTH))
    release(pair, kept[0])
    assert len(sent(pair, pair.bob, IKE_AUTH)) == 2 * answers
    pair.world.settle()
    assert_established(pair)


def test_a_smaller_path_starts_the_fragments_anew(ike_pair: MakePair) -> None:
    # RFC 7383 2.6: more fragments of the same message replace fewer, fewer do not replace more
    pair = ike_pair(alice=SMALL, bob=SMALL)
    tapped = tap(pair.alice)
    pair.up()
    forged, path = forger(tapped, initiator=True), path_to(pair.bob, pair.alice)
    body = (0, 0, 0, 8, 1, 0, 0, 0)  # D: the IKE SA
    chain = bytes(body)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, (42, chain[:4]), number=1, total=2), path)
    for number, piece in enumerate((chain[:3], chain[3:6]), 1):
        first = 42 if number == 1 else 0
        pair.bob.inject(forged.sealed(INFORMATIONAL, 2, (first, piece), number=number, total=3), path)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, (0, chain[4:]), number=2, total=2), path)
    assert states(pair, pair.bob) == ["established"]
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, (0, chain[6:]), number=3, total=3), path)
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["deleted-by-peer"]


def test_fragments_of_the_next_message_replace_those_of_an_old_one(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=SMALL, bob=SMALL)
    tapped = tap(pair.alice)
    pair.up()
    forged, path = forger(tapped, initiator=True), path_to(pair.bob, pair.alice)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, (42, b""), number=1, total=2), path)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, []), path)
    # half a message of ID 2 and half a message of ID 3 make no whole
    pair.bob.inject(forged.sealed(INFORMATIONAL, 3, (0, bytes((0, 0, 0, 8, 1, 0, 0, 0))), number=2, total=2), path)
    assert states(pair, pair.bob) == ["established"]
    pair.bob.inject(forged.sealed(INFORMATIONAL, 3, (42, b""), number=1, total=2), path)
    assert [event.reason for event in pair.bob.of(SaClosed)] == ["deleted-by-peer"]


def test_the_fragments_in_hand_are_bounded(ike_pair: MakePair) -> None:
    # CVE-2026-12413 and its kind: a peer that never completes a message costs a bounded amount of memory
    pair = ike_pair(alice=SMALL, bob=SMALL)
    tapped = tap(pair.alice)
    pair.up()
    forged, path = forger(tapped, initiator=True), path_to(pair.bob, pair.alice)
    for number in range(1, 120):
        pair.bob.inject(forged.sealed(INFORMATIONAL, 2, (42, bytes(1200)), number=number, total=200), path)
    # 82 * 1200 octets exceed 96 KiB: the reassembly is given up, the SA is not
    assert pair.bob.of(SaClosed) == []
    assert_established(pair)


def test_more_fragments_than_anybody_needs_are_refused(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=SMALL, bob=SMALL)
    tapped = tap(pair.alice)
    pair.up()
    forged, path = forger(tapped, initiator=True), path_to(pair.bob, pair.alice)
    pair.bob.inject(forged.sealed(INFORMATIONAL, 2, (42, b"x"), number=1, total=65535), path)
    assert_established(pair)


def test_a_long_chain_goes_through(ike_pair: MakePair, ike_pki: SimPki) -> None:
    parent = "north-issuing"
    for level in range(4):
        ike_pki.add_authority(f"north-{level}", parent=parent)
        parent = f"north-{level}"
    ike_pki.issue("alice", issuer=parent, key="rsa", size=3072)
    pair = ike_pair(alice={"fragment_size": 400}, bob={"fragment_size": 400})
    pair.up()
    assert_established(pair)
    assert len(sent(pair, pair.alice, IKE_AUTH)) > 10
    assert {header(item.octets).message_id for item in sent(pair, pair.alice, IKE_AUTH)} == {1}


@pytest.mark.parametrize("seed", range(6))
def test_fragments_on_a_bad_network(ike_pair: MakePair, seed: int) -> None:
    bad = {"fragment_size": 350}
    pair = ike_pair(seed=seed, alice=bad, bob=bad, loss=0.15, duplicate=0.2, reorder=0.3, jitter=0.02)
    pair.up()
    pair.world.run_until(pair.world.now + 200.0)
    assert_established(pair)


def test_64_kib_of_certificates_pass(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # superfluous certificates with many names: 64 KiB of them, in fragments of 1280 octets
    sans = [f"fqdn:host-{number:04}.a-rather-long-name.example" for number in range(700)]
    big = [ike_pki.issue(f"big{number}", host="alice", sans=sans).certificate for number in range(3)]
    octets = sum(map(len, big))
    assert 64 * 1024 <= octets <= 80 * 1024
    pair = ike_pair()
    ours = tap(pair.alice)
    ours.change = lambda said: (
        [*said.payloads, *(CERT(4, der) for der in big)] if said.exchange == IKE_AUTH and not said.response else None
    )
    pair.up()
    assert_established(pair)
    assert len(sent(pair, pair.alice, IKE_AUTH)) > 50
    assert pair.ping() == 1


def test_64_kib_of_certificates_pass_on_a_bad_network(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # each fragment is lost once in fifty times, doubled, or overtaken: the retransmission fills the gaps
    sans = [f"fqdn:host-{number:04}.a-rather-long-name.example" for number in range(700)]
    big = [ike_pki.issue(f"big{number}", host="alice", sans=sans).certificate for number in range(3)]
    pair = ike_pair(loss=0.02, duplicate=0.2, reorder=0.3, jitter=0.02)
    tap(pair.alice).change = lambda said: (
        [*said.payloads, *(CERT(4, der) for der in big)] if said.exchange == IKE_AUTH and not said.response else None
    )
    pair.up()
    assert_established(pair)


def test_fragments_of_strangers_are_bounded_together(ike_pair: MakePair) -> None:
    # 400 peers begin, and none completes its IKE_AUTH: 400 * 90,000 octets would be held
    pair = ike_pair(bob={"cookie_threshold": 1000, "half_open_timeout": 30.0}, alice={"unique": "never"})
    ours = tap(pair.alice)
    keep = pair.world.network.add_filter(
        lambda item: item.drop("held by the test") if is_message(item, IKE_AUTH) else None
    )
    path = path_to(pair.bob, pair.alice)
    body = bytes(45_000)
    for _ in range(400):
        pair.alice.initiate("bob")
        pair.world.settle()
        forged = forger(ours, initiator=True)
        for number in (1, 2):
            pair.bob.inject(forged.sealed(IKE_AUTH, 1, (42, body), number=number, total=3), path)
    refused = counters(pair.bob)["fragments-refused"]
    # 16 MiB are 372 fragments of that size
    assert 800 - 380 <= refused <= 800 - 370
    # they go with their SAs: the next peer has room again
    pair.world.run_until(pair.world.now + 300.0)
    pair.world.network.remove_filter(keep)
    pair.up()
    assert_established(pair)
    assert counters(pair.bob)["fragments-refused"] == refused
