"""Payload bodies: one value class a payload type of RFC 7296 section 3 (and RFC 7383's encrypted fragment).

`encode` gives the body, without the generic payload header; `decode` reads one and raises WireError, naming payload
type, offset and section. Reserved octets are ignored when read and zero when written, except in ID and AUTH payloads,
where they are kept: the ID's enter the signed octets (section 2.15).
"""

from dataclasses import field
from struct import Struct
from typing import Any, ClassVar, Final, Self

from ikesim.errors import WireError
from ikesim.reasons import Reason
from ikesim.wire.proposals import Proposal, decode_proposals, encode_proposals
from ikesim.wire.registry import NotifyType, PayloadType, ProtocolId
from ikesim.wire.selectors import TrafficSelector, decode_selectors, encode_selectors
from ikesim.wire.values import value

AUTHORITY_OCTETS: Final = 20
"""RFC 7296 section 3.7: a certification authority is the SHA-1 hash of its public key info."""
NONCE_OCTETS: Final = (16, 256)
"""RFC 7296 section 3.9: shortest and longest nonce."""

_NOTIFY: Final = Struct("!BBH")
_DELETE: Final = Struct("!BBH")
_KE: Final = Struct("!HH")
_SKF: Final = Struct("!HH")
_ATTRIBUTE: Final = Struct("!HH")

_NOTIFY_DATA: Final[dict[int, tuple[int, int, int, str]]] = {
    NotifyType.INVALID_KE_PAYLOAD: (2, 2, 1, "RFC 7296 1.2"),
    NotifyType.SET_WINDOW_SIZE: (4, 4, 1, "RFC 7296 2.3"),
    NotifyType.NAT_DETECTION_SOURCE_IP: (20, 20, 1, "RFC 7296 2.23"),
    NotifyType.NAT_DETECTION_DESTINATION_IP: (20, 20, 1, "RFC 7296 2.23"),
    NotifyType.COOKIE: (1, 64, 1, "RFC 7296 2.6"),
    NotifyType.SIGNATURE_HASH_ALGORITHMS: (0, 0xFFFF, 2, "RFC 7427 4"),
}
"""Notification data whose size a document fixes: shortest, longest, multiple of, where."""


@value
class Body:
    """A payload whose format is known. `critical` is the bit that goes out; the bit that came in stands in `Raw`."""

    kind: ClassVar[int]
    critical: bool = field(default=False, kw_only=True)

    def encode(self) -> bytes:
        """The octets after the generic payload header."""
        raise NotImplementedError

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read a body that stands at `offset` of the message. Raises WireError."""
        raise NotImplementedError

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    @classmethod
    def _fault(cls, message: str, offset: int, rule: str) -> WireError:
        return WireError(message, rule=rule, offset=offset, payload=cls.kind)

    @classmethod
    def _need(cls, body: memoryview, octets: int, offset: int, rule: str) -> None:
        if len(body) < octets:
            raise cls._fault(f"{len(body)} octets where {octets} are the least", offset, rule)


@value
class SA(Body):
    """Security Association (section 3.3): proposals in order of preference."""

    kind: ClassVar[int] = PayloadType.SA
    proposals: tuple[Proposal, ...]

    def encode(self) -> bytes:
        """The proposals."""
        return encode_proposals(self.proposals)

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the proposals; at least one."""
        return cls(decode_proposals(body, offset))


@value
class KE(Body):
    """Key Exchange (section 3.4): a method (IANA number) and its public value."""

    kind: ClassVar[int] = PayloadType.KE
    method: int
    data: bytes

    def encode(self) -> bytes:
        """Method, two reserved octets, value."""
        return _KE.pack(self.method, 0) + self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the method and the value, whose length is judged by the method."""
        cls._need(body, 4, offset, "RFC 7296 3.4")
        return cls(body[0] << 8 | body[1], bytes(body[4:]))


@value
class _Identification(Body):
    """What IDi and IDr share (section 3.5)."""

    id_type: int
    data: bytes
    reserved: bytes = b"\0\0\0"

    def encode(self) -> bytes:
        """Type, three reserved octets, data: exactly what enters the signed octets."""
        return bytes((self.id_type,)) + self.reserved + self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read type and data; whether they fit each other is judged as an identity."""
        if len(body) < 4:
            raise WireError(
                f"{len(body)} octets where 4 are the least",
                rule="RFC 7296 3.5",
                offset=offset,
                payload=cls.kind,
                reason=Reason.ID_INVALID,
            )
        return cls(body[0], bytes(body[4:]), bytes(body[1:4]))


@value
class IDi(_Identification):
    """The initiator's identity."""

    kind: ClassVar[int] = PayloadType.IDi


@value
class IDr(_Identification):
    """The responder's identity, or the one that the initiator asks for."""

    kind: ClassVar[int] = PayloadType.IDr


@value
class CERT(Body):
    """Certificate (section 3.6): for encoding 4, one DER certificate."""

    kind: ClassVar[int] = PayloadType.CERT
    encoding: int
    data: bytes

    def encode(self) -> bytes:
        """Encoding, data."""
        return bytes((self.encoding,)) + self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read encoding and data."""
        cls._need(body, 1, offset, "RFC 7296 3.6")
        return cls(body[0], bytes(body[1:]))


@value
class CERTREQ(Body):
    """Certificate Request (section 3.7)."""

    kind: ClassVar[int] = PayloadType.CERTREQ
    encoding: int
    data: bytes

    @property
    def authorities(self) -> tuple[bytes, ...]:
        """The SHA-1 hashes of the public keys that the peer trusts. Raises WireError unless 20 octets each."""
        if len(self.data) % AUTHORITY_OCTETS:
            raise self._fault(
                f"{len(self.data)} octets are no list of {AUTHORITY_OCTETS} octet hashes", 0, "RFC 7296 3.7"
            )
        return tuple(
            self.data[start : start + AUTHORITY_OCTETS] for start in range(0, len(self.data), AUTHORITY_OCTETS)
        )

    def encode(self) -> bytes:
        """Encoding, data."""
        return bytes((self.encoding,)) + self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read encoding and data."""
        cls._need(body, 1, offset, "RFC 7296 3.7")
        return cls(body[0], bytes(body[1:]))


@value
class AUTH(Body):
    """Authentication (section 3.8): a method (IANA number) and its data."""

    kind: ClassVar[int] = PayloadType.AUTH
    method: int
    data: bytes
    reserved: bytes = b"\0\0\0"

    def encode(self) -> bytes:
        """Method, three reserved octets, data."""
        return bytes((self.method,)) + self.reserved + self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read method and data."""
        cls._need(body, 4, offset, "RFC 7296 3.8")
        return cls(body[0], bytes(body[4:]), bytes(body[1:4]))


@value
class Nonce(Body):
    """Nonce (section 3.9): 16 to 256 octets."""

    kind: ClassVar[int] = PayloadType.NONCE
    data: bytes

    def encode(self) -> bytes:
        """The nonce."""
        return self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the nonce."""
        shortest, longest = NONCE_OCTETS
        if not shortest <= len(body) <= longest:
            raise cls._fault(f"a nonce of {len(body)} octets, not {shortest} to {longest}", offset, "RFC 7296 3.9")
        return cls(bytes(body))


@value
class Notify(Body):
    """Notify (section 3.10): a type (IANA number), its data, and the CHILD SA that it is about, if any."""

    kind: ClassVar[int] = PayloadType.N
    type: int
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""

    def encode(self) -> bytes:
        """Protocol, SPI size, type, SPI, data."""
        return _NOTIFY.pack(self.protocol, len(self.spi), self.type) + self.spi + self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read a notification; data that a document fixes the size of must have it."""
        octets = bytes(body)
        if len(octets) < 4:
            raise cls._fault(f"{len(octets)} octets where 4 are the least", offset, "RFC 7296 3.10")
        protocol, size, kind = _NOTIFY.unpack_from(octets)
        spi, data = b"", octets[4:]
        if size:
            if size > len(data):
                raise cls._fault(f"an SPI of {size} octets in {len(data)}", offset + 1, "RFC 7296 3.10")
            if size not in _spi_sizes(protocol, size):
                raise cls._fault(f"an SPI of {size} octets for protocol {protocol}", offset + 1, "RFC 7296 3.10")
            spi, data = data[:size], data[size:]
        if kind in _NOTIFY_DATA:
            shortest, longest, multiple, rule = _NOTIFY_DATA[kind]
            if not shortest <= len(data) <= longest or len(data) % multiple:
                raise cls._fault(f"notify {kind} with {len(data)} octets of data", offset + 4 + size, rule)
        return cls(kind, data, protocol, spi)


@value
class Delete(Body):
    """Delete (section 3.11): the IKE SA (protocol 1, no SPIs) or the sender's inbound SPIs of CHILD SAs."""

    kind: ClassVar[int] = PayloadType.D
    protocol: int
    spis: tuple[bytes, ...] = ()

    def encode(self) -> bytes:
        """Protocol, SPI size, count, SPIs. Raises WireError unless all SPIs have one size."""
        size = 0 if self.protocol == ProtocolId.IKE else 4
        size = len(self.spis[0]) if self.spis else size
        if any(len(spi) != size for spi in self.spis):
            raise self._fault("SPIs of different sizes in one payload", 0, "RFC 7296 3.11")
        return _DELETE.pack(self.protocol, size, len(self.spis)) + b"".join(self.spis)

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the SPIs: their count times their size must be exactly what is there."""
        cls._need(body, 4, offset, "RFC 7296 3.11")
        protocol, size, count = _DELETE.unpack_from(body)
        if size not in _spi_sizes(protocol, size) or (count and not size):
            raise cls._fault(f"{count} SPIs of {size} octets for protocol {protocol}", offset + 1, "RFC 7296 3.11")
        if count * size != len(body) - 4:
            raise cls._fault(f"{count} SPIs of {size} octets in {len(body) - 4}", offset + 2, "RFC 7296 3.11")
        return cls(protocol, tuple(bytes(body[at : at + size]) for at in range(4, len(body), size)) if size else ())


@value
class VendorId(Body):
    """Vendor ID (section 3.12)."""

    kind: ClassVar[int] = PayloadType.V
    data: bytes

    def encode(self) -> bytes:
        """The vendor's octets."""
        return self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the vendor's octets."""
        return cls(bytes(body))


@value
class _Selectors(Body):
    """What TSi and TSr share (section 3.13)."""

    selectors: tuple[TrafficSelector, ...]

    def encode(self) -> bytes:
        """Count, three reserved octets, selectors."""
        return encode_selectors(self.selectors, self.kind)

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the selectors; at least one."""
        return cls(decode_selectors(body, offset, cls.kind))


@value
class TSi(_Selectors):
    """Traffic selectors of the exchange's initiator."""

    kind: ClassVar[int] = PayloadType.TSi


@value
class TSr(_Selectors):
    """Traffic selectors of the exchange's responder."""

    kind: ClassVar[int] = PayloadType.TSr


@value
class CP(Body):
    """Configuration (section 3.15): a type and (attribute, value) pairs in order."""

    kind: ClassVar[int] = PayloadType.CP
    type: int
    attributes: tuple[tuple[int, bytes], ...] = ()

    def encode(self) -> bytes:
        """Type, three reserved octets, attributes."""
        pairs = (_ATTRIBUTE.pack(kind, len(value)) + value for kind, value in self.attributes)
        return bytes((self.type, 0, 0, 0)) + b"".join(pairs)

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the attributes; the reserved bit of each is ignored."""
        cls._need(body, 4, offset, "RFC 7296 3.15")
        attributes: list[tuple[int, bytes]] = []
        position, size = 4, len(body)
        while position < size:
            if size - position < 4:
                raise cls._fault("a configuration attribute is cut short", offset + position, "RFC 7296 3.15.1")
            kind, length = _ATTRIBUTE.unpack_from(body, position)
            position += 4
            if length > size - position:
                raise cls._fault(
                    f"an attribute claims {length} octets of {size - position}",
                    offset + position - 2,
                    "RFC 7296 3.15.1",
                )
            attributes.append((kind & 0x7FFF, bytes(body[position : position + length])))
            position += length
        return cls(body[0], tuple(attributes))


@value
class EAP(Body):
    """Extensible Authentication (section 3.16), opaque."""

    kind: ClassVar[int] = PayloadType.EAP
    data: bytes

    def encode(self) -> bytes:
        """The EAP message."""
        return self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read the EAP message."""
        return cls(bytes(body))


@value
class SKF(Body):
    """Encrypted fragment (RFC 7383 section 2.5): `number` of `total`; `data` is IV, ciphertext and ICV."""

    kind: ClassVar[int] = PayloadType.SKF
    number: int
    total: int
    data: bytes | memoryview

    def encode(self) -> bytes:
        """Number, total, data."""
        return _SKF.pack(self.number, self.total) + self.data

    @classmethod
    def decode(cls, body: memoryview, offset: int = 0) -> Self:
        """Read number and total; the data is a view of the message."""
        number, total = fragment_numbers(body, offset)
        return cls(number, total, body[4:])


def fragment_numbers(body: memoryview, offset: int) -> tuple[int, int]:
    """Number and total of an encrypted fragment (RFC 7383 2.5). Raises WireError unless 1 <= number <= total."""
    if len(body) < _SKF.size:
        raise SKF._fault(f"{len(body)} octets where {_SKF.size} are the least", offset, "RFC 7383 2.5")
    number, total = _SKF.unpack_from(body)
    if not 1 <= number <= total:
        raise SKF._fault(f"fragment {number} of {total}", offset, "RFC 7383 2.5")
    return number, total


@value
class Opaque:
    """A body that is not looked into: a payload type that is not known, SK, or octets to send exactly as they are."""

    kind: int
    data: bytes
    critical: bool = False

    def encode(self) -> bytes:
        """The octets."""
        return self.data


Payload = Body | Opaque
"""What a message is made of: `kind`, `critical` and `encode()` are there in each."""

DECODERS: Final[dict[int, type[Body]]] = {
    cls.kind: cls
    for cls in (SA, KE, IDi, IDr, CERT, CERTREQ, AUTH, Nonce, Notify, Delete, VendorId, TSi, TSr, CP, EAP, SKF)
}
"""The class that reads each payload type."""


def _spi_sizes(protocol: int, size: int) -> tuple[int, ...]:
    """The SPI sizes that Notify and Delete allow (sections 3.10, 3.11): `size` itself where none is fixed."""
    if protocol == ProtocolId.IKE:
        return (0,)
    return (0, 4) if protocol in (ProtocolId.AH, ProtocolId.ESP) else (size,)
