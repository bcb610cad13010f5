"""Probes, which change nothing and note what the peer said (DH07-DH10)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from ikesim.faults.base import Fault
from ikesim.ike.ids import SaId
from ikesim.ike.negotiation import proposal_text
from ikesim.pki.identity import Identity
from ikesim.pki.names import show
from ikesim.wire.message import Message, Raw
from ikesim.wire.payloads import KE, SA, IDi, IDr, TSi, TSr
from ikesim.wire.registry import ExchangeType, KeyExchangeId, PayloadType, ProtocolId, name

MAX_NOTES = 200


@dataclass(kw_only=True)
class Probe(Fault):
    """Notes payloads of the messages that arrive."""

    kinds: ClassVar[tuple[int, ...]] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        self.notes: list[str] = []
        """What was seen, oldest first."""

    def after_decode(self, sa: SaId | None, message: Message) -> Message | None:
        """Look at what the message holds."""
        for raw in message.payloads:
            if raw.kind in self.kinds:
                direction = "response" if message.header.is_response else "request"
                for note in self.describe(raw):
                    exchange = name(ExchangeType, message.header.exchange)
                    self.notes.append(f"{exchange} {direction} {message.header.message_id}: {note}")
        del self.notes[:-MAX_NOTES]
        return None

    def describe(self, raw: Raw) -> Iterable[str]:
        """A payload in words."""
        raise NotImplementedError


@dataclass(kw_only=True)
class LogId(Probe, rows="DH07"):
    """Note the identities that the peer sends."""

    kinds = (PayloadType.IDi, PayloadType.IDr)

    def describe(self, raw: Raw) -> Iterable[str]:
        """Sound or not."""
        payload = raw.payload()
        assert isinstance(payload, IDi | IDr)
        yield f"{PayloadType(raw.kind).name} {show(str(Identity.received(payload.id_type, payload.data)))}"


@dataclass(kw_only=True)
class LogKe(Probe, rows="DH08"):
    """Note the key exchange methods that the peer uses."""

    kinds = (PayloadType.KE,)

    def describe(self, raw: Raw) -> Iterable[str]:
        """Method and size."""
        payload = raw.payload()
        assert isinstance(payload, KE)
        yield f"KE {name(KeyExchangeId, payload.method)}, {len(payload.data)} octets"


@dataclass(kw_only=True)
class LogProposals(Probe, rows="DH09"):
    """Note the proposals that the peer sends, with their SPIs."""

    kinds = (PayloadType.SA,)

    def describe(self, raw: Raw) -> Iterable[str]:
        """One line each."""
        payload = raw.payload()
        assert isinstance(payload, SA)
        for item in payload.proposals:
            spi = f" SPI {item.spi.hex()}" if item.spi else ""
            yield f"proposal {item.number} {name(ProtocolId, item.protocol)}{spi}: {proposal_text(item)}"


@dataclass(kw_only=True)
class LogTs(Probe, rows="DH10"):
    """Note the traffic selectors that the peer sends."""

    kinds = (PayloadType.TSi, PayloadType.TSr)

    def describe(self, raw: Raw) -> Iterable[str]:
        """All of them in one line."""
        payload = raw.payload()
        assert isinstance(payload, TSi | TSr)
        yield f"{PayloadType(raw.kind).name} {', '.join(map(str, payload.selectors))}"
