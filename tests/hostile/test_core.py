"""Ten thousand hostile datagrams against endpoints in the middle of a handshake: the pure core."""

import copy
import gc
import tracemalloc
from collections import Counter
from functools import partial
from random import Random
from typing import Any

import pytest

from ikesim.ike.events import SaEstablished
from ikesim.sim.network import Transit
from ikesim.testing import Pair, SimPki, assert_established
from ikesim.wire.address import Address, Path
from ikesim.wire.message import encode_payloads
from tests.hostile.attack import Attacker, batch
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_AUTH,
    INFORMATIONAL,
    Forger,
    MakePair,
    hold,
    is_message,
    release,
    tap,
)

DATAGRAMS, BATCHES = 10_000, 20
ATTACKER = Address("203.0.113.5", 4500)


def answer_of(pair: Pair, octets: bytes) -> bytes | None:
    """Let bob have a datagram from the attacker; his answer to it."""
    seen = len(pair.world.network.log)
    pair.bob.inject(octets, Path(Address("192.0.2.2", 4500), ATTACKER))
    for entry in list(pair.world.network.log)[seen:]:
        if entry.destination == ATTACKER:
            return entry.octets
    return None


def plaintext_of_auth(pair: Pair) -> list[bytes]:
    """What alice puts into IKE_AUTH, as the seam before encryption shows it."""
    chains: list[bytes] = []
    pair.alice.hooks.before_protect = lambda sa, plaintext, header: (
        chains.append(plaintext) if header.exchange == IKE_AUTH else None
    )
    return chains


def hold_auth(kept: list[Transit], transit: Transit) -> None:
    if is_message(transit, IKE_AUTH):
        kept.append(transit)
        transit.drop("held by the test")


def test_ten_thousand_datagrams_while_handshakes_go_on(ike_pki: SimPki) -> None:
    pair = Pair.of(ike_pki, seed="hostile", bob={"remote": None}, alice={"unique": "never"})
    chains = plaintext_of_auth(pair)
    pair.up()
    pair.down()
    attacker = Attacker(Random("hostile datagrams"), lambda octets: answer_of(pair, octets))
    kinds: Counter[str] = Counter()
    memory: list[int] = []
    tracemalloc.start(1)
    try:
        for number in range(BATCHES):
            # IKE_SA_INIT is over at both ends, IKE_AUTH is on its way ...
            kept: list[Transit] = []
            gate = pair.world.network.add_filter(partial(hold_auth, kept), source="192.0.2.1")
            pair.world.network.log.clear()
            sa = pair.alice.initiate("bob")
            pair.world.settle()
            seen = [entry.octets for entry in pair.world.network.log]
            paths = {
                "alice": Path(Address("192.0.2.1", 4500), Address("192.0.2.2", 4500)),
                "bob": Path(Address("192.0.2.2", 4500), ATTACKER if number % 2 else Address("192.0.2.1", 4500)),
            }
            for kind, octets in batch(attacker, DATAGRAMS // BATCHES, seen, chains[-1]):
                host = pair.alice if kind == "live" and attacker.random.random() < 0.5 else pair.bob
                host.inject(octets, paths[host.name])
                kinds[kind] += 1
            # ... and arrives after all that
            pair.world.network.remove_filter(gate)
            for transit in kept:
                release(pair, transit)
            pair.world.run_until(partial(pair.alice.verdict, sa), 20.0)
            assert isinstance(pair.alice.verdict(sa), SaEstablished), pair.world.report()
            pair.world.settle()
            assert_established(pair)
            assert pair.ping() == 1
            pair.down()
            # what was refused is remembered for the half-open time
            pair.world.run_until(pair.world.now + 40.0)
            for host in (pair.alice, pair.bob):
                host.events.clear()
            pair.world.network.log.clear()
            gc.collect()
            memory.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert sum(kinds.values()) == DATAGRAMS
    assert kinds["sealed"] >= DATAGRAMS / 4
    assert kinds["sealed"] + kinds["live"] >= DATAGRAMS / 2
    assert pair.sas(pair.alice) == pair.sas(pair.bob) == []
    # What grows are caches on their way to their limits (parsed certificates, transforms): some 50 octets a datagram.
    # One IKE SA that stayed for each hundred datagrams would be more.
    assert memory[-1] - memory[4] < 100 * DATAGRAMS * (BATCHES - 5) // BATCHES, memory


@pytest.mark.parametrize("victim", ["initiator", "responder"])
def test_a_peer_with_the_keys_and_a_true_auth_says_anything(ike_pair: MakePair, victim: str) -> None:
    """IKE_AUTH in its turn, with an AUTH that verifies, damaged before encryption: what follows trust is reached."""
    pair = ike_pair(alice={"fragment_size": 0}, bob={"fragment_size": 0})
    ours = tap(pair.alice)
    chains: dict[bool, bytes] = {}
    for host in (pair.alice, pair.bob):
        host.hooks.before_protect = lambda sa, plaintext, header: (
            chains.update({header.is_response: plaintext}) if header.exchange == IKE_AUTH else None
        )
    response = victim == "initiator"
    hold(pair, lambda item: is_message(item, IKE_AUTH, response=response), times=1)
    pair.alice.initiate("bob")
    pair.world.settle()
    host, peer = (pair.alice, pair.bob) if response else (pair.bob, pair.alice)
    path = Path(host.config.listen_nat_t[0], peer.config.listen_nat_t[0])
    forger = Forger(ours.keys[0], initiator=not response)
    attacker = Attacker(Random(f"mid-handshake {victim}"), lambda octets: None)
    ends: Counter[str] = Counter()
    for _ in range(1000):
        chain = chains[response]
        # the first third of the chain is identity and certificates: spare it mostly, so that AUTH still verifies
        cut = attacker.random.choice((0, len(chain) * 3 // 4, len(chain) - 150, len(chain) - 80))
        spoiled = chain[:cut] + attacker.damage(chain[cut:])
        twin: Any = copy.deepcopy(host.endpoint)
        twin.receive(forger.sealed(IKE_AUTH, 1, (36 if response else 35, spoiled), response=response), path, 1.0)
        ends.update(type(event).__name__ for event in twin.events())
        twin.advance(100.0)
        twin.datagrams()
    # all of it happened: accepted, refused for its syntax, a child that failed
    assert ends["SaEstablished"] > 30
    assert ends["SaRefused"] > 30
    assert ends["ChildDown"] > 10


def test_an_authenticated_peer_says_anything(ike_pair: MakePair) -> None:
    pair = ike_pair()
    ours = tap(pair.alice)
    chains: list[tuple[int, int, bytes]] = []

    def record(sa: object, plaintext: bytes, header: Any) -> None:
        if header.exchange in (CREATE_CHILD_SA, INFORMATIONAL):
            chains.append((header.exchange, {CREATE_CHILD_SA: 33}.get(header.exchange, 42), plaintext))

    pair.up()
    pair.alice.hooks.before_protect = record
    before = copy.deepcopy(pair.bob.endpoint)
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.settle()
    pair.alice.rekey(pair.alice.established[0])
    pair.world.settle()
    forger, attacker = Forger(ours.keys[0], initiator=True), Attacker(Random("established"), lambda octets: None)
    path = Path(Address("192.0.2.2", 4500), Address("192.0.2.1", 4500))
    answered = 0
    for _ in range(1500):
        twin: Any = copy.deepcopy(before)
        for message_id in (2, 3):
            if attacker.random.random() < 0.5:
                kind, first, chain = attacker.random.choice(chains)
                first = (
                    41 if kind == CREATE_CHILD_SA and len(chain) > 100 and attacker.random.random() < 0.5 else first
                )
                chain = attacker.damage(chain)
            else:
                kind = attacker.random.choice((CREATE_CHILD_SA, INFORMATIONAL, IKE_AUTH, 43, 99))
                first, chain = encode_payloads(attacker.payloads())
            twin.receive(forger.sealed(kind, message_id, (first, chain)), path, 1.0)
            answered += len(twin.datagrams())
        twin.events()
        twin.advance(10_000.0)
    assert answered > 1500
