"""Message IDs, the retransmission of requests and the memory of responses (RFC 7296 2.1 to 2.3); window size 1.

A request that was answered is recognised by the digest of its first datagram: retransmissions are bitwise identical,
so a repeated one is answered from memory without being decrypted; anything else under an old message ID is dropped.
"""

from dataclasses import dataclass, field
from enum import Enum
from hashlib import blake2b
from typing import Any

from ikesim.wire.address import Path


class Arrival(Enum):
    """What an incoming request is to the window."""

    NEW = "new"
    REPEATED = "repeated"
    STALE = "stale"
    EARLY = "early"


@dataclass(slots=True)
class Outstanding:
    """Our request that has no response yet."""

    message_id: int
    exchange: int
    datagrams: tuple[bytes, ...]
    task: Any
    """The task that asked, one of `ikesim.ike.tasks`; its exchange module reads the response with it."""
    sent: int = 0
    """Retransmissions so far."""


@dataclass(slots=True)
class Window:
    """Both directions of one IKE SA."""

    next_send: int = 0
    next_receive: int = 0
    outstanding: Outstanding | None = None
    response: tuple[bytes, ...] = ()
    """Datagrams that answered request `next_receive - 1`; empty while the answer is still being decided."""
    request_digest: bytes = b""
    first_digest: bytes = b""
    """Of the first datagram of the request that is coming in, perhaps in fragments."""

    def judge(self, message_id: int, digest: bytes) -> Arrival:
        """What a request with this message ID and first-datagram digest is."""
        if message_id == self.next_receive:
            return Arrival.NEW
        if message_id == self.next_receive - 1:
            return Arrival.REPEATED if digest == self.request_digest else Arrival.STALE
        return Arrival.STALE if message_id < self.next_receive else Arrival.EARLY

    def accept(self, digest: bytes) -> None:
        """Take the expected request: its message ID is used up, its answer is still to come."""
        self.next_receive += 1
        self.request_digest = digest
        self.first_digest = b""
        self.response = ()


def digest(octets: bytes) -> bytes:
    """The digest by which a repeated datagram is recognised."""
    return blake2b(octets, digest_size=16).digest()


@dataclass(slots=True)
class Origin:
    """Where a message came from, and so where its answer goes, in which framing."""

    path: Path
    marked: bool


@dataclass(slots=True)
class Counters:
    """What happened on an endpoint, by name; every limit and every drop has one."""

    values: dict[str, int] = field(default_factory=dict)

    def add(self, name: str) -> None:
        """Count one."""
        self.values[name] = self.values.get(name, 0) + 1
