"""ESP in tunnel mode (RFC 4303): one inner IP packet in, one ESP packet out, and back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from ikesim.crypto.ciphers import CipherSuite
from ikesim.errors import CryptoError, IntegrityError
from ikesim.esp.replay import ReplayWindow

IPV4, IPV6, DUMMY = 4, 41, 59
"""Next header values: the inner packet's version, and the dummy packet of RFC 4303 2.6."""

_PADDING = bytes(range(1, 256))
_LAST_SEQUENCE = 0xFFFFFFFF
_LAST_EXTENDED = 0xFFFFFFFFFFFFFFFF


class SequenceExhausted(CryptoError):
    """An outbound SA has used all its sequence numbers; it must be rekeyed (RFC 4303 3.3.3)."""


class EspError(CryptoError):
    """An ESP packet that is dropped. `cause` is why: a replay, an ICV that does not verify, or octets out of form."""

    def __init__(self, cause: Literal["replay", "icv", "malformed"], message: str) -> None:
        super().__init__(message)
        self.cause = cause


@dataclass(slots=True)
class OutboundEsp:
    """The sending half of a CHILD SA. `sequence` is the last number used; the counters count inner packets."""

    spi: bytes
    suite: CipherSuite
    key: bytes = field(repr=False)
    integrity_key: bytes = field(repr=False)
    esn: bool = False
    sequence: int = 0
    packets: int = 0
    octets: int = 0

    def protect(self, inner: bytes, entropy: Callable[[int], bytes]) -> bytes:
        """The ESP packet that carries an IP packet; `entropy(count)` is asked for IVs that must be unpredictable.

        Raises SequenceExhausted when no sequence number is left, EspError when `inner` is not an IP packet.
        """
        suite = self.suite
        version = inner[0] >> 4 if inner else 0
        if version not in (4, 6):
            raise EspError("malformed", f"{len(inner)} octets that are no IP packet cannot be sent through a tunnel")
        sequence = self.sequence + 1
        if sequence > (_LAST_EXTENDED if self.esn else _LAST_SEQUENCE):
            raise SequenceExhausted(f"the SA with SPI {self.spi.hex()} has used its last sequence number")
        self.sequence = sequence
        number = sequence.to_bytes(8, "big")
        header = self.spi + number[4:]
        aad, tail = _authenticated(suite, self.esn, self.spi, number)
        padding = -(len(inner) + 2) % max(4, suite.block_length)
        trailer = _PADDING[:padding] + bytes((padding, IPV4 if version == 4 else IPV6))
        sealed = suite.seal(
            self.key,
            self.integrity_key,
            iv=suite.make_iv(sequence, entropy),
            aad=aad,
            plaintext=inner + trailer,
            tail=tail,
        )
        self.packets += 1
        self.octets += len(inner)
        return header + sealed


@dataclass(slots=True)
class InboundEsp:
    """The receiving half of a CHILD SA. `packets` and `octets` count inner packets that were accepted."""

    spi: bytes
    suite: CipherSuite
    key: bytes = field(repr=False)
    integrity_key: bytes = field(repr=False)
    esn: bool = False
    replay: ReplayWindow = field(default_factory=ReplayWindow)
    packets: int = 0
    octets: int = 0

    def unprotect(self, packet: bytes) -> bytes | None:
        """The inner IP packet of an ESP packet; None for a dummy packet (RFC 4303 2.6).

        Padding for traffic flow confidentiality behind the inner packet is cut off. Raises EspError.
        """
        suite = self.suite
        if len(packet) < 8 + suite.iv_length + suite.icv_length:
            raise EspError("malformed", f"{len(packet)} octets are too short for an ESP packet")
        received = int.from_bytes(packet[4:8], "big")
        sequence = self.replay.expand(received) if self.esn else received
        if not self.replay.check(sequence):
            raise EspError("replay", f"sequence number {sequence} was seen already or is too old")
        aad, tail = _authenticated(suite, self.esn, packet[:4], sequence.to_bytes(8, "big"))
        try:
            plaintext = suite.open(self.key, self.integrity_key, aad=aad, sealed=memoryview(packet)[8:], tail=tail)
        except IntegrityError as error:
            raise EspError("icv", f"sequence number {sequence}: {error}") from None
        self.replay.update(sequence)
        inner = _inner(plaintext)
        if inner is not None:
            self.packets += 1
            self.octets += len(inner)
        return inner


def _authenticated(suite: CipherSuite, esn: bool, spi: bytes, number: bytes) -> tuple[bytes, bytes]:
    """What the ICV covers in front of the rest and behind it.

    An AEAD takes an extended number whole, in front (RFC 4106 5, RFC 7634 2.1); a MAC takes its high half at the end
    (RFC 4303 2.2.1).
    """
    if not esn:
        return spi + number[4:], b""
    return (spi + number, b"") if suite.aead else (spi + number[4:], number[:4])


def _inner(plaintext: bytes) -> bytes | None:
    """The IP packet in an ESP payload with its trailer (RFC 4303 2.4 to 2.6)."""
    if len(plaintext) < 2:
        raise EspError("malformed", "the ESP payload has no trailer")
    padding, next_header = plaintext[-2], plaintext[-1]
    end = len(plaintext) - 2 - padding
    if end < 0:
        raise EspError("malformed", f"{padding} octets of padding in a payload of {len(plaintext)}")
    if plaintext[end:-2] != _PADDING[:padding]:
        raise EspError("malformed", "the padding is not 1, 2, 3 and so on")
    if next_header == DUMMY:
        return None
    if next_header == IPV4 and end >= 20 and plaintext[0] >> 4 == 4:
        length = int.from_bytes(plaintext[2:4], "big")
        shortest = 20
    elif next_header == IPV6 and end >= 40 and plaintext[0] >> 4 == 6:
        length = 40 + int.from_bytes(plaintext[4:6], "big")
        shortest = 40
    else:
        raise EspError("malformed", f"next header {next_header} with {end} octets is not an inner IP packet")
    if not shortest <= length <= end:
        raise EspError("malformed", f"the inner IP packet says {length} octets, {end} are there")
    return plaintext[:length]
