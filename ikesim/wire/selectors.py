"""Traffic selectors: ranges of addresses, ports and protocols (RFC 7296 section 3.13), and narrowing (section 2.9).

A selector prints and parses as "10.1.0.0/24", "10.1.0.0/24[tcp/80]" or "10.0.0.1-10.0.0.9[udp/1000-2000]". Ports are
those of the selector's side. For ICMP they hold type and code in their upper and lower octet ("[icmp/8]" is type 8 of
any code, "[icmp/3(1)]" one code). The range 65535 to 0 is OPAQUE: packets whose port cannot be seen.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from struct import Struct
from typing import Any, Final, NamedTuple, Self

from ikesim.errors import WireError
from ikesim.wire.registry import TrafficSelectorType

MAX_SELECTORS: Final = 255
"""RFC 7296 section 3.13: their number is one octet."""
MAX_COMPARED: Final = 32
"""A local limit: how many shares narrowing tidies up; it bounds the work that an offer of 255 selectors makes."""
KNOWN_SELECTORS: Final = 8
"""The longest offer whose narrowing is remembered."""
KNOWN_OCTETS: Final = 128
"""The longest payload that is remembered: three pairs of IPv6 addresses."""
ANY_PORT: Final = (0, 65535)
OPAQUE_PORT: Final = (65535, 0)
ICMP: Final = 1
ICMPV6: Final = 58

_PROTOCOLS: Final = {"icmp": ICMP, "tcp": 6, "udp": 17, "gre": 47, "esp": 50, "ah": 51, "icmpv6": ICMPV6, "sctp": 132}
_PROTOCOL_NAMES: Final = {number: name for name, number in _PROTOCOLS.items()}
_HEAD: Final = Struct("!BBHHH")
_ADDRESS_OCTETS: Final = {TrafficSelectorType.TS_IPV4_ADDR_RANGE: 4, TrafficSelectorType.TS_IPV6_ADDR_RANGE: 16}


class TrafficSelector(NamedTuple):
    """One traffic selector: addresses `start` to `end` (packed octets) and ports, both inclusive; protocol 0 is any.

    Of a type that is not an address range, `start` holds everything after the length field, and nothing matches it.
    """

    type: int
    protocol: int
    start_port: int
    end_port: int
    start: bytes
    end: bytes

    @classmethod
    def from_network(cls, network: str, protocol: int = 0, ports: tuple[int, int] = ANY_PORT) -> "TrafficSelector":
        """All addresses of "10.1.0.0/24" or "2001:db8::/64". Raises ValueError, saying what is wrong."""
        parsed = _network(network)
        return cls._of(parsed.network_address, parsed.broadcast_address, protocol, ports)

    @classmethod
    def parse(cls, text: str) -> "TrafficSelector":
        """Read the text form that the module describes. Raises ValueError, saying what is wrong."""
        addresses, bracket, rest = text.strip().partition("[")
        if bracket and not rest.endswith("]"):
            raise ValueError(f"{text!r} is not a traffic selector: expected NETWORK[PROTOCOL/PORT]")
        protocol, ports = _parse_protocol(rest[:-1]) if bracket else (0, ANY_PORT)
        first, dash, last = addresses.partition("-")
        if not dash:
            return cls.from_network(first, protocol, ports)
        start, end = _address(first), _address(last)
        if start.version != end.version or start.packed > end.packed:
            raise ValueError(f"{addresses!r} is not a range: expected FIRST-LAST of one address family")
        return cls._of(start, end, protocol, ports)

    @classmethod
    def _of(
        cls, start: IPv4Address | IPv6Address, end: IPv4Address | IPv6Address, protocol: int, ports: tuple[int, int]
    ) -> "TrafficSelector":
        kind = (
            TrafficSelectorType.TS_IPV4_ADDR_RANGE if start.version == 4 else TrafficSelectorType.TS_IPV6_ADDR_RANGE
        )
        return cls(kind, protocol, *ports, start.packed, end.packed)

    def __str__(self) -> str:
        return _format(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @property
    def is_opaque(self) -> bool:
        """Whether it selects packets whose port cannot be seen."""
        return (self.start_port, self.end_port) == OPAQUE_PORT

    def matches(self, protocol: int, address: bytes, port: int | None) -> bool:
        """Whether a packet is selected by its protocol, and its address (packed) and port on this side.

        `port` is None where it cannot be seen; for ICMP it is type * 256 + code.
        """
        if self.type not in _ADDRESS_OCTETS or len(address) != len(self.start):
            return False
        if self.protocol not in (0, protocol) or not self.start <= address <= self.end:
            return False
        if port is None:
            return self.is_opaque or (self.start_port, self.end_port) == ANY_PORT
        return self.start_port <= port <= self.end_port

    def intersect(self, other: "TrafficSelector") -> "TrafficSelector | None":
        """What both select, None when that is nothing. ANY includes OPAQUE (RFC 4301 section 4.4.1.1)."""
        if self.type != other.type or self.type not in _ADDRESS_OCTETS:
            return None
        if self.protocol and other.protocol and self.protocol != other.protocol:
            return None
        start, end = max(self.start, other.start), min(self.end, other.end)
        ports = _common_ports((self.start_port, self.end_port), (other.start_port, other.end_port))
        if start > end or ports is None:
            return None
        return TrafficSelector(self.type, self.protocol or other.protocol, *ports, start, end)

    def contains(self, other: "TrafficSelector") -> bool:
        """Whether everything that `other` selects is selected here as well."""
        if self.type not in _ADDRESS_OCTETS or self.type != other.type or self.protocol not in (0, other.protocol):
            return False
        if not (self.start <= other.start and other.end <= self.end):
            return False
        if other.is_opaque:
            return self.is_opaque or (self.start_port, self.end_port) == ANY_PORT
        return self.start_port <= other.start_port and other.end_port <= self.end_port


def narrow(offered: Sequence[TrafficSelector], own: Sequence[TrafficSelector]) -> tuple[TrafficSelector, ...]:
    """What of `offered` our own policy allows, in the order of the offer (RFC 7296 section 2.9).

    The offer's first selector may be the packet that caused the request, so its share comes first. Shares that
    another share contains are left out. Empty: TS_UNACCEPTABLE. At most 255 come out, as many as a payload can carry.
    """
    # long lists would only pin memory
    shares = _known_shares if len(offered) <= KNOWN_SELECTORS else _shares
    return shares(tuple(offered), tuple(own))


def _shares(offered: tuple[TrafficSelector, ...], own: tuple[TrafficSelector, ...]) -> tuple[TrafficSelector, ...]:
    kept: list[TrafficSelector] = []
    seen: set[TrafficSelector] = set()
    for theirs in offered:
        for ours in own:
            share = theirs.intersect(ours)
            if share is None or share in seen:
                continue
            seen.add(share)
            compared = kept[:MAX_COMPARED]
            if any(known.contains(share) for known in compared):
                continue
            kept = [known for known in compared if not share.contains(known)] + kept[MAX_COMPARED:]
            kept.append(share)
            if len(kept) == MAX_SELECTORS:
                return tuple(kept)
    return tuple(kept)


_known_shares = lru_cache(maxsize=256)(_shares)
"""What was narrowed before: a peer asks for the same with every exchange."""


def encode_selectors(selectors: Sequence[TrafficSelector], payload: int) -> bytes:
    """The body of a TSi or TSr payload. Raises WireError when there are too many."""
    if len(selectors) > MAX_SELECTORS:
        raise _fault(f"{len(selectors)} selectors do not fit a payload", 0, payload, "3.13")
    parts = [bytes((len(selectors), 0, 0, 0))]
    for ts in selectors:
        if ts.type in _ADDRESS_OCTETS:
            length = _HEAD.size + len(ts.start) + len(ts.end)
            parts += (_HEAD.pack(ts.type, ts.protocol, length, ts.start_port, ts.end_port), ts.start, ts.end)
        else:
            parts += (bytes((ts.type, ts.protocol)), (4 + len(ts.start)).to_bytes(2, "big"), ts.start)
    return b"".join(parts)


def decode_selectors(body: memoryview, offset: int, payload: int) -> tuple[TrafficSelector, ...]:
    """The selectors of a TSi or TSr payload whose body stands at `offset`. Raises WireError."""
    known = _known_selectors(bytes(body)) if len(body) <= KNOWN_OCTETS else None
    return _read_selectors(body, offset, payload) if known is None else known


@lru_cache(maxsize=1024)
def _known_selectors(octets: bytes) -> tuple[TrafficSelector, ...] | None:
    """The selectors of a payload, the same with every exchange; None: malformed, read them where they stand."""
    try:
        return _read_selectors(memoryview(octets), 0, 0)
    except WireError:
        return None


def _read_selectors(body: memoryview, offset: int, payload: int) -> tuple[TrafficSelector, ...]:
    size = len(body)
    if size < 4:
        raise _fault(f"{size} octets where 4 are the least", offset, payload, "3.13")
    count = body[0]
    if not count:
        raise _fault("no traffic selector", offset, payload, "2.9")
    selectors: list[TrafficSelector] = []
    position = 4
    while position < size:
        at = offset + position
        if size - position < 4:
            raise _fault("a traffic selector is cut short", at, payload, "3.13.1")
        length = body[position + 2] << 8 | body[position + 3]
        if not 4 <= length <= size - position:
            raise _fault(f"a traffic selector claims {length} octets of {size - position}", at + 2, payload, "3.13.1")
        selectors.append(_decode_selector(body[position : position + length], at, payload))
        position += length
    if len(selectors) != count:
        raise _fault(f"{count} traffic selectors announced, {len(selectors)} there", offset, payload, "3.13")
    return tuple(selectors)


def _decode_selector(octets: memoryview, offset: int, payload: int) -> TrafficSelector:
    width = _ADDRESS_OCTETS.get(octets[0])  # type: ignore[call-overload]  # an IntEnum key is found by its number
    if width is None:
        return TrafficSelector(octets[0], octets[1], 0, 0, bytes(octets[4:]), b"")
    if len(octets) != _HEAD.size + 2 * width:
        raise _fault(f"an address range of {len(octets)} octets", offset + 2, payload, "3.13.1")
    kind, protocol, _, start_port, end_port = _HEAD.unpack_from(octets)
    start, end = bytes(octets[8 : 8 + width]), bytes(octets[8 + width :])
    if start > end:
        raise _fault("a range of addresses that ends before it starts", offset + 8, payload, "3.13.1")
    if start_port > end_port and (start_port, end_port) != OPAQUE_PORT:
        raise _fault(f"ports {start_port} to {end_port}", offset + 4, payload, "3.13.1")
    return TrafficSelector(kind, protocol, start_port, end_port, start, end)


def _common_ports(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int] | None:
    if OPAQUE_PORT in (one, two):
        return OPAQUE_PORT if {one, two} <= {OPAQUE_PORT, ANY_PORT} else None
    start, end = max(one[0], two[0]), min(one[1], two[1])
    return (start, end) if start <= end else None


@lru_cache(maxsize=1024)
def _format(selector: TrafficSelector) -> str:
    """The text form that the module describes; events repeat the same few."""
    if selector.type not in _ADDRESS_OCTETS:
        return f"selector type {selector.type}: {selector.start.hex()}"
    text = _format_addresses(selector.start, selector.end)
    ports = _format_ports(selector.protocol, selector.start_port, selector.end_port)
    if not selector.protocol and not ports:
        return text
    protocol = _PROTOCOL_NAMES.get(selector.protocol, str(selector.protocol)) if selector.protocol else "any"
    return f"{text}[{protocol}/{ports}]" if ports else f"{text}[{protocol}]"


def _format_addresses(start: bytes, end: bytes) -> str:
    first = int.from_bytes(start, "big")
    size = int.from_bytes(end, "big") - first + 1
    if size > 0 and size & (size - 1) == 0 and first % size == 0:
        return f"{ip_address(start)}/{8 * len(start) + 1 - size.bit_length()}"
    return f"{ip_address(start)}-{ip_address(end)}"


def _address(text: str) -> IPv4Address | IPv6Address:
    try:
        return ip_address(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is not an IP address") from None


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        pass
    try:
        masked = ip_network(text.strip(), strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network: expected ADDRESS/PREFIX or FIRST-LAST") from None
    raise ValueError(f"{text!r} has host bits set: the network is {masked}")


def _parse_protocol(text: str) -> tuple[int, tuple[int, int]]:
    """Protocol and ports from what stands between the brackets."""
    name, _, ports = text.partition("/")
    if name in ("any", ""):
        protocol = 0
    elif name in _PROTOCOLS:
        protocol = _PROTOCOLS[name]
    elif name.isascii() and name.isdigit() and int(name) <= 255:
        protocol = int(name)
    else:
        raise ValueError(f"{name!r} is not a protocol: expected any, a number or one of {', '.join(_PROTOCOLS)}")
    if ports in ("", "any"):
        return protocol, ANY_PORT
    if ports == "opaque":
        return protocol, OPAQUE_PORT
    first, _, last = ports.partition("-")
    start, end = _parse_port(protocol, first)
    if last:
        end = _parse_port(protocol, last)[1]
    if start > end:
        raise ValueError(f"{ports!r} is not a range of ports")
    return protocol, (start, end)


def _parse_port(protocol: int, text: str) -> tuple[int, int]:
    """A port as a range of itself; of ICMP, a type with all its codes or with one."""
    kind, bracket, code = text.partition("(")
    if protocol in (ICMP, ICMPV6):
        high = _number(kind, 255, "an ICMP type")
        if not bracket:
            return high << 8, high << 8 | 255
        low = _number(code.removesuffix(")"), 255, "an ICMP code")
        return high << 8 | low, high << 8 | low
    number = _number(text, 65535, "a port")
    return number, number


def _number(text: str, largest: int, what: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= largest):
        raise ValueError(f"{text!r} is not {what}: expected 0 to {largest}")
    return int(text)


def _format_ports(protocol: int, start: int, end: int) -> str:
    if (start, end) == ANY_PORT:
        return ""
    if (start, end) == OPAQUE_PORT:
        return "opaque"
    if protocol in (ICMP, ICMPV6):
        first, last = (f"{port >> 8}({port & 255})" for port in (start, end))
        if (start & 255, end & 255) == (0, 255):
            first, last = str(start >> 8), str(end >> 8)
    else:
        first, last = str(start), str(end)
    return first if first == last else f"{first}-{last}"


def _fault(message: str, offset: int, payload: int, section: str) -> WireError:
    return WireError(message, rule=f"RFC 7296 {section}", offset=offset, payload=payload)
