"""Reading captures: the UDP datagrams in a pcap or pcapng file, with their addresses, by frame number."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ikesim.errors import UsageError
from ikesim.wire.address import Address

_ETHERNET, _NULL, _LOOP, _LINUX_SLL, _LINUX_SLL2 = 1, 0, 108, 113, 276
_RAW = frozenset({12, 14, 101, 228, 229})
"""Link types whose packets begin with the IP header (tcpdump.org/linktypes.html)."""
_IPV4, _IPV6 = 0x0800, 0x86DD
_VLAN = frozenset({0x8100, 0x88A8})
_UDP = 17
_IPV6_EXTENSIONS = frozenset({0, 43, 60, 135})
"""Extension headers that may stand before UDP (RFC 8200 4.1): hop-by-hop, routing, destination, mobility."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet of a capture. What is no whole UDP datagram has no addresses; `note` says what it is."""

    number: int
    """As tshark counts: from 1."""
    time: float
    """POSIX seconds."""
    source: Address | None = None
    destination: Address | None = None
    octets: bytes = field(default=b"", repr=False)
    """What the UDP datagram carries."""
    note: str = ""


def read_frames(file: Path) -> Iterator[Frame]:
    """Every packet of a capture, in order; a file that was cut off ends where it was cut.

    Raises UsageError when the file cannot be read or is no capture.
    """
    from scapy.error import Scapy_Exception  # 0.8 s to import: only for those who read captures
    from scapy.utils import RawPcapReader

    try:
        stream = file.open("rb")
    except OSError as error:
        raise UsageError(f"the capture {file} cannot be read: {error.strerror}") from None
    with stream:
        try:
            open_reader: Any = RawPcapReader  # its metaclass also takes a file, which its types do not say
            reader = open_reader(stream)
        except (Scapy_Exception, EOFError, struct.error):
            raise UsageError(f"{file} is neither pcap nor pcapng") from None
        try:
            for number, (packet, meta) in enumerate(reader, 1):
                link = getattr(meta, "linktype", None)
                yield dissect(packet, reader.linktype if link is None else link, number, _time(reader, meta))
        except (Scapy_Exception, EOFError, struct.error):
            return  # cut off in the middle of a record


def _time(reader: Any, meta: Any) -> float:
    if hasattr(meta, "tsresol"):
        ticks = ((meta.tshigh or 0) << 32) + (meta.tslow or 0)
        return float(ticks / (meta.tsresol or 1_000_000))
    return float(meta.sec + meta.usec / (1_000_000_000 if reader.nano else 1_000_000))


def dissect(packet: bytes, link: int, number: int, time: float) -> Frame:
    """One packet of a link type, down to what its UDP datagram carries. Never raises on what the packet holds."""
    start, kind = _network_layer(packet, link)
    if start < 0:
        return Frame(number, time, note=f"link type {link} is not supported" if kind < 0 else "not IP")
    version = packet[start] >> 4 if len(packet) > start else 0
    if version == 4 and kind in (0, _IPV4):
        return _ipv4(packet[start:], number, time)
    if version == 6 and kind in (0, _IPV6):
        return _ipv6(packet[start:], number, time)
    return Frame(number, time, note="not IP")


def _network_layer(packet: bytes, link: int) -> tuple[int, int]:
    """Where the network layer starts and its EtherType (0: look at the version); start -1: there is none."""
    if link in _RAW:
        return 0, 0
    if link in (_NULL, _LOOP):
        return 4, 0
    if link == _LINUX_SLL:
        return 16, int.from_bytes(packet[14:16])
    if link == _LINUX_SLL2:
        return 20, int.from_bytes(packet[:2])
    if link != _ETHERNET:
        return -1, -1
    start, kind = 14, int.from_bytes(packet[12:14])
    while kind in _VLAN and len(packet) >= start + 4:
        start, kind = start + 4, int.from_bytes(packet[start + 2 : start + 4])
    return (start, kind) if kind in (_IPV4, _IPV6) else (-1, 0)


def _ipv4(packet: bytes, number: int, time: float) -> Frame:
    header = 4 * (packet[0] & 15)
    if len(packet) < 20 or not 20 <= header <= len(packet):
        return Frame(number, time, note="a damaged IPv4 header")
    if int.from_bytes(packet[6:8]) & 0x3FFF:
        return Frame(number, time, note="an IP fragment")
    if packet[9] != _UDP:
        return Frame(number, time, note=f"IP protocol {packet[9]}")
    end = max(header, int.from_bytes(packet[2:4]))
    return _udp(packet[header:end], packet[12:16], packet[16:20], number, time)


def _ipv6(packet: bytes, number: int, time: float) -> Frame:
    if len(packet) < 40:
        return Frame(number, time, note="a damaged IPv6 header")
    start, kind = 40, packet[6]
    while kind in _IPV6_EXTENSIONS and len(packet) >= start + 8:
        start, kind = start + 8 * (packet[start + 1] + 1), packet[start]
    if kind == 44:
        return Frame(number, time, note="an IP fragment")
    if kind != _UDP:
        return Frame(number, time, note=f"IP protocol {kind}")
    end = 40 + int.from_bytes(packet[4:6])
    return _udp(packet[start:end], packet[8:24], packet[24:40], number, time)


def _udp(segment: bytes, source: bytes, destination: bytes, number: int, time: float) -> Frame:
    if len(segment) < 8:
        return Frame(number, time, note="a damaged UDP header")
    from_port, to_port, length = struct.unpack_from("!HHH", segment)
    whole = 8 <= length <= len(segment)
    return Frame(
        number,
        time,
        Address(str(ip_address(source)), from_port),
        Address(str(ip_address(destination)), to_port),
        segment[8:length] if whole else segment[8:],
        "" if whole else f"cut off: {len(segment)} of {length} octets were captured",
    )
