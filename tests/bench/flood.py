"""`scripts/bench flood`: a daemon under a flood of IKE_SA_INIT requests from many sources, on the loopback only.

One process floods as fast as a loopback sender can, bounded in count and time, from changing addresses of 127/8 and
with fresh SPIs: each request is well-formed, none is ever followed up. Meanwhile a tunnel that is up carries echo
requests, and a peer comes up again and again: its handshakes need the COOKIE by then, and patience, since the kernel
drops what the flood leaves no room for.
"""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from functools import partial
from multiprocessing import get_context
from multiprocessing.synchronize import Event
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from ikesim.configuration import load
from ikesim.daemon import commands
from ikesim.daemon.host import EndpointHost
from ikesim.esp.host import echo_request, parse_echo_reply
from tests.daemon.endpoints import Ca, write_config

DATAGRAMS, SECONDS = 1_000_000, 5.0
"""At the most, in the usual run; four times that in the full one."""
PATIENT = "retransmit = { initial = 0.25, factor = 1.2, tries = 12 }"
SOURCES = 200
"""Addresses that the flood comes from, each a socket of its own."""
PING_EVERY = 0.05
BOB = "127.0.0.2"


def run(full: bool = False) -> dict[str, Any]:
    """Figures of a quiet while and of the flood; ratios: echoes answered, and handshakes completed of those begun."""
    count, seconds = (4 * DATAGRAMS, 4 * SECONDS) if full else (DATAGRAMS, SECONDS)
    with TemporaryDirectory(prefix="ikesim-flood-") as folder:
        return asyncio.run(measure(Path(folder), count, seconds))


async def measure(folder: Path, count: int, seconds: float) -> dict[str, Any]:
    """Run it all in one loop, the flood in a process of its own."""
    ca = Ca.create()
    async with AsyncExitStack() as stack:
        bob = await _start(stack, ca, folder, "bob", "alice", address=BOB)
        listen, nat_t = bob.config.listen[0], bob.config.listen_nat_t[0]
        remote = (BOB, listen.port, nat_t.port)
        alice = await _start(stack, ca, folder, "alice", "bob", address="127.0.0.1", remote=remote)
        await commands.up(alice, "bob", 30)
        quiet = await _echoes(alice, 1.0)
        templates = _templates(alice, 64)
        context = get_context("spawn")
        stop = context.Event()
        sent = context.Value("i", 0)
        sender = context.Process(
            target=_flood, args=(listen.port, templates, count, seconds, stop, sent), daemon=True
        )
        begun = time.monotonic()
        sender.start()
        try:
            while not sent.value and time.monotonic() - begun < 10.0:
                await asyncio.sleep(0.01)
            echoes = asyncio.create_task(_echoes(alice, seconds * 0.8))
            tried, done = 0, []
            flooding = time.monotonic()
            while time.monotonic() - flooding < seconds * 0.8 and sender.is_alive():
                at = time.monotonic()
                verdict = await commands.up(alice, "again", 30)
                tried += 1
                if verdict["result"] == "established":
                    done.append(time.monotonic() - at)
                    await commands.down(alice, "again", None)
            answered = await echoes
        finally:
            stop.set()
            sender.join(10)
            sender.kill()
        status = bob.status()["counters"]
    figures = {
        "spoofed IKE_SA_INIT sent": sent.value,
        "datagrams that reached the daemon": status["datagrams_received"],
        "dropped in its inbox": status["inbox_dropped"],
        "dropped in its outbox": status["outbox_dropped"],
        "cookies sent": status.get("cookies-sent", 0),
        "cookies accepted": status.get("cookies-accepted", 0),
        "internal errors": status["internal_errors"],
        "echoes answered when quiet": f"{quiet[0]} of {quiet[1]}",
        "echoes answered in the flood": f"{answered[0]} of {answered[1]}",
        "handshakes completed in the flood": f"{len(done)} of {tried}",
        "handshake in the flood, milliseconds": round(1000 * median(done), 1) if done else None,
    }
    ratios = {
        "echoes_answered": round(answered[0] / max(1, answered[1]), 3),
        "handshakes_completed": round(len(done) / max(1, tried), 3),
    }
    return {"figures": figures, "ratios": ratios}


async def _start(stack: AsyncExitStack, ca: Ca, folder: Path, name: str, peer: str, **settings: Any) -> EndpointHost:
    store = ca.enrol(folder / "state" / name, name)
    store.load(ca.crl(), crl="north")
    settings.setdefault("connection", 'unique = "never"')
    file = write_config(folder, name, peer, **settings)
    text = file.read_text().replace("retransmit = { initial = 0.1, factor = 1.5, tries = 3 }", PATIENT)
    if name == "alice":
        # a second connection to the same peer: the one that comes up in the flood
        table = text[text.index("[connection.bob]") :].replace("connection.bob", "connection.again")
        file.write_text(text + table.replace("10.1.0", "10.3.0").replace("fd00:1:", "fd00:3:"))
    else:
        file.write_text(text + _second_child(text))
    host = EndpointHost(load(file), store)
    await host.start()
    stack.push_async_callback(host.stop)
    return host


def _second_child(text: str) -> str:
    table = text[text.index("[connection.alice.child.net]") :].replace("child.net", "child.again")
    return table.replace("10.1.0", "10.3.0").replace("fd00:1:", "fd00:3:")


async def _echoes(host: EndpointHost, seconds: float) -> tuple[int, int]:
    """Echo requests through the tunnel that is up, one each `PING_EVERY`: answered within a second, and sent."""
    answered: set[int] = set()

    def note(packet: bytes) -> None:
        reply = parse_echo_reply(packet)
        if reply is not None and reply.identifier == 0xF00D:
            answered.add(reply.sequence)

    host.inner_observers.append(note)
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number += 1
        packet = echo_request("10.1.0.1", "10.2.0.1", 0xF00D, number, b"")
        host.act(partial(host.endpoint.send_inner, packet))
        await asyncio.sleep(PING_EVERY)
    await asyncio.sleep(1.0)
    host.inner_observers.remove(note)
    return len(answered), number


def _templates(host: EndpointHost, count: int) -> list[bytes]:
    """IKE_SA_INIT requests as this endpoint makes them, never sent: the flood changes their SPIs."""
    made: list[bytes] = []

    def keep(sa: object, octets: bytes, path: object) -> bytes:
        made.append(octets)
        return b""

    host.ports.hooks.on_send = keep
    for _ in range(count):
        sa = host.initiate("again")
        host.act(partial(host.endpoint.terminate, sa))
    host.ports.hooks.on_send = None
    return made


def _flood(port: int, templates: list[bytes], count: int, seconds: float, stop: Event, sent: Any) -> None:
    """Send requests with fresh SPIs from many loopback addresses until one of the bounds is reached."""
    sockets = list(_sockets())
    end = time.monotonic() + seconds
    number = 0
    while number < count and time.monotonic() < end and not stop.is_set():
        for source in sockets:
            number += 1
            octets = bytearray(templates[number % len(templates)])
            start = 4 if octets[:4] == bytes(4) else 0
            octets[start : start + 8] = (0x80000000_00000000 + number).to_bytes(8)
            with suppress(OSError):
                source.sendto(octets, (BOB, port))
        sent.value = number
    for source in sockets:
        source.close()


def _sockets() -> Iterator[socket.socket]:
    for number in range(SOURCES):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setblocking(False)
        opened.bind((f"127.77.{number // 250}.{number % 250 + 1}", 0))
        yield opened
