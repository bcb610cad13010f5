"""What tests of the protocol see and say: messages in the clear, headers of datagrams, and messages of their own.

Everything here stands on the public seams of `ikesim.ike.ports`: hooks, and keys as the capture's key log gets them.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ikesim.ike.endpoint import Endpoint
from ikesim.ike.sa import InstalledChild, InstalledIke
from ikesim.ike.status import status
from ikesim.sim.host import SimHost
from ikesim.sim.network import Arrival, LogEntry, Transit
from ikesim.testing import Pair
from ikesim.wire.address import Path
from ikesim.wire.message import Flags, Header, Message, encode_message, encode_payloads, protected_prefix
from ikesim.wire.payloads import Body, Notify, Payload

MakePair = Callable[..., Pair]
P = TypeVar("P", bound=Body)

IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
MARKER = bytes(4)


@dataclass(slots=True)
class Said:
    """One message that a host encoded, before encryption. Retransmissions are not encoded again."""

    exchange: int
    response: bool
    message_id: int
    payloads: list[Any]

    def get(self, kind: type[P]) -> P:
        """The one payload of a class."""
        (found,) = self.all(kind)
        return found

    def all(self, kind: type[P]) -> list[P]:
        return [item for item in self.payloads if type(item) is kind]

    def notify(self, number: int) -> Notify | None:
        return next((item for item in self.all(Notify) if item.type == number), None)

    @property
    def notifies(self) -> list[int]:
        return [int(item.type) for item in self.all(Notify)]

    @property
    def kinds(self) -> list[str]:
        return [type(item).__name__ for item in self.payloads]


@dataclass(slots=True)
class Tap:
    """What one host says, and the keys that it installs; `change` may replace the payloads of a message."""

    said: list[Said] = field(default_factory=list)
    keys: list[InstalledIke] = field(default_factory=list)
    child_keys: list[InstalledChild] = field(default_factory=list)
    change: Callable[[Said], list[Any] | None] | None = None

    def of(self, exchange: int, *, response: bool) -> list[Said]:
        return [item for item in self.said if (item.exchange, item.response) == (exchange, response)]

    def _encode(self, sa: object, payloads: list[Any], header: Header) -> list[Any] | None:
        said = Said(header.exchange, header.is_response, header.message_id, list(payloads))
        changed = self.change(said) if self.change is not None else None
        if changed is not None:
            said.payloads = changed
        self.said.append(said)
        return changed

    def _install(self, sa: object, installed: InstalledIke | InstalledChild) -> None:
        if isinstance(installed, InstalledIke):
            self.keys.append(installed)
        else:
            self.child_keys.append(installed)


def tap(host: SimHost) -> Tap:
    """Listen to what a host encodes and installs."""
    found = Tap()
    host.hooks.before_encode = found._encode
    host.hooks.on_install = found._install
    return found


def counters(host: SimHost) -> dict[str, int]:
    """The counters of an endpoint, as `ikesim status` shows them."""
    assert isinstance(host.endpoint, Endpoint)
    found: dict[str, int] = status(host.endpoint, host.world.now)["counters"]
    return found


def header(octets: bytes) -> Header:
    """The IKE header of a datagram, marked or not."""
    return Header.parse(octets[4:] if octets[:4] == MARKER else octets)


def sent(pair: Pair, host: SimHost, exchange: int | None = None, *, response: bool | None = None) -> list[LogEntry]:
    """The IKE datagrams that a host sent, oldest first; all of them, or those of one exchange and direction."""
    sockets = set(host.sockets)
    return [
        entry
        for entry in pair.world.network.log
        if entry.source in sockets
        and is_ike(entry.octets)
        and (exchange is None or header(entry.octets).exchange == exchange)
        and (response is None or header(entry.octets).is_response is response)
    ]


def is_ike(octets: bytes) -> bool:
    plain = octets[4:] if octets[:4] == MARKER else octets
    return len(plain) >= 28 and int.from_bytes(plain[24:28]) == len(plain) and 34 <= plain[18] <= 44


def times(pair: Pair, host: SimHost, exchange: int | None = None, *, response: bool | None = None) -> list[float]:
    """When a host sent them, in virtual seconds."""
    return [round(entry.sent_at, 6) for entry in sent(pair, host, exchange, response=response)]


def hold(pair: Pair, chosen: Callable[[Transit], bool], *, times: int | None = None) -> list[Transit]:
    """Keep datagrams that `chosen` picks out of the network: (the first `times`, or all); returns what was kept."""
    kept: list[Transit] = []

    def take(transit: Transit) -> None:
        if (times is None or len(kept) < times) and chosen(transit):
            kept.append(transit)
            transit.drop("held by the test")

    pair.world.network.add_filter(take)
    return kept


def is_message(
    transit: Transit | LogEntry | Arrival,
    exchange: int,
    *,
    response: bool | None = None,
    message_id: int | None = None,
) -> bool:
    """Whether a datagram is an IKE message of this kind."""
    if not is_ike(transit.octets):
        return False
    found = header(transit.octets)
    return (
        found.exchange == exchange
        and (response is None or found.is_response is response)
        and (message_id is None or found.message_id == message_id)
    )


def release(pair: Pair, transit: Transit) -> None:
    """Send a kept datagram on its way at last; filters do not see it again, it arrives at once."""
    receiver = pair.alice if transit.destination in pair.alice.sockets else pair.bob
    receiver.inject(transit.octets, Path(transit.destination, transit.source))


def deliver(pair: Pair, *, to: SimHost) -> Message:
    """Let the next datagram for a host arrive; returns it parsed, its protected payloads closed."""
    arrival = next(item for item in pair.world.network.under_way() if item.path.local in to.sockets)
    pair.world.deliver(arrival)
    plain = arrival.octets[4:] if arrival.octets[:4] == MARKER else arrival.octets
    return Message.parse(plain)


@dataclass(slots=True)
class Forger:
    """Seals messages with the keys of an IKE SA, as one of its two sides, or forges unprotected ones."""

    installed: InstalledIke
    initiator: bool
    """Whether it speaks as the original initiator."""
    marked: bool = True
    iv: int = 1 << 40

    def header(self, exchange: int, message_id: int, *, response: bool = False, **fields: Any) -> Header:
        values: dict[str, Any] = {
            "spi_i": self.installed.spi_i,
            "spi_r": self.installed.spi_r,
            "next_payload": 0,
            "version": 0x20,
            "exchange": exchange,
            "flags": (Flags.INITIATOR if self.initiator else 0) | (Flags.RESPONSE if response else 0),
            "message_id": message_id,
            "length": 0,
        }
        return Header(**{**values, **fields})

    def sealed(
        self,
        exchange: int,
        message_id: int,
        payloads: Sequence[Payload] | tuple[int, bytes] = (),
        *,
        response: bool = False,
        padding: bytes | None = None,
        number: int = 0,
        total: int = 0,
        **fields: Any,
    ) -> bytes:
        """A protected message: payloads, or (first payload type, chain) as octets."""
        first, chain = (
            (payloads[0], payloads[1])
            if isinstance(payloads, tuple) and len(payloads) == 2 and isinstance(payloads[1], bytes)
            else encode_payloads([item for item in payloads if not isinstance(item, int | bytes)])
        )
        assert isinstance(first, int)
        suite, keys = self.installed.suite, self.installed.keys
        key, integrity_key = (keys.ei, keys.ai) if self.initiator else (keys.er, keys.ar)
        length = -(len(chain) + 1) % suite.block_length
        padded = chain + (bytes(length) + bytes((length,)) if padding is None else padding)
        sealed = suite.iv_length + len(padded) + suite.icv_length
        prefix = protected_prefix(
            self.header(exchange, message_id, response=response, **fields), first, sealed, number=number, total=total
        )
        self.iv += 1
        iv = suite.make_iv(self.iv, lambda count: self.iv.to_bytes(count))
        octets = prefix + suite.seal(key, integrity_key, iv=iv, aad=prefix, plaintext=padded)
        return MARKER + octets if self.marked else octets

    def clear(
        self,
        exchange: int,
        message_id: int,
        payloads: Iterable[Payload] = (),
        *,
        response: bool = False,
        **fields: Any,
    ) -> bytes:
        """An unprotected message."""
        octets = encode_message(self.header(exchange, message_id, response=response, **fields), list(payloads))
        return MARKER + octets if self.marked else octets


def forger(tapped: Tap, *, initiator: bool, number: int = -1) -> Forger:
    """A forger that has the keys of an SA that a tapped host installed (the newest)."""
    return Forger(tapped.keys[number], initiator)


def path_to(host: SimHost, peer: SimHost) -> Path:
    """The NAT-T path on which a host hears its peer."""
    return Path(host.config.listen_nat_t[0], peer.config.listen_nat_t[0])


def states(pair: Pair, host: SimHost) -> list[str]:
    """The states of a host's IKE SAs."""
    return [sa["state"] for sa in pair.sas(host)]
