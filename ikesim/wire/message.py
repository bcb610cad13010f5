"""IKE messages: header, payload chain, and the frame of protected messages (RFC 7296 section 3, RFC 7383).

A message is parsed once: the header and the chain of generic payload headers at once, bodies when somebody asks.
Until then bodies are views of the datagram. The chain is walked by lengths of at least 4 octets that fit what is
left, so every input comes to an end. Whether payloads may be where they are, and what an unknown critical one means,
is judged by the grammar of `ikesim.ike`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntFlag
from struct import Struct
from typing import Any, Final, NamedTuple, Self, TypeVar, cast

from ikesim.errors import WireError
from ikesim.wire.payloads import DECODERS, Body, Notify, Opaque, Payload, fragment_numbers
from ikesim.wire.registry import PayloadType
from ikesim.wire.values import value

HEADER_OCTETS: Final = 28
"""RFC 7296 section 3.1."""
PAYLOAD_HEADER_OCTETS: Final = 4
"""RFC 7296 section 3.2."""
MAX_PAYLOADS: Final = 64
"""A local limit. strongSwan takes 20 Notify, 20 Vendor ID and 8 CERT payloads beside the dozen that occur once."""
MAJOR_VERSION: Final = 2

_HEADER: Final = Struct("!8s8sBBBBII")
_GENERIC: Final = Struct("!BBH")
_NUMBERS: Final = Struct("!HH")
_CRITICAL: Final = 0x80

P = TypeVar("P", bound=Body)


class Flags(IntFlag):
    """The flags of the header; the other bits are ignored on receipt."""

    INITIATOR = 8
    """Set by the original initiator of the IKE SA."""
    VERSION = 16
    """The sender can speak a higher major version."""
    RESPONSE = 32


# plain integers: an attribute of an enum costs a lookup on every message
_INITIATOR: Final = int(Flags.INITIATOR)
_RESPONSE: Final = int(Flags.RESPONSE)
_NONE: Final = int(PayloadType.NONE)
_SKF: Final = int(PayloadType.SKF)
_SEALED: Final = frozenset({int(PayloadType.SK), _SKF})


@value
class Header:
    """The IKE header. SPIs are 8 octets; `version` holds major and minor in its two halves."""

    spi_i: bytes
    spi_r: bytes
    next_payload: int
    version: int
    exchange: int
    flags: int
    message_id: int
    length: int

    @property
    def major(self) -> int:
        """The major version."""
        return self.version >> 4

    @property
    def minor(self) -> int:
        """The minor version."""
        return self.version & 15

    @property
    def is_response(self) -> bool:
        """Whether the message answers one with the same message ID."""
        return bool(self.flags & _RESPONSE)

    @property
    def from_initiator(self) -> bool:
        """Whether the sender is the original initiator of the IKE SA."""
        return bool(self.flags & _INITIATOR)

    def encode(self) -> bytes:
        """The 28 octets, with next payload and length as they stand here."""
        return self._pack(self.next_payload, self.length)

    @classmethod
    def parse(cls, octets: bytes | memoryview) -> Self:
        """Read the first 28 octets; more are not looked at. Raises WireError (to be met with silence)."""
        if len(octets) < HEADER_OCTETS:
            raise WireError(f"{len(octets)} octets are no IKE header", rule="RFC 7296 3.1", notify=None)
        return cls(*_HEADER.unpack_from(octets))

    def before(self, first: int, chain: bytes) -> bytes:
        """The message of this header and a payload chain that starts with type `first`, its length filled in."""
        return self._pack(first, HEADER_OCTETS + len(chain)) + chain

    def _pack(self, next_payload: int, length: int) -> bytes:
        return _HEADER.pack(
            self.spi_i, self.spi_r, next_payload, self.version, self.exchange, self.flags, self.message_id, length
        )


@dataclass(slots=True)
class Raw:
    """A payload as it stands in a message: `offset` is where its generic header starts, `body` what follows that.

    `next_payload` of SK and SKF is the type of the first payload inside.
    """

    kind: int
    critical: bool
    next_payload: int
    body: memoryview = field(repr=False)
    offset: int
    decoded: Payload | None = field(default=None, compare=False, repr=False)

    def payload(self) -> Payload:
        """The decoded payload; Opaque where the format is not known. Decodes once. Raises WireError."""
        if self.decoded is None:
            decoder = DECODERS.get(self.kind)
            if decoder is None:
                self.decoded = Opaque(self.kind, bytes(self.body), self.critical)
            else:
                self.decoded = decoder.decode(self.body, self.offset + PAYLOAD_HEADER_OCTETS)
        return self.decoded

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Protected(NamedTuple):
    """The frame of an SK or SKF payload.

    `aad` is all up to the IV: what an AEAD authenticates beside the ciphertext, and what an HMAC starts with.
    `sealed` is IV, ciphertext and ICV. `number` and `total` are 0 for SK.
    """

    first_payload: int
    aad: bytes
    sealed: memoryview
    offset: int
    """Where `sealed` starts in the message."""
    number: int = 0
    total: int = 0


@dataclass(slots=True)
class Message:
    """A datagram's worth of IKE: its header, its exact octets and its payloads in order. Treat it as immutable."""

    header: Header
    octets: bytes = field(repr=False)
    payloads: tuple[Raw, ...]
    plaintext: bytes = field(default=b"", repr=False)
    """The payload chain that decryption brought to light."""
    _first: dict[int, Raw] = field(init=False, repr=False, compare=False)
    """The first payload of each type."""
    _notifies: tuple[Notify, ...] | None = field(init=False, default=None, repr=False, compare=False)
    """All notifications, once somebody asked for them."""
    _frame: Protected | None = field(init=False, default=None, repr=False, compare=False)
    """The frame, once somebody asked for it."""
    _notify: dict[int, Notify] | None = field(init=False, default=None, repr=False, compare=False)
    """The first notification of each type, once somebody asked for one."""

    def __post_init__(self) -> None:
        self._first = {raw.kind: raw for raw in reversed(self.payloads)}

    @classmethod
    def parse(cls, octets: bytes, header: Header | None = None) -> Self:
        """Read header (unless it was read already) and payload chain. The length field must be the number of octets.

        Of another major version only the header is read. Raises WireError.
        """
        header = header or Header.parse(octets)
        if header.length != len(octets):
            raise WireError(
                f"the header says {header.length} octets, {len(octets)} came",
                rule="RFC 7296 3.1",
                offset=24,
                notify=None,
            )
        if header.version >> 4 != MAJOR_VERSION:
            return cls(header, octets, ())
        chain = memoryview(octets)[HEADER_OCTETS:]
        return cls(header, octets, parse_payloads(header.next_payload, chain, HEADER_OCTETS))

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def decode(self) -> None:
        """Decode every payload whose format is known. Raises WireError for the first that is malformed."""
        decoder_of = DECODERS.get
        for raw in self.payloads:
            if raw.decoded is None:
                decoder = decoder_of(raw.kind)
                if decoder is not None:
                    raw.decoded = decoder.decode(raw.body, raw.offset + PAYLOAD_HEADER_OCTETS)

    @property
    def kinds(self) -> tuple[int, ...]:
        """The payload types in order."""
        return tuple([raw.kind for raw in self.payloads])

    def raw(self, kind: int) -> Raw | None:
        """The first payload of a type, undecoded."""
        return self._first.get(kind)

    def raws(self, kind: int) -> tuple[Raw, ...]:
        """All payloads of a type, undecoded."""
        return tuple([raw for raw in self.payloads if raw.kind == kind])

    def get(self, cls: type[P]) -> P | None:
        """The first payload of a class, decoded. Raises WireError."""
        raw = self._first.get(cls.kind)
        return None if raw is None else cast(P, raw.decoded or raw.payload())

    def all(self, cls: type[P]) -> tuple[P, ...]:
        """All payloads of a class, decoded, in order. Raises WireError."""
        kind = cls.kind
        if kind not in self._first:
            return ()
        found = [raw.decoded or raw.payload() for raw in self.payloads if raw.kind == kind]
        return cast(tuple[P, ...], tuple(found))

    def notify(self, kind: int) -> Notify | None:
        """The first notification of a type. Raises WireError where a Notify payload is malformed."""
        known = self._notify
        if known is None:
            known = self._notify = {item.type: item for item in reversed(self.notifies())}
        return known.get(kind)

    def notifies(self) -> tuple[Notify, ...]:
        """All notifications in order. Raises WireError."""
        if self._notifies is None:
            self._notifies = self.all(Notify)
        return self._notifies

    def with_payloads(self, payloads: tuple[Raw, ...], plaintext: bytes | None = None) -> Self:
        """The same message with other payloads: those that decryption brought to light, from `plaintext`."""
        return type(self)(self.header, self.octets, payloads, self.plaintext if plaintext is None else plaintext)

    def protected(self) -> Protected | None:
        """The frame of the SK or SKF payload, None without one. Raises WireError where the fragment numbers lie."""
        if self._frame is not None:
            return self._frame
        raw = self.payloads[-1] if self.payloads else None
        if raw is None or raw.kind not in _SEALED:
            return None
        start, number, total = raw.offset + PAYLOAD_HEADER_OCTETS, 0, 0
        if raw.kind == _SKF:
            number, total = fragment_numbers(raw.body, start)
            start += _NUMBERS.size
        sealed = memoryview(self.octets)[start:]
        self._frame = Protected(raw.next_payload, self.octets[:start], sealed, start, number, total)
        return self._frame


def parse_payloads(first: int, data: bytes | memoryview, offset: int = 0) -> tuple[Raw, ...]:
    """The payloads of a chain that starts with type `first`; `offset` is where `data` stands in its message.

    SK and SKF end a chain, since their Next Payload field speaks of what is inside. Raises WireError.
    """
    view = memoryview(data)
    payloads: list[Raw] = []
    append, read = payloads.append, _GENERIC.unpack_from
    position, size, kind = 0, len(view), first
    while kind:
        start = position + PAYLOAD_HEADER_OCTETS
        if start > size:
            raise _fault(f"{size - position} octets are no payload header", offset + position, kind)
        following, reserved, length = read(view, position)
        end = position + length
        if not start <= end <= size:
            raise _fault(f"a payload claims {length} octets of {size - position}", offset + position + 2, kind)
        if len(payloads) == MAX_PAYLOADS:
            raise _fault(f"more than {MAX_PAYLOADS} payloads", offset + position, kind, "local limit")
        append(Raw(kind, reserved >= _CRITICAL, following, view[start:end], offset + position))
        position = end
        if kind in _SEALED:
            break
        kind = following
    if position != size:
        last = payloads[-1].kind if payloads else None
        raise _fault(f"{size - position} octets follow the last payload", offset + position, last)
    return tuple(payloads)


def encode_payloads(payloads: Sequence[Payload]) -> tuple[int, bytes]:
    """The type of the first payload (0: none) and the chain. Raises WireError where a payload is too long."""
    parts: list[bytes] = []
    pack = _GENERIC.pack
    following = _NONE
    for payload in reversed(payloads):
        body = payload.encode()
        length = PAYLOAD_HEADER_OCTETS + len(body)
        if length > 0xFFFF:
            raise _fault(f"a payload of {length} octets", 0, payload.kind)
        parts += (body, pack(following, _CRITICAL if payload.critical else 0, length))
        following = payload.kind
    parts.reverse()
    return following, b"".join(parts)


def encode_message(header: Header, payloads: Sequence[Payload]) -> bytes:
    """The message; next payload and length are filled in. Raises WireError."""
    return header.before(*encode_payloads(payloads))


def protected_prefix(
    header: Header, first_payload: int, sealed_octets: int, *, number: int = 0, total: int = 0
) -> bytes:
    """What goes before IV, ciphertext and ICV (`sealed_octets` of them): header, generic header, fragment numbers.

    These octets are also what is authenticated beside the ciphertext. With a `total` the payload is SKF, else SK.
    """
    kind = PayloadType.SKF if total else PayloadType.SK
    numbers = _NUMBERS.pack(number, total) if total else b""
    length = PAYLOAD_HEADER_OCTETS + len(numbers) + sealed_octets
    if length > 0xFFFF:
        raise _fault(f"a payload of {length} octets", HEADER_OCTETS, kind, "RFC 7296 3.14")
    return header._pack(kind, HEADER_OCTETS + length) + _GENERIC.pack(first_payload, 0, length) + numbers


def _fault(message: str, offset: int, kind: int | None, rule: str = "RFC 7296 3.2") -> WireError:
    return WireError(message, rule=rule, offset=offset, payload=kind)
