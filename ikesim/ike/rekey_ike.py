"""CREATE_CHILD_SA to rekey the IKE SA, in both roles (RFC 7296 1.3.2, 2.8, 2.18, 2.25.2)."""

from ikesim.crypto import exchange, schedule
from ikesim.crypto.ciphers import cipher_suite
from ikesim.errors import KeyExchangeError, ProtocolError
from ikesim.ike import agreement, child, events, lifetime, unique
from ikesim.ike.agreement import IkeAgreement
from ikesim.ike.core import Core
from ikesim.ike.create_child import MAX_ATTEMPTS, PASSING, later
from ikesim.ike.grammar import Form
from ikesim.ike.init import NONCE_OCTETS
from ikesim.ike.negotiation import accepted, algorithms, choose, key_exchange_methods, numbered
from ikesim.ike.sa import ChildState, IkeSa, IkeState
from ikesim.ike.tasks import CreateChildTask, DeleteTask, RekeyIkeTask
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import KE, SA, Nonce, Notify, Payload
from ikesim.wire.proposals import Proposal
from ikesim.wire.registry import ExchangeType, NotifyType

MOVED = (lifetime.REAUTHENTICATE, lifetime.AUTH_EXPIRY, unique.CROSSED, unique.OUTLIVED)
"""Timers that go over to the new SA as they are."""

# the one who asks


def build(core: Core, sa: IkeSa, task: RekeyIkeTask) -> list[Payload] | None:
    """The payloads of the request; None when the SA was replaced meanwhile."""
    if sa.replaced_by is not None:
        return None
    connection = core.connection(sa)
    task.spi = core.new_ike_spi()
    task.nonce = core.ports.entropy("nonce", NONCE_OCTETS)
    task.proposals = numbered(connection.proposals, task.spi)
    if task.method is None:
        # The method in use is the one that the peer is known to accept.
        assert sa.proposal is not None
        task.method = algorithms(sa.proposal).key_exchange
        if task.method not in key_exchange_methods(task.proposals):
            task.method = key_exchange_methods(task.proposals)[0]
    assert task.method is not None
    task.pair = exchange.generate(task.method, core.entropy("ke"))
    return [SA(task.proposals), Nonce(task.nonce), KE(task.method, task.pair.public)]


def handle_response(core: Core, sa: IkeSa, message: Message, form: Form, task: RekeyIkeTask, now: float) -> None:
    """Go over to the new SA, settle with a rival, or try again as the peer's error says."""
    if form is Form.CREATE_NOTIFY:
        handle_failure(core, sa, message, task, now)
        return
    if form is not Form.IKE_REKEY_RESPONSE:
        raise _malformed("the answer to a rekeying of the IKE SA is for a CHILD SA")
    answer, nonce, theirs = message.get(SA), message.get(Nonce), message.get(KE)
    assert answer is not None and nonce is not None and theirs is not None and task.pair is not None
    chosen = accepted(answer.proposals, task.proposals)
    if chosen is None or len(chosen.spi) != 8 or algorithms(chosen).key_exchange != theirs.method:
        raise _malformed("the peer chose a proposal that was not offered")
    if theirs.method != task.pair.method:
        raise _malformed("the peer's key exchange is of another method than ours")
    try:
        shared = exchange.agree(task.pair, theirs.data)
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    agreed = IkeAgreement(chosen, task.nonce, nonce.data, task.spi, chosen.spi, True, shared)
    methods = algorithms(chosen).additional
    if not methods:
        complete(core, sa, task, agreed, now)
        return
    further = agreement.further(task, agreed, methods, message)
    if further is not None:
        sa.queue.appendleft(further)
    else:
        what = "rekeying failed: the peer has no further key exchanges for what it chose"
        core.emit(events.Anomaly, now, what=what, rule="RFC 9370 2.2.4", sa=sa.id)


def complete(core: Core, sa: IkeSa, task: RekeyIkeTask, agreed: IkeAgreement, now: float) -> None:
    """All key exchanges are made: go over to the new SA, or settle with a rival."""
    fresh = _make(core, sa, agreed, now)
    rival = core.sas.get(task.rival) if task.rival is not None else None
    if rival is not None and fresh.lowest_nonce < rival.lowest_nonce:
        # RFC 7296 2.8.1: ours holds the lowest nonce and is closed by us; the peer closes the old one.
        fresh.queue.append(DeleteTask(Reason.REKEYED))
        core.wake(fresh)
        _succeed(core, sa, rival, now)
        return
    if rival is not None:
        # The peer deletes it (RFC 7296 2.8.1), unless our answer was lost and it never had it.
        rival.replaced_by = fresh.id
        core.timers.set(rival, "half-open", now + core.config.half_open_timeout)
    _succeed(core, sa, fresh, now)
    sa.queue.appendleft(DeleteTask(Reason.REKEYED))


def adopt_rival(core: Core, sa: IkeSa, now: float) -> None:
    """The peer went over to the SA of its own request before it saw ours: so do we (RFC 7296 2.8.2, 2.25.2)."""
    task = sa.asking
    if isinstance(task, RekeyIkeTask) and task.rival in core.sas and sa.replaced_by is None:
        _succeed(core, sa, core.sas[task.rival], now)


def is_rival(core: Core, sa: IkeSa) -> bool:
    """Whether an SA is the peer's half of two rekeyings at once, our own being still unanswered."""
    old = core.sas.get(sa.made_from) if sa.made_from is not None else None
    task = old.asking if old is not None else None
    return isinstance(task, RekeyIkeTask) and task.rival == sa.id


def handle_failure(core: Core, sa: IkeSa, message: Message, task: RekeyIkeTask, now: float) -> None:
    """The peer answered with an error, also to a further key exchange: try again as it says, or give up."""
    if task.rival in core.sas:
        _succeed(core, sa, core.sas[task.rival], now)
        return
    failure = child.failure_of(message)
    task.attempts += 1
    if failure is None or task.attempts >= MAX_ATTEMPTS:
        return
    again = RekeyIkeTask(task.method, task.attempts)
    if failure.notify == NotifyType.INVALID_KE_PAYLOAD:
        method = int.from_bytes(failure.data)
        if method != task.method and method in key_exchange_methods(task.proposals):
            again.method = method
            sa.queue.appendleft(again)
            return
    if failure.notify in PASSING:
        later(core, sa, again, now)
        return
    core.emit(events.Anomaly, now, what=f"rekeying failed: {failure}", rule="RFC 7296 2.8", sa=sa.id)


# the one who answers


def handle_request(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """Answer a request to replace this IKE SA. Raises ProtocolError where it is malformed."""
    offered, nonce, theirs = message.get(SA), message.get(Nonce), message.get(KE)
    assert offered is not None and nonce is not None and theirs is not None
    outstanding = sa.asking
    busy = isinstance(outstanding, CreateChildTask | DeleteTask) or any(
        item.state is ChildState.DELETING for item in sa.children.values()
    )
    if busy or sa.replaced_by is not None:
        # RFC 7296 2.25.2
        core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.TEMPORARY_FAILURE)])
        return
    connection = core.connection(sa)
    chosen = choose(
        [item for item in offered.proposals if len(item.spi) == 8], connection.proposals, connection.prefer
    )
    if chosen is None:
        core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.NO_PROPOSAL_CHOSEN)])
        return
    method, methods = algorithms(chosen).key_exchange, algorithms(chosen).additional
    assert method is not None
    if methods and isinstance(outstanding, RekeyIkeTask):
        # Two rekeyings of several exchanges each would be at odds for long: both give way, and try at random moments.
        core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.TEMPORARY_FAILURE)])
        return
    if theirs.method != method:
        core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.INVALID_KE_PAYLOAD, method.to_bytes(2))])
        return
    try:
        public, shared = exchange.answer(method, theirs.data, core.entropy("ke"), core.ports.encapsulate)
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    answer = core.ports.entropy("nonce", NONCE_OCTETS)
    spi = core.new_ike_spi()
    security = SA((Proposal(chosen.number, chosen.protocol, spi, chosen.transforms),))
    payloads: list[Payload] = [security, Nonce(answer), KE(method, public)]
    agreed = IkeAgreement(chosen, nonce.data, answer, chosen.spi, spi, False, shared)
    if methods:
        payloads.append(agreement.follow(core, sa, methods, agreed, now))
    core.respond(sa, ExchangeType.CREATE_CHILD_SA, payloads)
    if not methods:
        complete_answer(core, sa, agreed, now)


def complete_answer(core: Core, sa: IkeSa, agreed: IkeAgreement, now: float) -> None:
    """All key exchanges are made: go over to the SA that the peer asked for."""
    fresh = _make(core, sa, agreed, now)
    ours = sa.asking
    if isinstance(ours, RekeyIkeTask):
        ours.rival = fresh.id
    else:
        _succeed(core, sa, fresh, now)


# both


def _make(core: Core, old: IkeSa, agreed: IkeAgreement, now: float) -> IkeSa:
    """The new IKE SA, established from the start: the peer was authenticated by the old one."""
    chosen, nonce_i, nonce_r = agreed.chosen, agreed.nonce_i, agreed.nonce_r
    picked = algorithms(chosen)
    assert picked.prf is not None and old.keys is not None and old.peer is not None
    fresh = IkeSa(
        id=core.new_id("ike"),
        initiator=agreed.initiator,
        state=IkeState.VERDICT,
        spi_i=agreed.spi_i,
        spi_r=agreed.spi_r,
        path=old.path,
        marked=old.marked,
        created_at=now,
        connection=old.connection,
        proposal=Proposal(chosen.number, chosen.protocol, b"", chosen.transforms),
        suite=cipher_suite(picked.encryption, picked.key_bits, picked.integrity),
        prf=picked.prf,
        nonce_i=nonce_i,
        nonce_r=nonce_r,
        ppk=old.ppk,
        peer_hashes=old.peer_hashes,
        authorities=old.authorities,
        fragmentation=old.fragmentation,
        childless=old.childless,
        follows_redirects=old.follows_redirects,
        redirected=old.redirected,
        mobike=old.mobike,
        additional=old.additional,
        path_doubtful=old.path_doubtful,
        traffic_path=old.traffic_path,
        nat_local=old.nat_local,
        mapped=old.mapped,
        nat_remote=old.nat_remote,
        made_from=old.id,
        lowest_nonce=min(nonce_i, nonce_r),
    )
    assert fresh.suite is not None
    fresh.keys = schedule.ike_keys(
        core.prf(fresh),
        fresh.suite,
        ni=nonce_i,
        nr=nonce_r,
        spi_i=agreed.spi_i,
        spi_r=agreed.spi_r,
        shared=agreed.shared,
        sk_d=old.keys.d,
        old_prf=core.prf(old),
        more=agreed.more,
    )
    established_at = old.established_at
    fresh.establish(old.peer, now)
    core.add(fresh)
    core.index_peer(fresh)
    fresh.established_at = established_at
    core.installed(fresh)
    return fresh


def _succeed(core: Core, old: IkeSa, fresh: IkeSa, now: float) -> None:
    """The new SA takes over the CHILD SAs and what was still to be done (RFC 7296 2.8)."""
    old.replaced_by = fresh.id
    fresh.assigned, fresh.leased, old.leased = old.assigned, old.leased, ()
    # Whoever asked deletes the old one; if that never happens, it ends by itself.
    core.timers.set(old, "half-open", now + core.config.half_open_timeout)
    if old.successor in core.sas:
        fresh.successor = old.successor
        core.sas[old.successor].reauthenticates = fresh.id
    for kept in old.children.values():
        kept.sa = fresh.id
        fresh.children[kept.id] = kept
    old.children = {}
    for timer, deadline in list(old.timers.items()):
        if timer.startswith(("rekey child", "expire child")) or timer in MOVED:
            del old.timers[timer]
            core.timers.set(fresh, timer, deadline)
    for timer in ("rekey", "liveness", "keepalive"):
        old.timers.pop(timer, None)
    fresh.queue.extend(item for item in old.queue if not isinstance(item, RekeyIkeTask))
    old.queue.clear()
    fresh.postponed = [item for item in old.postponed if not isinstance(item, RekeyIkeTask)]
    old.postponed = []
    if fresh.postponed:
        core.timers.set(fresh, "retry", now)
    lifetime.start(core, fresh, now)
    core.wake(fresh)
    core.emit(events.Rekeyed, now, old=old.id, new=fresh.id)


def _malformed(message: str) -> ProtocolError:
    return ProtocolError(message, reason=Reason.PAYLOAD_MALFORMED, notify=NotifyType.INVALID_SYNTAX)
