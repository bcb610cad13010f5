"""Addresses for who asks, from the pool of who answers (RFC 7296 2.19, 3.15); tunnels with several children."""

from typing import Any

import pytest

from ikesim.esp.host import echo_request, parse_echo_reply
from ikesim.ike.events import AddressAssigned, ChildDown, ChildUp, SaEstablished
from ikesim.ike.pools import Pools
from ikesim.pki.identity import Identity
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, assert_established
from ikesim.wire.payloads import CP, Notify, TSi, TSr
from tests.ike.wiretap import CREATE_CHILD_SA, IKE_AUTH, MakePair, counters, states, tap

FAILED_CP_REQUIRED, INTERNAL_ADDRESS_FAILURE = 37, 36
REQUEST, REPLY = 1, 2
IP4_ADDRESS, IP4_DNS, IP6_ADDRESS, IP6_DNS = 1, 3, 8, 10
CLIENT: dict[str, Any] = {"request_address": ("ipv4",)}
GATEWAY: dict[str, Any] = {"address_pool": ("10.9.0.0/29",), "dns": ("10.9.0.6",)}


def reaches(pair: Pair, source: str) -> bool:
    """Whether an echo request from an inner address of alice is answered by bob's network."""
    seen = len(pair.alice.inner_received)
    pair.alice.send_inner(echo_request(source, "10.2.0.1", 1, 1, b""))
    pair.world.settle()
    return any(parse_echo_reply(packet) for packet in pair.alice.inner_received[seen:])


def narrowed(pair: Pair, host: SimHost) -> tuple[tuple[str, ...], tuple[str, ...]]:
    event = host.of(ChildUp)[-1]
    return event.local_ts, event.remote_ts


def test_an_initiator_gets_an_address_and_a_name_server(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=CLIENT, bob=GATEWAY)
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    # HDR, SK {..., CP(CFG_REQUEST), SAi2, TSi, TSr} --> with empty attributes and TSi = everything
    asked = ours.of(IKE_AUTH, response=False)[0]
    assert asked.get(CP) == CP(REQUEST, ((IP4_ADDRESS, b""), (IP4_DNS, b"")))
    assert [str(item) for item in asked.get(TSi).selectors] == ["0.0.0.0/0"]
    # <-- HDR, SK {..., CP(CFG_REPLY), SAr2, TSi = that address, TSr}
    answer = theirs.of(IKE_AUTH, response=True)[0]
    assert answer.get(CP) == CP(REPLY, ((IP4_ADDRESS, bytes((10, 9, 0, 1))), (IP4_DNS, bytes((10, 9, 0, 6)))))
    assert [str(item) for item in answer.get(TSi).selectors] == ["10.9.0.1/32"]
    assert [str(item) for item in answer.get(TSr).selectors] == ["10.2.0.0/24"]
    assert answer.kinds.index("CP") < answer.kinds.index("SA")
    (event,) = pair.alice.of(AddressAssigned)
    assert (event.addresses, event.dns) == (("10.9.0.1",), ("10.9.0.6",))
    assert pair.sas(pair.alice)[0]["assigned"] == pair.sas(pair.bob)[0]["leased"] == ["10.9.0.1"]
    assert reaches(pair, "10.9.0.1")
    assert not reaches(pair, "10.9.0.2")
    assert not reaches(pair, "10.1.0.1")


def test_both_ip_versions(ike_pair: MakePair) -> None:
    gateway = {"address_pool": ("10.9.0.0/29", "fd00:9::/64"), "dns": ("fd00:9::53",)}
    child = {"local_ts": ("10.2.0.0/24", "fd00:2::/64")}
    pair = ike_pair(
        alice={"request_address": ("ipv4", "ipv6"), "child": {"remote_ts": ("10.2.0.0/24", "fd00:2::/64")}},
        bob={**gateway, "child": child},
    )
    theirs = tap(pair.bob)
    pair.up()
    # an INTERNAL_IP6_ADDRESS has a prefix length behind it (3.15.1)
    attributes = dict(theirs.of(IKE_AUTH, response=True)[0].get(CP).attributes)
    assert attributes[IP6_ADDRESS].hex() == "fd000009000000000000000000000001" + "80"
    assert attributes[IP6_DNS].hex() == "fd000009000000000000000000000053"
    assert narrowed(pair, pair.alice)[0] == ("10.9.0.1/32", "fd00:9::1/128")


def test_an_address_stays_through_rekeying_and_reauthentication(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=CLIENT, bob=GATEWAY)
    ours = tap(pair.alice)
    pair.up()
    pair.alice.rekey(pair.alice.established[0])
    pair.world.settle()
    pair.bob.rekey(pair.children(pair.bob)[0].id)
    pair.world.settle()
    assert narrowed(pair, pair.alice)[0] == narrowed(pair, pair.bob)[1] == ("10.9.0.1/32",)
    assert reaches(pair, "10.9.0.1")
    pair.alice.reauthenticate(pair.alice.established[0])
    pair.world.run_until(pair.world.now + 60.0)
    # the new SA asks for the address of the old one
    assert ours.of(IKE_AUTH, response=False)[-1].get(CP).attributes[0] == (IP4_ADDRESS, bytes((10, 9, 0, 1)))
    assert pair.sas(pair.bob)[0]["leased"] == ["10.9.0.1"]
    assert reaches(pair, "10.9.0.1")


def test_an_address_is_free_again_when_its_sa_ends(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=CLIENT, bob={"address_pool": ("10.9.0.1/32",)})
    for _ in range(3):
        pair.up()
        assert pair.sas(pair.bob)[0]["leased"] == ["10.9.0.1"]
        pair.down()


def test_an_exhausted_pool_leaves_an_ike_sa_without_a_child(ike_pair: MakePair) -> None:
    # RFC 7296 2.19, 3.15.4: N(INTERNAL_ADDRESS_FAILURE)
    pair = ike_pair(alice={**CLIENT, "unique": "never"}, bob={"address_pool": ("10.9.0.1/32",), "unique": "never"})
    theirs = tap(pair.bob)
    pair.up()
    assert isinstance(pair.up(), SaEstablished)
    assert theirs.of(IKE_AUTH, response=True)[-1].notify(INTERNAL_ADDRESS_FAILURE) is not None
    assert len(states(pair, pair.bob)) == 2
    assert len(pair.children(pair.bob)) == 1
    assert len(pair.alice.of(ChildDown)) == 1
    assert counters(pair.bob)["addresses-exhausted"] == 1


def test_who_asks_for_no_address_gets_no_child(ike_pair: MakePair) -> None:
    pair = ike_pair(bob=GATEWAY)
    theirs = tap(pair.bob)
    pair.up()
    assert theirs.of(IKE_AUTH, response=True)[0].notify(FAILED_CP_REQUIRED) == Notify(FAILED_CP_REQUIRED)
    assert_established(pair)
    assert pair.children(pair.alice) == pair.children(pair.bob) == []


def test_who_gets_no_address_where_there_is_no_pool_has_the_child_all_the_same(ike_pair: MakePair) -> None:
    # a responder may ignore CP (3.15): the selectors decide
    pair = ike_pair(alice=CLIENT)
    pair.up()
    assert pair.alice.of(AddressAssigned) == []
    assert narrowed(pair, pair.alice) == (("10.1.0.0/24",), ("10.2.0.0/24",))


def test_a_wish_for_somebody_elses_address_is_not_granted() -> None:
    pools, alice, eve = Pools(), Identity.parse("fqdn:alice.example"), Identity.parse("fqdn:eve.example")
    network = ("10.9.0.0/29",)
    assert pools.take("gate", network, 4, alice, "") == "10.9.0.1"
    assert pools.take("gate", network, 4, eve, "10.9.0.1") == "10.9.0.2"
    assert pools.take("gate", network, 4, eve, "10.9.0.5") == "10.9.0.5"
    assert pools.take("gate", network, 4, eve, "10.8.0.5") == "10.9.0.3"
    assert pools.take("gate", network, 4, alice, "10.9.0.1") == "10.9.0.1"


def test_every_address_of_a_pool_is_given_once() -> None:
    pools, someone = Pools(), Identity.parse("fqdn:a.example")
    given = [pools.take("gate", ("10.9.0.0/29",), 4, someone, "") for _ in range(7)]
    assert given == [*(f"10.9.0.{number}" for number in range(1, 7)), None]
    # what was freed is found wherever it is
    pools.release("gate", ("10.9.0.3",))
    assert pools.take("gate", ("10.9.0.0/29",), 4, someone, "") == "10.9.0.3"
    # a held address is free when its last holder has gone
    assert pools.take("gate", ("10.9.0.0/29",), 4, someone, "10.9.0.3") == "10.9.0.3"
    pools.release("gate", ("10.9.0.3",))
    assert pools.take("gate", ("10.9.0.0/29",), 4, someone, "") is None
    pools.release("gate", ("10.9.0.3",))
    assert pools.take("gate", ("10.9.0.0/29",), 4, someone, "") == "10.9.0.3"


def test_a_large_pool_costs_no_more_than_its_leases() -> None:
    pools, someone = Pools(), Identity.parse("fqdn:a.example")
    taken = {pools.take("gate", ("fd00::/64",), 6, someone, "") for _ in range(300)}
    assert len(taken) == 300


# several children; protocols and ports; ESN


def test_several_children_each_with_its_own_selectors(ike_pair: MakePair) -> None:
    def children(local: int, remote: int) -> list[dict[str, Any]]:
        return [
            {"name": f"net{item}", "local_ts": f"10.{local}.{item}.0/24", "remote_ts": f"10.{remote}.{item}.0/24"}
            for item in range(3)
        ]

    pair = ike_pair(alice={"children": children(1, 2)}, bob={"children": children(2, 1)})
    ours = tap(pair.alice)
    pair.up()
    assert sorted(child.name for child in pair.children(pair.bob)) == ["net0", "net1", "net2"]
    # the first came with IKE_AUTH, the others each with a CREATE_CHILD_SA
    assert len(ours.of(CREATE_CHILD_SA, response=False)) == 2
    used = {}
    for item in range(3):
        before = {child["name"]: child["packets_out"] for child in pair.sas(pair.alice)[0]["child_sas"]}
        pair.alice.send_inner(echo_request(f"10.1.{item}.1", f"10.2.{item}.1", 1, item, b""))
        pair.world.settle()
        after = {child["name"]: child["packets_out"] for child in pair.sas(pair.alice)[0]["child_sas"]}
        used[item] = [name for name in after if after[name] != before[name]]
    assert used == {0: ["net0"], 1: ["net1"], 2: ["net2"]}


def udp(port: int) -> bytes:
    """An IPv4 packet from 10.1.0.1 to 10.2.0.1 with a UDP header."""
    header = bytes((0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 1, 0, 1, 10, 2, 0, 1))
    return header + (5000).to_bytes(2) + port.to_bytes(2) + bytes((0, 8, 0, 0))


def test_selectors_with_protocol_and_ports_choose_what_is_carried(ike_pair: MakePair) -> None:
    pair = ike_pair(
        alice={"child": {"local_ts": "10.1.0.0/24[udp]", "remote_ts": "10.2.0.0/24[udp/53-60]"}},
        bob={"child": {"local_ts": "10.2.0.0/24[udp/50-55]", "remote_ts": "10.1.0.0/24[udp]"}},
    )
    pair.up()
    assert narrowed(pair, pair.alice) == (("10.1.0.0/24[udp]",), ("10.2.0.0/24[udp/53-55]",))
    carried = []
    for port in (52, 53, 55, 56):
        before = len(pair.bob.inner_received)
        pair.alice.send_inner(udp(port))
        pair.world.settle()
        carried.append(len(pair.bob.inner_received) > before)
    assert carried == [False, True, True, False]
    assert pair.ping() == 0  # ICMP is not UDP


@pytest.mark.parametrize(("alice", "bob", "agreed"), [(True, True, True), (False, False, False)])
def test_esn_as_both_want_it(ike_pair: MakePair, alice: bool, bob: bool, agreed: bool) -> None:
    pair = ike_pair(alice={"child": {"esn": alice}}, bob={"child": {"esn": bob}})
    tapped = tap(pair.alice)
    pair.up()
    assert [keys.esn for keys in tapped.child_keys] == [agreed]
    assert pair.ping(3) == 3
