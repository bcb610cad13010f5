"""One IKE SA for each peer: who gives way to whom, and when (RFC 7296 2.4; `unique` of a connection).

Three rules keep the two ends from ending each other's choice. Who initiated an SA ends what it knew to be older, at
once: the new SA is up at both ends. Where two ends initiated at once, the SA with the lowest of the four nonces is
ended by the end that initiated it, as RFC 7296 2.8.1 has it for rekeying; but only once the peer is known to have the
other one, whose last answer may have been lost. Who merely answered waits until the initiator must have decided.
"""

from ikesim.ike.core import Core
from ikesim.ike.sa import Authenticated, IkeSa, IkeState
from ikesim.ike.tasks import DeleteTask, InformTask
from ikesim.reasons import Reason

SETTLE_TIME = 5.0
"""Seconds after which of two SAs that were initiated at once one is ended: time for one retransmission."""
CROSSED, OUTLIVED = "crossed", "outlived"
"""The timers of an SA that has rivals: that were initiated at once, and that were there before."""


def after_establishment(core: Core, sa: IkeSa, initial_contact: bool, now: float) -> None:
    """Settle who stays, or set when that is to be done, for an SA that has just come up."""
    peer = _authenticated(sa)
    rivals = _rivals(core, sa)
    if rivals and initial_contact and not sa.initiator:
        for other in rivals:
            # What came up after this request arrived crossed it: the initiator could not yet know of it.
            if _authenticated(other).done <= peer.began:
                core.close(other, Reason.REPLACED, now)
        rivals = _rivals(core, sa)
    if not rivals:
        return
    if sa.initiator:
        for other in rivals:
            if not _crossed(peer, _authenticated(other)):
                _give_way(core, _older(sa, other))
    crossed = [other for other in rivals if _crossed(peer, _authenticated(other))]
    if crossed:
        core.timers.set(sa, CROSSED, now + SETTLE_TIME)
    if not sa.initiator and len(crossed) < len(rivals):
        core.timers.set(sa, OUTLIVED, now + core.config.half_open_timeout)


def settle_crossed(core: Core, sa: IkeSa, now: float) -> None:
    """Of two SAs that were initiated at once, end ours if it holds the lowest nonce; the peer ends its own."""
    if sa.state is not IkeState.ESTABLISHED:
        return
    peer = _authenticated(sa)
    for other in _rivals(core, sa):
        if _crossed(peer, _authenticated(other)):
            ours, theirs = (sa, other) if peer.initiator else (other, sa)
            loses = _authenticated(ours).lowest_nonce < _authenticated(theirs).lowest_nonce
            if loses and _confirmed(core, theirs, CROSSED, now):
                _give_way(core, ours)


def settle_outlived(core: Core, sa: IkeSa, now: float) -> None:
    """The initiator of an SA must have decided by now: what is older, and still there, gives way."""
    if sa.state is not IkeState.ESTABLISHED:
        return
    outlived = [other for other in _rivals(core, sa) if not _crossed(_authenticated(sa), _authenticated(other))]
    if outlived and _confirmed(core, sa, OUTLIVED, now):
        for other in outlived:
            _give_way(core, _older(sa, other))


def _confirmed(core: Core, sa: IkeSa, timer: str, now: float) -> bool:
    """Whether an SA that we answered for is up at the peer, too; if nothing says so, ask, and look again later."""
    if sa.last_heard > _authenticated(sa).up:
        return True
    if sa.window.outstanding is None and not sa.queue:
        sa.queue.append(InformTask())
        core.wake(sa)
    core.timers.set(sa, timer, now + SETTLE_TIME)
    return False


def _rivals(core: Core, sa: IkeSa) -> list[IkeSa]:
    assert sa.peer is not None and sa.connection is not None
    return [
        other
        for other in core.sas_with(sa.connection, sa.peer.identity)
        if other.id not in (sa.id, sa.reauthenticates)
    ]


def _authenticated(sa: IkeSa) -> Authenticated:
    assert sa.peer is not None
    return sa.peer


def _crossed(one: Authenticated, two: Authenticated) -> bool:
    """Whether each end initiated one of the two before the other was up here."""
    return one.initiator != two.initiator and one.began < two.done and two.began < one.done


def _older(one: IkeSa, two: IkeSa) -> IkeSa:
    return min(one, two, key=lambda sa: (_authenticated(sa).began, _authenticated(sa).lowest_nonce))


def _give_way(core: Core, sa: IkeSa) -> None:
    ending = sa.window.outstanding.task if sa.window.outstanding is not None else None
    if not any(isinstance(task, DeleteTask) and not task.children for task in (ending, *sa.queue)):
        sa.queue.append(DeleteTask(Reason.REPLACED))
        core.wake(sa)
