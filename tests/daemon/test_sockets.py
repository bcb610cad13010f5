"""UDP sockets: what survives an ICMP error, a flood and the end of the loop."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from ikesim.daemon.sockets import OUTBOX, UdpSocket
from ikesim.errors import UsageError
from ikesim.wire.address import Address, Path

ANY = Address("127.0.0.1", 0)
IP_RECVERR = 11
"""Linux: an unconnected UDP socket gets ICMP errors as pending errors; connected ones always do."""


class Inbox:
    def __init__(self) -> None:
        self.datagrams: list[tuple[bytes, Path]] = []
        self._news = asyncio.Event()

    def __call__(self, octets: bytes, path: Path) -> None:
        self.datagrams.append((octets, path))
        self._news.set()

    async def wait(self, count: int) -> list[bytes]:
        async with asyncio.timeout(10):
            while len(self.datagrams) < count:
                self._news.clear()
                await self._news.wait()
        return [octets for octets, _ in self.datagrams]


@asynccontextmanager
async def bound(address: Address = ANY) -> AsyncIterator[tuple[UdpSocket, Inbox]]:
    inbox = Inbox()
    udp = await UdpSocket.bind(address, inbox)
    try:
        yield udp, inbox
    finally:
        await udp.close()


def closed_port() -> Address:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return Address(*probe.getsockname())


async def pending_error(udp: UdpSocket) -> None:
    """Make the kernel hold an ICMP port unreachable for this socket."""
    udp.stream.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    udp.send(b"to nobody", closed_port())
    await udp.flush()


async def test_datagrams_arrive_with_the_path_they_took_and_in_order() -> None:
    async with bound() as (left, inbox), bound(Address("127.0.0.2", 0)) as (right, _):
        for number in range(50):
            right.send(b"%d" % number, left.local)
        assert await inbox.wait(50) == [b"%d" % number for number in range(50)]
        assert {path for _, path in inbox.datagrams} == {Path(left.local, right.local)}


async def test_ipv6_paths_are_pairs_of_host_and_port() -> None:
    async with bound(Address("::1", 0)) as (left, inbox), bound(Address("::1", 0)) as (right, _):
        right.send(b"six", left.local)
        await inbox.wait(1)
        assert inbox.datagrams == [(b"six", Path(left.local, right.local))]


async def test_a_pending_icmp_error_neither_stops_receiving_nor_swallows_what_is_sent() -> None:
    """asyncio-dgram raises it out of the next send instead of sending: the datagram must go out all the same."""
    async with bound() as (udp, inbox), bound() as (peer, peer_inbox):
        for number in range(20):
            await pending_error(udp)
            udp.send(b"out %d" % number, peer.local)
            peer.send(b"in %d" % number, udp.local)
            await peer_inbox.wait(number + 1)
            await inbox.wait(number + 1)
        assert [octets for octets, _ in peer_inbox.datagrams] == [b"out %d" % number for number in range(20)]
        assert [octets for octets, _ in inbox.datagrams] == [b"in %d" % number for number in range(20)]
        assert udp.counters.send_errors + udp.counters.receive_errors > 0


async def test_a_datagram_that_the_kernel_refuses_does_not_stop_the_next() -> None:
    async with bound() as (udp, _), bound() as (peer, inbox):
        udp.send(bytes(70_000), peer.local)
        udp.send(b"small", peer.local)
        assert await inbox.wait(1) == [b"small"]


async def test_the_outbox_is_bounded() -> None:
    async with bound() as (udp, _), bound() as (peer, _):
        for _ in range(OUTBOX + 10):
            udp.send(b"x", peer.local)
        assert udp.counters.outbox_dropped == 10


async def test_a_port_in_use_and_a_foreign_address_are_one_sentence() -> None:
    async with bound() as (udp, inbox):
        with pytest.raises(UsageError, match=f"UDP {udp.local} is in use by another process"):
            await UdpSocket.bind(udp.local, inbox)
        with pytest.raises(UsageError, match=r"no interface of this host has the address 192\.0\.2\.1"):
            await UdpSocket.bind(Address("192.0.2.1", 5500), inbox)


def test_a_closed_socket_is_silent_when_its_loop_is_gone(recwarn: pytest.WarningsRecorder) -> None:
    async def use() -> UdpSocket:
        async with bound() as (udp, _):
            return udp

    udp = asyncio.run(use())
    del udp
    gc.collect()
    assert not recwarn.list
