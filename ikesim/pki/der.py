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
    """One element of DER inside the octets that it was read from; made by :func:`read` and by its parent."""

    __slots__ = ("content", "data", "depth", "end", "start", "tag")

    def __init__(self, data: bytes, start: int, tag: int, content: int, end: int, depth: int) -> None:
        self.data = data
        self.start = start
        self.tag = tag
        self.content = content
        self.end = end
        self.depth = depth

    @classmethod
    def at(cls, data: bytes, offset: int, end: int) -> "Element":
        """The element at `offset`, inside data[:end]. Raises DerError."""
        return cls(data, offset, *header(data, offset, end), 0)

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
        return iter(self.children())

    def children(self) -> list["Element"]:
        """The elements inside. Raises DerError when they do not fill it exactly."""
        data, position, end, depth = self.data, self.content, self.end, self.depth + 1
        if depth > MAX_DEPTH:
            raise DerError(f"nested deeper than {MAX_DEPTH}", position)
        found: list[Element] = []
        while position < end:
            start = position
            tag = data[start]
            # the usual header, two octets, is read here: this loop is where the time goes
            if start + 2 <= end and tag & 0x1F != 0x1F and (length := data[start + 1]) < 0x80:
                content = start + 2
                position = content + length
                if position > end:
                    raise DerError(f"a length of {length} octets that runs past its parent", start)
            else:
                tag, content, position = header(data, start, end)
            found.append(Element(data, start, tag, content, position, depth))
        if len(found) > MAX_CHILDREN:
            raise DerError(f"more than {MAX_CHILDREN} elements", self.start)
        return found

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
    size = len(data)
    tag, content, end = header(data, 0, size)
    if end != size:
        raise DerError(f"{size - end} octets after the end", end)
    element = Element(data, 0, tag, content, end, 0)
    return element.expect(*tags) if tags else element


_COMMON_OIDS: dict[bytes, str] = {}


def decode_oid(value: bytes, offset: int = 0) -> str:
    """The value octets of an OBJECT IDENTIFIER as dotted text. Raises DerError."""
    known = _COMMON_OIDS.get(value)
    if known is not None:
        return known
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


# attribute types, extensions, key and signature algorithms: what every certificate is full of
_COMMON_OIDS.update(
    {
        octets: decode_oid(octets)
        for octets in (
            *(bytes((0x55, 0x04, number)) for number in range(3, 13)),
            *(bytes((0x55, 0x1D, number)) for number in range(14, 55)),
            bytes.fromhex("551d2000"),
            bytes.fromhex("2a864886f70d010101"),
            bytes.fromhex("2a864886f70d01010b"),
            bytes.fromhex("2a8648ce3d0201"),
            bytes.fromhex("2a8648ce3d030107"),
            bytes.fromhex("2a8648ce3d040302"),
            bytes.fromhex("2a8648ce3d040303"),
        )
    }
)


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
            digits = int(value[:-1])
            days, seconds = divmod(digits, 1000000)
            year, days = divmod(days, 10000)
            if tag == UTC_TIME:
                year += 1900 if year >= 50 else 2000
            return datetime(
                year, days // 100, days % 100, seconds // 10000, seconds // 100 % 100, seconds % 100, tzinfo=UTC
            )
        text = value.decode("ascii")
        count = len(text) - len(text.lstrip("0123456789"))
        number, rest = text[:count], text[count:]
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
