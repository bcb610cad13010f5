"""Peers that move: NATs that map and forget, MOBIKE in both roles (RFC 7296 2.23, RFC 3948 4, RFC 4555)."""

from typing import Any

import pytest

from ikesim.errors import UsageError
from ikesim.ike.events import SaClosed
from ikesim.sim.host import SimHost
from ikesim.sim.nat import Nat
from ikesim.testing import Pair, assert_established
from ikesim.wire.address import Address, Path
from ikesim.wire.payloads import Notify
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_AUTH,
    INFORMATIONAL,
    MakePair,
    forger,
    hold,
    is_message,
    path_to,
    sent,
    tap,
)

SOURCE_IP, DESTINATION_IP = 16388, 16389
ADDITIONAL_IP4, NO_ADDITIONAL, UPDATE, COOKIE2, NO_NATS = 16397, 16399, 16400, 16401, 16402
UNACCEPTABLE, UNEXPECTED_NAT = 40, 41
OUTSIDE = "203.0.113.1"
HOME, CAFE = Address("192.0.2.1", 4500), Address("198.51.100.9", 4500)
SECOND = Address("192.0.2.22", 4500)
NO_LIVENESS = {"liveness": {"interval": 0}}


def behind_nat(make: MakePair, timeout: float = 60.0, **settings: Any) -> tuple[Pair, Nat]:
    """alice behind a NAT; neither side pretends one."""
    both = {name: {"encapsulation": "auto", **settings.get(name, {})} for name in ("alice", "bob")}
    both["bob"]["remote"] = None  # whoever it is, from wherever
    pair = make(**both)
    nat = Nat(OUTSIDE, frozenset(("192.0.2.1",)), timeout)
    pair.world.nats.append(nat)
    pair.up()
    assert_established(pair)
    return pair, nat


def seen(pair: Pair, host: SimHost) -> str:
    """Where a host sees its peer."""
    found: str = pair.sas(host)[0]["remote"]
    return found


def mobile(make: MakePair, **settings: Any) -> Pair:
    """alice at home and, with another address, at a cafe."""
    listen = {"listen": (Address("192.0.2.1", 500), Address("198.51.100.9", 500)), "listen_nat_t": (HOME, CAFE)}
    pair = make(alice={**listen, **settings.get("alice", {})}, bob=settings.get("bob", {}))
    pair.up()
    return pair


def cut(pair: Pair, host: str) -> None:
    """Let nothing reach or leave an address any more."""
    pair.world.network.add_filter(
        lambda item: item.drop("cut") if host in (item.source.host, item.destination.host) else None
    )


# NAT


def test_a_nat_is_found_and_esp_goes_in_udp(ike_pair: MakePair) -> None:
    pair, _ = behind_nat(ike_pair)
    assert pair.ping() == pair.ping(by="bob") == 1
    assert seen(pair, pair.bob).startswith(OUTSIDE)
    assert seen(pair, pair.alice) == "192.0.2.2:4500"


def test_keepalives_keep_the_mapping(ike_pair: MakePair) -> None:
    # bob is not behind the NAT and sends none
    pair, _ = behind_nat(ike_pair, alice=NO_LIVENESS, bob=NO_LIVENESS)
    pair.world.run_until(1000.0)
    assert pair.ping(by="bob") == 1
    keepalives = [entry for entry in pair.world.network.log if entry.octets == b"\xff"]
    assert {entry.source.host for entry in keepalives} == {OUTSIDE}
    assert len(keepalives) == 49  # each 20 s


def test_without_keepalives_the_mapping_is_lost(ike_pair: MakePair) -> None:
    pair, _ = behind_nat(ike_pair, alice={**NO_LIVENESS, "keepalive": 0}, bob=NO_LIVENESS)
    pair.world.run_until(1000.0)
    assert pair.ping(by="bob") == 0


def test_a_new_mapping_is_followed_by_the_first_esp_packet(ike_pair: MakePair) -> None:
    # RFC 7296 2.23, where MOBIKE was not agreed
    pair, nat = behind_nat(ike_pair, alice={"mobike": False})
    before = seen(pair, pair.bob)
    nat.reboot()
    assert pair.ping(by="bob") == 0
    assert pair.ping() == 1
    assert seen(pair, pair.bob) != before
    assert pair.ping(by="bob") == 1


def test_an_esp_packet_repeated_from_elsewhere_moves_nothing(ike_pair: MakePair) -> None:
    pair, _ = behind_nat(ike_pair, alice={"mobike": False})
    pair.ping()
    before = seen(pair, pair.bob)
    caught = [entry for entry in pair.world.network.log if entry.source.host == OUTSIDE][-1]
    pair.bob.inject(caught.octets, Path(caught.destination, Address("203.0.113.66", 666)))
    assert seen(pair, pair.bob) == before


def test_a_late_esp_packet_moves_nothing_back(ike_pair: MakePair) -> None:
    pair, nat = behind_nat(ike_pair, alice={"mobike": False})
    held = hold(pair, lambda item: item.source.host == OUTSIDE and len(item.octets) > 1, times=1)
    pair.ping(limit=0.1)
    nat.reboot()
    pair.ping()
    moved = seen(pair, pair.bob)
    pair.bob.inject(held[0].octets, Path(held[0].destination, held[0].source))
    assert seen(pair, pair.bob) == moved


def test_with_mobike_signs_of_life_find_a_new_mapping(ike_pair: MakePair) -> None:
    # RFC 4555 3.8: NAT_DETECTION in a liveness check comes back with another hash, so alice says UPDATE_SA_ADDRESSES
    pair, nat = behind_nat(ike_pair, alice={"liveness": {"interval": 10}}, bob=NO_LIVENESS)
    ours = tap(pair.alice)
    pair.world.run_until(15.0)
    before = seen(pair, pair.bob)
    nat.reboot()
    pair.world.run_until(35.0)
    told = [said.notifies for said in ours.of(INFORMATIONAL, response=False) if UPDATE in said.notifies]
    assert told == [[UPDATE, SOURCE_IP, DESTINATION_IP]]
    assert seen(pair, pair.bob) != before
    assert pair.ping(by="bob") == 1


# moving, as initiator


def test_the_initiator_moves_and_the_tunnel_with_it(ike_pair: MakePair) -> None:
    pair = mobile(ike_pair)
    ours, theirs = tap(pair.alice), tap(pair.bob)
    cut(pair, HOME.host)
    # HDR, SK {N(UPDATE_SA_ADDRESSES), N(NAT_DETECTION_SOURCE_IP), N(NAT_DETECTION_DESTINATION_IP)} -->
    pair.alice.change_address(pair.alice.established[0], CAFE)
    pair.world.settle()
    assert ours.of(INFORMATIONAL, response=False)[0].notifies == [UPDATE, SOURCE_IP, DESTINATION_IP]
    # <-- HDR, SK {N(NAT_DETECTION_*)} ; <-- HDR, SK {N(COOKIE2)} ; HDR, SK {N(COOKIE2)} -->
    assert theirs.of(INFORMATIONAL, response=True)[0].notifies == [SOURCE_IP, DESTINATION_IP]
    assert theirs.of(INFORMATIONAL, response=False)[0].notifies == [COOKIE2]
    assert seen(pair, pair.bob) == str(CAFE)
    assert pair.ping() == pair.ping(by="bob") == 1
    assert len(pair.children(pair.alice)) == 1
    # and everything else goes on from there
    pair.alice.rekey(pair.alice.established[0])
    pair.bob.rekey(pair.children(pair.bob)[0].id)
    pair.world.run_until(pair.world.now + 60.0)
    assert_established(pair)
    assert pair.ping() == pair.ping(by="bob") == 1


def test_what_is_outstanding_is_repeated_from_the_new_address(ike_pair: MakePair) -> None:
    # RFC 4555 3.5: the same octets from the new address, then the update
    pair = mobile(ike_pair)
    hold(pair, lambda item: is_message(item, CREATE_CHILD_SA) and item.source.host == HOME.host)
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.run_until(pair.world.now + 1.0)
    pair.alice.change_address(pair.alice.established[0], CAFE)
    first, again = sent(pair, pair.alice, CREATE_CHILD_SA, response=False)
    assert (first.source, again.source) == (HOME, CAFE)
    assert first.octets == again.octets
    pair.world.run_until(pair.world.now + 5.0)
    assert seen(pair, pair.bob) == str(CAFE)
    assert pair.ping() == pair.ping(by="bob") == 1


def test_moving_twice_before_the_first_is_answered(ike_pair: MakePair) -> None:
    pair = mobile(ike_pair)
    pair.alice.change_address(pair.alice.established[0], CAFE)
    pair.alice.change_address(pair.alice.established[0], HOME)
    pair.world.run_until(pair.world.now + 30.0)
    assert seen(pair, pair.bob) == str(HOME)
    assert pair.ping() == pair.ping(by="bob") == 1


def test_an_address_that_the_responder_refuses_is_left_again(ike_pair: MakePair) -> None:
    pair = mobile(ike_pair)
    theirs = tap(pair.bob)
    theirs.change = lambda said: [Notify(UNACCEPTABLE)] if said.response and said.exchange == INFORMATIONAL else None
    pair.alice.change_address(pair.alice.established[0], CAFE)
    pair.world.run_until(pair.world.now + 1.0)
    assert pair.sas(pair.alice)[0]["local"] == str(HOME)


def test_without_mobike_an_sa_cannot_move(ike_pair: MakePair) -> None:
    pair = mobile(ike_pair, bob={"mobike": False})
    with pytest.raises(UsageError, match="does not speak MOBIKE"):
        pair.alice.change_address(pair.alice.established[0], CAFE)
    assert pair.ping() == 1


def test_the_initiator_goes_on_with_the_next_address_of_a_dead_one(ike_pair: MakePair) -> None:
    # RFC 4555 3.4, 3.5: bob told his second address in IKE_AUTH
    listen = {"listen": (Address("192.0.2.2", 500), Address("192.0.2.22", 500))}
    bob = {**listen, "listen_nat_t": (Address("192.0.2.2", 4500), SECOND), **NO_LIVENESS}
    pair = ike_pair(alice={"liveness": {"interval": 10}}, bob=bob)
    theirs = tap(pair.bob)
    pair.up()
    told = theirs.of(IKE_AUTH, response=True)[0].notify(ADDITIONAL_IP4)
    assert told is not None
    assert told.data == bytes((192, 0, 2, 22))
    cut(pair, "192.0.2.2")
    pair.world.run_until(300.0)
    assert pair.alice.of(SaClosed) == []
    assert seen(pair, pair.alice) == str(SECOND)
    assert pair.ping() == pair.ping(by="bob") == 1


# moving, as responder


def test_the_responder_moves_and_the_initiator_follows(ike_pair: MakePair) -> None:
    listen = {"listen": (Address("192.0.2.2", 500), Address("192.0.2.22", 500))}
    pair = ike_pair(bob={**listen, "listen_nat_t": (Address("192.0.2.2", 4500), SECOND)})
    theirs = tap(pair.bob)
    pair.up()
    # <-- HDR, SK {N(ADDITIONAL_IP4_ADDRESS)} from the new address: only the initiator may say UPDATE_SA_ADDRESSES
    pair.bob.change_address(pair.bob.established[0], SECOND)
    assert theirs.of(INFORMATIONAL, response=False)[0].notifies == [ADDITIONAL_IP4]
    pair.world.run_until(pair.world.now + 1.0)
    # the old address is still among bob's, so alice need not move; when it is not, she does
    assert seen(pair, pair.alice) == "192.0.2.2:4500"
    forged = forger(theirs, initiator=False)
    gone = forged.sealed(INFORMATIONAL, 1, [Notify(NO_ADDITIONAL)])
    pair.alice.inject(gone, Path(HOME, SECOND))
    assert seen(pair, pair.alice) == str(SECOND)


# the responder's caution


@pytest.mark.parametrize("host", ["224.0.0.1", "0.0.0.0"])
def test_an_impossible_address_is_refused(ike_pair: MakePair, host: str) -> None:
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    update = forger(ours, initiator=True).sealed(INFORMATIONAL, 2, [Notify(UPDATE)])
    pair.bob.inject(update, Path(Address("192.0.2.2", 4500), Address(host, 4500)))
    assert theirs.of(INFORMATIONAL, response=True)[0].notifies == [UNACCEPTABLE]
    assert seen(pair, pair.bob) == "192.0.2.1:4500"


def test_no_nats_allowed_is_compared(ike_pair: MakePair) -> None:
    # RFC 4555 4.2.6: source and destination address, source and destination port
    pair = ike_pair()
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    forged = forger(ours, initiator=True)
    path = path_to(pair.bob, pair.alice)
    said = bytes((192, 0, 2, 1, 192, 0, 2, 2)) + (4500).to_bytes(2) * 2
    for number, data, answer in ((2, said, []), (3, bytes((1,)) + said[1:], [UNEXPECTED_NAT])):
        sealed = forged.sealed(INFORMATIONAL, number, [Notify(UPDATE), Notify(NO_NATS, data)])
        pair.bob.inject(sealed, path)
        assert theirs.of(INFORMATIONAL, response=True)[-1].notifies == answer


def test_many_addresses_of_a_peer_are_not_all_kept(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"liveness": {"interval": 10}, "retransmit": {"initial": 1.0, "factor": 1.0, "tries": 1}})
    theirs = tap(pair.bob)
    pair.up()
    told = [Notify(ADDITIONAL_IP4, bytes((198, 51, 100, number))) for number in range(60)]
    sealed = forger(theirs, initiator=False).sealed(INFORMATIONAL, 0, told)
    pair.alice.inject(sealed, path_to(pair.alice, pair.bob))
    pair.bob.alive = False
    pair.world.run_until(lambda: pair.alice.of(SaClosed))
    tried = {entry.destination.host for entry in sent(pair, pair.alice, INFORMATIONAL, response=False)}
    assert len(tried) == 1 + 16
