"""What the datagrams of a capture say: decoded, decrypted where keys are at hand, damage named and passed over.

An :class:`Inspector` is given frames in order and keeps what later ones need: fragments on their way and the SPIs
seen. It judges nothing by the rules of an endpoint: a capture shows both sides, and what is wrong is what one wants
to see.
"""

from dataclasses import dataclass, field

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from ikesim.capture.keyring import IkeKey, Keyring
from ikesim.capture.reader import Frame
from ikesim.crypto.ciphers import CipherSuite
from ikesim.crypto.exchange import answer_length, public_length, supported
from ikesim.errors import IntegrityError, WireError
from ikesim.esp.packet import EspError, InboundEsp
from ikesim.wire.demux import DatagramKind, classify
from ikesim.wire.fragments import Reassembly
from ikesim.wire.message import Header, Message, Protected, parse_payloads
from ikesim.wire.payloads import KE
from ikesim.wire.registry import EncryptionId, KeyExchangeId, PayloadType, name

IKE_PORT, NAT_T_PORT = 500, 4500
_OPEN_REASSEMBLIES = 256
"""Messages whose fragments are kept at once; the oldest is forgotten first."""


@dataclass(slots=True)
class Inspected:
    """One frame and what it holds. `kind`: ike, ikev1, esp, keepalive, other (not ours) or unknown (on our ports)."""

    frame: Frame
    kind: str
    marked: bool = False
    """IKE behind four zero octets."""
    header: Header | None = None
    message: Message | None = None
    """With its payloads as they stand in the datagram; None when the chain is damaged."""
    inner: Message | None = None
    """With the payloads from inside SK, or of the whole message at its last fragment."""
    fragment: tuple[int, int] | None = None
    """Number and total."""
    icv_ok: bool | None = None
    """Whether the integrity check value fits; None without keys."""
    iv: bytes = b""
    icv: bytes = b""
    error: str = ""
    """What is damaged, in words."""
    spi: bytes = b""
    sequence: int = 0
    inner_packet: bytes | None = None
    """The IP packet inside ESP."""


@dataclass(slots=True)
class Inspector:
    """Makes sense of frames, in order."""

    keyring: Keyring = field(default_factory=Keyring)
    _spis: set[bytes] = field(default_factory=set)
    _nat_t_ports: set[int] = field(default_factory=lambda: {NAT_T_PORT})
    _parts: dict[tuple[bytes, bytes, int, bool, bool], Reassembly] = field(default_factory=dict)

    def inspect(self, frame: Frame) -> Inspected:
        """What a frame holds. Never raises on what it holds."""
        if frame.source is None or frame.destination is None:
            return Inspected(frame, "other", error=frame.note)
        kind, octets = classify(frame.octets, self._spis)
        ports = {frame.source.port, frame.destination.port}
        if kind is DatagramKind.KEEPALIVE:
            return Inspected(frame, "keepalive")
        if kind is DatagramKind.MARKED_IKE:
            self._nat_t_ports |= ports
            return self._ike(frame, octets, marked=True)
        if kind is DatagramKind.IKE:
            return self._ike(frame, octets, marked=False)
        known = (frame.destination.host, octets[:4]) in self.keyring.esp
        if len(octets) >= 8 and (known or ports & self._nat_t_ports):
            return self._esp(frame, octets)
        if IKE_PORT in ports:
            return self._ike(frame, octets, marked=False)
        return Inspected(frame, "unknown" if ports & self._nat_t_ports else "other")

    def _ike(self, frame: Frame, octets: bytes, *, marked: bool) -> Inspected:
        found = Inspected(frame, "ike", marked)
        try:
            found.header = header = Header.parse(octets)
        except WireError as error:
            found.error = str(error)
            return found
        if header.major < 2:
            found.kind = "ikev1"
            return found
        if any(header.spi_i):
            self._spis.add(header.spi_i)
        try:
            found.message = Message.parse(octets)
            protected = found.message.protected()
        except WireError as error:
            found.error = _words(error)
            return found
        found.error = _damage(found.message)
        if protected is not None:
            if protected.total:
                found.fragment = (protected.number, protected.total)
            self._open(found, header, found.message, protected)
        return found

    def _open(self, found: Inspected, header: Header, message: Message, protected: Protected) -> None:
        candidates = self.keyring.ike.get((header.spi_i, header.spi_r))
        if candidates is None:
            return
        keys = _fitting(candidates, header.from_initiator, protected)
        suite, sealed = keys.suite, bytes(protected.sealed)
        found.iv, found.icv = sealed[: suite.iv_length], sealed[len(sealed) - suite.icv_length :]
        plaintext = self._decrypt(found, keys, header.from_initiator, protected)
        if plaintext is None:
            return
        try:
            first = protected.first_payload
            if protected.total:
                key = (header.spi_i, header.spi_r, header.message_id, header.is_response, header.from_initiator)
                while key not in self._parts and len(self._parts) >= _OPEN_REASSEMBLIES:
                    del self._parts[next(iter(self._parts))]
                parts = self._parts.setdefault(key, Reassembly())
                whole = parts.add(protected.number, protected.total, first, plaintext)
                if whole is None:
                    return
                first, plaintext = parts.first_payload, whole
                del self._parts[key]
            found.inner = message.with_payloads(parse_payloads(first, plaintext))
            found.error = found.error or _damage(found.inner)
        except WireError as error:
            found.error = f"inside: {_words(error)}"

    def _decrypt(self, found: Inspected, keys: IkeKey, from_initiator: bool, protected: Protected) -> bytes | None:
        key, integrity_key = _direction(keys, from_initiator)
        try:
            padded = keys.suite.open(key, integrity_key, aad=bytes(protected.aad), sealed=bytes(protected.sealed))
            found.icv_ok = True
        except IntegrityError:
            found.icv_ok = False
            found.error = "the integrity check value does not fit the key"
            unverified = _decrypt_unverified(keys.suite, key, bytes(protected.sealed))
            if unverified is None:
                return None
            padded = unverified
        if not padded or padded[-1] >= len(padded):
            found.error = found.error or "inside: the pad length is larger than the plaintext"
            return None
        return padded[: len(padded) - 1 - padded[-1]]

    def _esp(self, frame: Frame, octets: bytes) -> Inspected:
        found = Inspected(frame, "esp", spi=octets[:4], sequence=int.from_bytes(octets[4:8]))
        assert frame.destination is not None
        key = self.keyring.esp.get((frame.destination.host, found.spi))
        if key is None:
            return found
        # A fresh inbound half each time: a capture may hold the same packet twice.
        inbound = InboundEsp(found.spi, key.suite, key.key, key.integrity_key)
        try:
            found.inner_packet = inbound.unprotect(octets)
            found.icv_ok = True
        except EspError as error:
            found.icv_ok = False if error.cause == "icv" else None
            found.error = str(error)
        return found


def _direction(keys: IkeKey, from_initiator: bool) -> tuple[bytes, bytes]:
    return (keys.ei, keys.ai) if from_initiator else (keys.er, keys.ar)


def _fitting(candidates: tuple[IkeKey, ...], from_initiator: bool, protected: Protected) -> IkeKey:
    """The keys under which a message verifies; of those that were renewed the last where none does."""
    for keys in candidates[:-1]:
        key, integrity_key = _direction(keys, from_initiator)
        try:
            keys.suite.open(key, integrity_key, aad=bytes(protected.aad), sealed=bytes(protected.sealed))
        except IntegrityError:
            continue
        return keys
    return candidates[-1]


def _decrypt_unverified(suite: CipherSuite, key: bytes, sealed: bytes) -> bytes | None:
    """What a message whose check value does not fit says all the same, for those who look for the cause.

    Only for ciphers that are separate from their integrity check; what an AEAD does not verify stays closed.
    """
    iv, ciphertext = sealed[: suite.iv_length], sealed[suite.iv_length : len(sealed) - suite.icv_length]
    if suite.encryption != EncryptionId.AES_CBC or not ciphertext or len(ciphertext) % suite.block_length:
        return None
    decryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()


def _damage(message: Message) -> str:
    """The first payload whose content cannot be right, and why; "" when all can."""
    for raw in message.payloads:
        if raw.kind in (PayloadType.SK, PayloadType.SKF):
            continue
        try:
            payload = raw.payload()
        except WireError as error:
            return f"{name(PayloadType, raw.kind)}: {_words(error)}"
        if isinstance(payload, KE) and supported(payload.method):
            length = answer_length if message.header.is_response else public_length
            expected = length(payload.method)
            if len(payload.data) != expected:
                group = name(KeyExchangeId, payload.method)
                return f"KE: {len(payload.data)} octets where {group} has {expected}"
    return ""


def _words(error: WireError) -> str:
    return f"{error} (octet {error.offset}, {error.rule})"
