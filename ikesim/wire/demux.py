"""What a UDP datagram on an IKE or NAT-T port is: the only demultiplexer (RFC 3948 section 2)."""

from collections.abc import Callable, Collection
from enum import Enum
from typing import Final

from ikesim.wire.registry import ExchangeType, PayloadType

MARKER: Final = b"\0\0\0\0"
"""Stands before IKE where ESP would have its SPI (RFC 3948 section 2.2)."""
KEEPALIVE: Final = b"\xff"
"""RFC 3948 section 2.3."""
HEADER_OCTETS: Final = 28
"""RFC 7296 section 3.1."""


class DatagramKind(Enum):
    """What a datagram is."""

    KEEPALIVE = "keepalive"
    IKE = "ike"
    MARKED_IKE = "marked-ike"
    ESP = "esp"
    JUNK = "junk"


def classify(
    octets: bytes, known_spis: Collection[bytes] | Callable[[bytes], bool] = ()
) -> tuple[DatagramKind, bytes]:
    """Tell what a datagram is, and give what it carries: all of it, or what follows the marker.

    `known_spis` holds the initiator SPIs of our IKE SAs (8 octets) and our inbound ESP SPIs (4 octets), or tells
    whether an SPI is one of them.
    """
    if octets == KEEPALIVE:
        return DatagramKind.KEEPALIVE, octets
    if octets[:4] == MARKER:
        # where nobody uses the marker (port 500) an SPI may start like one; a header fits at one of the places only
        if _plausible(octets) and not _plausible(octets[4:]):
            return DatagramKind.IKE, octets
        return DatagramKind.MARKED_IKE, octets[4:]
    known = known_spis if callable(known_spis) else known_spis.__contains__
    if (len(octets) >= 8 and known(octets[:8])) or _plausible(octets):
        return DatagramKind.IKE, octets
    if len(octets) >= 4 and known(octets[:4]):
        return DatagramKind.ESP, octets
    return DatagramKind.JUNK, octets


def _plausible(octets: bytes) -> bool:
    """Whether a datagram starts like IKE: major version 2 or more, an exchange type of IKEv2, its own length."""
    return (
        len(octets) >= HEADER_OCTETS
        and octets[17] >> 4 >= 2
        and octets[18] >= ExchangeType.IKE_SA_INIT
        and int.from_bytes(octets[24:28], "big") == len(octets)
    )


def first_request(datagram: bytes) -> bool | None:
    """Whether a datagram that asks for a new IKE SA brings a notify first, as a COOKIE must stand (RFC 7296 2.6).

    None: it is something else. A look at a few octets: what this says is no proof of anything.
    """
    start = 4 if datagram[:4] == bytes(4) else 0
    if datagram[start + 18 : start + 20] != b"\x22\x08" or datagram[start + 8 : start + 16] != bytes(8):
        return None
    return datagram[start + 16] == PayloadType.N
