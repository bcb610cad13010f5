"""Proposals and transforms: what the Security Association payload holds (RFC 7296 section 3.3).

Decoding checks every length against what surrounds it and the "more" octets against the counts. Whether a combination
of transforms makes sense is the negotiation's business.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Any, Final, NamedTuple, Self

from ikesim.errors import WireError
from ikesim.wire.registry import PayloadType, ProtocolId, TransformAttribute
from ikesim.wire.values import value

_PROPOSAL: Final = Struct("!BxHBBBB")
_TRANSFORM: Final = Struct("!BxHBxH")
_PAIR: Final = Struct("!HH")
_LAST: Final = 0
_MORE_PROPOSALS: Final = 2
_MORE_TRANSFORMS: Final = 3
_FORMAT_BIT: Final = 0x8000
"""Set: the attribute is a type and a 16 bit value; clear: type, length, value (section 3.3.5)."""
KNOWN_OCTETS: Final = 256
"""The longest offer or list of transforms that is remembered; those of today's daemons have 20 to 250 octets."""
_SPI_SIZES: Final = {ProtocolId.IKE: (0, 8), ProtocolId.AH: (4,), ProtocolId.ESP: (4,)}


class Transform(NamedTuple):
    """One algorithm on offer.

    `type` and `id` are IANA numbers, `key_length` is in bits. `attributes` holds whatever else came with it, in
    order: an int for an attribute of the short form, octets for the long one. A transform with an attribute that is
    not understood must not be chosen (RFC 7296 section 3.3.6).
    """

    type: int
    id: int
    key_length: int | None = None
    attributes: tuple[tuple[int, bytes | int], ...] = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def encode(self, *, last: bool) -> bytes:
        """The transform substructure. Raises WireError when it outgrows its length field."""
        attributes = b""
        if self.key_length is not None:
            attributes = _PAIR.pack(_FORMAT_BIT | TransformAttribute.KEY_LENGTH, self.key_length)
        for kind, content in self.attributes:
            if isinstance(content, int):
                attributes += _PAIR.pack(_FORMAT_BIT | kind, content)
            else:
                attributes += _PAIR.pack(kind, len(content)) + content
        length = _TRANSFORM.size + len(attributes)
        if length > 0xFFFF:
            raise _fault(f"a transform of {length} octets does not fit", 0, "3.3.2")
        return _TRANSFORM.pack(_LAST if last else _MORE_TRANSFORMS, length, self.type, self.id) + attributes


@value
class Proposal:
    """One proposal: for each transform type, any of its transforms will do.

    `spi` is empty in IKE_SA_INIT, 8 octets when an IKE SA is rekeyed, 4 for ESP and AH.
    """

    number: int
    protocol: int
    spi: bytes
    transforms: tuple[Transform, ...]

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def encode(self, *, last: bool) -> bytes:
        """The proposal substructure. Raises WireError when it outgrows its length field."""
        body = self.spi + _encode_transforms(self.transforms)
        length, count = _PROPOSAL.size + len(body), len(self.transforms)
        if length > 0xFFFF or count > 0xFF:
            raise _fault(f"proposal {self.number} does not fit: {count} transforms, {length} octets", 0, "3.3.1")
        more = _LAST if last else _MORE_PROPOSALS
        return _PROPOSAL.pack(more, length, self.number, self.protocol, len(self.spi), count) + body


@lru_cache(maxsize=256)
def _encode_transforms(transforms: tuple[Transform, ...]) -> bytes:
    """The transforms of a proposal: those of a configuration are sent again and again, SPIs are not."""
    end = len(transforms) - 1
    return b"".join([transform.encode(last=index == end) for index, transform in enumerate(transforms)])


def encode_proposals(proposals: Sequence[Proposal]) -> bytes:
    """The body of an SA payload."""
    end = len(proposals) - 1
    return b"".join([proposal.encode(last=index == end) for index, proposal in enumerate(proposals)])


def decode_proposals(body: memoryview, offset: int = 0) -> tuple[Proposal, ...]:
    """The proposals of an SA payload; `offset` is where `body` stands in the message. Raises WireError.

    They are 255 at most, since their numbers are one octet, start at 1 and rise by one.
    """
    # without an SPI, as in IKE_SA_INIT, all peers of a kind offer the very same octets
    if _PROPOSAL.size <= len(body) <= KNOWN_OCTETS and not body[6]:
        known = _known_proposals(bytes(body))
        if known is not None:
            return known
    return _read_proposals(body, offset)


@lru_cache(maxsize=256)
def _known_proposals(octets: bytes) -> tuple[Proposal, ...] | None:
    """The proposals of an SA payload; None: malformed, read them where their offset is known."""
    try:
        return _read_proposals(memoryview(octets), 0)
    except WireError:
        return None


def _read_proposals(body: memoryview, offset: int) -> tuple[Proposal, ...]:
    proposals: list[Proposal] = []
    position, size, more = 0, len(body), _MORE_PROPOSALS
    while position < size:
        if more == _LAST:
            raise _fault(f"{size - position} octets follow the last proposal", offset + position, "3.3.1")
        if size - position < _PROPOSAL.size:
            raise _fault("a proposal is cut short", offset + position, "3.3.1")
        more, length, number, protocol, spi_size, count = _PROPOSAL.unpack_from(body, position)
        at = offset + position
        if more not in (_LAST, _MORE_PROPOSALS):
            raise _fault(f"the octet that says whether proposals follow is {more}, not 0 or 2", at, "3.3.1")
        if not _PROPOSAL.size <= length <= size - position:
            raise _fault(f"a proposal claims {length} octets of {size - position}", at + 2, "3.3.1")
        if spi_size > length - _PROPOSAL.size:
            raise _fault(f"an SPI of {spi_size} octets in a proposal of {length}", at + 6, "3.3.1")
        if spi_size not in _SPI_SIZES.get(protocol, (spi_size,)):
            raise _fault(f"an SPI of {spi_size} octets for protocol {protocol}", at + 6, "3.3.1")
        if proposals and number != proposals[-1].number + 1:
            raise _fault(f"proposal {number} follows proposal {proposals[-1].number}", at + 4, "3.3.1")
        start = position + _PROPOSAL.size + spi_size
        spi = bytes(body[start - spi_size : start])
        transforms = _decode_transforms(body[start : position + length], count, offset + start)
        proposals.append(Proposal(number, protocol, spi, transforms))
        position += length
    if more == _MORE_PROPOSALS:
        raise _fault("another proposal is announced but does not follow", offset + size, "3.3.1")
    if len(proposals) > 1 and proposals[0].number != 1:
        raise _fault(f"the first of several proposals has number {proposals[0].number}, not 1", offset + 4, "3.3.1")
    return tuple(proposals)


def _decode_transforms(body: memoryview, count: int, offset: int) -> tuple[Transform, ...]:
    # real peers offer the same transforms again and again; long lists would only pin memory
    known = _known_transforms(bytes(body), count) if len(body) <= KNOWN_OCTETS else None
    return _read_transforms(body, count, offset) if known is None else known


@lru_cache(maxsize=1024)
def _known_transforms(octets: bytes, count: int) -> tuple[Transform, ...] | None:
    """The transforms of a proposal; None: malformed, read them where their offset is known."""
    try:
        return _read_transforms(memoryview(octets), count, 0)
    except WireError:
        return None


def _read_transforms(body: memoryview, count: int, offset: int) -> tuple[Transform, ...]:
    transforms: list[Transform] = []
    position, size, more = 0, len(body), _MORE_TRANSFORMS
    while position < size:
        if more == _LAST:
            raise _fault(f"{size - position} octets follow the last transform", offset + position, "3.3.2")
        if size - position < _TRANSFORM.size:
            raise _fault("a transform is cut short", offset + position, "3.3.2")
        more, length, _, _ = _TRANSFORM.unpack_from(body, position)
        at = offset + position
        if more not in (_LAST, _MORE_TRANSFORMS):
            raise _fault(f"the octet that says whether transforms follow is {more}, not 0 or 3", at, "3.3.2")
        if not _TRANSFORM.size <= length <= size - position:
            raise _fault(f"a transform claims {length} octets of {size - position}", at + 2, "3.3.2")
        transforms.append(_decode_transform(body[position + 4 : position + length], at + 4))
        position += length
    if len(transforms) != count:
        raise _fault(f"{count} transforms announced, {len(transforms)} there", offset, "3.3.1")
    if transforms and more != _LAST:
        raise _fault("another transform is announced but does not follow", offset + size, "3.3.2")
    return tuple(transforms)


def _decode_transform(octets: memoryview, offset: int) -> Transform:
    kind, identifier = octets[0], octets[2] << 8 | octets[3]
    key_length: int | None = None
    attributes: list[tuple[int, bytes | int]] = []
    seen: set[int] = set()
    position, size = 4, len(octets)
    while position < size:
        if size - position < _PAIR.size:
            raise _fault("a transform attribute is cut short", offset + position, "3.3.5")
        attribute, value = _PAIR.unpack_from(octets, position)
        number = attribute & ~_FORMAT_BIT
        if number in seen:
            raise _fault(f"transform attribute {number} appears twice", offset + position, "3.3.5")
        seen.add(number)
        position += _PAIR.size
        if not attribute & _FORMAT_BIT:
            if value > size - position:
                raise _fault(f"a transform attribute claims {value} octets", offset + position - 2, "3.3.5")
            attributes.append((number, bytes(octets[position : position + value])))
            position += value
        elif number == TransformAttribute.KEY_LENGTH:
            key_length = value
        else:
            attributes.append((number, value))
    return Transform(kind, identifier, key_length, tuple(attributes))


def _fault(message: str, offset: int, section: str) -> WireError:
    return WireError(message, rule=f"RFC 7296 {section}", offset=offset, payload=PayloadType.SA)
