"""What a CREATE_CHILD_SA agreed on before its last key exchange was made (RFC 9370 2.2.4).

Where the chosen proposal has additional key exchanges, nothing is installed yet: the responder answers with a link,
an ADDITIONAL_KEY_EXCHANGE notify, and the initiator sends it back in IKE_FOLLOWUP_KE, whose module is `followup`.
"""

from dataclasses import dataclass, field

from ikesim.ike.child import ChildChoice, ChildNonces
from ikesim.ike.core import Core
from ikesim.ike.ids import SaId
from ikesim.ike.sa import IkeSa
from ikesim.ike.tasks import CreateChildTask, Followup, FollowupTask, RekeyIkeTask
from ikesim.wire.message import Message
from ikesim.wire.payloads import Notify
from ikesim.wire.proposals import Proposal
from ikesim.wire.registry import NotifyType

LINK_OCTETS = 8
"""Of a link: opaque to the peer, never used twice."""
TIMER = "followup"
"""After it a responder forgets what it agreed to: after the half-open timeout, since retransmissions take time."""


@dataclass(frozen=True, slots=True)
class ChildAgreement:
    """A CHILD SA, from either side."""

    choice: ChildChoice
    nonces: ChildNonces
    rekeys: SaId | None


@dataclass(frozen=True, slots=True)
class IkeAgreement:
    """An IKE SA that takes the place of another; the initiator is who asked for it."""

    chosen: Proposal
    nonce_i: bytes
    nonce_r: bytes
    spi_i: bytes
    spi_r: bytes
    initiator: bool
    """Whether we asked."""
    shared: bytes = field(repr=False)
    more: bytes = field(default=b"", repr=False)
    """The secrets of further key exchanges, in order."""


Agreement = ChildAgreement | IkeAgreement


def further(
    task: CreateChildTask | RekeyIkeTask, agreed: Agreement, methods: tuple[int, ...], message: Message
) -> FollowupTask | None:
    """The next key exchange, after a response of the peer; None if the response has no link to it."""
    link = message.notify(NotifyType.ADDITIONAL_KEY_EXCHANGE)
    return FollowupTask(task, agreed, link.data, methods) if link is not None else None


def follow(core: Core, sa: IkeSa, methods: tuple[int, ...], agreed: Agreement, now: float) -> Notify:
    """Await the peer's next key exchange: the link for our response. What was awaited before is forgotten."""
    sa.followup = Followup(core.ports.entropy("link", LINK_OCTETS), methods, agreed)
    core.timers.set(sa, TIMER, now + core.config.half_open_timeout)
    return Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, sa.followup.link)
