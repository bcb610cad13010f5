"""Recording datagrams to pcapng, with the addresses and ports that they really had.

The IP and UDP headers are written here, since a UDP socket never shows them; scapy's raw writer makes the file. Each
datagram is one whole block, flushed at once, so that the file of a daemon that was killed can be read.
"""

from datetime import datetime
from pathlib import Path as FilePath
from struct import Struct
from typing import Any

from ikesim.errors import UsageError
from ikesim.esp.host import internet_checksum
from ikesim.wire.address import Path

LINKTYPE_RAW = 101
"""Packets begin with an IPv4 or IPv6 header (tcpdump.org/linktypes.html)."""
INBOUND, OUTBOUND = 1, 2
"""Directions of a packet block (draft-ietf-opsawg-pcapng, epb_flags)."""
_UDP = 17
_HOPS = 64
_DONT_FRAGMENT = 0x4000
_LARGEST = {4: 65507, 6: 65527}
"""Octets that a UDP datagram can carry over IPv4 and IPv6 without jumbograms."""
_IPV4 = Struct("!BBHHHBBH4s4s")
_IPV6 = Struct("!IHBB16s16s")
_UDP_HEADER = Struct("!HHHH")


def ip_packet(octets: bytes, path: Path, *, outbound: bool, identification: int = 0) -> bytes:
    """The IP packet that carried a datagram over `path`. Raises ValueError when no UDP datagram can be that long."""
    source, destination = (path.local, path.remote) if outbound else (path.remote, path.local)
    from_octets, to_octets = source.packed, destination.packed
    version = 6 if len(from_octets) == 16 else 4
    if len(octets) > _LARGEST[version]:
        raise ValueError(f"a UDP datagram cannot carry {len(octets)} octets")
    length = 8 + len(octets)
    pseudo = from_octets + to_octets + length.to_bytes(4) + _UDP.to_bytes(4)
    header = _UDP_HEADER.pack(source.port, destination.port, length, 0)
    checksum = internet_checksum(pseudo + header + octets) or 0xFFFF  # RFC 768: zero is sent as all ones
    udp = _UDP_HEADER.pack(source.port, destination.port, length, checksum) + octets
    if version == 6:
        return _IPV6.pack(6 << 28, length, _UDP, _HOPS, from_octets, to_octets) + udp
    fields = (0x45, 0, 20 + length, identification & 0xFFFF, _DONT_FRAGMENT, _HOPS, _UDP)
    unchecked = _IPV4.pack(*fields, 0, from_octets, to_octets)
    return _IPV4.pack(*fields, internet_checksum(unchecked), from_octets, to_octets) + udp


class Recorder:
    """A pcapng file that datagrams are added to."""

    def __init__(self, file: FilePath) -> None:
        """Begin a new file, over an old one of that name. Raises UsageError when it cannot be written."""
        from scapy.utils import RawPcapNgWriter  # 0.8 s to import: only for those who record

        try:
            self._writer: Any = RawPcapNgWriter(str(file))
        except OSError as error:
            raise UsageError(f"the capture {file} cannot be written: {error.strerror}") from None
        self._writer.linktype = LINKTYPE_RAW
        self._writer.write_header(None)
        self._writer.flush()
        self._count = 0

    def record(self, octets: bytes, path: Path, at: datetime | float, *, outbound: bool, endpoint: str = "") -> None:
        """Add a datagram that an endpoint sent or received at a wall time (aware, or POSIX seconds).

        With `endpoint` the packet stands under an interface of that name: captures of several endpoints in one file
        show each datagram twice, and `frame.interface_name` tells whose view it is.
        """
        packet = ip_packet(octets, path, outbound=outbound, identification=self._count)
        self._count += 1
        self._writer._write_packet(
            packet,
            linktype=LINKTYPE_RAW,
            sec=at.timestamp() if isinstance(at, datetime) else at,
            ifname=endpoint.encode() or None,
            direction=OUTBOUND if outbound else INBOUND,
        )
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
