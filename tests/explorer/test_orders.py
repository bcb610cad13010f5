"""Orders that once broke an invariant, each as a test of its own (RFC 7296 2.4, 2.8, 2.25)."""

from typing import Any

import pytest

from ikesim.esp.host import echo_request, parse_echo_reply
from ikesim.ike.events import ChildDown, SaClosed, SaEstablished
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, assert_established
from ikesim.wire.payloads import Delete
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MakePair,
    forger,
    hold,
    is_message,
    path_to,
    release,
    sent,
    states,
    tap,
)

QUIET: dict[str, Any] = {"liveness": {"interval": 0}, "keepalive": 0}
LOW, HIGH = b"\x00" * 32, b"\x80" * 32
AFTER_UP = 0.045
"""Seconds: the first two exchanges of a pair take 0.04."""


def choose_nonces(host: SimHost, asks: bytes, answers: bytes) -> None:
    """The next two nonces of a host that first asks and then answers."""
    host.ports.random.chosen["nonce"] = [asks, answers]


def closings(host: SimHost) -> list[str]:
    return [event.reason for event in host.of(SaClosed)]


def one_tunnel(pair: Pair) -> None:
    """One IKE SA at each end, the same one, with one CHILD SA that carries traffic both ways."""
    assert_established(pair)
    for host in (pair.alice, pair.bob):
        assert states(pair, host) == ["established"]
        assert [child.state for child in pair.children(host)] == ["installed"]
    ours, theirs = pair.sas(pair.alice)[0], pair.sas(pair.bob)[0]
    assert (ours["spi_i"], ours["spi_r"]) == (theirs["spi_i"], theirs["spi_r"])
    assert pair.ping() == pair.ping(by="bob") == 1


def echoes(pair: Pair, seconds: float) -> None:
    """An echo request from each side every 10 ms."""

    def send(number: int) -> None:
        pair.alice.send_inner(echo_request("10.1.0.1", "10.2.0.1", 7, number, b""))
        pair.bob.send_inner(echo_request("10.2.0.1", "10.1.0.1", 7, number, b""))

    for number in range(int(seconds * 100)):
        pair.world.after(number / 100, lambda world, number=number: send(number))


def answered(host: SimHost) -> int:
    return sum(parse_echo_reply(packet) is not None for packet in host.inner_received)


# Two ends initiate at once: libreswan lets the lower nonce yield, as RFC 7296 2.8.1 does at rekeying.


@pytest.mark.parametrize("lower", ["alice", "bob"])
def test_both_initiate_at_once_and_one_tunnel_stays(ike_pair: MakePair, lower: str) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    for host in (pair.alice, pair.bob):
        choose_nonces(host, LOW if host.name == lower else HIGH, b"\xc0" * 32)
    first = {host.name: host.initiate(pair.peer(host).name) for host in (pair.alice, pair.bob)}
    pair.world.run_until(pair.world.now + 60.0)
    one_tunnel(pair)
    loser = pair.alice if lower == "alice" else pair.bob
    winner = pair.peer(loser)
    assert first[loser.name] not in loser.established
    assert winner.established == [first[winner.name]]
    # whoever initiated the SA with the lowest nonce ended it; the peer ended nothing
    assert (closings(loser), closings(winner)) == (["replaced"], ["deleted-by-peer"])


def test_both_initiate_at_once_and_no_echo_is_lost_once_both_are_up(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.alice.initiate("bob")
    pair.bob.initiate("alice")
    pair.world.run_until(lambda: pair.alice.established and pair.bob.established)
    pair.world.settle()
    echoes(pair, 12.0)
    pair.world.run_until(pair.world.now + 13.0)
    assert answered(pair.alice) == answered(pair.bob) == 1200
    one_tunnel(pair)


@pytest.mark.parametrize("lower", ["alice", "bob"])
@pytest.mark.parametrize("lost", [None, IKE_SA_INIT, IKE_AUTH])
def test_both_reauthenticate_at_once(ike_pair: MakePair, lower: str, lost: int | None) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    pair.ping()
    for host in (pair.alice, pair.bob):
        choose_nonces(host, LOW if host.name == lower else HIGH, b"\xc0" * 32)
    if lost is not None:
        hold(pair, lambda item: item.sent_at > AFTER_UP and is_message(item, lost, response=True), times=1)
    echoes(pair, 12.0)
    before = answered(pair.alice), answered(pair.bob)
    for host in (pair.alice, pair.bob):
        host.reauthenticate(host.established[0])
    pair.world.run_until(pair.world.now + 60.0)
    one_tunnel(pair)
    assert answered(pair.alice) - before[0] == 1201  # and the ping of one_tunnel
    assert answered(pair.bob) - before[1] == 1201


# The responder of a new SA sends and ends nothing before the initiator has its answer.


def test_the_answer_to_a_reauthentication_is_lost_and_no_echo_with_it(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    held = hold(pair, lambda item: item.sent_at > AFTER_UP and is_message(item, IKE_AUTH, response=True))
    pair.alice.reauthenticate(pair.alice.established[0])
    echoes(pair, 3.0)
    pair.world.run_until(pair.world.now + 3.5)
    assert held
    # bob has two SAs, and uses the one that alice knows
    assert len(pair.bob.established) == 2
    assert answered(pair.alice) == answered(pair.bob) == 300


def test_the_answer_to_a_new_child_is_lost_and_no_echo_with_it(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    held = hold(pair, lambda item: is_message(item, CREATE_CHILD_SA, response=True))
    pair.alice.create_child(pair.alice.established[0], "net")
    echoes(pair, 3.0)
    pair.world.run_until(pair.world.now + 3.5)
    assert held
    assert [len(pair.children(host)) for host in (pair.alice, pair.bob)] == [1, 2]
    assert answered(pair.alice) == answered(pair.bob) == 300


def test_an_initiator_that_refuses_the_new_sa_leaves_the_old_one(ike_pair: MakePair, ike_pki: Any) -> None:
    # bob believes the new SA up until alice refuses it (RFC 7296 2.21.2): until then he ends nothing
    pair = ike_pair(alice={**QUIET, "on_revocation": "ignore"}, bob=QUIET)
    first = pair.up()
    assert isinstance(first, SaEstablished)
    ike_pki.revoke("bob")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.alice.reauthenticate(first.sa)
    pair.world.run_until(pair.world.now + 120.0)
    one_tunnel(pair)
    assert pair.alice.established == [first.sa]


def test_a_second_sa_replaces_the_first_even_if_the_initiator_leaves_that_to_us(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "unique": "never"}, bob=QUIET)
    pair.up()
    second = pair.up()
    assert isinstance(second, SaEstablished)
    pair.world.run_until(pair.world.now + 60.0)
    one_tunnel(pair)
    assert pair.alice.established == [second.sa]
    assert closings(pair.bob) == ["replaced"]


def test_initial_contact_ends_no_sa_that_crossed_it(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.alice.initiate("bob")
    pair.bob.initiate("alice")
    pair.world.run_until(1.0)
    # both said INITIAL_CONTACT; both SAs are up until one yields by nonce
    assert len(pair.alice.established) == len(pair.bob.established) == 2


# Asked twice, asked of what is ending, answered too late


def test_a_reauthentication_under_way_is_not_begun_again(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    for _ in range(3):
        pair.alice.reauthenticate(pair.alice.established[0])
    pair.world.run_until(pair.world.now + 60.0)
    one_tunnel(pair)
    assert len(pair.alice.of(SaEstablished)) == 2


def test_an_sa_that_was_rekeyed_during_its_reauthentication_ends_all_the_same(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "unique": "never"}, bob={**QUIET, "unique": "never"})
    pair.up()
    held = hold(pair, lambda item: item.sent_at > AFTER_UP and is_message(item, IKE_AUTH), times=2)
    pair.alice.reauthenticate(pair.alice.established[0])
    pair.alice.rekey(pair.alice.established[0])
    pair.world.run_until(pair.world.now + 60.0)
    assert held
    one_tunnel(pair)
    assert closings(pair.alice) == ["rekeyed", "reauthenticated"]


def test_nothing_is_sent_on_a_child_of_an_ike_sa_that_is_being_deleted(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    pair.ping()
    held = hold(pair, lambda item: is_message(item, INFORMATIONAL))
    pair.alice.terminate(pair.alice.established[0])
    before = pair.world.network.sent
    pair.alice.send_inner(echo_request("10.1.0.1", "10.2.0.1", 7, 1, b""))
    assert held
    assert pair.world.network.sent == before


def test_a_child_that_the_peer_deleted_before_its_making_was_answered_is_not_installed(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    (first,) = pair.children(pair.bob)
    answers = hold(pair, lambda item: is_message(item, CREATE_CHILD_SA, response=True), times=1)
    # HDR, SK {SA, Ni, TSi, TSr} --> ; <-- HDR, SK {SA, Nr, TSi, TSr}, which is lost
    pair.alice.create_child(pair.alice.established[0], "net")
    pair.world.run_until(1.0)
    (second,) = [child for child in pair.children(pair.bob) if child.id != first.id]
    # <-- HDR, SK {D} ; HDR, SK {} -->
    pair.bob.terminate(second.id)
    pair.world.run_until(30.0)
    assert answers
    assert [child.spi_out for child in pair.children(pair.alice)] == [first.spi_in]
    one_tunnel(pair)


def test_a_rekeyed_child_that_the_peer_deleted_before_its_answer_came_ends_as_a_whole(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    (first,) = pair.children(pair.bob)
    hold(pair, lambda item: is_message(item, CREATE_CHILD_SA, response=True), times=1)
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.run_until(1.0)
    (second,) = [child for child in pair.children(pair.bob) if child.id != first.id]
    pair.bob.terminate(second.id)
    pair.world.run_until(30.0)
    assert pair.children(pair.alice) == pair.children(pair.bob) == []
    assert states(pair, pair.alice) == states(pair, pair.bob) == ["established"]
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["deleted-by-peer"]


def test_a_peer_that_deletes_spis_at_random_makes_us_remember_few(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    theirs = tap(pair.bob)
    pair.up()
    hold(pair, lambda item: is_message(item, CREATE_CHILD_SA), times=2)
    pair.alice.create_child(pair.alice.established[0], "net")
    forged = forger(theirs, initiator=False, number=0)
    for number in range(20):
        spis = tuple((0x10000 + 100 * number + item).to_bytes(4) for item in range(100))
        pair.alice.inject(forged.sealed(INFORMATIONAL, number, [Delete(3, spis)]), path_to(pair.alice, pair.bob))
    assert len(sent(pair, pair.alice, INFORMATIONAL, response=True)) == 20
    pair.world.run_until(60.0)
    # what was really asked for came up all the same
    assert len(pair.children(pair.alice)) == 2


@pytest.mark.parametrize("answerer", ["alice", "bob"])
def test_crossing_rekeyings_send_nothing_on_the_winner_before_its_answer_came(
    ike_pair: MakePair, answerer: str
) -> None:
    # Both ask; one end has both requests and the answer to its own, and loses. Its answer to the winner is under way.
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    pair.ping()
    pair.ping(by="bob")
    loser = pair.alice if answerer == "alice" else pair.bob
    winner = pair.peer(loser)
    choose_nonces(loser, LOW, b"\xc0" * 32)
    choose_nonces(winner, HIGH, b"\xd0" * 32)
    held = hold(
        pair,
        lambda item: item.source in loser.sockets and is_message(item, CREATE_CHILD_SA, response=True),
        times=1,
    )
    for host in (pair.alice, pair.bob):
        host.rekey(pair.children(host)[0].id)
    pair.world.run_until(pair.world.now + 0.3)
    assert held
    seen = answered(pair.alice), answered(pair.bob)
    echoes(pair, 2.0)
    pair.world.run_until(pair.world.now + 2.5)
    assert (answered(pair.alice) - seen[0], answered(pair.bob) - seen[1]) == (200, 200)
    release(pair, held[0])
    pair.world.run_until(pair.world.now + 60.0)
    one_tunnel(pair)


def test_a_rekeying_leaves_no_half_open_sa_behind(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob={**QUIET, "cookie_threshold": 3})
    pair.up()
    for _ in range(5):
        pair.alice.rekey(pair.alice.established[0])
        pair.world.settle()
    # were they counted, bob would ask for cookies by now: HDR, N(COOKIE)
    before = len(sent(pair, pair.bob, IKE_SA_INIT))
    pair.alice.reauthenticate(pair.alice.established[0])
    pair.world.run_until(pair.world.now + 60.0)
    assert len(sent(pair, pair.bob, IKE_SA_INIT)) == before + 1
    one_tunnel(pair)


@pytest.mark.parametrize("what", ["IKE", "CHILD"])
def test_a_replaced_sa_that_the_peer_never_deletes_ends_by_itself(ike_pair: MakePair, what: str) -> None:
    quiet = {**QUIET, "rekey_time": 0.0, "child": {"rekey_time": 0.0}}
    pair = ike_pair(alice=quiet, bob=quiet)
    theirs = tap(pair.bob)
    pair.up()
    hold(pair, lambda item: is_message(item, INFORMATIONAL) and item.source in pair.alice.sockets)
    pair.alice.rekey(pair.alice.established[0] if what == "IKE" else pair.children(pair.alice)[0].id)
    pair.world.run_until(pair.world.now + 29.0)
    count = [len(pair.sas(pair.bob)), len(pair.children(pair.bob))]
    assert count == ([2, 1] if what == "IKE" else [1, 2])
    pair.world.run_until(pair.world.now + 2.0)
    if what == "IKE":
        assert closings(pair.bob) == ["rekeyed"]
        assert pair.ping(by="bob") == 1
    else:
        # bob deletes it himself
        assert [item.payloads for item in theirs.of(INFORMATIONAL, response=False)][-1][0].protocol == 3


@pytest.mark.parametrize("lower", ["alice", "bob"])
def test_the_loser_of_two_initiations_stays_until_the_winner_is_up_at_both_ends(
    ike_pair: MakePair, lower: str
) -> None:
    # Both SAs are up at the loser; the winner has not got the answer that makes his, for three retransmissions.
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    pair.ping()
    pair.ping(by="bob")
    loser = pair.alice if lower == "alice" else pair.bob
    winner = pair.peer(loser)
    choose_nonces(loser, LOW, b"\xc0" * 32)
    choose_nonces(winner, HIGH, b"\xd0" * 32)
    start = pair.world.now
    hold(
        pair,
        lambda item: (
            item.source in loser.sockets
            and AFTER_UP < item.sent_at < start + 20.0
            and is_message(item, IKE_AUTH, response=True)
        ),
    )
    for host in (pair.alice, pair.bob):
        host.reauthenticate(host.established[0])
    before = answered(pair.alice), answered(pair.bob)
    echoes(pair, 30.0)
    pair.world.run_until(start + 15.0)
    # long after the time to settle, the loser's SA is the one that both know
    assert len(loser.established) == 2
    pair.world.run_until(start + 120.0)
    assert (answered(pair.alice) - before[0], answered(pair.bob) - before[1]) == (3000, 3000)
    one_tunnel(pair)
