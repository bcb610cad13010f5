"""What an IKE SA has to ask of its peer: one small class an exchange, waiting in the SA's queue or outstanding.

A task holds what its response will be read with (nonces, ephemeral keys, SPIs), as plain data.
"""

from dataclasses import dataclass, field
from typing import Any

from ikesim.crypto.exchange import KeyPair
from ikesim.ike.config import ChildConfig
from ikesim.ike.ids import SaId
from ikesim.pki.decision import TrustDecision
from ikesim.reasons import Reason
from ikesim.wire.address import Address, Path
from ikesim.wire.payloads import Payload
from ikesim.wire.proposals import Proposal
from ikesim.wire.selectors import TrafficSelector


@dataclass(slots=True)
class InitTask:
    """IKE_SA_INIT."""

    proposals: tuple[Proposal, ...]
    method: int
    nonce: bytes
    remote: Address
    """The responder: the configured one, or where that has sent us."""
    redirected_from: str = ""
    """The host that did."""
    ppk: bool = False
    """Whether we offer to mix in a postquantum preshared key."""
    pairs: dict[int, KeyPair] = field(default_factory=dict)
    """One for each key exchange method that was tried."""
    requests: dict[int, bytes] = field(default_factory=dict)
    """The last request with each of them: whoever forged an INVALID_KE_PAYLOAD cannot spoil the true answer to it."""
    cookie: bytes = b""
    restarts: int = 0
    """How often COOKIE or INVALID_KE_PAYLOAD made us start again."""
    suspicion: Reason | None = None
    """An error notify that came unprotected: believed only if nothing better follows (RFC 7296 2.21.1)."""


@dataclass(slots=True)
class ChildOffer:
    """What we offered for a CHILD SA."""

    config: ChildConfig
    spi: bytes
    proposals: tuple[Proposal, ...]
    local_ts: tuple[TrafficSelector, ...]
    remote_ts: tuple[TrafficSelector, ...]


@dataclass(frozen=True, slots=True)
class Redirection:
    """An IKE SA to be made with another gateway than the one asked first."""

    old: SaId
    connection: str
    remote: Address
    redirected_from: str
    keep: bool
    """Whether the old SA stays until the new one is up."""


@dataclass(slots=True)
class IntermediateTask:
    """IKE_INTERMEDIATE with one additional key exchange."""

    pair: KeyPair
    init: InitTask | None = None
    """As AuthTask.init."""
    other: bytes = b""


@dataclass(slots=True)
class AuthTask:
    """IKE_AUTH."""

    offer: ChildOffer | None = None
    init: InitTask | None = None
    """Kept where a COOKIE made us start again: if a second answer comes, that COOKIE was forged."""
    other: bytes = b""
    """That second answer to IKE_SA_INIT, which is the one to our last request."""


@dataclass(slots=True)
class CreateChildTask:
    """CREATE_CHILD_SA for a new CHILD SA, or to rekey one."""

    config: ChildConfig
    rekeys: SaId | None = None
    method: int | None = None
    """The key exchange method to use, where INVALID_KE_PAYLOAD asked for another than our first."""
    attempts: int = 0
    offer: ChildOffer | None = None
    nonce: bytes = b""
    pair: KeyPair | None = None
    rival: SaId | None = None
    """The CHILD SA that the peer made by rekeying the same one meanwhile (RFC 7296 2.8.1)."""
    gone: tuple[bytes, ...] = ()
    """Unknown SPIs that the peer deleted meanwhile: perhaps of the CHILD SA that we asked for, its answer lost."""


@dataclass(slots=True)
class RekeyIkeTask:
    """CREATE_CHILD_SA to rekey the IKE SA."""

    method: int | None = None
    attempts: int = 0
    spi: bytes = b""
    nonce: bytes = b""
    pair: KeyPair | None = None
    proposals: tuple[Proposal, ...] = ()
    rival: SaId | None = None
    """The IKE SA that the peer made by rekeying the same one meanwhile (RFC 7296 2.8.1)."""


@dataclass(slots=True)
class FollowupTask:
    """IKE_FOLLOWUP_KE: one more key exchange of a CREATE_CHILD_SA that we began (RFC 9370 2.2.4)."""

    task: CreateChildTask | RekeyIkeTask
    agreed: Any
    """What was agreed on so far, of `ikesim.ike.agreement`."""
    link: bytes
    """By which the peer knows what this belongs to."""
    methods: tuple[int, ...]
    """Of this exchange and those after it."""
    pair: KeyPair | None = None


@dataclass(slots=True)
class Followup:
    """A CREATE_CHILD_SA that we answered and whose further key exchanges the peer still owes."""

    link: bytes
    methods: tuple[int, ...]
    agreed: Any
    """As FollowupTask.agreed."""


@dataclass(slots=True)
class DeleteTask:
    """INFORMATIONAL with DELETE: for CHILD SAs, or for the IKE SA when `children` is empty."""

    reason: Reason
    children: tuple[SaId, ...] = ()
    decision: TrustDecision | None = None
    """What a later look at the peer's certificate found, where that ends the SA."""


@dataclass(slots=True)
class InformTask:
    """INFORMATIONAL with payloads of any other kind; without any it is a liveness check."""

    payloads: tuple[Payload, ...] = ()
    final: bool = False
    """The SA ends when this is answered (an initiator's refusal, RFC 7296 2.21.2)."""


@dataclass(slots=True)
class MobikeTask:
    """INFORMATIONAL about paths (RFC 4555): UPDATE_SA_ADDRESSES, COOKIE2, or a question how the peer sees us."""

    former: Path | None = None
    """With UPDATE_SA_ADDRESSES: the path before. With COOKIE2: the path under test."""
    cookie: bytes = b""


Task = (
    InitTask
    | IntermediateTask
    | AuthTask
    | CreateChildTask
    | RekeyIkeTask
    | FollowupTask
    | DeleteTask
    | InformTask
    | MobikeTask
)
