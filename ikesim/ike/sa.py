"""IKE SAs and CHILD SAs as plain data, and the states they go through.

A state is named by what the SA awaits. :data:`TRANSITIONS` is the whole diagram; a change that is not in it is a bug.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ikesim.crypto.ciphers import CipherSuite
from ikesim.crypto.schedule import ChildKeys, IkeKeys
from ikesim.crypto.signatures import SignatureScheme
from ikesim.esp.packet import InboundEsp, OutboundEsp
from ikesim.ike.config import ChildConfig
from ikesim.ike.ids import FetchId, SaId
from ikesim.ike.tasks import ChildOffer, Followup, FollowupTask, Task
from ikesim.ike.window import Origin, Window
from ikesim.pki.decision import TrustDecision
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.pki.identity import Identity
from ikesim.pki.trust import AuthState
from ikesim.reasons import Reason
from ikesim.wire.address import Path
from ikesim.wire.fragments import Reassembly
from ikesim.wire.message import Message
from ikesim.wire.proposals import Proposal
from ikesim.wire.registry import ExchangeType
from ikesim.wire.selectors import TrafficSelector
from ikesim.wire.values import value


class IkeState(StrEnum):
    """What an IKE SA awaits."""

    INIT_RESPONSE = "awaits-init-response"
    INTERMEDIATE_REQUEST = "awaits-intermediate-request"
    INTERMEDIATE_RESPONSE = "awaits-intermediate-response"
    AUTH_REQUEST = "awaits-auth-request"
    AUTH_RESPONSE = "awaits-auth-response"
    VERDICT = "awaits-verdict"
    ESTABLISHED = "established"
    DELETE_RESPONSE = "awaits-delete-response"
    REFUSED = "refused"
    """Kept for retransmissions only, until the half-open timeout."""
    DELETED = "deleted"
    """Ended by the peer's DELETE; kept, as REFUSED, to answer its retransmissions."""
    CLOSED = "closed"


TRANSITIONS: dict[IkeState, frozenset[IkeState]] = {
    IkeState.INIT_RESPONSE: frozenset((IkeState.INTERMEDIATE_RESPONSE, IkeState.AUTH_RESPONSE, IkeState.CLOSED)),
    IkeState.INTERMEDIATE_REQUEST: frozenset((IkeState.AUTH_REQUEST, IkeState.REFUSED, IkeState.CLOSED)),
    IkeState.INTERMEDIATE_RESPONSE: frozenset((IkeState.AUTH_RESPONSE, IkeState.REFUSED, IkeState.CLOSED)),
    IkeState.AUTH_REQUEST: frozenset((IkeState.VERDICT, IkeState.REFUSED, IkeState.CLOSED)),
    IkeState.AUTH_RESPONSE: frozenset(
        (IkeState.INTERMEDIATE_RESPONSE, IkeState.VERDICT, IkeState.REFUSED, IkeState.CLOSED)
    ),
    IkeState.VERDICT: frozenset((IkeState.ESTABLISHED, IkeState.REFUSED, IkeState.CLOSED)),
    IkeState.ESTABLISHED: frozenset((IkeState.DELETE_RESPONSE, IkeState.DELETED, IkeState.CLOSED)),
    IkeState.DELETE_RESPONSE: frozenset((IkeState.DELETED, IkeState.CLOSED)),
    IkeState.REFUSED: frozenset((IkeState.CLOSED,)),
    IkeState.DELETED: frozenset((IkeState.CLOSED,)),
    IkeState.CLOSED: frozenset(),
}


AWAITED_EXCHANGE = {
    IkeState.INTERMEDIATE_REQUEST: ExchangeType.IKE_INTERMEDIATE,
    IkeState.AUTH_REQUEST: ExchangeType.IKE_AUTH,
}
"""The one exchange that a responder takes from an initiator that it does not know yet."""
HALF_OPEN = frozenset((*AWAITED_EXCHANGE, IkeState.VERDICT))
"""States in which a responder does not know yet whom it talks to."""
UNANSWERED = {
    IkeState.INIT_RESPONSE: "IKE_SA_INIT",
    IkeState.INTERMEDIATE_RESPONSE: "IKE_INTERMEDIATE",
    IkeState.AUTH_RESPONSE: "IKE_AUTH",
}
"""States in which an initiator waits for the responder, and for what."""


@dataclass(frozen=True, slots=True)
class Announced:
    """One way to authenticate that a peer accepts."""

    method: int
    link: int = 0
    """The CA for whose certificates it holds, by its place in the CERTREQ beside it, from 1; 0: for any."""
    scheme: SignatureScheme | None = None
    """Of AUTH method 14; None for schemes that we do not know, too."""


@value
class VerifiedAuth:
    """Proof that the peer holds its certificate's key: made by `ikesim.ike.auth` after the signature verified."""

    method: int
    scheme: SignatureScheme


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A peer whose certificate was accepted and whose AUTH verified: what an SA needs to be established.

    Raises ValueError if the decision did not accept the peer.
    """

    identity: Identity
    certificates: tuple[bytes, ...]
    """DER, as the peer sent them: judged again when trust changes."""
    decision: TrustDecision
    auth: VerifiedAuth
    at: datetime
    """Wall time of the decision."""
    initiator: bool = False
    """Whether we initiated; of an SA made by rekeying this tells of the first one, as do the other fields."""
    began: int = 0
    """Position of its first message among all that the endpoint did, and of its coming up."""
    done: int = 0
    up: float = 0.0
    """When it came up here (monotonic)."""
    lowest_nonce: bytes = b""
    """The lower of the two nonces of IKE_SA_INIT: decides which of two SAs stays that were initiated at once."""

    def __deepcopy__(self, memo: object) -> "Authenticated":
        return self  # immutable: copies of an endpoint share it

    def __post_init__(self) -> None:
        if not self.decision.accepted:
            raise ValueError("an SA is established only on an accepted decision")


class ChildState(StrEnum):
    """What a CHILD SA is doing."""

    INSTALLED = "installed"
    REKEYED = "rekeyed"
    """Replaced by a fresh one; still receives until it is deleted."""
    DELETING = "awaits-delete-response"


@dataclass(slots=True)
class ChildSa:
    """A pair of ESP SAs."""

    id: SaId
    sa: SaId
    """The IKE SA it now belongs to."""
    name: str
    config: ChildConfig
    proposal: Proposal
    inbound: InboundEsp
    outbound: OutboundEsp
    local_ts: tuple[TrafficSelector, ...]
    remote_ts: tuple[TrafficSelector, ...]
    created_at: float
    lowest_nonce: bytes = b""
    """The lower of the two nonces that made it: decides which of two rival SAs stays (RFC 7296 2.8.1)."""
    ours: bool = True
    """Whether we asked for it."""
    state: ChildState = ChildState.INSTALLED
    sending: bool = True
    """Whether we send on it already. A responder waits for the peer's first packet, since an initiator that has not
    yet read the response could not receive."""
    replaces: SaId | None = None
    soft_packets: int = 1 << 64
    """Packets in one direction, and octets, after which it is rekeyed."""
    soft_octets: int = 1 << 64
    renewing: bool = False
    """Whether that has been asked for."""
    spent: bool = False
    """Past its hard lifetime: nothing is sent on it any more."""

    @property
    def spi_in(self) -> bytes:
        """The SPI that we chose."""
        return self.inbound.spi

    @property
    def spi_out(self) -> bytes:
        """The SPI that the peer chose."""
        return self.outbound.spi


@value
class Proof:
    """What a peer's AUTH is verified with."""

    keys: IkeKeys = field(repr=False)
    """Those of the SA, perhaps with a PPK."""
    data: bytes = field(repr=False)
    """The authentication data."""
    ppk: str | None = None
    """The identity of the PPK in the keys."""


@dataclass(slots=True)
class PendingVerdict:
    """An IKE_AUTH whose sender is being judged: what is known so far, and what is still being fetched."""

    message: Message
    id_type: int
    id_data: bytes
    certificates: tuple[bytes, ...]
    """DER, in the order of the CERT payloads."""
    encodings: tuple[int, ...]
    """Of all CERT payloads, those that we do not read too."""
    candidates: tuple[str, ...]
    """Connections that may answer, in file order."""
    offer: ChildOffer | None = None
    """What we offered for the first CHILD SA, as initiator."""
    position: int = 0
    """The candidate being judged."""
    proof: Proof | None = None
    """How the peer proves itself to that candidate."""
    auth: AuthState | None = None
    verified: VerifiedAuth | None = None
    attempts: list[tuple[str, TrustDecision]] = field(default_factory=list)
    fetched: dict[FetchRequest, FetchResult] = field(default_factory=dict)
    waiting: dict[FetchId, FetchRequest] = field(default_factory=dict)
    late: bool = False
    """The time for fetches is used up."""


@dataclass(slots=True)
class Intermediate:
    """The IKE_INTERMEDIATE exchanges of an IKE SA that is not yet authenticated (RFC 9242, RFC 9370)."""

    methods: tuple[int, ...]
    """Of the key exchanges that are still to be made."""
    done: int = 0
    """How many exchanges are complete."""
    covered_i: bytes = b""
    """IntAuth over the initiator's messages so far."""
    covered_r: bytes = b""
    """IntAuth over the responder's."""


@dataclass(slots=True)
class IkeSa:
    """One IKE SA, at any stage of its life."""

    id: SaId
    initiator: bool
    """Whether we sent its first message (the Initiator flag, RFC 7296 3.1)."""
    state: IkeState
    spi_i: bytes
    spi_r: bytes
    path: Path
    marked: bool
    """Whether its messages carry the non-ESP marker."""
    created_at: float
    began: int = 0
    """Position among all that the endpoint did."""
    connection: str | None = None
    proposal: Proposal | None = None
    suite: CipherSuite | None = None
    prf: int = 0
    keys: IkeKeys | None = None
    iv_counter: int = 0
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    init_request: bytes = b""
    """The octets of the last IKE_SA_INIT request: AUTH covers them (RFC 7296 2.15)."""
    init_response: bytes = b""
    use_ppk: bool = False
    """Whether both sides said that they can mix in a postquantum preshared key (RFC 8784)."""
    ppk: str | None = None
    """The identity of the one that is in the keys."""
    intermediate: Intermediate | None = None
    """Where there are exchanges between IKE_SA_INIT and IKE_AUTH; AUTH covers them."""
    peer_hashes: frozenset[int] | None = None
    """The hash algorithms that the peer announced (RFC 7427 4); None: it announced none."""
    announced: tuple[Announced, ...] | None = None
    """The ways to authenticate that the peer accepts (RFC 9593), empty: it has yet to say; None: it does not say."""
    authorities: tuple[bytes, ...] | None = None
    """What the peer's CERTREQ asked for, SHA-1 of SubjectPublicKeyInfo; None: it did not ask."""
    fragmentation: bool = False
    childless: bool = False
    follows_redirects: bool = False
    """Whether the peer goes where we send it (RFC 5685)."""
    redirected: bool = False
    """Whether the peer has sent us elsewhere."""
    mobike: bool = False
    additional: tuple[str, ...] = ()
    """The peer's addresses other than the one in use (RFC 4555 3.6)."""
    assigned: tuple[str, ...] = ()
    """The addresses that the peer gave us, and those that we gave the peer (RFC 7296 2.19)."""
    leased: tuple[str, ...] = ()
    path_doubtful: bool = False
    """IKE_AUTH came from two addresses, and nothing new of the peer has said yet which one is its own."""
    traffic_path: Path | None = None
    """Where ESP still goes while a new path is not proved (RFC 4555 3.7); None: where IKE goes."""
    seen_as: bytes = b""
    """Data of the peer's last NAT_DETECTION_DESTINATION_IP: how it sees us."""
    nat_local: bool = False
    """The peer sees us behind a NAT, or we pretend to be."""
    mapped: bool = False
    """The peer really sees us at another address or port."""
    nat_remote: bool = False
    window: Window = field(default_factory=Window)
    origin: Origin | None = None
    """Where the request that we are answering came from."""
    reassembly: dict[bool, tuple[int, Reassembly]] = field(default_factory=dict)
    """Fragments that wait for the rest, with their message ID: of a request (False), of a response (True)."""
    queue: deque[Task] = field(default_factory=deque)
    postponed: list[Task] = field(default_factory=list)
    """Tasks that the peer put off with TEMPORARY_FAILURE, until the timer "retry"."""
    timers: dict[str, float] = field(default_factory=dict)
    """Deadline of each running timer, by name."""
    children: dict[SaId, ChildSa] = field(default_factory=dict)
    pending: PendingVerdict | None = None
    peer: Authenticated | None = None
    established_at: datetime | None = None
    last_heard: float = 0.0
    followup: Followup | None = None
    """A CREATE_CHILD_SA of the peer that is not complete."""
    lowest_nonce: bytes = b""
    """As ChildSa.lowest_nonce, for an IKE SA made by rekeying."""
    made_from: SaId | None = None
    """The SA that was rekeyed to make this one."""
    replaced_by: SaId | None = None
    reauthenticates: SaId | None = None
    """The SA that ends when this one is up (make-before-break)."""
    successor: SaId | None = None
    """The SA that is to take its place when the peer is authenticated anew."""
    closing: Reason | None = None
    """Why we deleted it, while the response is awaited."""
    init_digest: bytes = b""
    """By which a repeated IKE_SA_INIT request finds the SA that it made."""

    @property
    def held_octets(self) -> int:
        """Octets of messages that are not complete."""
        return sum(reassembly.octets for _, reassembly in self.reassembly.values())

    @property
    def spi_local(self) -> bytes:
        """The SPI that we chose."""
        return self.spi_i if self.initiator else self.spi_r

    @property
    def asking(self) -> Task | None:
        """The task whose response is awaited; of a further key exchange the one that it belongs to."""
        outstanding = self.window.outstanding
        task: Task | None = outstanding.task if outstanding is not None else None
        return task.task if isinstance(task, FollowupTask) else task

    def move(self, state: IkeState) -> None:
        """Change the state. Raises ValueError for a change that is not in :data:`TRANSITIONS`."""
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"an IKE SA does not go from {self.state} to {state}")
        self.state = state

    def establish(self, peer: Authenticated, now: float) -> None:
        """The one way to become established: with a peer whose certificate and AUTH were verified."""
        self.peer = peer
        self.established_at = peer.at
        self.last_heard = now
        self.pending = None
        self.move(IkeState.ESTABLISHED)


@dataclass(frozen=True, slots=True)
class InstalledIke:
    """What the on_install hook gets when an IKE SA has its keys."""

    spi_i: bytes
    spi_r: bytes
    suite: CipherSuite
    keys: IkeKeys = field(repr=False)
    path: Path
    kind: str = "ike"


@dataclass(frozen=True, slots=True)
class InstalledChild:
    """What the on_install hook gets when a CHILD SA has its keys."""

    spi_in: bytes
    spi_out: bytes
    suite: CipherSuite
    keys: ChildKeys = field(repr=False)
    initiator: bool
    """Whether we sent the request of the exchange that made it: then we send with ei and ai."""
    path: Path
    esn: bool
    kind: str = "child"
