"""The in-memory inner host: answers ICMP and ICMPv6 echo for whole networks, so that no TUN device is needed."""

import struct
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import NamedTuple

from ikesim.wire.selectors import TrafficSelector

_ICMP, _ICMPV6 = 1, 58
_ECHO = {_ICMP: (8, 0), _ICMPV6: (128, 129)}
"""Echo request and reply by protocol (RFC 792, RFC 4443 4.1)."""
_HOP_LIMIT = 64


class EchoReply(NamedTuple):
    """An echo reply; addresses as text."""

    source: str
    destination: str
    identifier: int
    sequence: int
    payload: bytes


class _Echo(NamedTuple):
    source: bytes
    destination: bytes
    protocol: int
    type: int
    body: bytes
    """The ICMP message from the identifier on."""


class InnerHost:
    """Answers for every address of its networks, given as "10.1.0.0/24", "2001:db8::/64" or traffic selectors."""

    def __init__(self, networks: Iterable[str | TrafficSelector]) -> None:
        self._ranges: list[tuple[bytes, bytes]] = []
        for network in networks:
            if isinstance(network, str):
                parsed = ip_network(network, strict=False)
                self._ranges.append((parsed.network_address.packed, parsed.broadcast_address.packed))
            else:
                self._ranges.append((network.start, network.end))

    def add(self, address: str) -> None:
        """Answer for one more address."""
        packed = ip_address(address).packed
        if not self._is_ours(packed):
            self._ranges.append((packed, packed))

    def receive(self, packet: bytes) -> bytes | None:
        """The reply to an echo request for one of our addresses; None to anything else (never an error)."""
        echo = _parse(packet)
        if echo is None or echo.type != _ECHO[echo.protocol][0] or not self._is_ours(echo.destination):
            return None
        return _build(echo.destination, echo.source, echo.protocol, _ECHO[echo.protocol][1], echo.body)

    def _is_ours(self, address: bytes) -> bool:
        return any(len(start) == len(address) and start <= address <= end for start, end in self._ranges)


def echo_request(source: str, destination: str, identifier: int, sequence: int, payload: bytes = b"") -> bytes:
    """An IP packet with an echo request; the family is that of the addresses.

    Raises ValueError when an address is none, or when their families differ.
    """
    start, end = ip_address(source).packed, ip_address(destination).packed
    if len(start) != len(end):
        raise ValueError(f"{source} and {destination} are not of one address family")
    protocol = _ICMP if len(start) == 4 else _ICMPV6
    return _build(start, end, protocol, _ECHO[protocol][0], struct.pack("!HH", identifier, sequence) + payload)


def parse_echo_reply(packet: bytes) -> EchoReply | None:
    """The echo reply in an IP packet, checksums verified; None when it holds something else."""
    echo = _parse(packet)
    if echo is None or echo.type != _ECHO[echo.protocol][1]:
        return None
    identifier, sequence = struct.unpack_from("!HH", echo.body)
    return EchoReply(
        str(ip_address(echo.source)), str(ip_address(echo.destination)), identifier, sequence, echo.body[4:]
    )


def internet_checksum(octets: bytes) -> int:
    """The checksum of RFC 1071; 0 over octets that hold a right one."""
    if len(octets) % 2:
        octets += b"\x00"
    total: int = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """What an ICMPv6 checksum also covers (RFC 8200 8.1); nothing for ICMP."""
    return source + destination + struct.pack("!IHBB", length, 0, 0, protocol) if protocol == _ICMPV6 else b""


def _build(source: bytes, destination: bytes, protocol: int, kind: int, body: bytes) -> bytes:
    """An IP packet with an ICMP message of code 0."""
    length = 4 + len(body)
    unchecked = struct.pack("!BBH", kind, 0, 0) + body
    checksum = internet_checksum(_pseudo_header(source, destination, protocol, length) + unchecked)
    message = struct.pack("!BBH", kind, 0, checksum) + body
    if protocol == _ICMPV6:
        return struct.pack("!IHBB", 6 << 28, length, protocol, _HOP_LIMIT) + source + destination + message
    head = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, 0, _HOP_LIMIT, protocol)
    addresses = source + destination
    return head + internet_checksum(head + addresses).to_bytes(2, "big") + addresses + message


def _parse(packet: bytes) -> _Echo | None:
    """The ICMP echo message in an unfragmented IP packet with right checksums, else None."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        header, total = 4 * (packet[0] & 15), int.from_bytes(packet[2:4], "big")
        fragmented = int.from_bytes(packet[6:8], "big") & 0x3FFF
        if header < 20 or not header <= total <= len(packet) or fragmented or internet_checksum(packet[:header]):
            return None
        source, destination, protocol = packet[12:16], packet[16:20], packet[9]
    elif version == 6 and len(packet) >= 40:
        header, total = 40, 40 + int.from_bytes(packet[4:6], "big")
        if total > len(packet):
            return None
        source, destination, protocol = packet[8:24], packet[24:40], packet[6]
    else:
        return None
    message = packet[header:total]
    if protocol != (_ICMP if version == 4 else _ICMPV6) or len(message) < 8:
        return None
    if message[0] not in _ECHO[protocol] or message[1]:
        return None
    if internet_checksum(_pseudo_header(source, destination, protocol, len(message)) + message):
        return None
    return _Echo(source, destination, protocol, message[0], message[4:])
