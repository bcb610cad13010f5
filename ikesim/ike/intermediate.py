"""IKE_INTERMEDIATE: additional key exchanges between IKE_SA_INIT and IKE_AUTH, in both roles (RFC 9242, RFC 9370).

Each exchange makes one of them, in the order of their transform types, and is protected by the keys before it. After
it both sides go on with SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr).
"""

from ikesim.crypto import exchange, schedule
from ikesim.errors import KeyExchangeError, ProtocolError
from ikesim.ike import announcement, auth, intauth
from ikesim.ike.core import Core
from ikesim.ike.grammar import Form, recognise
from ikesim.ike.sa import IkeSa, IkeState
from ikesim.ike.tasks import InitTask, IntermediateTask
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import KE
from ikesim.wire.registry import ExchangeType, KeyExchangeId, NotifyType, is_error, name

# the initiator


def proceed(core: Core, sa: IkeSa, now: float, init: InitTask | None = None, other: bytes = b"") -> None:
    """Ask for the next key exchange, or go on to IKE_AUTH when there is none left.

    `init` and `other` are those of AuthTask, kept until IKE_AUTH.
    """
    if sa.intermediate is None or not sa.intermediate.methods:
        if sa.state is not IkeState.AUTH_RESPONSE:
            sa.move(IkeState.AUTH_RESPONSE)
        auth.send_request(core, sa, now, init, other)
        return
    if sa.state is not IkeState.INTERMEDIATE_RESPONSE:
        sa.move(IkeState.INTERMEDIATE_RESPONSE)
    method = sa.intermediate.methods[0]
    pair = exchange.generate(method, core.entropy("ke"))
    task = IntermediateTask(pair, init, other)
    core.request(sa, ExchangeType.IKE_INTERMEDIATE, [KE(method, pair.public)], task, now)


def handle_response(core: Core, sa: IkeSa, message: Message, task: IntermediateTask, now: float) -> None:
    """Take the responder's half and go on with the new keys. Raises ProtocolError where it is malformed."""
    if recognise(message) is Form.INTERMEDIATE_NOTIFY:
        said = [name(NotifyType, item.type) for item in message.notifies() if is_error(item.type)]
        detail = f"the responder answered IKE_INTERMEDIATE with {' '.join(said) or 'no key exchange'}"
        core.refuse(sa, "peer", Reason.PEER_REFUSED, now, detail=detail)
        return
    public = _public(message, task.pair.method)
    try:
        shared = exchange.agree(task.pair, public)
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    intauth.cover_received(core.prf(sa), sa, message)
    announcement.learn(core, sa, message)
    _renew(core, sa, shared)
    proceed(core, sa, now, task.init, task.other)


# the responder


def handle_request(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """Answer with our half and go on with the new keys. Raises ProtocolError where the request is malformed."""
    recognise(message)
    assert sa.intermediate is not None and sa.origin is not None
    method = sa.intermediate.methods[0]
    public = _public(message, method)
    try:
        answer, shared = exchange.answer(method, public, core.entropy("ke"), core.ports.encapsulate)
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    sa.path, sa.marked = sa.origin.path, sa.origin.marked
    intauth.cover_received(core.prf(sa), sa, message)
    core.respond(sa, ExchangeType.IKE_INTERMEDIATE, [KE(method, answer)])
    _renew(core, sa, shared)
    if not sa.intermediate.methods:
        sa.move(IkeState.AUTH_REQUEST)


# both


def _renew(core: Core, sa: IkeSa, shared: bytes) -> None:
    """The keys after a key exchange (RFC 9370 2.2.2)."""
    assert sa.intermediate is not None and sa.keys is not None
    sa.keys = schedule.ike_keys(
        core.prf(sa),
        core.suite(sa),
        ni=sa.nonce_i,
        nr=sa.nonce_r,
        spi_i=sa.spi_i,
        spi_r=sa.spi_r,
        shared=shared,
        sk_d=sa.keys.d,
    )
    sa.intermediate.methods = sa.intermediate.methods[1:]
    sa.intermediate.done += 1
    core.installed(sa)


def _public(message: Message, method: int) -> bytes:
    public = message.get(KE)
    assert public is not None
    if public.method != method:
        theirs, ours = name(KeyExchangeId, public.method), name(KeyExchangeId, method)
        raise _malformed(f"the key exchange is {theirs}, not the {ours} agreed on")
    return public.data


def _malformed(message: str) -> ProtocolError:
    return ProtocolError(message, reason=Reason.PAYLOAD_MALFORMED, notify=NotifyType.INVALID_SYNTAX)
