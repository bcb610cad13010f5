"""Faults of the flow: datagrams lost, held, doubled, replayed, late, spoiled (DH05, DI01-DI09, DI24, DI55)."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from ikesim.errors import NotFoundError
from ikesim.faults.base import Fault, MessageFault
from ikesim.ike.ids import SaId
from ikesim.wire.address import Path
from ikesim.wire.demux import DatagramKind, classify
from ikesim.wire.message import Header
from ikesim.wire.payloads import Delete

DROP = b""


@dataclass(kw_only=True)
class FlowFault(MessageFault):
    """Sees every IKE datagram of one direction: by the header's fields, or the n-th."""

    inbound: bool = False
    """What arrives, instead of what is sent."""
    number: int = 0
    """Only the n-th of those that the other options choose; 0: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._count = 0

    def on_send(self, sa: SaId | None, octets: bytes, path: Path) -> bytes | None:
        """A datagram on its way out."""
        return None if self.inbound else self._see(octets, path)

    def on_receive(self, sa: SaId | None, octets: bytes, path: Path) -> bytes | None:
        """A datagram that arrived."""
        return self._see(octets, path) if self.inbound else None

    def _see(self, octets: bytes, path: Path) -> bytes | None:
        header = self._header(octets)
        if header is None or self.target.passing or not self.selects(header):
            return None
        self._count += 1
        if self.number not in (0, self._count) or (self.times and self._met >= self.times):
            return None
        self._met += 1
        return self.meet(octets, path, header)

    def _header(self, octets: bytes) -> Header | None:
        kind, plain = classify(octets, self.target.core.knows_spi)
        if kind not in (DatagramKind.IKE, DatagramKind.MARKED_IKE) or len(plain) < 28:
            return None
        return Header.parse(plain)

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """What becomes of the datagram: None as it is, b"" lost."""
        raise NotImplementedError

    def again(self, octets: bytes, path: Path) -> None:
        """Once more, in its direction."""
        if self.inbound:
            self.target.deliver(octets, path)
        else:
            self.target.send(octets, path)


@dataclass(kw_only=True)
class DropMessage(FlowFault, rows="DH05 DI02 DI55"):
    """Lose messages."""

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """With exchange=IKE_AUTH: libreswan's send_no_ikev2_auth."""
        return DROP


@dataclass(kw_only=True)
class RecordMessages(FlowFault, rows="DI01"):
    """Keep copies of messages, for drip-message."""

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """They go their way."""
        self.target.keep(octets, path, inbound=self.inbound)
        return None


@dataclass(kw_only=True)
class BlockMessages(FlowFault, rows="DI03"):
    """Hold messages back and keep them, for drip-message."""

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """Until somebody lets them go."""
        self.target.keep(octets, path, inbound=self.inbound)
        return DROP


@dataclass(kw_only=True)
class DripMessage(Fault, rows="DI04"):
    """Deliver one message that was kept, at once: orders by hand."""

    inbound: bool = False
    number: int = 1
    """In the order in which they were kept."""

    def start(self) -> None:
        """It stays kept. Raises NotFoundError."""
        kept = self.target.inbound if self.inbound else self.target.outbound
        if not 1 <= self.number <= len(kept):
            raise NotFoundError(f"{len(kept)} messages are kept, there is no number {self.number}")
        octets, path = kept[self.number - 1]
        if self.inbound:
            self.target.deliver(octets, path)
        else:
            self.target.send(octets, path)
        self.target.pump()


@dataclass(kw_only=True)
class DuplicateMessages(FlowFault, rows="DI05 DI07"):
    """Let every message come, or go out, twice."""

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """The copy goes first."""
        self.again(octets, path)
        return None


@dataclass(kw_only=True)
class ReplayMessages(FlowFault, rows="DI06"):
    """Before each new message let all earlier ones come, or go out, again, the oldest first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._earlier: list[tuple[bytes, Path]] = []

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """The last hundred."""
        for earlier in self._earlier[-100:]:
            self.again(*earlier)
        self._earlier.append((octets, path))
        return None


@dataclass(kw_only=True)
class DelayMessages(FlowFault, rows="DI09"):
    """Let messages take their time, as a slow cryptographic helper would."""

    seconds: float = 1.0

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """Those that come later may overtake."""
        self.target.after(self.seconds, lambda: self._late(octets, path))
        return DROP

    def _late(self, octets: bytes, path: Path) -> None:
        self.again(octets, path)
        self.target.pump()


@dataclass(kw_only=True)
class SuppressRetransmits(FlowFault, rows="DI08"):
    """Never send the same message twice."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._sent: set[bytes] = set()

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """Requests and responses alike."""
        mark = blake2b(octets, digest_size=16).digest()
        if mark in self._sent:
            return DROP
        self._sent.add(mark)
        return None


@dataclass(kw_only=True)
class CorruptEncrypted(FlowFault, rows="DI24"):
    """Before each protected message send a copy with broken ciphertext."""

    only: bool = False
    """Send the broken one instead."""

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """One bit of the last octet, which belongs to the check value."""
        if header.next_payload not in (46, 53):
            return None
        broken = octets[:-1] + bytes((octets[-1] ^ 1,))
        if self.only:
            return broken
        self.again(broken, path)
        return None


@dataclass(kw_only=True)
class ReplayEncrypted(FlowFault, rows="DI24"):
    """Before each protected message send the previous protected one of its direction again."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._previous: dict[bool, bytes] = {}

    def meet(self, octets: bytes, path: Path, header: Header) -> bytes | None:
        """Stale ciphertext under a stale message ID."""
        if header.next_payload not in (46, 53):
            return None
        previous = self._previous.get(header.is_response)
        if previous is not None:
            self.again(previous, path)
        self._previous[header.is_response] = octets
        return None


@dataclass(kw_only=True)
class SendNoDelete(MessageFault, rows="DI55"):
    """Never send a DELETE, as after a crash."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._silent: set[tuple[bytes, bytes, int, bool]] = set()

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Note which messages hold one."""
        if any(isinstance(item, Delete) for item in payloads) and self.chosen(header):
            self._silent.add((header.spi_i, header.spi_r, header.message_id, header.is_response))
        return None

    def on_send(self, sa: SaId | None, octets: bytes, path: Path) -> bytes | None:
        """Drop those."""
        kind, plain = classify(octets, self.target.core.knows_spi)
        if kind not in (DatagramKind.IKE, DatagramKind.MARKED_IKE):
            return None
        header = Header.parse(plain)
        mark = (header.spi_i, header.spi_r, header.message_id, header.is_response)
        return DROP if mark in self._silent else None
