"""What an IKE SA has to ask of its peer: tasks that wait, the requests they become, the responses they read.

One request of an SA is outstanding at a time (RFC 7296 2.3); the others wait in its queue.
"""

from collections.abc import Sequence

from ikesim.ike import (
    auth,
    create_child,
    events,
    followup,
    informational,
    init,
    intermediate,
    mobike,
    rekey_ike,
)
from ikesim.ike.core import Core
from ikesim.ike.grammar import recognise
from ikesim.ike.sa import UNANSWERED, IkeSa, IkeState
from ikesim.ike.tasks import (
    AuthTask,
    CreateChildTask,
    DeleteTask,
    FollowupTask,
    InformTask,
    IntermediateTask,
    MobikeTask,
    RekeyIkeTask,
    Task,
)
from ikesim.pki.decision import TrustDecision
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import Payload
from ikesim.wire.registry import ExchangeType


def ask(core: Core, sa: IkeSa, task: Task, now: float) -> None:
    """Give an SA something to ask of its peer, and send it if its turn has come."""
    sa.queue.append(task)
    proceed(core, sa, now)


def _go_elsewhere(core: Core, now: float) -> None:
    """Make the SAs with gateways that others have sent us to."""
    while core.redirections:
        moved = core.redirections.pop(0)
        new = init.initiate(
            core,
            moved.connection,
            now,
            moved.old if moved.keep else None,
            remote=moved.remote,
            redirected_from=moved.redirected_from,
        )
        if moved.keep:
            core.sas[moved.old].successor = new
        core.emit(events.Redirected, now, old=moved.old, new=new, gateway=moved.remote.host)


def proceed(core: Core, sa: IkeSa, now: float) -> None:
    """Send the next waiting request, if none is outstanding; also of SAs that this one woke."""
    _go_elsewhere(core, now)
    core.wake(sa)
    wake(core, now)


def wake(core: Core, now: float) -> None:
    """Send the next waiting request of every SA that has got something to do."""
    for item in core.take_woken():
        while item.state is IkeState.ESTABLISHED and item.window.outstanding is None and item.queue:
            if followup.holds(item, item.queue[0]):
                break
            task = item.queue.popleft()
            exchange, payloads = _build(core, item, task, now)
            if payloads is not None:
                core.request(item, exchange, payloads, task, now)


def _build(core: Core, sa: IkeSa, task: Task, now: float) -> tuple[int, Sequence[Payload] | None]:
    match task:
        case CreateChildTask() | RekeyIkeTask() if core.self_tests.failed:
            create_child.forgo(core, sa, task, now)
            return 0, None
        case CreateChildTask():
            return ExchangeType.CREATE_CHILD_SA, create_child.build(core, sa, task)
        case RekeyIkeTask():
            return ExchangeType.CREATE_CHILD_SA, rekey_ike.build(core, sa, task)
        case FollowupTask():
            return ExchangeType.IKE_FOLLOWUP_KE, followup.build(core, task)
        case DeleteTask():
            return ExchangeType.INFORMATIONAL, informational.build_delete(core, sa, task)
        case InformTask():
            return ExchangeType.INFORMATIONAL, task.payloads
        case MobikeTask():
            return ExchangeType.INFORMATIONAL, mobike.build(core, sa, task)
        case _:
            return 0, None


def read_response(core: Core, sa: IkeSa, message: Message, task: Task, now: float) -> None:
    """Read a response with the task that asked. Raises ProtocolError."""
    match task:
        case IntermediateTask():
            intermediate.handle_response(core, sa, message, task, now)
        case AuthTask():
            if not init.try_other_answer(core, sa, message, task, now):
                auth.handle_response(core, sa, message, task, now)
        case CreateChildTask():
            create_child.handle_response(core, sa, message, recognise(message), task, now)
        case RekeyIkeTask():
            rekey_ike.handle_response(core, sa, message, recognise(message), task, now)
        case FollowupTask():
            followup.handle_response(core, sa, message, recognise(message), task, now)
        case DeleteTask():
            informational.handle_delete_response(core, sa, message, task, now)
        case InformTask():
            informational.handle_inform_response(core, sa, message, task, now)
        case MobikeTask():
            mobike.handle_response(core, core.sas[sa.replaced_by or sa.id], message, task, now)


def end(core: Core, sa: IkeSa, reason: Reason, now: float, decision: TrustDecision | None = None) -> None:
    """End an SA for a reason of our own, with DELETE where the peer believes it established."""
    if sa.state is not IkeState.ESTABLISHED:
        if sa.pending is not None:
            auth.abandon(core, sa, reason, now)
        elif sa.state in UNANSWERED:
            core.refuse(sa, "us", reason, now)
    elif sa.window.outstanding is not None and reason is Reason.LIFETIME_EXPIRED:
        core.close(sa, reason, now)
    else:
        sa.queue.clear()
        ask(core, sa, DeleteTask(reason, decision=decision), now)


def end_if_revoked(core: Core, sa: IkeSa, now: float) -> bool:
    """End an SA whose peer is revoked by what is held now; whether it was."""
    decision = auth.judge_again(core, sa, now)
    if decision is not None:
        end(core, sa, Reason.REVOKED_LATER, now, decision)
    return decision is not None


def rekey(core: Core, sa: IkeSa, now: float) -> None:
    """Replace an IKE SA by a fresh one, unless its peer was revoked meanwhile."""
    if not ends_at_rekey(core, sa, now):
        ask(core, sa, RekeyIkeTask(), now)


def ends_at_rekey(core: Core, sa: IkeSa, now: float) -> bool:
    """Whether an SA ends instead of being rekeyed, because its peer was revoked meanwhile."""
    return core.connection(sa).on_revocation == "at-rekey" and end_if_revoked(core, sa, now)


def reauthenticate(core: Core, sa: IkeSa, now: float) -> None:
    """Authenticate the peer of an established SA anew, before the old SA ends or after it, as configured."""
    assert sa.connection is not None
    if sa.successor in core.sas:
        return
    if core.connection(sa).reauth == "break-before-make":
        sa.queue.clear()
        ask(core, sa, DeleteTask(Reason.REAUTHENTICATED), now)
        return
    sa.successor = init.initiate(core, sa.connection, now, reauthenticates=sa.id)
