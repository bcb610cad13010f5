"""IKE_FOLLOWUP_KE: the key exchanges of a CREATE_CHILD_SA after its first, in both roles (RFC 9370 2.2.4)."""

from dataclasses import replace

from ikesim.crypto import exchange
from ikesim.errors import KeyExchangeError, ProtocolError
from ikesim.ike import agreement, create_child, rekey_ike
from ikesim.ike.agreement import Agreement, ChildAgreement, IkeAgreement
from ikesim.ike.core import Core
from ikesim.ike.grammar import Form
from ikesim.ike.sa import IkeSa
from ikesim.ike.tasks import CreateChildTask, DeleteTask, FollowupTask, RekeyIkeTask, Task
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import KE, Notify, Payload
from ikesim.wire.registry import ExchangeType, KeyExchangeId, NotifyType, name

# the one who asks


def build(core: Core, task: FollowupTask) -> list[Payload]:
    """The payloads of the request."""
    method = task.methods[0]
    task.pair = exchange.generate(method, core.entropy("ke"))
    return [KE(method, task.pair.public), Notify(NotifyType.ADDITIONAL_KEY_EXCHANGE, task.link)]


def handle_response(core: Core, sa: IkeSa, message: Message, form: Form, task: FollowupTask, now: float) -> None:
    """Go on with the next exchange, or complete the SA; after some errors begin again with CREATE_CHILD_SA."""
    begun, theirs = task.task, message.get(KE)
    if form is Form.FOLLOWUP_NOTIFY:
        if isinstance(begun, CreateChildTask):
            create_child.handle_failure(core, sa, message, begun, now)
        else:
            rekey_ike.handle_failure(core, sa, message, begun, now)
        return
    assert task.pair is not None and theirs is not None
    _check_method(theirs, task.methods[0])
    try:
        agreed = _with(task.agreed, exchange.agree(task.pair, theirs.data))
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    rest = task.methods[1:]
    if rest:
        further = agreement.further(begun, agreed, rest, message)
        if further is None:
            raise _malformed("IKE_FOLLOWUP_KE is answered without a link to the next one")
        sa.queue.appendleft(further)
    elif isinstance(agreed, ChildAgreement):
        assert isinstance(begun, CreateChildTask)
        create_child.complete(core, sa, begun, agreed, now)
    else:
        assert isinstance(begun, RekeyIkeTask)
        rekey_ike.complete(core, sa, begun, agreed, now)


# the one who answers


def handle_request(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """Make the next key exchange; with the last one the SA is there. Raises ProtocolError where it is malformed."""
    link, theirs = message.notify(NotifyType.ADDITIONAL_KEY_EXCHANGE), message.get(KE)
    awaited = sa.followup
    assert theirs is not None
    if awaited is None or link is None or link.data != awaited.link:
        core.respond(sa, ExchangeType.IKE_FOLLOWUP_KE, [Notify(NotifyType.STATE_NOT_FOUND)])
        return
    method, rest = awaited.methods[0], awaited.methods[1:]
    _check_method(theirs, method)
    try:
        answer, secret = exchange.answer(method, theirs.data, core.entropy("ke"), core.ports.encapsulate)
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    agreed = _with(awaited.agreed, secret)
    forget(core, sa)
    payloads: list[Payload] = [KE(method, answer)]
    if rest:
        payloads.append(agreement.follow(core, sa, rest, agreed, now))
    core.respond(sa, ExchangeType.IKE_FOLLOWUP_KE, payloads)
    if rest:
        return
    if isinstance(agreed, ChildAgreement):
        create_child.complete_answer(core, sa, agreed, now)
    else:
        rekey_ike.complete_answer(core, sa, agreed, now)


def forget(core: Core, sa: IkeSa) -> None:
    """No further key exchange of the peer is awaited."""
    sa.followup = None
    sa.timers.pop(agreement.TIMER, None)


def holds(sa: IkeSa, task: Task) -> bool:
    """Whether a task waits until the peer has rekeyed the IKE SA: it would speak of SAs that are about to move."""
    if sa.followup is None or not isinstance(sa.followup.agreed, IkeAgreement):
        return False
    return isinstance(task, CreateChildTask | RekeyIkeTask) or (isinstance(task, DeleteTask) and bool(task.children))


# both


def _with(agreed: Agreement, secret: bytes) -> Agreement:
    if isinstance(agreed, ChildAgreement):
        return replace(agreed, choice=replace(agreed.choice, more=agreed.choice.more + secret))
    return replace(agreed, more=agreed.more + secret)


def _check_method(theirs: KE, method: int) -> None:
    if theirs.method != method:
        said, agreed = name(KeyExchangeId, theirs.method), name(KeyExchangeId, method)
        raise _malformed(f"the key exchange is {said}, not the {agreed} agreed on")


def _malformed(message: str) -> ProtocolError:
    return ProtocolError(message, reason=Reason.PAYLOAD_MALFORMED, notify=NotifyType.INVALID_SYNTAX)
