"""How long an IKE SA lives: rekeying, reauthentication, the hard end, and signs of life (RFC 7296 2.4, 2.8)."""

from ikesim.ike.child import early
from ikesim.ike.core import Core
from ikesim.ike.sa import ChildSa, ChildState, IkeSa
from ikesim.ike.tasks import CreateChildTask, DeleteTask
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.registry import NotifyType

REAUTHENTICATE, AUTH_EXPIRY = "reauthenticate", "authentication-expires"
"""Timers: when we authenticate the peer anew, and when the initiator must have done so."""


def start(core: Core, sa: IkeSa, now: float) -> None:
    """Set the timers of an SA that has just been established, or made by rekeying."""
    connection = core.connection(sa)
    if connection.rekey_time:
        core.timers.set(sa, "rekey", now + early(core, connection.rekey_time, connection.jitter))
        core.timers.set(sa, "expire", now + connection.rekey_time * (1 + connection.over_time))
    if connection.liveness.interval:
        core.timers.set(sa, "liveness", now + connection.liveness.interval)
    start_keepalive(core, sa, now)


def start_keepalive(core: Core, sa: IkeSa, now: float) -> None:
    """Keep the NAT's mapping alive, if we are behind one (RFC 3948 4)."""
    interval = core.connection(sa).keepalive
    if interval and sa.nat_local:
        core.timers.set(sa, "keepalive", now + interval)
    else:
        sa.timers.pop("keepalive", None)


def start_reauthentication(core: Core, sa: IkeSa, now: float) -> None:
    """Set when the peer is to be authenticated anew; rekeying does not put this off.

    The initiator does it. The responder tells it how long it has (RFC 4478), and ends the SA some time after that.
    """
    connection = core.connection(sa)
    if not connection.reauth_time:
        return
    if sa.initiator:
        core.timers.set(sa, REAUTHENTICATE, now + early(core, connection.reauth_time, connection.jitter))
    else:
        core.timers.set(sa, AUTH_EXPIRY, now + connection.reauth_time * (1 + connection.over_time))


def heed(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """The responder may say after how many seconds it ends the SA: authenticate anew before that (RFC 4478 3)."""
    told = message.notify(NotifyType.AUTH_LIFETIME)
    if told is None or len(told.data) != 4 or not sa.initiator:
        return
    seconds = int.from_bytes(told.data)
    connection = core.connection(sa)
    due = now + early(core, seconds * (1 - connection.over_time), connection.jitter)
    core.timers.set(sa, REAUTHENTICATE, min(due, sa.timers.get(REAUTHENTICATE, due)))


def used_up(core: Core, sa: IkeSa, child: ChildSa, packets: int, octets: int) -> None:
    """A CHILD SA has carried enough in one direction: rekey it, or end it where that did not come in time."""
    config, over = child.config, 1 + core.connection(sa).over_time
    if (config.rekey_packets and packets >= round(config.rekey_packets * over)) or (
        config.rekey_bytes and octets >= round(config.rekey_bytes * over)
    ):
        end_child(core, sa, child)
    elif not child.renewing and child.state is ChildState.INSTALLED:
        child.renewing = True
        sa.queue.append(CreateChildTask(config, child.id))
        core.wake(sa)


def end_child(core: Core, sa: IkeSa, child: ChildSa) -> None:
    """A CHILD SA is past its hard lifetime: nothing is sent on it any more, and it is deleted."""
    if not child.spent:
        child.spent = True
        core.flows.clear()
        sa.queue.append(DeleteTask(Reason.LIFETIME_EXPIRED, (child.id,)))
        core.wake(sa)
