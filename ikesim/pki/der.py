"""One reader for DER, tolerant where real peers are sloppy, strict where a length could lie.

It reads tag, length and value (X.690 8.1) with every length checked against the element around it. Non-minimal
lengths are accepted, indefinite ones refused; nesting and the number of children are bounded.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from ikesim.errors import IkesimError

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
ENUMERATED, UTF8_STRING, PRINTABLE_STRING, TELETEX_STRING = 0x0A, 0x0C, 0x13, 0x14
IA5_STRING, UTC_TIME, GENERALIZED_TIME, VISIBLE_STRING = 0x16, 0x17, 0x18, 0x1A
UNIVERSAL_STRING, BMP_STRING = 0x1C, 0x1E
SEQUENCE, SET = 0x30, 0x31

MAX_DEPTH = 24
"""Nesting below which an element is refused; a certificate needs about 12."""
MAX_CHILDREN = 65536
"""Children of one element; a certificate of the largest CERT payload (64 KiB) cannot hold more."""


class DerError(IkesimError):
    """Octets that are not the DER they should be; `offset` is where, in the octets read."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(f"{message} at octet {offset}")
        self.offset = offset


def header(data: bytes, offset: int, end: int) -> tuple[int, int, int]:
    """The element at `offset`, inside data[:end]: (tag, start of its value, end of its value).

    The tag is its identifier octet; tags above 30 come as (octet << 8 | number), with numbers up to 127.
    Raises DerError.
    """
    if offset + 2 > end:
        raise DerError("an element is cut short", offset)
    tag = data[offset]
    position = offset + 1
    if tag & 0x1F == 0x1F:
        number = data[position]
        position += 1
        if number & 0x80 or position >= end:
            raise DerError("a tag number above 127", offset)
        tag = tag << 8 | number
    length = data[position]
    position += 1
    if length >= 0x80:
        count = length & 0x7F
        if count == 0:
            raise DerError("an indefinite length", offset)
        if count > 8 or position + count > end:
            raise DerError("a length that does not fit", offset)
        length = int.from_bytes(data[position : position + count], "big")
        position += count
    if position + length > end:
        raise DerError(f"a length of {length} octets that runs past its parent", offset)
    return tag, position, position + length


class Element:
    """One element of DER inside the octets that it was read from."""

    __slots__ = ("content", "data", "depth", "end", "start", "tag")

    def __init__(self, data: bytes, offset: int, end: int, depth: int = 0) -> None:
        if depth > MAX_DEPTH:
            raise DerError(f"nested deeper than {MAX_DEPTH}", offset)
        self.data = data
        self.start = offset
        self.depth = depth
        self.tag, self.content, self.end = header(data, offset, end)

    def __repr__(self) -> str:
        return f"Element(tag={self.tag:#04x}, start={self.start}, end={self.end})"

    @property
    def value(self) -> bytes:
        """The octets of the value."""
        return self.data[self.content : self.end]

    @property
    def der(self) -> bytes:
        """The whole element as it came."""
        return self.data[self.start : self.end]

    def __iter__(self) -> Iterator["Element"]:
        """The elements inside, one after the other. Raises DerError when they do not fill it exactly."""
        data, position, end, depth = self.data, self.content, self.end, self.depth + 1
        count = 0
        while position < end:
            count += 1
            if count > MAX_CHILDREN:
                raise DerError(f"more than {MAX_CHILDREN} elements", position)
            child = Element(data, position, end, depth)
            yield child
            position = child.end

    def children(self) -> list["Element"]:
        """The elements inside. Raises DerError."""
        return list(self)

    def expect(self, *tags: int) -> "Element":
        """This element, when its tag is one of `tags`. Raises DerError."""
        if self.tag not in tags:
            wanted = " or ".join(f"{tag:#04x}" for tag in tags)
            raise DerError(f"tag {self.tag:#04x} where {wanted} belongs", self.start)
        return self

    def oid(self) -> str:
        """An OBJECT IDENTIFIER as dotted text."""
        self.expect(OID)
        return decode_oid(self.value, self.start)

    def integer(self) -> int:
        """An INTEGER or ENUMERATED, with sign."""
        self.expect(INTEGER, ENUMERATED)
        if self.content == self.end:
            raise DerError("an INTEGER without octets", self.start)
        return int.from_bytes(self.value, "big", signed=True)

    def boolean(self) -> bool:
        """A BOOLEAN; any octet but zero is true (BER, X.690 8.2.2)."""
        self.expect(BOOLEAN)
        if self.end - self.content != 1:
            raise DerError("a BOOLEAN that is not one octet", self.start)
        return self.data[self.content] != 0

    def bits(self) -> tuple[bytes, int]:
        """A BIT STRING: its octets and how many bits of the last are unused."""
        self.expect(BIT_STRING)
        return decode_bits(self.value, self.start)

    def time(self) -> datetime:
        """A UTCTime or GeneralizedTime (RFC 5280 4.1.2.5), aware, in UTC."""
        self.expect(UTC_TIME, GENERALIZED_TIME)
        return decode_time(self.value, self.tag, self.start)


def read(data: bytes, *tags: int) -> Element:
    """The one element that fills `data`, of one of `tags` where given. Raises DerError."""
    element = Element(data, 0, len(data))
    if element.end != len(data):
        raise DerError(f"{len(data) - element.end} octets after the end", element.end)
    return element.expect(*tags) if tags else element


def decode_oid(value: bytes, offset: int = 0) -> str:
    """The value octets of an OBJECT IDENTIFIER as dotted text. Raises DerError."""
    if not value or value[-1] & 0x80 or len(value) > 128:
        raise DerError("an OBJECT IDENTIFIER that is empty, cut short or too long", offset)
    arcs: list[int] = []
    number = 0
    for octet in value:
        number = number << 7 | (octet & 0x7F)
        if not octet & 0x80:
            if not arcs:
                first = min(number // 40, 2)
                arcs = [first, number - 40 * first]
            else:
                arcs.append(number)
            number = 0
    return ".".join(map(str, arcs))


def decode_bits(value: bytes, offset: int = 0) -> tuple[bytes, int]:
    """The value octets of a BIT STRING: its octets and the number of unused bits. Raises DerError."""
    if not value or value[0] > 7 or (value[0] and len(value) == 1):
        raise DerError("a BIT STRING with an impossible count of unused bits", offset)
    return value[1:], value[0]


def decode_time(value: bytes, tag: int, offset: int = 0) -> datetime:
    """The value octets of a UTCTime or GeneralizedTime, aware, in UTC. Raises DerError.

    Seconds may be absent and an offset may stand for Z, as BER allows; fractions of a second are dropped.
    """
    try:
        if value[-1:] == b"Z" and len(value) == (13 if tag == UTC_TIME else 15) and value[:-1].isdigit():
            split = 2 if tag == UTC_TIME else 4
            year = int(value[:split])
            if tag == UTC_TIME:
                year += 1900 if year >= 50 else 2000
            month, day, hour, minute, second = (int(value[i : i + 2]) for i in range(split, split + 10, 2))
            return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        text = value.decode("ascii")
        digits = len(text) - len(text.lstrip("0123456789"))
        number, rest = text[:digits], text[digits:]
        if tag == UTC_TIME:
            number = ("19" if number[:2] >= "50" else "20") + number
        if len(number) not in (12, 14):
            raise ValueError(number)
        if rest[:1] in (".", ","):
            rest = rest[1:].lstrip("0123456789")
        zone = "+0000" if rest == "Z" else rest
        if len(zone) != 5 or zone[0] not in "+-":
            raise ValueError(zone)
        return datetime.strptime(number.ljust(14, "0") + zone, "%Y%m%d%H%M%S%z").astimezone(UTC)
    except (ValueError, OverflowError):
        raise DerError(f"a time that cannot be read: {value[:24]!r}", offset) from None
