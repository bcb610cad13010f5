"""Faults of payloads: extra, missing, damaged, unknown, in another order (DH01, DH02, DH06, DH14 and so on)."""

from dataclasses import dataclass, replace
from typing import Any

from ikesim.faults.base import MessageFault
from ikesim.faults.chains import Place, changed, payload_number, places, proposals, transforms
from ikesim.ike.ids import SaId
from ikesim.pki.der_writer import explicit, integer, oid, sequence, set_of, tlv
from ikesim.wire.message import MAX_PAYLOADS, Header, Message
from ikesim.wire.payloads import CERT, CERTREQ, Notify, Opaque
from ikesim.wire.registry import CertEncoding, NotifyType, PayloadType

UNKNOWN_PAYLOAD = 127
"""A payload type that nobody knows (RFC 7296 3.2 reserves 55 to 127)."""


def notify_number(text: str) -> int:
    """A notify type by name or number. Raises ValueError."""
    if text.isdigit():
        return int(text)
    try:
        return int(NotifyType[text.upper().replace("-", "_")])
    except KeyError:
        raise ValueError(f"{text!r} is no notify type") from None


@dataclass(kw_only=True)
class AddNotify(MessageFault, rows="DH01 DI27"):
    """Put an extra notify into messages."""

    type: str = "40000"
    """A number, or a name such as AUTHENTICATION_FAILED."""
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._type = notify_number(self.type)

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """At the end."""
        if not self.chosen(header):
            return None
        return [*payloads, Opaque(PayloadType.N, Notify(self._type, self.data, self.protocol, self.spi).encode())]


@dataclass(kw_only=True)
class OmitNotify(MessageFault, rows="DI27 DI57 DI58"):
    """Leave a notify out of messages."""

    type: str = "SIGNATURE_HASH_ALGORITHMS"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._type = notify_number(self.type)

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Every one of that type."""
        if not self.chosen(header):
            return None
        return [item for item in payloads if not (isinstance(item, Notify) and item.type == self._type)]


@dataclass(kw_only=True)
class IgnoreNotify(MessageFault, rows="DI27"):
    """Pretend not to see a notify of the peer."""

    type: str = "SIGNATURE_HASH_ALGORITHMS"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._type = notify_number(self.type)

    def after_decode(self, sa: SaId | None, message: Message) -> Message | None:
        """The octets stay as they came: AUTH covers them."""
        if not self.chosen(message.header):
            return None
        kept = [
            raw
            for raw in message.payloads
            if raw.kind != PayloadType.N or int.from_bytes(raw.body[2:4], "big") != self._type
        ]
        return message.with_payloads(tuple(kept))


@dataclass(kw_only=True)
class AddPayload(MessageFault, rows="DH02 DI25 DI32"):
    """Put a payload of any type and body into messages, or in place of the one of that type."""

    payload: str = str(UNKNOWN_PAYLOAD)
    data: bytes = b"\xde\xad\xbe\xef"
    critical: bool = False
    replace: bool = False
    """Instead of the payload of that type, as it stands."""
    first: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._kind = payload_number(self.payload)

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Nothing is checked on the way out."""
        added = Opaque(self._kind, self.data, self.critical)
        if self.replace and not any(item.kind == self._kind for item in payloads):
            return None
        if not self.chosen(header):
            return None
        if self.replace:
            return [added if item.kind == self._kind else item for item in payloads]
        return [added, *payloads] if self.first else [*payloads, added]


@dataclass(kw_only=True)
class PadWithUnknownPayloads(MessageFault, rows="DI26"):
    """Fill a message with unknown payloads up to the limit (CVE-2026-12413)."""

    more: int = 0
    """Payloads beyond the most that are accepted (64); negative: fewer."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Each is empty."""
        if not self.chosen(header):
            return None
        missing = MAX_PAYLOADS + self.more - len(payloads)
        return [*payloads, *(Opaque(UNKNOWN_PAYLOAD, b"") for _ in range(missing))]


@dataclass(kw_only=True)
class OmitPayload(MessageFault, rows="DI54"):
    """Leave a payload out of messages."""

    payload: str = "IDr"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._kind = payload_number(self.payload)

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Every one of that type."""
        return [item for item in payloads if item.kind != self._kind] if self.chosen(header) else None


@dataclass(kw_only=True)
class DuplicatePayload(MessageFault, rows="DI28"):
    """Put a payload into messages twice."""

    payload: str = "KE"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._kind = payload_number(self.payload)

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Side by side."""
        if not self.chosen(header):
            return None
        return [item for one in payloads for item in ([one, one] if one.kind == self._kind else [one])]


@dataclass(kw_only=True)
class OmitChild(MessageFault, rows="DI57"):
    """Leave the CHILD SA's payloads out of IKE_AUTH."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """SA, TSi and TSr."""
        child = (PayloadType.SA, PayloadType.TSi, PayloadType.TSr)
        if header.exchange != 35 or not self.chosen(header):
            return None
        return [item for item in payloads if item.kind not in child]


@dataclass(kw_only=True)
class FillIkeAuth(MessageFault, rows="DH06"):
    """Fill IKE_AUTH up to a size with a CERT payload of a private encoding (201)."""

    octets: int = 6000
    """Of the payloads together."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """Behind all others."""
        if header.exchange != 35 or not self.chosen(header):
            return None
        room = self.octets - sum(4 + len(item.encode()) for item in payloads) - 5
        return [*payloads, CERT(201, bytes(max(room, 0)))]


@dataclass(kw_only=True)
class SetCritical(MessageFault, rows="DH14"):
    """Set the critical bit on payloads that everybody knows."""

    payloads: str = ""
    """Names joined by commas; empty: all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._kinds = {payload_number(item) for item in self.payloads.split(",") if item}

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """RFC 7296 2.5: the bit says nothing on a payload that is known."""
        if not self.chosen(header):
            return None
        return [
            replace(item, critical=True) if not self._kinds or item.kind in self._kinds else item for item in payloads
        ]


@dataclass(kw_only=True)
class UnsortPayloads(MessageFault, rows="DH23"):
    """Send the payloads of messages in another order."""

    order: str = "reversed"
    """reversed, or payload names joined by commas, which then go first."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """RFC 7296 2.5: an order that is not the usual one should be accepted."""
        if not self.chosen(header):
            return None
        if self.order == "reversed":
            return payloads[::-1]
        order = [payload_number(item) for item in self.order.split(",")]
        return sorted(payloads, key=lambda item: order.index(item.kind) if item.kind in order else len(order))


@dataclass(kw_only=True)
class SetLength(MessageFault, rows="DH19"):
    """Let the length field of a payload lie."""

    payload: str = "SA"
    diff: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._kind = payload_number(self.payload)

    def before_protect(self, sa: SaId | None, chain: bytes, header: Header) -> bytes | None:
        """The octets stay as they are."""
        there = [place for place in places(header.next_payload, chain) if place.kind == self._kind]
        if not there or not self.chosen(header):
            return None
        out = bytearray(chain)
        start = there[0].start
        length = int.from_bytes(out[start + 2 : start + 4], "big") + self.diff
        out[start + 2 : start + 4] = (length % 65536).to_bytes(2, "big")
        return bytes(out)


@dataclass(kw_only=True)
class SetReserved(MessageFault, rows="DH21 DI21 DI22"):
    """Set the reserved bits and octets of payloads, proposals and transforms."""

    payloads: str = ""
    """Names joined by commas; empty: all."""
    bits: int = 0x7F
    """Of the generic header, beside the critical bit."""
    octets: int = 0xFF
    """What reserved octets become; those of ID payloads stay, since AUTH covers them: see rebuild-auth."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._kinds = {payload_number(item) for item in self.payloads.split(",") if item}

    def before_protect(self, sa: SaId | None, chain: bytes, header: Header) -> bytes | None:
        """RFC 7296 2.5 and 3: ignored on receipt."""
        return changed(header.next_payload, chain, self._change) if self.chosen(header) else None

    def _change(self, place: Place, out: bytearray) -> None:
        if self._kinds and place.kind not in self._kinds:
            return
        out[place.start + 1] |= self.bits
        body = place.start + 4
        reserved = {
            PayloadType.KE: range(body + 2, body + 4),
            PayloadType.AUTH: range(body + 1, body + 4),
            PayloadType.TSi: range(body + 1, body + 4),
            PayloadType.TSr: range(body + 1, body + 4),
            PayloadType.CP: range(body + 1, body + 4),
        }.get(PayloadType(place.kind) if place.kind in set(PayloadType) else PayloadType.NONE, range(0))
        for position in reserved:
            out[position] = self.octets
        for proposal in proposals(out, place) if place.kind == PayloadType.SA else ():
            out[proposal + 1] = self.octets
            for transform in transforms(out, proposal):
                out[transform + 1] = out[transform + 5] = self.octets


@dataclass(kw_only=True)
class OddCertreq(MessageFault, rows="DC21"):
    """Ask for certificates in a strange way."""

    form: str = "unknown"
    """unknown (hashes of CAs that nobody knows), empty, cut (not a multiple of 20), many (1000 hashes), encoding,
    twice, none."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """RFC 7296 3.7: a CERTREQ is a hint, and nothing fails by it."""
        if not any(isinstance(item, CERTREQ) for item in payloads) or not self.chosen(header):
            return None
        usual, x509 = next(item for item in payloads if isinstance(item, CERTREQ)), CertEncoding.X509_SIGNATURE
        forms = {
            "unknown": [CERTREQ(x509, bytes(40))],
            "empty": [CERTREQ(x509, b"")],
            "cut": [CERTREQ(x509, usual.data + bytes(7))],
            "many": [CERTREQ(x509, b"".join(number.to_bytes(20, "big") for number in range(1000)))],
            "encoding": [CERTREQ(201, b"what is this")],
            "twice": [usual, usual, CERTREQ(14, b"")],
            "none": [],
        }
        if self.form not in forms:
            raise ValueError(f"form {self.form!r} is not one of {', '.join(forms)}")
        return [item for item in payloads if not isinstance(item, CERTREQ)] + forms[self.form]


@dataclass(kw_only=True)
class SendPkcs7(MessageFault, rows="DI53"):
    """Send the certificate chain as one PKCS#7 CERT payload (encoding 1)."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """A SignedData that signs nothing (RFC 2315 9.1)."""
        chain = [item.data for item in payloads if isinstance(item, CERT)]
        if not chain or not self.chosen(header):
            return None
        content = sequence(oid("1.2.840.113549.1.7.1"))
        signed = sequence(integer(1), set_of(()), content, tlv(0xA0, b"".join(chain)), set_of(()))
        whole = sequence(oid("1.2.840.113549.1.7.2"), explicit(0, signed))
        others = [item for item in payloads if not isinstance(item, CERT)]
        return [others[0], CERT(CertEncoding.PKCS7_WRAPPED_X509, whole), *others[1:]]


@dataclass(kw_only=True)
class MangleCertPubkey(MessageFault, rows="DI52"):
    """Overwrite the RSA exponent in the certificate that is sent with zeros (CVE-2026-14957)."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """65537 as an INTEGER becomes 0, in the end certificate; its signature then fits no more."""
        certificates = [item for item in payloads if isinstance(item, CERT)]
        if not certificates or not self.chosen(header):
            return None
        first = certificates[0]
        mangled = replace(first, data=first.data.replace(b"\x02\x03\x01\x00\x01", b"\x02\x03\x00\x00\x00", 1))
        return [mangled if item is first else item for item in payloads]
