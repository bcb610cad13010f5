"""How long SAs live: by octets, packets and sequence numbers, until the next authentication, until called again."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ikesim.esp.host import echo_request
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import ChildDown, Rekeyed, SaClosed, SaEstablished, SaRefused
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, assert_established
from ikesim.testing.pki import SimPki
from ikesim.wire.payloads import Notify
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MakePair,
    counters,
    forger,
    hold,
    is_message,
    path_to,
    sent,
    states,
    tap,
    times,
)

AUTH_LIFETIME = 16403  # RFC 4478 4
QUIET: dict[str, Any] = {"liveness": {"interval": 0}, "keepalive": 0, "jitter": 0.0}
PACKET = echo_request("10.1.0.1", "10.2.0.1", 1, 1, bytes(72))  # 20 octets IPv4, 8 ICMP, 72 data: 100


def reasons(host: SimHost) -> list[str]:
    return [event.reason for event in host.of(SaClosed)]


def up(make: MakePair, **child: Any) -> Pair:
    pair = make(alice={**QUIET, "child": child}, bob=QUIET)
    pair.up()
    return pair


def one_tunnel(pair: Pair) -> None:
    assert_established(pair)
    assert [len(pair.children(host)) for host in (pair.alice, pair.bob)] == [1, 1]
    assert pair.ping() == pair.ping(by="bob") == 1


# by volume


def test_a_child_is_rekeyed_after_its_packets(ike_pair: MakePair) -> None:
    pair = up(ike_pair, rekey_packets=100)
    (old,) = pair.children(pair.alice)
    for _ in range(99):
        pair.alice.send_inner(PACKET)
    assert sent(pair, pair.alice, CREATE_CHILD_SA) == []
    pair.alice.send_inner(PACKET)
    assert len(sent(pair, pair.alice, CREATE_CHILD_SA)) == 1
    pair.world.settle()
    assert [event.old for event in pair.alice.of(Rekeyed)] == [old.id]
    one_tunnel(pair)


def test_a_child_is_rekeyed_after_its_octets_in_either_direction(ike_pair: MakePair) -> None:
    pair = up(ike_pair, rekey_bytes=10_000)
    # bob sends them, alice counts them
    for _ in range(99):
        pair.bob.send_inner(echo_request("10.2.0.1", "10.1.0.9", 1, 1, bytes(72)))
    pair.world.settle()
    assert sent(pair, pair.alice, CREATE_CHILD_SA) == []
    pair.bob.send_inner(echo_request("10.2.0.1", "10.1.0.9", 1, 1, bytes(72)))
    pair.world.settle()
    # one request, not one for each packet that follows
    for _ in range(20):
        pair.bob.send_inner(PACKET)
    pair.world.settle()
    assert len(sent(pair, pair.alice, CREATE_CHILD_SA, response=False)) == 1
    assert len(pair.alice.of(Rekeyed)) == 1
    one_tunnel(pair)


def test_a_child_past_its_hard_limit_carries_nothing_more(ike_pair: MakePair) -> None:
    pair = up(ike_pair, rekey_packets=100)  # over-time is 10 %
    hold(pair, lambda item: is_message(item, CREATE_CHILD_SA))
    before = pair.world.network.sent
    for _ in range(150):
        pair.alice.send_inner(PACKET)
    # 110 packets and one CREATE_CHILD_SA
    assert pair.world.network.sent - before == 111
    pair.world.run_until(600.0)
    assert pair.children(pair.alice) == []
    assert "lifetime-expired" in [event.reason for event in pair.alice.of(ChildDown)] or reasons(pair.alice)


def test_jitter_makes_the_limit_smaller_only(ike_pair: MakePair) -> None:
    counts = []
    for seed in range(8):
        pair = ike_pair(
            seed=seed,
            alice={**QUIET, "jitter": 0.5, "child": {"rekey_packets": 100, "rekey_time": 0.0}},
            bob={**QUIET, "child": {"rekey_time": 0.0}},
        )
        pair.up()
        count = 0
        while not sent(pair, pair.alice, CREATE_CHILD_SA):
            pair.alice.send_inner(PACKET)
            count += 1
        counts.append(count)
    assert min(counts) >= 50
    assert max(counts) <= 100
    assert len(set(counts)) > 4


# RFC 4303 3.3.3: the counter must not cycle; 32 bits, or 64 with ESN


@pytest.mark.parametrize(("esn", "last"), [(False, (1 << 32) - 1), (True, (1 << 64) - 1)])
def test_a_child_is_rekeyed_before_its_sequence_numbers_run_out(ike_pair: MakePair, esn: bool, last: int) -> None:
    pair = ike_pair(alice={**QUIET, "child": {"esn": esn}}, bob={**QUIET, "child": {"esn": esn}})
    pair.up()
    set_sequence(pair.alice, last * 89 // 100)
    pair.alice.send_inner(PACKET)
    assert sent(pair, pair.alice, CREATE_CHILD_SA) == []
    set_sequence(pair.alice, last * 91 // 100)
    pair.alice.send_inner(PACKET)
    pair.world.settle()
    assert len(pair.alice.of(Rekeyed)) == 1
    one_tunnel(pair)


def test_nothing_is_sent_with_a_sequence_number_twice(ike_pair: MakePair) -> None:
    pair = up(ike_pair)
    hold(pair, lambda item: is_message(item, CREATE_CHILD_SA))
    set_sequence(pair.alice, (1 << 32) - 3)
    before = pair.world.network.sent
    for _ in range(6):
        pair.alice.send_inner(PACKET)
    # two ESP packets, with ...fffffffe and ...ffffffff, and one CREATE_CHILD_SA
    assert pair.world.network.sent - before == 3
    assert counters(pair.alice)["esp-sequence-exhausted"] == 1


def set_sequence(host: SimHost, number: int) -> None:
    assert isinstance(host.endpoint, Endpoint)
    for child in host.endpoint.core.children.values():
        child.outbound.sequence = number


# authenticating anew


def test_the_responder_says_when_and_the_initiator_heeds_it(ike_pair: MakePair) -> None:
    # RFC 4478: HDR, SK {IDr, CERT, AUTH, N(AUTH_LIFETIME), ...}; the initiator starts over in time
    pair = ike_pair(alice=QUIET, bob={**QUIET, "reauth_time": 1000.0})
    theirs = tap(pair.bob)
    pair.up()
    told = theirs.of(IKE_AUTH, response=True)[0].notify(AUTH_LIFETIME)
    assert told is not None
    assert told.data == (1000).to_bytes(4)
    pair.world.run_until(3000.0)
    begun = times(pair, pair.alice, IKE_SA_INIT, response=False)
    assert [round(later - earlier) for earlier, later in pairwise(begun)] == [900, 900, 900]
    assert set(reasons(pair.alice)) == {"reauthenticated"}
    one_tunnel(pair)


def test_the_responder_ends_what_was_not_authenticated_anew(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob={**QUIET, "reauth_time": 1000.0})
    pair.up()
    hold(pair, lambda item: item.sent_at > 100.0 and is_message(item, IKE_SA_INIT))
    pair.world.run_until(1099.0)
    assert_established(pair)
    pair.world.run_until(1101.0)
    assert reasons(pair.bob) == ["lifetime-expired"]
    assert reasons(pair.alice) == ["deleted-by-peer"]


def test_rekeying_puts_off_neither_end(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "rekey_time": 300.0}, bob={**QUIET, "reauth_time": 1000.0})
    pair.up()
    hold(pair, lambda item: item.sent_at > 100.0 and is_message(item, IKE_SA_INIT))
    pair.world.run_until(1150.0)
    assert "lifetime-expired" in reasons(pair.bob)


def test_a_lifetime_told_later_is_heeded_too(ike_pair: MakePair) -> None:
    # RFC 4478 3: the notification may also come in an INFORMATIONAL request
    pair = ike_pair(alice=QUIET, bob=QUIET)
    theirs = tap(pair.bob)
    pair.up()
    forged = forger(theirs, initiator=False)
    note = Notify(AUTH_LIFETIME, (100).to_bytes(4))
    pair.alice.inject(forged.sealed(INFORMATIONAL, 0, [note]), path_to(pair.alice, pair.bob))
    pair.world.run_until(200.0)
    assert [round(at) for at in times(pair, pair.alice, IKE_SA_INIT, response=False)] == [0, 90]


@pytest.mark.parametrize("data", [b"", b"\0", bytes(8)])
def test_a_malformed_lifetime_changes_nothing(ike_pair: MakePair, data: bytes) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    theirs = tap(pair.bob)
    pair.up()
    forged = forger(theirs, initiator=False)
    sealed = forged.sealed(INFORMATIONAL, 0, [Notify(AUTH_LIFETIME, data)])
    pair.alice.inject(sealed, path_to(pair.alice, pair.bob))
    pair.world.run_until(200.0)
    assert len(times(pair, pair.alice, IKE_SA_INIT)) == 1
    assert_established(pair)


def test_break_before_make(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "reauth": "break-before-make", "reauth_time": 500.0}, bob=QUIET)
    pair.up()
    pair.world.run_until(600.0)
    order = [(type(event).__name__) for event in pair.alice.events if isinstance(event, SaEstablished | SaClosed)]
    assert order == ["SaEstablished", "SaClosed", "SaEstablished"]
    assert reasons(pair.alice) == ["reauthenticated"]
    one_tunnel(pair)


def test_break_before_make_tries_until_it_is_made(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "reauth": "break-before-make", "reauth_time": 500.0}, bob=QUIET)
    pair.up()
    hold(pair, lambda item: 100.0 < item.sent_at < 900.0 and is_message(item, IKE_SA_INIT))
    pair.world.run_until(1200.0)
    assert len(pair.alice.of(SaRefused)) >= 1
    one_tunnel(pair)


def test_a_reauthentication_that_nobody_answers_is_tried_again_and_the_tunnel_stays(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "reauth_time": 500.0}, bob=QUIET)
    pair.up()
    hold(pair, lambda item: 100.0 < item.sent_at < 800.0 and is_message(item, IKE_SA_INIT))
    pair.world.run_until(700.0)
    assert len(pair.alice.of(SaRefused)) == 1
    one_tunnel(pair)
    pair.world.run_until(900.0)
    assert "reauthenticated" in reasons(pair.alice)
    one_tunnel(pair)


def test_a_peer_found_revoked_at_reauthentication_loses_the_old_sa_too(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # the CRL that says so is fetched for the new SA; row A87 of the feature table
    pair = ike_pair(alice={**QUIET, "reauth_time": 500.0}, bob=QUIET, crls="http")
    pair.up()
    one_tunnel(pair)
    # the CRL that alice holds runs out, the new one lists bob
    ike_pki.revoke("bob")
    pair.alice.ports.store = replace(pair.alice.ports.store, crls={})
    pair.world.run_until(600.0)
    assert [event.reason for event in pair.alice.of(SaRefused)] == ["cert-revoked"]
    assert reasons(pair.alice) == ["revoked-later"]
    assert pair.alice.established == pair.bob.established == []


# called again


def call_times(pair: Pair, host: SimHost) -> list[float]:
    """When an IKE SA was begun: the first IKE_SA_INIT request of each initiator SPI."""
    first: dict[bytes, float] = {}
    for entry in sent(pair, host, IKE_SA_INIT, response=False):
        first.setdefault(entry.octets[4:12], entry.sent_at)
    return list(first.values())


def start(pair: Pair, host: SimHost) -> None:
    """As the shell does for `start = "immediately"`."""
    host.initiate(pair.peer(host).name)


def test_what_starts_immediately_is_called_until_somebody_answers(ike_pair: MakePair) -> None:
    retransmit = {"initial": 1.0, "factor": 1.0, "tries": 1}
    pair = ike_pair(alice={**QUIET, "start": "immediately", "retransmit": retransmit}, bob=QUIET)
    pair.bob.alive = False
    start(pair, pair.alice)
    pair.world.run_until(2000.0)
    # 2 s until nobody answered, and a wait that doubles from 5 s to 300 s, a fifth off at most
    waits = [later - earlier - 2.0 for earlier, later in pairwise(call_times(pair, pair.alice))]
    for wait, whole in zip(waits, [5, 10, 20, 40, 80, 160, 300, 300, 300], strict=False):
        assert 0.8 * whole <= wait <= whole
    assert len(waits) >= 8
    pair.bob.alive = True
    pair.world.run_until(2400.0)
    one_tunnel(pair)


@pytest.mark.parametrize("what", ["the peer deletes it", "the peer dies and comes back"])
def test_what_starts_immediately_comes_back(ike_pair: MakePair, what: str) -> None:
    alice = {"start": "immediately", "liveness": {"interval": 10.0}}
    pair = ike_pair(alice=alice, bob={"liveness": {"interval": 10.0}})
    start(pair, pair.alice)
    pair.world.run_until(1.0)
    if what == "the peer deletes it":
        pair.bob.terminate(pair.bob.established[0])
        pair.world.run_until(2.0)
    else:
        pair.bob.alive = False
        pair.world.run_until(lambda: not pair.alice.established)
        pair.bob.alive = True
    assert pair.alice.established == []
    pair.world.run_until(pair.world.now + 60.0)
    one_tunnel(pair)


def test_what_was_ended_by_hand_stays_ended(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "start": "immediately"}, bob=QUIET)
    start(pair, pair.alice)
    pair.world.run_until(1.0)
    pair.alice.terminate(pair.alice.established[0])
    pair.world.run_until(5000.0)
    assert states(pair, pair.alice) == states(pair, pair.bob) == []
    # and comes back when somebody initiates it
    start(pair, pair.alice)
    pair.world.run_until(5001.0)
    one_tunnel(pair)
    pair.bob.terminate(pair.bob.established[0])
    pair.world.run_until(5060.0)
    one_tunnel(pair)


def test_what_starts_on_request_is_not_called_again(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=QUIET, bob=QUIET)
    pair.up()
    pair.bob.terminate(pair.bob.established[0])
    pair.world.run_until(5000.0)
    assert len(call_times(pair, pair.alice)) == 1
    assert pair.sas(pair.alice) == []


def test_a_dead_peer_is_called_again_for_as_long_as_it_takes(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"liveness": {"interval": 30.0, "action": "restart"}})
    pair.up()
    pair.bob.alive = False
    pair.world.run_until(3000.0)
    assert len(call_times(pair, pair.alice)) > 5
    pair.bob.alive = True
    pair.world.run_until(3500.0)
    one_tunnel(pair)


def test_a_connection_that_is_gone_is_not_called_again(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={**QUIET, "start": "immediately"}, bob=QUIET)
    pair.bob.alive = False
    start(pair, pair.alice)
    pair.world.run_until(lambda: pair.alice.of(SaRefused))
    pair.alice.reconfigure(replace(pair.alice.config, connections={}))
    before = pair.world.network.sent
    pair.world.run_until(5000.0)
    assert pair.world.network.sent == before


def test_both_start_immediately_and_one_tunnel_results(ike_pair: MakePair) -> None:
    settings = {**QUIET, "start": "immediately"}
    pair = ike_pair(alice=settings, bob=settings)
    start(pair, pair.alice)
    start(pair, pair.bob)
    pair.world.run_until(120.0)
    one_tunnel(pair)
    assert [states(pair, host) for host in (pair.alice, pair.bob)] == [["established"], ["established"]]
    # nobody calls what has been replaced
    assert [len(call_times(pair, host)) for host in (pair.alice, pair.bob)] == [1, 1]
