"""INFORMATIONAL: DELETE, signs of life, and an initiator's refusal (RFC 7296 1.4, 2.4)."""

from ikesim.ike import create_child, lifetime, mobike, redirect, rekey_ike
from ikesim.ike.core import Core
from ikesim.ike.grammar import recognise
from ikesim.ike.sa import ChildSa, ChildState, IkeSa, IkeState
from ikesim.ike.tasks import DeleteTask, InformTask
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import Delete, Payload
from ikesim.wire.registry import ExchangeType, NotifyType, ProtocolId

# the one who asks


def build_delete(core: Core, sa: IkeSa, task: DeleteTask) -> list[Payload] | None:
    """The DELETE of CHILD SAs or of the IKE SA; None when there is nothing left to delete."""
    if not task.children:
        core.flows.clear()
        sa.move(IkeState.DELETE_RESPONSE)
        sa.closing = task.reason
        return [Delete(ProtocolId.IKE)]
    doomed = [sa.children[item] for item in task.children if item in sa.children]
    doomed = [item for item in doomed if item.state is not ChildState.DELETING]
    if not doomed:
        return None
    core.flows.clear()
    for item in doomed:
        item.state = ChildState.DELETING
    return [Delete(ProtocolId.ESP, tuple(item.spi_in for item in doomed))]


def handle_delete_response(core: Core, sa: IkeSa, message: Message, task: DeleteTask, now: float) -> None:
    """What we deleted is gone at both ends."""
    recognise(message)
    if not task.children:
        core.close(sa, sa.closing or task.reason, now, task.decision)
        return
    for item in task.children:
        if item in sa.children:
            core.remove_child(sa, sa.children[item], task.reason, now)


def handle_inform_response(core: Core, sa: IkeSa, message: Message, task: InformTask, now: float) -> None:
    """The peer is alive; an SA that we refused ends here."""
    recognise(message)
    if task.final:
        core.close(sa, Reason.DELETED_BY_US, now)


# the one who answers


def handle_request(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """Do what the peer asks and answer; an empty request is a sign of life. Raises ProtocolError."""
    recognise(message)
    if message.notify(NotifyType.AUTHENTICATION_FAILED) is not None:
        # RFC 7296 2.21.2: the initiator refused us after we believed the SA established.
        core.respond(sa, ExchangeType.INFORMATIONAL, [])
        core.close(sa, Reason.REFUSED_BY_PEER, now, linger=True)
        return
    deletes = message.all(Delete)
    if any(item.protocol == ProtocolId.IKE for item in deletes):
        core.respond(sa, ExchangeType.INFORMATIONAL, [])
        rekey_ike.adopt_rival(core, sa, now)
        core.close(sa, _why_deleted(core, sa), now, linger=True)
        return
    lifetime.heed(core, sa, message, now)
    payloads: list[Payload] = []
    gone: list[ChildSa] = []
    for item in deletes:
        if item.protocol == ProtocolId.ESP:
            gone += [child for spi in item.spis for child in sa.children.values() if child.spi_out == spi]
            create_child.note_unknown(sa, item.spis)
    # RFC 7296 2.25.1: what we are deleting ourselves is not answered with a DELETE.
    answered = tuple(child.spi_in for child in gone if child.state is not ChildState.DELETING)
    if answered:
        payloads.append(Delete(ProtocolId.ESP, answered))
    payloads += mobike.handle_request(core, sa, message, now)
    core.respond(sa, ExchangeType.INFORMATIONAL, payloads)
    redirect.heed(core, sa, message, now)
    for child in dict.fromkeys(item.id for item in gone):
        known = sa.children[child]
        core.remove_child(sa, known, create_child.why_deleted(core, sa, known, now), now)


def _why_deleted(core: Core, sa: IkeSa) -> Reason:
    if sa.replaced_by is not None or rekey_ike.is_rival(core, sa):
        return Reason.REKEYED
    return sa.closing or Reason.DELETED_BY_PEER
