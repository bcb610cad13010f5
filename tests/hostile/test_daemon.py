"""Ten thousand hostile datagrams against a real daemon over loopback UDP, in the middle of handshakes."""

import asyncio
import contextlib
import gc
import socket
import tracemalloc
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from ikesim.configuration import load
from ikesim.daemon import commands
from ikesim.daemon.host import EndpointHost
from ikesim.wire.message import Header
from tests.daemon.endpoints import Ca, write_config
from tests.hostile.attack import Attacker, batch

DATAGRAMS, BATCHES = 10_000, 5
IKE_AUTH = 35
PATIENT = "retransmit = { initial = 0.5, factor = 1.0, tries = 100 }"
BOB = ("127.0.0.2", "max-half-open = 60")


class Wire:
    """What alice's daemon says: recorded, and IKE_AUTH held back while the gate is closed."""

    def __init__(self, host: EndpointHost) -> None:
        self.said: list[bytes] = []
        self.chains: list[bytes] = []
        self.closed = True
        host.ports.hooks.on_send = self._send
        host.ports.hooks.before_protect = self._protect

    def _send(self, sa: object, octets: bytes, path: object) -> bytes | None:
        if octets not in self.said[-20:]:
            self.said.append(octets)
        plain = octets[4:] if octets[:4] == bytes(4) else octets
        return b"" if self.closed and len(plain) > 28 and plain[18] == IKE_AUTH else None

    def _protect(self, sa: object, chain: bytes, header: Header) -> None:
        if header.exchange == IKE_AUTH:
            self.chains.append(chain)


class Stranger:
    """A blocking socket of somebody else, used from a thread of its own while the daemon runs in the loop."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.3", 0))
        self.socket.settimeout(1.0)
        self.target = target

    def ask(self, octets: bytes) -> bytes | None:
        for _ in range(10):
            self.socket.sendto(octets, self.target)
            with contextlib.suppress(TimeoutError):
                while True:
                    answer = self.socket.recv(65535)
                    if answer[:8] == octets[:8] and len(answer) > 28 and answer[18] == octets[18]:
                        return answer
        return None

    def attack(self, attacker: Attacker, count: int, live: list[bytes], chain: bytes, kinds: Counter[str]) -> None:
        for kind, octets in batch(attacker, count, live, chain):
            self.socket.sendto(octets[:60000], self.target)
            kinds[kind] += 1
            if sum(kinds.values()) % 20 == 0:
                # in step with the daemon: an answer means that all before it was read
                self.socket.sendto(attacker.begin().seal(35, b""), self.target)


async def start(stack: AsyncExitStack, ca: Ca, folder: Path, name: str, peer: str, **settings: Any) -> EndpointHost:
    store = ca.enrol(folder / "state" / name, name)
    store.load(ca.crl(), crl="north")
    file = write_config(folder, name, peer, **settings)
    file.write_text(file.read_text().replace("retransmit = { initial = 0.1, factor = 1.5, tries = 3 }", PATIENT))
    # strict: the boundary raises what must never happen instead of counting it
    host = EndpointHost(load(file), store, strict=True)
    await host.start()
    stack.push_async_callback(host.stop)
    return host


async def test_ten_thousand_datagrams_over_udp_while_handshakes_go_on(tmp_path: Path) -> None:
    ca, kinds, memory = Ca.create(), Counter[str](), list[int]()
    async with AsyncExitStack() as stack:
        bob = await start(stack, ca, tmp_path, "bob", "alice", address=BOB[0], endpoint=BOB[1])
        listen, nat_t = bob.config.listen[0], bob.config.listen_nat_t[0]
        alice = await start(
            stack, ca, tmp_path, "alice", "bob", address="127.0.0.1", remote=(BOB[0], listen.port, nat_t.port)
        )
        wire = Wire(alice)
        stranger = Stranger((listen.host, listen.port))
        stack.callback(stranger.socket.close)
        attacker = Attacker(Random("hostile daemon"), stranger.ask)
        tracemalloc.start(1)
        stack.callback(tracemalloc.stop)
        for _ in range(BATCHES):
            # IKE_SA_INIT is over at both ends, IKE_AUTH cannot leave ...
            wire.closed = True
            seen, chains = len(wire.said), len(wire.chains)
            up = asyncio.create_task(commands.up(alice, "bob", 60))
            while len(wire.chains) == chains:
                await asyncio.sleep(0)
            live = wire.said[seen:]
            await asyncio.to_thread(stranger.attack, attacker, DATAGRAMS // BATCHES, live, wire.chains[-1], kinds)
            assert not up.done()
            # ... until now
            wire.closed = False
            verdict = await up
            assert verdict["result"] == "established"
            # what the flood left in bob's queue comes first, and a full queue drops
            for _ in range(12):
                ping = await commands.ping(alice, "bob", "10.2.0.7", 2, 5)
                if ping["received"] == 2:
                    break
            assert ping["received"] == 2
            await commands.down(alice, "bob", None)
            gc.collect()
            memory.append(tracemalloc.get_traced_memory()[0])
        counters = bob.status()["counters"]
    assert sum(kinds.values()) == DATAGRAMS
    assert kinds["sealed"] >= DATAGRAMS / 4
    assert kinds["sealed"] + kinds["live"] >= DATAGRAMS / 2
    # they did arrive, were understood as what they are, and nothing failed that must not fail
    assert counters["internal_errors"] == 0
    assert counters["datagrams_received"] >= 0.95 * DATAGRAMS
    assert counters["refused-payload-malformed"] > 300
    assert max(memory) - memory[1] < 150 * DATAGRAMS, memory
