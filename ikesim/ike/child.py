"""CHILD SAs: what is offered, what is chosen, and their installation (RFC 7296 1.2, 1.3, 2.9, 2.17)."""

from collections.abc import Iterable, Sequence
from dataclasses import field

from ikesim.crypto import exchange, schedule
from ikesim.crypto.ciphers import cipher_suite
from ikesim.errors import KeyExchangeError, ProtocolError
from ikesim.esp.packet import InboundEsp, OutboundEsp
from ikesim.ike import addresses, events
from ikesim.ike.config import ChildConfig
from ikesim.ike.core import Core
from ikesim.ike.ids import SaId
from ikesim.ike.negotiation import accepted, algorithms, choose, key_exchange_methods, numbered, without_key_exchange
from ikesim.ike.sa import ChildSa, IkeSa, InstalledChild
from ikesim.ike.tasks import ChildOffer
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import KE, SA, Payload, TSi, TSr
from ikesim.wire.proposals import Proposal
from ikesim.wire.registry import NotifyType, name
from ikesim.wire.selectors import TrafficSelector, narrow
from ikesim.wire.values import value

LAST_SEQUENCE, LAST_EXTENDED = (1 << 32) - 1, (1 << 64) - 1
SEQUENCE_RESERVE = 0.1
"""Fraction of the sequence numbers that is left when an SA is rekeyed for want of them (RFC 4303 3.3.3)."""


@value
class ChildNonces:
    """The nonces of the exchange that makes a CHILD SA: of who asked, and of who answered."""

    asked: bytes
    answered: bytes

    @property
    def lowest(self) -> bytes:
        """The lower one (RFC 7296 2.8.1 compares them octet by octet)."""
        return min(self.asked, self.answered)


@value
class ChildChoice:
    """What a responder chose from an offer."""

    config: ChildConfig
    proposal: Proposal
    """With the peer's number and SPI."""
    local_ts: tuple[TrafficSelector, ...]
    remote_ts: tuple[TrafficSelector, ...]
    spi: bytes
    """Ours."""
    public: bytes = b""
    shared: bytes = field(default=b"", repr=False)
    more: bytes = field(default=b"", repr=False)
    """The secrets of further key exchanges, in order."""

    def payloads(self) -> list[Payload]:
        """The response's SA, KE (with PFS), TSi and TSr."""
        proposal = self.proposal
        answer: list[Payload] = [SA((Proposal(proposal.number, proposal.protocol, self.spi, proposal.transforms),))]
        method = algorithms(proposal).key_exchange
        if method is not None:
            answer.append(KE(method, self.public))
        return [*answer, TSi(self.remote_ts), TSr(self.local_ts)]


class ChildFailure(ProtocolError):
    """A CHILD SA that cannot be: the IKE SA stays up (RFC 7296 1.2)."""


def make_offer(
    core: Core,
    config: ChildConfig,
    *,
    with_exchange: bool,
    local_ts: tuple[TrafficSelector, ...],
    remote_ts: tuple[TrafficSelector, ...],
) -> ChildOffer:
    """What we offer for a CHILD SA; a rekeyed one keeps the selectors that were narrowed (RFC 7296 2.9.2)."""
    spi = core.new_esp_spi()
    proposals = numbered(config.proposals, spi)
    if not with_exchange:
        proposals = without_key_exchange(proposals)
    return ChildOffer(config, spi, proposals, local_ts, remote_ts)


def offer_payloads(offer: ChildOffer) -> tuple[Payload, Payload, Payload]:
    """SA, TSi and TSr of a request."""
    return SA(offer.proposals), TSi(offer.local_ts), TSr(offer.remote_ts)


def choose_child(
    core: Core, sa: IkeSa, message: Message, configs: Iterable[ChildConfig], prefer: str, *, in_auth: bool
) -> ChildChoice:
    """Answer an offer: the first configured child whose selectors meet it and that has a proposal in common.

    Raises ChildFailure with the notify that says why not, WireError where the offer is malformed.
    """
    offered, peer_side, our_side = message.get(SA), message.get(TSi), message.get(TSr)
    assert offered is not None and peer_side is not None and our_side is not None
    if not encapsulated(core, sa):
        raise ChildFailure(
            'ESP is carried in UDP only, and there is no NAT: set encapsulation = "always"',
            reason=Reason.ENCAPSULATION_REQUIRED,
            notify=NotifyType.NO_PROPOSAL_CHOSEN,
        )
    covered = False
    for config in configs:
        ours, theirs_side = addresses.selectors(core, sa, config)
        remote_ts = narrow(peer_side.selectors, theirs_side)
        local_ts = narrow(our_side.selectors, ours)
        if not remote_ts or not local_ts:
            continue
        covered = True
        own = without_key_exchange(config.proposals) if in_auth else config.proposals
        theirs = without_key_exchange(offered.proposals) if in_auth else offered.proposals
        chosen = choose([item for item in theirs if len(item.spi) == 4], own, prefer)
        if chosen is None:
            continue
        method = algorithms(chosen).key_exchange
        public, shared = _exchange(core, message, method) if method is not None else (b"", b"")
        return ChildChoice(config, chosen, local_ts, remote_ts, core.new_esp_spi(), public, shared)
    if covered:
        raise ChildFailure(
            "no ESP proposal in common", reason=Reason.PROPOSAL_MISMATCH, notify=NotifyType.NO_PROPOSAL_CHOSEN
        )
    raise ChildFailure(
        f"no configured child covers {_text(peer_side.selectors)} and {_text(our_side.selectors)}",
        reason=Reason.TS_MISMATCH,
        notify=NotifyType.TS_UNACCEPTABLE,
    )


def _exchange(core: Core, message: Message, method: int) -> tuple[bytes, bytes]:
    theirs = message.get(KE)
    if theirs is None or theirs.method != method:
        raise ChildFailure(
            "the key exchange is of another method than the one chosen",
            reason=Reason.KE_MISMATCH,
            notify=NotifyType.INVALID_KE_PAYLOAD,
            data=method.to_bytes(2),
        )
    try:
        return exchange.answer(method, theirs.data, core.entropy("ke"), core.ports.encapsulate)
    except KeyExchangeError as error:
        raise ProtocolError(str(error), reason=Reason.PAYLOAD_MALFORMED, notify=NotifyType.INVALID_SYNTAX) from None


def read_answer(core: Core, sa: IkeSa, offer: ChildOffer, message: Message) -> ChildChoice:
    """Check a response against our offer. Raises ChildFailure where it is an error or not within the offer."""
    failure = failure_of(message)
    answer, our_side, peer_side = message.get(SA), message.get(TSi), message.get(TSr)
    if answer is None or our_side is None or peer_side is None:
        raise failure or ChildFailure("the response has no CHILD SA", reason=Reason.CHILD_FAILED)
    if failure is not None:
        # RFC 7296 3.10.1: it failed, although a CHILD SA stands there; without a notify, so that it is deleted.
        raise ChildFailure(f"{failure}, beside a CHILD SA", reason=failure.reason)
    chosen = accepted(answer.proposals, offer.proposals)
    if chosen is None or len(chosen.spi) != 4:
        raise ChildFailure("the peer chose a proposal that was not offered", reason=Reason.PROPOSAL_MISMATCH)
    if not _within(our_side.selectors, offer.local_ts) or not _within(peer_side.selectors, offer.remote_ts):
        raise ChildFailure("the peer answered with selectors outside our offer", reason=Reason.TS_MISMATCH)
    if not encapsulated(core, sa):
        raise ChildFailure(
            'ESP is carried in UDP only, and there is no NAT: set encapsulation = "always"',
            reason=Reason.ENCAPSULATION_REQUIRED,
        )
    return ChildChoice(offer.config, chosen, our_side.selectors, peer_side.selectors, offer.spi)


_FAILURES: dict[int, Reason] = {
    NotifyType.NO_PROPOSAL_CHOSEN: Reason.PROPOSAL_MISMATCH,
    NotifyType.TS_UNACCEPTABLE: Reason.TS_MISMATCH,
    NotifyType.SINGLE_PAIR_REQUIRED: Reason.TS_MISMATCH,
    NotifyType.INVALID_KE_PAYLOAD: Reason.KE_MISMATCH,
}


def failure_of(message: Message) -> ChildFailure | None:
    """The error that a response carries instead of a CHILD SA, if it does."""
    for item in message.notifies():
        if item.type < 16384:
            return ChildFailure(
                f"the peer answered {name(NotifyType, item.type)}",
                reason=_FAILURES.get(item.type, Reason.CHILD_FAILED),
                notify=item.type,
                data=item.data,
            )
    return None


def install(
    core: Core,
    sa: IkeSa,
    choice: ChildChoice,
    nonces: ChildNonces,
    now: float,
    *,
    ours: bool,
    replaces: SaId | None = None,
) -> ChildSa:
    """Derive the keys of a CHILD SA and put it into service. `ours`: we sent the request."""
    picked = algorithms(choice.proposal)
    suite = cipher_suite(picked.encryption, picked.key_bits, picked.integrity)
    assert sa.keys is not None
    keys = schedule.child_keys(
        core.prf(sa), sa.keys.d, suite, ni=nonces.asked, nr=nonces.answered, shared=choice.shared, more=choice.more
    )
    toward, back = ((keys.ei, keys.ai), (keys.er, keys.ar))
    mine, theirs = (toward, back) if ours else (back, toward)
    child = ChildSa(
        id=core.new_id("child"),
        sa=sa.id,
        name=choice.config.name,
        config=choice.config,
        proposal=choice.proposal,
        inbound=InboundEsp(choice.spi, suite, theirs[0], theirs[1], esn=picked.esn),
        outbound=OutboundEsp(choice.proposal.spi, suite, mine[0], mine[1], esn=picked.esn),
        local_ts=choice.local_ts,
        remote_ts=choice.remote_ts,
        created_at=now,
        lowest_nonce=nonces.lowest,
        ours=ours,
        sending=ours,
        replaces=replaces,
    )
    sa.children[child.id] = child
    core.children[child.spi_in] = child
    core.flows.clear()
    start_timers(core, sa, child, now)
    if core.ports.hooks.on_install is not None:
        core.ports.hooks.on_install(
            child.id, InstalledChild(child.spi_in, child.spi_out, suite, keys, ours, sa.path, picked.esn)
        )
    core.emit(
        events.ChildUp,
        now,
        sa=sa.id,
        child=child.id,
        name=child.name,
        spi_in=child.spi_in,
        spi_out=child.spi_out,
        local_ts=tuple(map(str, child.local_ts)),
        remote_ts=tuple(map(str, child.remote_ts)),
    )
    return child


def start_timers(core: Core, sa: IkeSa, child: ChildSa, now: float) -> None:
    """Set when a CHILD SA is to be rekeyed, and when it ends at the latest."""
    config = child.config
    lifetime = config.rekey_time
    connection = core.connection(sa)
    numbers = LAST_EXTENDED if child.outbound.esn else LAST_SEQUENCE
    child.soft_packets = int(early(core, numbers * (1 - SEQUENCE_RESERVE), connection.jitter))
    if config.rekey_packets:
        child.soft_packets = min(child.soft_packets, int(early(core, config.rekey_packets, connection.jitter)))
    if config.rekey_bytes:
        child.soft_octets = int(early(core, config.rekey_bytes, connection.jitter))
    if lifetime:
        core.timers.set(sa, f"rekey {child.id}", now + early(core, lifetime, connection.jitter))
        core.timers.set(sa, f"expire {child.id}", now + lifetime * (1 + connection.over_time))


def early(core: Core, lifetime: float, jitter: float) -> float:
    """A lifetime less a random part of `jitter`, so that two peers rarely rekey at once (RFC 7296 2.8)."""
    return lifetime * (1 - jitter * int.from_bytes(core.ports.entropy("jitter", 2)) / 65536)


def encapsulated(core: Core, sa: IkeSa) -> bool:
    """Whether ESP goes in UDP: behind a NAT, or one that we pretend; native ESP is not offered."""
    return core.config.encapsulation == "always" or sa.nat_local or sa.nat_remote


def first_method(config: ChildConfig) -> int | None:
    """The key exchange method to offer with PFS; None without PFS."""
    methods = key_exchange_methods(config.proposals)
    return methods[0] if methods and methods[0] else None


def _within(answered: Sequence[TrafficSelector], offered: Sequence[TrafficSelector]) -> bool:
    if answered == offered:  # most peers take all that they are offered
        return bool(answered)
    return bool(answered) and all(any(whole.contains(part) for whole in offered) for part in answered)


def _text(selectors: Sequence[TrafficSelector]) -> str:
    return ", ".join(map(str, selectors))
