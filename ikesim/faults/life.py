"""Faults of the life of SAs: timers early or missed, sequence numbers, words in the clear (DH13, DH22, DI08-DI60)."""

from dataclasses import dataclass, replace
from typing import Any

from ikesim.errors import NotFoundError, UsageError
from ikesim.faults.base import Fault
from ikesim.faults.messages import notify_number
from ikesim.ike.core import NON_ESP_MARKER, VERSION
from ikesim.ike.ids import SaId
from ikesim.ike.protection import seal_message
from ikesim.ike.sa import IkeSa
from ikesim.reasons import Reason
from ikesim.wire.message import Flags, Header, encode_message, encode_payloads
from ikesim.wire.payloads import KE, SA, Delete, Nonce, Notify, TSi, TSr
from ikesim.wire.proposals import Proposal
from ikesim.wire.registry import ExchangeType, ProtocolId

SOFT, HARD = "rekey", "expire"


@dataclass(kw_only=True)
class TimeoutOnRetransmit(Fault, rows="DI08"):
    """Give up at the first retransmission."""

    def on_timer(self, sa: SaId | None, timer: str, now: float) -> bool | None:
        """As if every try had been made."""
        found = self.target.sa(sa)
        if timer == "retransmit" and found is not None and found.window.outstanding is not None:
            found.window.outstanding.sent = self.target.core.config.retransmit.tries
        return None


@dataclass(kw_only=True)
class IgnoreExpiry(Fault, rows="DI59"):
    """Miss the timers that rekey SAs (soft) or end them (hard)."""

    which: str = "soft"
    """soft, hard or both."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = {"soft": (SOFT,), "hard": (HARD,), "both": (SOFT, HARD)}
        if self.which not in names:
            raise ValueError(f"{self.which!r} is not soft, hard or both")
        self._timers = names[self.which]

    def on_timer(self, sa: SaId | None, timer: str, now: float) -> bool | None:
        """Of IKE and CHILD SAs."""
        return False if timer.partition(" ")[0] in self._timers else None


@dataclass(kw_only=True)
class TriggerTimer(Fault, rows="DI60"):
    """Let a timer of every SA go off now: rekey, expire, liveness, keepalive, reauthenticate, retransmit."""

    timer: str = "rekey"
    child: bool = False
    """The timer of the CHILD SAs, where they have one of that name."""

    def start(self) -> None:
        """Those that are running. Raises NotFoundError when none is."""
        core, now = self.target.core, self.target.now()
        due = 0
        for sa in list(core.sas.values()):
            for name in list(sa.timers):
                kind, _, child = name.partition(" ")
                if kind == self.timer and bool(child) is self.child:
                    core.timers.set(sa, name, now)
                    due += 1
        if not due:
            raise NotFoundError(f"no timer {self.timer!r} is running")
        self.target.endpoint.advance(now)
        self.target.pump()


@dataclass(kw_only=True)
class Revival(Fault, rows="DI10"):
    """Never initiate again after a peer died, or (trigger) act at once as if it had."""

    trigger: bool = False

    def start(self) -> None:
        """Trigger: the SAs end as dead, and their connections are begun anew."""
        core, now = self.target.core, self.target.now()
        if self.trigger:
            for sa in self.target.established():
                connection = sa.connection
                core.close(sa, Reason.DEAD_PEER, now)
                if connection is not None and core.config.connections[connection].remote is not None:
                    self.target.endpoint.initiate(connection, now)
            self.target.pump()
            return
        self._before = core.config
        quiet = {
            name: replace(item, liveness=replace(item.liveness, action="clear"))
            for name, item in core.config.connections.items()
        }
        self._quiet = core.config = replace(core.config, connections=quiet)

    def stop(self) -> None:
        """As configured again, unless the configuration has changed meanwhile."""
        if not self.trigger and self.target.core.config is self._quiet:
            self.target.core.config = self._before


@dataclass(kw_only=True)
class ResetSequence(Fault, rows="DH13"):
    """Set the ESP sequence number of every CHILD SA back."""

    number: int = 0
    """The last one used, as it shall seem."""

    def start(self) -> None:
        """Never do this to a real tunnel: an AEAD must not see a sequence number twice."""
        for child in self.target.core.children.values():
            child.outbound.sequence = self.number


@dataclass(kw_only=True)
class UnencryptedNotify(Fault, rows="DH22 DC25"):
    """Send a plaintext INFORMATIONAL with a notify on every established SA."""

    type: str = "AUTHENTICATION_FAILED"
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""
    response: bool = False

    def start(self) -> None:
        """Under the next message ID. Raises UsageError without an SA."""
        sas = self.target.established()
        if not sas:
            raise UsageError("no IKE SA is established")
        for sa in sas:
            octets = encode_message(
                plain_header(sa, self.response),
                [Notify(notify_number(self.type), self.data, self.protocol, self.spi)],
            )
            self.target.send(NON_ESP_MARKER + octets if sa.marked else octets, sa.path)
        self.target.pump()


def plain_header(sa: IkeSa, response: bool = False) -> Header:
    """The header of an INFORMATIONAL that seems to come from our side of an SA."""
    flags = (Flags.INITIATOR if sa.initiator else 0) | (Flags.RESPONSE if response else 0)
    number = sa.window.next_receive if response else sa.window.next_send
    return Header(sa.spi_i, sa.spi_r, 0, VERSION, ExchangeType.INFORMATIONAL, flags, number, 0)


@dataclass(kw_only=True)
class EarlyRequest(Fault, rows="DC26"):
    """Before IKE_AUTH ask for what only an established SA may (CVE-2014-2338, CVE-2019-12312)."""

    what: str = "delete"
    """delete, informational (empty), rekey (of the IKE SA), child, or clear (an INFORMATIONAL without protection)."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Under the message ID that IKE_AUTH is about to use."""
        found = self.target.sa(sa)
        if found is None or header.exchange != ExchangeType.IKE_AUTH or header.is_response:
            return None
        for octets in self._request(found, payloads, header.message_id):
            self.target.send(NON_ESP_MARKER + octets if found.marked else octets, found.path)
        return None

    def _request(self, sa: IkeSa, payloads: list[Any], message_id: int) -> tuple[bytes, ...]:
        nonce = Nonce(bytes(32))
        child = [item for item in payloads if isinstance(item, SA | TSi | TSr)]
        assert sa.proposal is not None
        spi = Proposal(1, ProtocolId.IKE, b"new spi!", sa.proposal.transforms)
        requests: dict[str, tuple[int, list[Any]]] = {
            "delete": (ExchangeType.INFORMATIONAL, [Delete(ProtocolId.IKE)]),
            "informational": (ExchangeType.INFORMATIONAL, []),
            "clear": (ExchangeType.INFORMATIONAL, []),
            "rekey": (ExchangeType.CREATE_CHILD_SA, [SA((spi,)), nonce, KE(31, bytes(31) + b"\x09")]),
            "child": (ExchangeType.CREATE_CHILD_SA, [*child[:1], nonce, *child[1:]]),
        }
        if self.what not in requests:
            raise UsageError(f"{self.what!r} is not one of {', '.join(requests)}")
        exchange, asked = requests[self.what]
        header = replace(plain_header(sa), exchange=exchange, message_id=message_id)
        if self.what == "clear":
            return (encode_message(header, asked),)
        first, chain = encode_payloads(asked)
        return seal_message(sa, header, first, chain, 0, self.target.core.entropy("iv"))


@dataclass(kw_only=True)
class IgnoreMessages(Fault, rows="DI55"):
    """Neither receive nor send anything: a crash without an end."""

    def on_send(self, sa: SaId | None, octets: bytes, path: Any) -> bytes | None:
        """Nothing goes out."""
        return b""

    def on_receive(self, sa: SaId | None, octets: bytes, path: Any) -> bytes | None:
        """Nothing comes in."""
        return b""
