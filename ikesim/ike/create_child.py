"""CREATE_CHILD_SA for CHILD SAs: new ones and rekeying, in both roles (RFC 7296 1.3.1, 1.3.3, 2.8, 2.25)."""

from dataclasses import replace

from ikesim.crypto import exchange
from ikesim.errors import KeyExchangeError
from ikesim.ike import addresses, agreement, child, events
from ikesim.ike.agreement import ChildAgreement
from ikesim.ike.core import Core
from ikesim.ike.grammar import Form
from ikesim.ike.init import NONCE_OCTETS
from ikesim.ike.negotiation import algorithms, key_exchange_methods
from ikesim.ike.sa import ChildSa, ChildState, IkeSa
from ikesim.ike.self_tests import FAILED
from ikesim.ike.tasks import CreateChildTask, DeleteTask, InformTask, RekeyIkeTask
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import KE, Delete, Nonce, Notify, Payload
from ikesim.wire.registry import ExchangeType, NotifyType, ProtocolId

RETRY_TIME = 5.0
"""Seconds before a request is tried again that the peer met with TEMPORARY_FAILURE (RFC 7296 2.25 leaves it open)."""
RETRY_JITTER = 0.6
"""Fraction of it that is taken off at random."""
MAX_ATTEMPTS = 6
"""Tries of one request before it is given up; the SA's hard lifetime ends it then."""

PASSING = (NotifyType.TEMPORARY_FAILURE, NotifyType.STATE_NOT_FOUND)
"""Errors after which the same request may succeed: the second says that the peer forgot what it had agreed to."""
MAX_GONE = 16
"""SPIs remembered of what the peer deleted while we waited: it made one, and may delete a few others."""


# the one who asks


def build(core: Core, sa: IkeSa, task: CreateChildTask) -> list[Payload] | None:
    """The payloads of the request; None when there is nothing left to ask."""
    old = sa.children.get(task.rekeys) if task.rekeys is not None else None
    if task.rekeys is not None and (old is None or old.state is not ChildState.INSTALLED):
        return None
    local_ts, remote_ts = (old.local_ts, old.remote_ts) if old else addresses.selectors(core, sa, task.config)
    task.offer = child.make_offer(core, task.config, with_exchange=True, local_ts=local_ts, remote_ts=remote_ts)
    task.nonce = core.ports.entropy("nonce", NONCE_OCTETS)
    security, ours, theirs = child.offer_payloads(task.offer)
    payloads: list[Payload] = [security, Nonce(task.nonce)]
    if old is not None:
        payloads.insert(0, Notify(NotifyType.REKEY_SA, protocol=ProtocolId.ESP, spi=old.spi_in))
    method = task.method or child.first_method(task.config)
    if method is not None:
        task.method = method
        task.pair = exchange.generate(method, core.entropy("ke"))
        payloads.append(KE(method, task.pair.public))
    return [*payloads, ours, theirs]


def handle_response(core: Core, sa: IkeSa, message: Message, form: Form, task: CreateChildTask, now: float) -> None:
    """Install what the peer agreed to, settle with a rival, or try again as its error says."""
    assert task.offer is not None
    if form is Form.CREATE_NOTIFY:
        handle_failure(core, sa, message, task, now)
        return
    try:
        choice = child.read_answer(core, sa, task.offer, message)
        shared = _agree(task, message, algorithms(choice.proposal).key_exchange)
    except child.ChildFailure as failure:
        _give_up(core, sa, task, failure.reason, str(failure), now)
        sa.queue.append(InformTask((Delete(ProtocolId.ESP, (task.offer.spi,)),)))
        return
    nonce = message.get(Nonce)
    assert nonce is not None
    choice = replace(choice, public=b"", shared=shared)
    agreed = ChildAgreement(choice, child.ChildNonces(task.nonce, nonce.data), task.rekeys)
    methods = algorithms(choice.proposal).additional
    if not methods:
        complete(core, sa, task, agreed, now)
        return
    further = agreement.further(task, agreed, methods, message)
    if further is not None:
        sa.queue.appendleft(further)
    else:
        detail = "the peer has no further key exchanges for what it chose (RFC 9370 2.2.4)"
        _give_up(core, sa, task, Reason.KE_MISMATCH, detail, now)


def complete(core: Core, sa: IkeSa, task: CreateChildTask, agreed: ChildAgreement, now: float) -> None:
    """All key exchanges are made: install what we asked for, and settle with a rival."""
    old = sa.children.get(task.rekeys) if task.rekeys is not None else None
    choice, nonces = agreed.choice, agreed.nonces
    if choice.proposal.spi in task.gone:
        # The peer has ended it already. A rekeyed one ends with it: to the peer the new one was the tunnel.
        if old is not None:
            sa.queue.appendleft(DeleteTask(Reason.DELETED_BY_PEER, (old.id,)))
        return
    fresh = child.install(core, sa, choice, nonces, now, ours=True, replaces=task.rekeys)
    if task.rekeys is None:
        return
    rival = sa.children.get(task.rival) if task.rival is not None else None
    if rival is not None and nonces.lowest < rival.lowest_nonce:
        # RFC 7296 2.8.1: ours holds the lowest nonce, so whoever made it, we, closes it; the peer closes the old one.
        sa.queue.appendleft(DeleteTask(Reason.REKEYED, (fresh.id,)))
        fresh.state = ChildState.REKEYED
        if old is not None:
            _replaced(core, old, rival, now)
        return
    if rival is not None:
        # The peer closes the one that it made.
        rival.state = ChildState.REKEYED
    if old is not None:
        _replaced(core, old, fresh, now)
        sa.queue.appendleft(DeleteTask(Reason.REKEYED, (old.id,)))


def _agree(task: CreateChildTask, message: Message, method: int | None) -> bytes:
    if method is None:
        return b""
    theirs = message.get(KE)
    if task.pair is None or theirs is None or theirs.method != method or task.pair.method != method:
        raise child.ChildFailure(
            "the key exchange is of another method than the one chosen", reason=Reason.KE_MISMATCH
        )
    try:
        return exchange.agree(task.pair, theirs.data)
    except KeyExchangeError as error:
        raise child.ChildFailure(str(error), reason=Reason.KE_MISMATCH) from None


def _replaced(core: Core, old: ChildSa, fresh: ChildSa, now: float) -> None:
    old.state = ChildState.REKEYED
    # Whoever asked deletes the old one; if that never happens, we do.
    core.timers.set(core.sas[old.sa], f"expire {old.id}", now + core.config.half_open_timeout)
    core.flows.clear()
    core.emit(events.Rekeyed, now, old=old.id, new=fresh.id)


def handle_failure(core: Core, sa: IkeSa, message: Message, task: CreateChildTask, now: float) -> None:
    """The peer answered with an error, also to a further key exchange: try again as it says, or give up."""
    failure = child.failure_of(message)
    if failure is None:
        return
    task.attempts += 1
    method = int.from_bytes(failure.data) if failure.notify == NotifyType.INVALID_KE_PAYLOAD else 0
    if method and method != task.method and method in key_exchange_methods(task.config.proposals):
        task.method = method
        if task.attempts < MAX_ATTEMPTS:
            sa.queue.appendleft(_again(task))
            return
    if failure.notify in PASSING and task.attempts < MAX_ATTEMPTS:
        later(core, sa, _again(task), now)
        return
    if failure.notify == NotifyType.CHILD_SA_NOT_FOUND and task.rekeys in sa.children:
        # RFC 7296 2.25.1: the peer has no such SA, so neither have we, and a new one is made from scratch.
        core.remove_child(sa, sa.children[task.rekeys], Reason.DELETED_BY_PEER, now)
        sa.queue.append(CreateChildTask(task.config))
        return
    if task.rekeys is None or task.rekeys in sa.children:
        _give_up(core, sa, task, failure.reason, str(failure), now)


def _again(task: CreateChildTask) -> CreateChildTask:
    return CreateChildTask(task.config, task.rekeys, task.method, task.attempts)


def later(core: Core, sa: IkeSa, task: CreateChildTask | RekeyIkeTask, now: float) -> None:
    """Try a request again after a while, a random one: two ends that put each other off must not meet again."""
    sa.postponed.append(task)
    core.timers.set(sa, "retry", now + child.early(core, RETRY_TIME, RETRY_JITTER))


def forgo(core: Core, sa: IkeSa, task: CreateChildTask | RekeyIkeTask, now: float) -> None:
    """Ask for nothing new, since a self-test has failed; what should be replaced lives on until it expires."""
    core.counters.add("self-test-forgone")
    if isinstance(task, CreateChildTask) and task.rekeys is None:
        _give_up(core, sa, task, Reason.SELF_TEST_FAILED, FAILED, now)


def _give_up(core: Core, sa: IkeSa, task: CreateChildTask, reason: Reason, detail: str, now: float) -> None:
    core.emit(
        events.ChildDown,
        now,
        sa=sa.id,
        child=task.rekeys or core.new_id("child"),
        name=task.config.name,
        reason=reason,
        detail=detail,
    )


# the one who answers


def handle_request(core: Core, sa: IkeSa, message: Message, form: Form, now: float) -> None:
    """Answer a request for a CHILD SA, new or to replace one. Raises ProtocolError where it is malformed."""
    nonce = message.get(Nonce)
    assert nonce is not None
    old: ChildSa | None = None
    connection = core.connection(sa)
    configs = connection.children
    if isinstance(sa.asking, RekeyIkeTask) or sa.replaced_by is not None:
        # RFC 7296 2.25.2
        core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.TEMPORARY_FAILURE)])
        return
    if form is Form.CHILD_REKEY_REQUEST:
        rekey = message.notify(NotifyType.REKEY_SA)
        assert rekey is not None
        old = next((item for item in sa.children.values() if item.spi_out == rekey.spi), None)
        if old is None or rekey.protocol != ProtocolId.ESP:
            not_found = Notify(NotifyType.CHILD_SA_NOT_FOUND, protocol=rekey.protocol, spi=rekey.spi)
            core.respond(sa, ExchangeType.CREATE_CHILD_SA, [not_found])
            return
        if old.state is not ChildState.INSTALLED:
            core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.TEMPORARY_FAILURE)])
            return
        configs = (old.config,)
    try:
        choice = child.choose_child(core, sa, message, configs, connection.prefer, in_auth=False)
    except child.ChildFailure as failure:
        assert failure.notify is not None
        core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(failure.notify, failure.data)])
        return
    methods, ours = algorithms(choice.proposal).additional, sa.asking
    if methods and old is not None and isinstance(ours, CreateChildTask) and ours.rekeys == old.id:
        # Two rekeyings of several exchanges each would be at odds for long: both give way, and try at random moments.
        core.respond(sa, ExchangeType.CREATE_CHILD_SA, [Notify(NotifyType.TEMPORARY_FAILURE)])
        return
    answer = core.ports.entropy("nonce", NONCE_OCTETS)
    payloads = choice.payloads()
    payloads.insert(1, Nonce(answer))
    agreed = ChildAgreement(choice, child.ChildNonces(nonce.data, answer), old.id if old is not None else None)
    if methods:
        payloads.append(agreement.follow(core, sa, methods, agreed, now))
    core.respond(sa, ExchangeType.CREATE_CHILD_SA, payloads)
    if not methods:
        complete_answer(core, sa, agreed, now)


def complete_answer(core: Core, sa: IkeSa, agreed: ChildAgreement, now: float) -> None:
    """All key exchanges are made: install what the peer asked for."""
    old = sa.children.get(agreed.rekeys) if agreed.rekeys is not None else None
    replaces = old.id if old is not None else None
    fresh = child.install(core, sa, agreed.choice, agreed.nonces, now, ours=False, replaces=replaces)
    if old is None:
        return
    ours = sa.asking
    if isinstance(ours, CreateChildTask) and ours.rekeys == old.id:
        ours.rival = fresh.id
    else:
        _replaced(core, old, fresh, now)


def note_unknown(sa: IkeSa, spis: tuple[bytes, ...]) -> None:
    """The peer deletes CHILD SAs: remember those that we do not know while we wait for an answer that makes one."""
    task = sa.asking
    if isinstance(task, CreateChildTask):
        known = {item.spi_out for item in sa.children.values()}
        task.gone = (*task.gone, *(spi for spi in spis if spi not in known))[-MAX_GONE:]


def why_deleted(core: Core, sa: IkeSa, gone: ChildSa, now: float) -> Reason:
    """Why the peer deletes a CHILD SA: one of its own, or one that rekeying made superfluous (RFC 7296 2.8.1)."""
    task = sa.asking
    if isinstance(task, CreateChildTask) and task.rival in sa.children:
        if task.rekeys == gone.id:
            # The peer rekeyed it too, and finished first: its SA is the one that stays.
            _replaced(core, gone, sa.children[task.rival], now)
        elif task.rival == gone.id:
            gone.state = ChildState.REKEYED
    return Reason.REKEYED if gone.state is ChildState.REKEYED else Reason.DELETED_BY_PEER
