"""Writing DER (ITU-T X.690), one function a type.

Certificates, CRLs, OCSP responses and requests are assembled from these, so that the lab's authority can also make
what a library rightly refuses to make: contradicting algorithms, impossible dates, unknown critical extensions.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

CONTEXT = 0x80
CONSTRUCTED = 0x20


def tlv(tag: int, content: bytes) -> bytes:
    """Tag, definite length and content (X.690 8.1)."""
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of encoded parts; an empty part is one left out."""
    return tlv(0x30, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """SET OF, sorted as X.690 11.6 requires."""
    return tlv(0x31, b"".join(sorted(parts)))


def explicit(number: int, content: bytes) -> bytes:
    """`[number] EXPLICIT`."""
    return tlv(CONTEXT | CONSTRUCTED | number, content)


def implicit(number: int, content: bytes, *, constructed: bool = False) -> bytes:
    """`[number] IMPLICIT`: `content` is the value without its own tag and length."""
    return tlv(CONTEXT | (CONSTRUCTED if constructed else 0) | number, content)


def integer(value: int, tag: int = 0x02) -> bytes:
    """INTEGER, or ENUMERATED with tag 0x0a; negative values allowed."""
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def boolean(value: bool) -> bytes:
    """BOOLEAN."""
    return tlv(0x01, b"\xff" if value else b"\x00")


def null() -> bytes:
    """NULL."""
    return b"\x05\x00"


def octet_string(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(0x04, content)


def bit_string(content: bytes, unused: int = 0) -> bytes:
    """BIT STRING with `unused` bits at the end of its last octet."""
    return tlv(0x03, bytes((unused,)) + content)


def named_bits(bits: Iterable[int]) -> bytes:
    """A BIT STRING of named bits: trailing zero bits removed (X.690 11.2.2)."""
    numbers = set(bits)
    if not numbers:
        return bit_string(b"")
    highest = max(numbers)
    value = bytearray(highest // 8 + 1)
    for number in numbers:
        value[number // 8] |= 0x80 >> (number % 8)
    return bit_string(bytes(value), 7 - highest % 8)


def oid(dotted: str) -> bytes:
    """OBJECT IDENTIFIER from its dotted form; ValueError when it is none."""
    return tlv(0x06, oid_content(dotted))


def oid_content(dotted: str) -> bytes:
    """The content octets of an OBJECT IDENTIFIER (X.690 8.19); ValueError when `dotted` is none."""
    arcs = [int(arc) for arc in dotted.split(".")]
    if len(arcs) < 2 or arcs[0] > 2 or (arcs[0] < 2 and arcs[1] > 39) or min(arcs) < 0:
        raise ValueError(f"{dotted!r} is not an object identifier")
    out = bytearray()
    for arc in (arcs[0] * 40 + arcs[1], *arcs[2:]):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        out += bytes(reversed(septets))
    return bytes(out)


def utf8(text: str) -> bytes:
    """UTF8String."""
    return tlv(0x0C, text.encode())


def printable(text: str) -> bytes:
    """PrintableString (the alphabet is not checked)."""
    return tlv(0x13, text.encode("latin-1"))


def ia5(text: str) -> bytes:
    """IA5String (octets beyond ASCII are written as they are, which a reader must refuse)."""
    return tlv(0x16, text.encode("latin-1"))


def utc_time(at: datetime) -> bytes:
    """UTCTime (RFC 5280 4.1.2.5.1)."""
    return tlv(0x17, at.astimezone(UTC).strftime("%y%m%d%H%M%SZ").encode())


def generalized_time(at: datetime) -> bytes:
    """GeneralizedTime without fractions (RFC 5280 4.1.2.5.2)."""
    moment = at.astimezone(UTC)
    return tlv(0x18, f"{moment.year:04d}{moment:%m%d%H%M%S}Z".encode())


def time(at: datetime | bytes) -> bytes:
    """A Time of RFC 5280 4.1.2.5: UTCTime until 2049, then GeneralizedTime; bytes are taken as already encoded."""
    if isinstance(at, bytes):
        return at
    return utc_time(at) if 1950 <= at.astimezone(UTC).year < 2050 else generalized_time(at)
