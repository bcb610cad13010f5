"""UDP sockets: asyncio-dgram, wrapped once.

The library has four habits that a daemon cannot live with. Its receive queue has no cap: `UdpSocket` empties it into
the host's bounded inbox at once. A pending socket error (an ICMP port unreachable, say) is raised by the next
`recv()`, or by the next `send()` *instead of sending*: both are counted and survived, and the datagram is sent again
(so does the kernel, which asyncio keeps to itself: asking `exception` after the send tells).
asyncio reads one datagram in each turn of the loop, which a flood outruns: what else waits in the kernel is read with
it, so that the host may choose what to drop.
A stream that outlives the event loop complains from `__del__`: `close` waits until the transport is gone.
"""

import asyncio
import errno
import logging
import os
import socket as stdlib_socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import asyncio_dgram

from ikesim.errors import UsageError
from ikesim.wire.address import Address, Path

log = logging.getLogger("ikesim.daemon")

OUTBOX = 1024
"""Datagrams waiting for a socket that the kernel will not take; more are dropped, as a full router would do."""
TRIES = 4
"""Attempts to send one datagram: a pending error spoils one; what fails so often (too large, say) always will."""
AT_ONCE = 512
"""Datagrams read in one turn of the loop: at a flood's 60,000 a second, what comes in 8 milliseconds."""
RECEIVE_BUFFER = 1024 * 1024
"""Octets asked of the kernel, so that a burst during a signature is not lost."""


@dataclass(slots=True)
class SocketCounters:
    """What happened on a socket."""

    received: int = 0
    sent: int = 0
    receive_errors: int = 0
    send_errors: int = 0
    outbox_dropped: int = 0


class UdpSocket:
    """One bound UDP socket; `on_datagram(octets, path)` is called for each datagram that comes in."""

    def __init__(self, stream: asyncio_dgram.aio.DatagramServer, on_datagram: Callable[[bytes, Path], None]) -> None:
        name: Any = stream.socket.getsockname()
        self.local = Address(name[0], name[1])
        self.counters = SocketCounters()
        self.stream = stream
        self._on_datagram = on_datagram
        self._same = stdlib_socket.socket(fileno=os.dup(stream.socket.fileno()))
        self._same.setblocking(False)
        self._outbox: deque[tuple[bytes, Address]] = deque()
        self._work = asyncio.Event()
        self._tasks = (
            asyncio.create_task(self._receive(), name=f"receive {self.local}"),
            asyncio.create_task(self._send(), name=f"send {self.local}"),
        )

    @classmethod
    async def bind(cls, address: Address, on_datagram: Callable[[bytes, Path], None]) -> "UdpSocket":
        """A socket on this address (port 0: any). Raises UsageError when it cannot be had, saying why."""
        try:
            stream = await asyncio_dgram.bind((address.host, address.port))
        except OSError as error:
            raise UsageError(_why_not(address, error)) from None
        stream.socket.setsockopt(stdlib_socket.SOL_SOCKET, stdlib_socket.SO_RCVBUF, RECEIVE_BUFFER)
        return cls(stream, on_datagram)

    def send(self, octets: bytes, remote: Address) -> None:
        """Send a datagram, in order, without waiting."""
        if len(self._outbox) >= OUTBOX:
            self.counters.outbox_dropped += 1
            return
        self._outbox.append((octets, remote))
        self._work.set()

    async def flush(self) -> None:
        """Wait until everything handed to `send` has gone to the kernel."""
        while self._outbox and not self._tasks[1].done():
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Close, and wait until the loop has forgotten the socket."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.stream.close()
        self._same.close()
        await asyncio.sleep(0)

    async def _receive(self) -> None:
        while True:
            try:
                octets, source = await self.stream.recv()
            except OSError as error:
                self.counters.receive_errors += 1
                log.debug("%s: pending socket error: %s", self.local, error)
                continue
            except asyncio_dgram.TransportClosed:
                log.error("%s: the system closed the socket; nothing more is received there", self.local)
                return
            self._take(octets, source)
            self._take_waiting()

    def _take(self, octets: bytes, source: Any) -> None:
        self.counters.received += 1
        self._on_datagram(octets, Path(self.local, Address(source[0], source[1])))

    def _take_waiting(self) -> None:
        """What the kernel still has for us, without waiting."""
        try:
            for _ in range(AT_ONCE):
                self._take(*self._same.recvfrom(65535))
        except BlockingIOError:
            return
        except OSError as error:
            self.counters.receive_errors += 1
            log.debug("%s: pending socket error: %s", self.local, error)

    async def _send(self) -> None:
        while True:
            await self._work.wait()
            while self._outbox:
                octets, remote = self._outbox[0]
                if not await self._send_one(octets, remote):
                    return
                self._outbox.popleft()
            self._work.clear()

    async def _send_one(self, octets: bytes, remote: Address) -> bool:
        """Send although errors are pending; False when the socket is closed."""
        for _ in range(TRIES):
            try:
                await self.stream.send(octets, (remote.host, remote.port))
                # The kernel, too, reports a pending error instead of sending; asyncio keeps it for the next call.
                _ = self.stream.exception
            except OSError as error:
                self.counters.send_errors += 1
                log.debug("%s: socket error instead of a datagram to %s: %s", self.local, remote, error)
                continue
            except asyncio_dgram.TransportClosed:
                return False
            self.counters.sent += 1
            break
        return True


def _why_not(address: Address, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"UDP {address} is in use by another process; stop it, or change listen in the configuration"
        case errno.EADDRNOTAVAIL:
            return (
                f"no interface of this host has the address {address.host}; change listen, or add the address to one"
            )
        case errno.EACCES:
            return f"binding UDP {address} is not permitted: ports below 1024 need root, or a higher port in listen"
        case _:
            return f"UDP {address} cannot be bound: {error.strerror or error}"
