"""What happens when the timer of an SA fires: retransmission, rekeying, lifetimes, signs of life."""

from collections.abc import Callable
from functools import partial

from ikesim.ike import (
    agenda,
    agreement,
    auth,
    events,
    followup,
    init,
    lifetime,
    mobike,
    redirect,
    unique,
)
from ikesim.ike.core import Core
from ikesim.ike.ids import SaId
from ikesim.ike.ports import Datagram
from ikesim.ike.sa import AWAITED_EXCHANGE, UNANSWERED, ChildSa, ChildState, IkeSa, IkeState
from ikesim.ike.tasks import (
    CreateChildTask,
    InformTask,
    MobikeTask,
)
from ikesim.ike.window import Outstanding
from ikesim.reasons import Reason
from ikesim.wire.demux import KEEPALIVE


def fire(core: Core, sa: IkeSa, timer: str, now: float) -> None:
    """Do what the timer of an SA is for."""
    kind, _, child_id = timer.partition(" ")
    if child_id:
        child = sa.children.get(SaId(child_id))
        if child is not None:
            _fire_child(core, sa, child, kind, now)
        return
    actions: dict[str, Callable[[IkeSa, float], None]] = {
        "retransmit": partial(_retransmit, core),
        "half-open": partial(_expire_half_open, core),
        "suspicion": lambda sa, now: init.believe_suspicion(core, sa, now),
        "verdict": lambda sa, now: auth.out_of_time(core, sa, now),
        "rekey": partial(agenda.rekey, core),
        "expire": lambda sa, now: agenda.end(core, sa, Reason.LIFETIME_EXPIRED, now),
        lifetime.REAUTHENTICATE: partial(_reauthenticate, core),
        lifetime.AUTH_EXPIRY: lambda sa, now: agenda.end(core, sa, Reason.LIFETIME_EXPIRED, now),
        "liveness": partial(_check_silence, core),
        "keepalive": partial(_keep_alive, core),
        "retry": partial(_retry, core),
        agreement.TIMER: lambda sa, now: followup.forget(core, sa),
        redirect.TIMER: lambda sa, now: agenda.end(core, sa, Reason.REDIRECTED, now),
        unique.CROSSED: lambda sa, now: unique.settle_crossed(core, sa, now),
        unique.OUTLIVED: lambda sa, now: unique.settle_outlived(core, sa, now),
    }
    actions[kind](sa, now)
    agenda.proceed(core, sa, now)


def _fire_child(core: Core, sa: IkeSa, child: ChildSa, kind: str, now: float) -> None:
    if kind == "rekey" and child.state is ChildState.INSTALLED:
        agenda.ask(core, sa, CreateChildTask(child.config, child.id), now)
    elif kind == "expire":
        lifetime.end_child(core, sa, child)
        agenda.wake(core, now)


def _retransmit(core: Core, sa: IkeSa, now: float) -> None:
    retransmit = core.config.retransmit
    outstanding: Outstanding | None = sa.window.outstanding
    if outstanding is None:
        return
    if outstanding.sent >= retransmit.tries:
        _nobody_answers(core, sa, now)
        return
    outstanding.sent += 1
    for octets in outstanding.datagrams:
        core.transmit(sa.id, octets, sa.path, sa.marked)
    core.emit(events.Retransmitted, now, sa=sa.id, message_id=outstanding.message_id, count=outstanding.sent)
    core.timers.set(sa, "retransmit", now + retransmit.initial * retransmit.factor**outstanding.sent)


def _nobody_answers(core: Core, sa: IkeSa, now: float) -> None:
    if sa.state in UNANSWERED:
        detail = f"no answer to {UNANSWERED[sa.state]} from {sa.path.remote}"
        core.refuse(sa, "nobody-answered", Reason.NOBODY_ANSWERED, now, detail=detail)
        return
    if sa.state is not IkeState.ESTABLISHED:
        core.close(sa, sa.closing or Reason.DELETED_BY_US, now)
        return
    if sa.replaced_by is not None:
        core.close(sa, Reason.REKEYED, now)
        return
    if mobike.try_other_address(core, sa, now):
        return
    connection = core.connection(sa)
    core.close(sa, Reason.DEAD_PEER, now)
    if connection.liveness.action == "restart" and _may_initiate(core, sa):
        core.calls.want(connection.name, now)


def _expire_half_open(core: Core, sa: IkeSa, now: float) -> None:
    if sa.state in AWAITED_EXCHANGE:
        detail = f"{AWAITED_EXCHANGE[sa.state].name} never came"
        core.refuse(sa, "nobody-answered", Reason.HALF_OPEN_TIMEOUT, now, detail=detail)
    elif sa.state in (IkeState.REFUSED, IkeState.DELETED):
        core.close(sa, Reason.DELETED_BY_US, now)
    elif sa.replaced_by is not None and sa.state is IkeState.ESTABLISHED:
        core.close(sa, Reason.REKEYED, now)


def _check_silence(core: Core, sa: IkeSa, now: float) -> None:
    interval = core.connection(sa).liveness.interval
    if not interval:
        return
    due = sa.last_heard + interval
    if now >= due:
        # Any request will do: one that is under way already tells as much.
        if sa.window.outstanding is None and not sa.queue:
            sa.queue.append(MobikeTask() if sa.mobike and sa.initiator and sa.mapped else InformTask())
        due = now + interval
    core.timers.set(sa, "liveness", due)


def _keep_alive(core: Core, sa: IkeSa, now: float) -> None:
    interval = core.connection(sa).keepalive
    if interval:
        core.out_datagrams.append(Datagram(core.next_sequence(), KEEPALIVE, sa.path))
        core.timers.set(sa, "keepalive", now + interval)


def _reauthenticate(core: Core, sa: IkeSa, now: float) -> None:
    if sa.state is IkeState.ESTABLISHED and _may_initiate(core, sa):
        agenda.reauthenticate(core, sa, now)


def _may_initiate(core: Core, sa: IkeSa) -> bool:
    """Whether the configuration in force still lets us initiate an SA's connection."""
    connection = core.config.connections.get(sa.connection or "")
    return connection is not None and connection.remote is not None


def _retry(core: Core, sa: IkeSa, now: float) -> None:
    sa.queue.extend(sa.postponed)
    sa.postponed = []
