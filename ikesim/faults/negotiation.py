"""Faults of proposals, key exchange, nonces, cookies and selectors (DH03, DH04, DH20, DI28-DI31, DI40-DI46)."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from ikesim.errors import UsageError
from ikesim.faults.base import Fault, MessageFault
from ikesim.faults.chains import Place, changed, places, proposals
from ikesim.ike.core import NON_ESP_MARKER
from ikesim.ike.ids import SaId
from ikesim.wire.address import Path
from ikesim.wire.demux import DatagramKind, classify
from ikesim.wire.message import Flags, Header, Message, encode_message
from ikesim.wire.payloads import KE, SA, Delete, Notify, TSi, TSr
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.registry import (
    EncryptionId,
    ExchangeType,
    IntegrityId,
    NotifyType,
    PayloadType,
    ProtocolId,
    TransformType,
)
from ikesim.wire.selectors import TrafficSelector


@dataclass(kw_only=True)
class ProposalFault(MessageFault):
    """Changes the proposals that are sent."""

    which: str = ""
    """ike or child; empty: both."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """In every SA payload of the chosen messages."""
        wanted = {"ike": (ProtocolId.IKE,), "child": (ProtocolId.ESP, ProtocolId.AH)}.get(self.which)
        there = [
            item for item in payloads if isinstance(item, SA) and (not wanted or item.proposals[0].protocol in wanted)
        ]
        if not there or not self.chosen(header):
            return None
        return [
            replace(item, proposals=tuple(self.change(item.proposals))) if item in there else item
            for item in payloads
        ]

    def change(self, offered: tuple[Proposal, ...]) -> list[Proposal]:
        """The proposals to send instead."""
        return [self.change_one(item) for item in offered]

    def change_one(self, proposal: Proposal) -> Proposal:
        """One of them."""
        raise NotImplementedError


def _with(proposal: Proposal, transforms: list[Transform]) -> Proposal:
    return replace(proposal, transforms=tuple(transforms))


@dataclass(kw_only=True)
class CustomProposal(ProposalFault, rows="DH03"):
    """Offer proposals with unknown, doubled or contradicting transforms."""

    form: str = "unknown-type"
    """unknown-type, unknown-id, attribute (that nobody knows), doubled, integrity (beside an AEAD), no-encryption,
    no-transforms, extra (one more behind the good ones)."""

    def change(self, offered: tuple[Proposal, ...]) -> list[Proposal]:
        """RFC 7296 3.3.6: what is not understood is not chosen."""
        forms: dict[str, Callable[[Proposal], list[Transform]]] = {
            "unknown-type": lambda p: [*p.transforms, Transform(200, 1)],
            "unknown-id": lambda p: [
                Transform(t.type, 40000, t.key_length) if t.type == TransformType.ENCR else t for t in p.transforms
            ],
            "attribute": lambda p: [Transform(t.type, t.id, t.key_length, ((99, 1),)) for t in p.transforms],
            "doubled": lambda p: [t for t in p.transforms for _ in range(2)],
            "integrity": lambda p: [*p.transforms, Transform(TransformType.INTEG, IntegrityId.HMAC_SHA2_256_128)],
            "no-encryption": lambda p: [t for t in p.transforms if t.type != TransformType.ENCR],
            "no-transforms": lambda p: [],
        }
        if self.form == "extra":
            strange = _with(offered[0], forms["unknown-type"](offered[0]))
            return [*offered, replace(strange, number=offered[-1].number + 1)]
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}, extra")
        return [_with(item, forms[self.form](item)) for item in offered]


@dataclass(kw_only=True)
class SetProposalNumber(ProposalFault, rows="DH20"):
    """Give a proposal another number."""

    old: int = 1
    new: int = 2

    def change_one(self, proposal: Proposal) -> Proposal:
        """In a response: one that was not offered, or not the one chosen."""
        return replace(proposal, number=self.new) if proposal.number == self.old else proposal


@dataclass(kw_only=True)
class KeyLengthAttribute(ProposalFault, rows="DI40"):
    """The key length of the encryption transform is missing, empty, doubled or wrong."""

    form: str = "omit"
    """omit, empty, duplicate, or a number of bits."""

    def change_one(self, proposal: Proposal) -> Proposal:
        """RFC 7296 3.3.5: a cipher of variable key length must say it, once."""
        return _with(proposal, [self._change(t) if t.key_length else t for t in proposal.transforms])

    def _change(self, transform: Transform) -> Transform:
        if self.form.isdigit():
            return Transform(transform.type, transform.id, int(self.form))
        bits = transform.key_length
        forms = {
            "omit": Transform(transform.type, transform.id),
            "empty": Transform(transform.type, transform.id, None, ((14, b""),)),
            "duplicate": Transform(transform.type, transform.id, bits, ((14, bits or 0),)),
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}, or a number")
        return forms[self.form]


@dataclass(kw_only=True)
class ProposalNone(ProposalFault, rows="DI41"):
    """Offer NONE for integrity or key exchange, or leave the transform out."""

    transform: str = "integ"
    """integ or dh."""
    form: str = "none"
    """none (NONE in place of what is offered), allow-none (NONE beside it), omit."""

    def change_one(self, proposal: Proposal) -> Proposal:
        """Where the proposal has that transform, or for NONE also where it has not."""
        kind = TransformType.INTEG if self.transform == "integ" else TransformType.KE
        others = [t for t in proposal.transforms if t.type != kind]
        own = [t for t in proposal.transforms if t.type == kind]
        forms = {"none": [Transform(kind, 0)], "allow-none": [*own, Transform(kind, 0)], "omit": []}
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        return _with(proposal, [*others, *forms[self.form]])


@dataclass(kw_only=True)
class AddTransform(ProposalFault, rows="DI42"):
    """Put an extra transform into every proposal."""

    type: int = 1
    id: int = 40000

    def change_one(self, proposal: Proposal) -> Proposal:
        """At the end."""
        return _with(proposal, [*proposal.transforms, Transform(self.type, self.id)])


@dataclass(kw_only=True)
class NullEncryption(ProposalFault, rows="DI46"):
    """Offer ESP with neither encryption nor integrity."""

    which: str = "child"

    def change_one(self, proposal: Proposal) -> Proposal:
        """RFC 7296 3.3.2 and RFC 8221 5: forbidden."""
        rest = [t for t in proposal.transforms if t.type not in (TransformType.ENCR, TransformType.INTEG)]
        none = [Transform(TransformType.ENCR, EncryptionId.NULL), Transform(TransformType.INTEG, IntegrityId.NONE)]
        return _with(proposal, [*none, *rest])


@dataclass(kw_only=True)
class WrongProtocol(MessageFault, rows="DI43"):
    """A protocol ID that does not belong there: in proposals, DELETE or REKEY_SA (CVE-2023-38710)."""

    where: str = "proposal"
    """proposal, delete or rekey."""
    protocol: int = 99

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """DELETE and REKEY_SA go out with the SPIs that they had."""
        if not self.chosen(header):
            return None
        return [self._change(item) for item in payloads]

    def _change(self, item: Any) -> Any:
        if self.where == "proposal" and isinstance(item, SA):
            return replace(item, proposals=tuple(replace(p, protocol=self.protocol) for p in item.proposals))
        if self.where == "delete" and isinstance(item, Delete):
            return replace(item, protocol=self.protocol)
        if self.where == "rekey" and isinstance(item, Notify) and item.type == NotifyType.REKEY_SA:
            return replace(item, protocol=self.protocol)
        return item


@dataclass(kw_only=True)
class KePayload(MessageFault, rows="DI28"):
    """The KE payload is missing, empty, doubled or filled with one octet."""

    form: str = "omit"
    """omit, empty, duplicate, method (another number), or a number: the octet to fill it with."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """In IKE_SA_INIT and CREATE_CHILD_SA."""
        if not any(isinstance(item, KE) for item in payloads) or not self.chosen(header):
            return None
        return [part for item in payloads for part in (self._change(item) if isinstance(item, KE) else [item])]

    def _change(self, item: KE) -> list[Any]:
        if self.form.isdigit():
            return [replace(item, data=bytes((int(self.form) & 255,)) * len(item.data))]
        forms = {
            "omit": [],
            "empty": [replace(item, data=b"")],
            "duplicate": [item, item],
            "cut": [replace(item, data=item.data[:-1])],
            "method": [replace(item, method=(item.method + 1) & 0xFFFF)],
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}, or a number")
        return forms[self.form]


class _Forced:
    """The ports of an endpoint, with chosen octets for one purpose."""

    def __init__(self, ports: Any, purpose: str, octets: bytes) -> None:
        self.inner, self._purpose, self._octets = ports, purpose, octets

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Forced":
        return _Forced(deepcopy(self.inner, memo), self._purpose, self._octets)

    def entropy(self, purpose: str, count: int) -> bytes:
        """As the endpoint's, but for the one purpose: the octets over and over."""
        if purpose != self._purpose:
            octets: bytes = self.inner.entropy(purpose, count)
            return octets
        return (self._octets * (count // len(self._octets) + 1))[:count]


@dataclass(kw_only=True)
class ForceNonce(Fault, rows="DI30"):
    """Draw all nonces from given octets: decides who wins when rekeyings collide."""

    octets: bytes = b"\x00"
    """Repeated as often as needed."""

    def start(self) -> None:
        """Stand before the endpoint's ports."""
        if not self.octets:
            raise UsageError("at least one octet is needed")
        core = self.target.core
        self._forced = core.ports = _Forced(core.ports, "nonce", self.octets)

    def stop(self) -> None:
        """Step aside; others may stand before or behind."""
        core, outer = self.target.core, self.target.core.ports
        if outer is self._forced:
            core.ports = self._forced.inner
        while isinstance(outer, _Forced):
            if outer.inner is self._forced:
                outer.inner = self._forced.inner
            outer = outer.inner


@dataclass(kw_only=True)
class ForceCookie(Fault, rows="DH04"):
    """Answer the first IKE_SA_INIT of each peer with a fixed COOKIE."""

    cookie: bytes = b"cookie monster"

    def on_receive(self, sa: SaId | None, octets: bytes, path: Path) -> bytes | None:
        """RFC 7296 2.6: the initiator sends its request again, with the cookie first."""
        kind, plain = classify(octets, self.target.core.knows_spi)
        if kind not in (DatagramKind.IKE, DatagramKind.MARKED_IKE):
            return None
        header = Header.parse(plain)
        if header.exchange != ExchangeType.IKE_SA_INIT or header.is_response:
            return None
        if Message.parse(plain).notify(NotifyType.COOKIE) is not None:
            return None
        answer = replace(header, flags=int(Flags.RESPONSE))
        sent = encode_message(answer, [Notify(NotifyType.COOKIE, self.cookie)])
        self.target.send((NON_ESP_MARKER if kind is DatagramKind.MARKED_IKE else b"") + sent, path)
        return b""


@dataclass(kw_only=True)
class DdosCookie(MessageFault, rows="DI31"):
    """Send a COOKIE that nobody asked for, or a damaged one."""

    form: str = "add"
    """add or mangle."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """In the initiator's IKE_SA_INIT."""
        if header.exchange != ExchangeType.IKE_SA_INIT or header.is_response or not self.chosen(header):
            return None
        if self.form == "add":
            return [Notify(NotifyType.COOKIE, b"stale bread"), *payloads]
        return [
            replace(item, data=bytes((item.data[0] ^ 1,)) + item.data[1:])
            if isinstance(item, Notify) and item.type == NotifyType.COOKIE
            else item
            for item in payloads
        ]


@dataclass(kw_only=True)
class SelectorCount(MessageFault, rows="DI44"):
    """The number of traffic selectors lies (CVE-2023-23009)."""

    payload: str = "TSi"
    """TSi or TSr."""
    number: int = 0

    def before_protect(self, sa: SaId | None, chain: bytes, header: Header) -> bytes | None:
        """The selectors stay."""
        kind = PayloadType.TSi if self.payload.lower() == "tsi" else PayloadType.TSr
        if not any(place.kind == kind for place in places(header.next_payload, chain)) or not self.chosen(header):
            return None

        def change(place: Place, out: bytearray) -> None:
            if place.kind == kind:
                out[place.start + 4] = self.number & 255

        return changed(header.next_payload, chain, change)


@dataclass(kw_only=True)
class SpiSize(MessageFault, rows="DI43"):
    """The SPI size of proposals lies."""

    size: int = 200

    def before_protect(self, sa: SaId | None, chain: bytes, header: Header) -> bytes | None:
        """Beyond the proposal."""
        if not self.chosen(header):
            return None

        def change(place: Place, out: bytearray) -> None:
            for proposal in proposals(out, place) if place.kind == PayloadType.SA else ():
                out[proposal + 6] = self.size & 255

        return changed(header.next_payload, chain, change)


@dataclass(kw_only=True)
class RekeySelectors(MessageFault, rows="DI45"):
    """Rekey a CHILD SA with wider or narrower selectors than it has."""

    form: str = "supernet"
    """supernet (everything, as Windows asks), subnet (the first address), other (a foreign network)."""

    def before_encode(self, sa: SaId | None, payloads: list[Any], header: Header) -> list[Any] | None:
        """With response=yes: the answer to the peer's rekeying."""
        if header.exchange != ExchangeType.CREATE_CHILD_SA or not self.chosen(header):
            return None
        return [
            replace(item, selectors=self._change(item)) if isinstance(item, TSi | TSr) else item for item in payloads
        ]

    def _change(self, item: TSi | TSr) -> tuple[TrafficSelector, ...]:
        first = item.selectors[0]
        size = len(first.start)
        forms = {
            "supernet": (bytes(size), b"\xff" * size),
            "subnet": (first.start, first.start),
            "other": (b"\xc6" * size, b"\xc6" * size),
        }
        if self.form not in forms:
            raise UsageError(f"form {self.form!r} is not one of {', '.join(forms)}")
        return (TrafficSelector(first.type, first.protocol, first.start_port, first.end_port, *forms[self.form]),)
