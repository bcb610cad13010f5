"""IKE_SA_INIT: algorithms, keys, NAT detection and cookies (RFC 7296 1.2, 2.6, 2.7, 2.23)."""

from collections.abc import Iterable
from struct import unpack

from ikesim.crypto import exchange, schedule
from ikesim.crypto.ciphers import cipher_suite
from ikesim.errors import KeyExchangeError, NotFoundError, ProtocolError, UsageError
from ikesim.ike import announcement, events, intermediate, nat, own, ppk, redirect
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.core import Core
from ikesim.ike.grammar import Form, recognise
from ikesim.ike.ids import SaId
from ikesim.ike.negotiation import (
    accepted,
    algorithms,
    choose,
    key_exchange_methods,
    numbered,
    offers_additional,
)
from ikesim.ike.sa import AWAITED_EXCHANGE, IkeSa, IkeState, Intermediate
from ikesim.ike.self_tests import FAILED
from ikesim.ike.tasks import AuthTask, InitTask, IntermediateTask
from ikesim.ike.window import Origin, digest
from ikesim.reasons import Reason
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Header, Message
from ikesim.wire.payloads import CERTREQ, KE, SA, Nonce, Notify, Payload
from ikesim.wire.proposals import Proposal
from ikesim.wire.registry import CertEncoding, ExchangeType, NotifyType

NONCE_OCTETS = 32
"""Of our nonces: at least half the key size of any PRF that we speak (RFC 7296 2.10)."""
MAX_RESTARTS = 6
"""COOKIE and INVALID_KE_PAYLOAD answers to one initiation: an honest peer sends one of each, and a chain ends."""
_HASHES = Notify(
    NotifyType.SIGNATURE_HASH_ALGORITHMS, b"".join(number.to_bytes(2) for number in own.ANNOUNCED_HASHES)
)
_FRAGMENTATION = Notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED)
_CHILDLESS = Notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED)
SUSPICION_TIME = 1.0
"""Seconds that we wait for a better answer after an unprotected error notify, which anybody may have sent."""
NO_SPI = bytes(8)


# the initiator


def initiate(
    core: Core,
    name: str,
    now: float,
    reauthenticates: SaId | None = None,
    *,
    remote: Address | None = None,
    redirected_from: str = "",
) -> SaId:
    """Start an IKE SA for a connection, with its remote or where that has sent us.

    Raises NotFoundError, or UsageError where it has no remote address.
    """
    connection = core.config.connections.get(name)
    if connection is None:
        raise NotFoundError(f"there is no connection {name!r} in the configuration of {core.config.name}")
    if connection.remote is None:
        raise UsageError(f"connection {name!r} has no remote address: it only answers")
    remote = remote or connection.remote
    path, marked = nat.first_path(core.config, connection, remote)
    sa = IkeSa(
        id=core.new_id("ike"),
        initiator=True,
        state=IkeState.INIT_RESPONSE,
        spi_i=core.new_ike_spi(),
        spi_r=NO_SPI,
        path=path,
        marked=marked,
        created_at=now,
        connection=name,
        reauthenticates=reauthenticates,
    )
    core.add(sa)
    missing = own.local_readiness(core, connection)
    if core.self_tests.failed:
        missing = Reason.SELF_TEST_FAILED, FAILED
    if missing is not None:
        core.refuse(sa, "us", missing[0], now, detail=missing[1])
        return sa.id
    _send_request(core, sa, _task(core, connection, remote, redirected_from), now)
    return sa.id


def _task(core: Core, connection: ConnectionConfig, remote: Address, redirected_from: str) -> InitTask:
    return InitTask(
        proposals=numbered(connection.proposals),
        method=key_exchange_methods(connection.proposals)[0],
        nonce=core.ports.entropy("nonce", NONCE_OCTETS),
        remote=remote,
        redirected_from=redirected_from,
        ppk=ppk.held(core, connection),
    )


def _send_request(core: Core, sa: IkeSa, task: InitTask, now: float) -> None:
    pair = task.pairs.get(task.method)
    if pair is None:
        pair = task.pairs[task.method] = exchange.generate(task.method, core.entropy("ke"))
    payloads: list[Payload] = []
    if task.cookie:
        payloads.append(Notify(NotifyType.COOKIE, task.cookie))
    payloads += [SA(task.proposals), KE(task.method, pair.public), Nonce(task.nonce)]
    payloads += _common_notifies(core, sa.spi_i, NO_SPI, sa.path)
    if offers_additional(task.proposals):
        payloads.append(Notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED))
    if task.ppk:
        payloads.append(Notify(NotifyType.USE_PPK))
    if core.connection(sa).follow_redirects:
        payloads.append(redirect.willing(task.redirected_from))
    sa.window.next_send = 0
    core.request(sa, ExchangeType.IKE_SA_INIT, payloads, task, now)
    assert sa.window.outstanding is not None
    task.requests[task.method] = sa.window.outstanding.datagrams[0]
    sa.nonce_i = task.nonce


def _common_notifies(
    core: Core, spi_i: bytes, spi_r: bytes, path: Path, *, fragmentation: bool = True
) -> list[Payload]:
    notifies: list[Payload] = [
        *nat.detection_notifies(spi_i, spi_r, path, core.config.encapsulation == "always"),
        _HASHES,
    ]
    if core.config.fragment_size and fragmentation:
        notifies.append(_FRAGMENTATION)
    return notifies


def handle_response(core: Core, sa: IkeSa, message: Message, task: InitTask, now: float) -> None:
    """Read the responder's answer: go on to IKE_AUTH, start again as it asks, or give up.

    Nothing here is authenticated yet: an error is believed only if nothing better comes (RFC 7296 2.21.1). Raises
    ProtocolError where the answer is malformed; the caller drops it and goes on waiting.
    """
    if recognise(message) is Form.INIT_NOTIFY:
        _handle_notify(core, sa, message, task, now)
        return
    answer, public, nonce = message.get(SA), message.get(KE), message.get(Nonce)
    assert answer is not None and public is not None and nonce is not None
    chosen = accepted(answer.proposals, task.proposals)
    if chosen is None or message.header.spi_r == NO_SPI:
        raise _malformed("the responder chose a proposal that was not offered")
    if algorithms(chosen).key_exchange != public.method or public.method not in task.pairs:
        raise _malformed("the responder's key exchange is of another method than the one chosen")
    additional = algorithms(chosen).additional
    if additional and message.notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED) is None:
        raise _malformed("the responder chose key exchanges for which it has no IKE_INTERMEDIATE")
    try:
        shared = exchange.agree(task.pairs[public.method], public.data)
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    sa.window.outstanding = None
    sa.window.next_send = 1
    sa.timers.pop("retransmit", None)
    sa.timers.pop("suspicion", None)
    sa.spi_r = message.header.spi_r
    sa.init_request = task.requests[public.method]
    sa.nonce_r = nonce.data
    sa.init_response = message.octets
    _learn(core, sa, message, sa.path)
    sa.childless = message.notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED) is not None
    sa.authorities = own.requested_authorities(message)
    announcement.learn(core, sa, message)
    _derive(core, sa, chosen, shared)
    connection = core.connection(sa)
    if sa.nat_local or sa.nat_remote or connection.mobike:
        sa.path, sa.marked = nat.later_path(connection, sa)
    core.installed(sa)
    sa.use_ppk = task.ppk and message.notify(NotifyType.USE_PPK) is not None
    if connection.ppk_required and not sa.use_ppk:
        detail = "the responder mixes in no postquantum preshared key, which ppk-required asks for"
        core.refuse(sa, "us", Reason.AUTH_METHOD_NOT_ALLOWED, now, detail=detail)
        return
    first = sa.state is IkeState.INIT_RESPONSE
    intermediate.proceed(core, sa, now, task if first and task.cookie else None)


def keep_other_answer(sa: IkeSa, task: AuthTask | IntermediateTask, octets: bytes) -> bool:
    """Keep a second answer to IKE_SA_INIT, from another responder SPI, for IKE_AUTH; False where none is of use.

    Who is loaded answers only the request that brings its COOKIE back. Two answers mean that somebody forged a
    COOKIE, and that the first answer was to our request without it, which is not the one that our AUTH covers.
    """
    header = Header.parse(octets)
    if task.init is None or task.other or not header.is_response or header.spi_r in (sa.spi_r, NO_SPI):
        return False
    task.other = octets
    return True


def try_other_answer(core: Core, sa: IkeSa, message: Message, task: AuthTask, now: float) -> bool:
    """Where the responder refused our AUTH: go on with the second answer, if there is one (RFC 7296 2.4)."""
    if task.init is None or not task.other or message.notify(NotifyType.AUTHENTICATION_FAILED) is None:
        return False
    sa.path, sa.marked = nat.first_path(core.config, core.connection(sa), task.init.remote)
    sa.reassembly.clear()
    try:
        handle_response(core, sa, Message.parse(task.other), task.init, now)
    except ProtocolError:
        return False
    return sa.spi_r == Header.parse(task.other).spi_r


def _handle_notify(core: Core, sa: IkeSa, message: Message, task: InitTask, now: float) -> None:
    cookie = message.notify(NotifyType.COOKIE)
    if cookie is not None and 1 <= len(cookie.data) <= 64 and cookie.data != task.cookie:
        task.cookie = cookie.data
        _restart(core, sa, task, now)
        return
    moved = message.notify(NotifyType.REDIRECT)
    if moved is not None and core.connection(sa).follow_redirects:
        _follow(core, sa, moved, task, now)
        return
    invalid_ke = message.notify(NotifyType.INVALID_KE_PAYLOAD)
    if invalid_ke is not None and len(invalid_ke.data) == 2:
        method = int.from_bytes(invalid_ke.data)
        if method in key_exchange_methods(task.proposals) and method not in task.pairs:
            task.method = method
            _restart(core, sa, task, now)
            return
    if message.notify(NotifyType.INVALID_MAJOR_VERSION) is not None:
        reason = Reason.MAJOR_VERSION
    elif invalid_ke is not None:
        reason = Reason.KE_MISMATCH
    elif message.notify(NotifyType.NO_PROPOSAL_CHOSEN) is not None:
        reason = Reason.PROPOSAL_MISMATCH
    elif any(item.type < 16384 for item in message.notifies()):
        reason = Reason.PEER_REFUSED
    else:
        raise _malformed("an answer without an SA that says nothing")
    if task.suspicion is None:
        task.suspicion = reason
        core.timers.set(sa, "suspicion", now + min(SUSPICION_TIME, core.config.retransmit.initial))


def _follow(core: Core, sa: IkeSa, moved: Notify, task: InitTask, now: float) -> None:
    """Begin anew with another gateway, as the responder says; our nonce in it shows that it saw our request."""
    connection, before = core.connection(sa), sa.path.remote.host
    try:
        remote = redirect.destination(core, connection, sa.path, moved.data, now, nonce=task.nonce)
    except redirect.NoDestinationError as error:
        core.refuse(sa, "peer", Reason.REDIRECTED, now, detail=str(error))
        return
    sa.window.outstanding = None
    sa.timers.pop("retransmit", None)
    sa.timers.pop("suspicion", None)
    core.renew_spi(sa)
    sa.path, sa.marked = nat.first_path(core.config, connection, remote)
    core.emit(events.Redirected, now, old=sa.id, new=sa.id, gateway=remote.host)
    _send_request(core, sa, _task(core, connection, remote, before), now)


def _restart(core: Core, sa: IkeSa, task: InitTask, now: float) -> None:
    task.restarts += 1
    if task.restarts > MAX_RESTARTS:
        core.counters.add("init-restarts-exceeded")
        return
    sa.timers.pop("suspicion", None)
    task.suspicion = None
    _send_request(core, sa, task, now)


def believe_suspicion(core: Core, sa: IkeSa, now: float) -> None:
    """Nothing better came after an error notify: the peer refuses."""
    outstanding = sa.window.outstanding
    if outstanding is not None and isinstance(outstanding.task, InitTask) and outstanding.task.suspicion is not None:
        core.refuse(
            sa,
            "peer",
            outstanding.task.suspicion,
            now,
            detail="the responder answered IKE_SA_INIT with an error, which is not authenticated",
        )


# the responder


def handle_request(core: Core, message: Message, origin: Origin, now: float) -> None:
    """Answer IKE_SA_INIT: without state while a cookie or another key exchange method is asked for.

    Raises ProtocolError where the request is malformed.
    """
    mark = digest(message.octets)
    known = core.init_requests.get(mark)
    if known is not None:
        sa = core.sas[known]
        if sa.state in AWAITED_EXCHANGE and sa.window.next_receive == 1:
            sa.origin = origin
            core.repeat_response(sa)
        return
    if core.half_open >= core.config.max_half_open:
        core.counters.add("half-open-limit")
        return
    header = message.header
    recognise(message)
    nonce = message.get(Nonce)
    assert nonce is not None
    if core.half_open >= core.config.cookie_threshold and not _has_cookie(core, message, nonce.data, origin, now):
        return
    offered, public = message.get(SA), message.get(KE)
    assert offered is not None and public is not None
    candidates = core.connections_for(origin.path)
    if core.self_tests.failed:
        _turn_away(core, header, origin, now, Reason.SELF_TEST_FAILED, FAILED)
        return
    if not candidates:
        _turn_away(core, header, origin, now, Reason.NO_CONNECTION, f"no connection for {origin.path.remote.host}")
        return
    moved = redirect.at_init(candidates, message, nonce.data)
    if moved is not None:
        core.counters.add("redirected-at-init")
        core.answer_in_clear(header, [moved], origin)
        return
    extended = message.notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED) is not None
    chosen = _choose(offered.proposals, candidates, extended)
    if chosen is None:
        _turn_away(core, header, origin, now, Reason.PROPOSAL_MISMATCH, "no proposal in common")
        return
    method = algorithms(chosen).key_exchange
    assert method is not None
    if public.method != method:
        core.counters.add("invalid-ke-sent")
        core.answer_in_clear(header, [Notify(NotifyType.INVALID_KE_PAYLOAD, method.to_bytes(2))], origin)
        return
    try:
        answer, shared = exchange.answer(method, public.data, core.entropy("ke"), core.ports.encapsulate)
    except KeyExchangeError as error:
        raise _malformed(str(error)) from None
    sa = IkeSa(
        id=core.new_id("ike"),
        initiator=False,
        state=IkeState.INTERMEDIATE_REQUEST if algorithms(chosen).additional else IkeState.AUTH_REQUEST,
        spi_i=header.spi_i,
        spi_r=core.new_ike_spi(),
        path=origin.path,
        marked=origin.marked,
        created_at=now,
        nonce_i=nonce.data,
        nonce_r=core.ports.entropy("nonce", NONCE_OCTETS),
        init_request=message.octets,
        init_digest=mark,
        origin=origin,
    )
    core.add(sa)
    core.init_requests[mark] = sa.id
    _learn(core, sa, message, origin.path)
    sa.follows_redirects = redirect.follows(message)
    sa.use_ppk = message.notify(NotifyType.USE_PPK) is not None and any(ppk.held(core, item) for item in candidates)
    _respond(core, sa, chosen, answer, candidates, extended)
    _derive(core, sa, chosen, shared)
    core.installed(sa)
    core.timers.set(sa, "half-open", now + core.config.half_open_timeout)


def _respond(
    core: Core,
    sa: IkeSa,
    chosen: Proposal,
    public: bytes,
    candidates: Iterable[ConnectionConfig],
    extended: bool,
) -> None:
    method = algorithms(chosen).key_exchange
    assert method is not None and sa.origin is not None
    payloads: list[Payload] = [SA((chosen,)), KE(method, public), Nonce(sa.nonce_r)]
    # RFC 7383 2.3: an initiator that did not say so must not be led to believe that fragments are read.
    payloads += _common_notifies(core, sa.spi_i, sa.spi_r, sa.origin.path, fragmentation=sa.fragmentation)
    if any(item.childless != "never" for item in candidates):
        payloads.append(_CHILDLESS)
    if extended:
        payloads.append(Notify(NotifyType.INTERMEDIATE_EXCHANGE_SUPPORTED))
    if sa.use_ppk:
        payloads.append(Notify(NotifyType.USE_PPK))
    schemes = dict.fromkeys(
        scheme for item in candidates if item.announce_auth_methods for scheme in item.signature_schemes
    )
    if schemes:
        payloads.append(announcement.announce(tuple(schemes)))
    hashes = dict.fromkeys(item for connection in candidates for item in core.authorities(connection.name))
    if hashes:
        payloads.append(CERTREQ(CertEncoding.X509_SIGNATURE, b"".join(hashes)))
    sa.window.next_receive = 1
    core.respond(sa, ExchangeType.IKE_SA_INIT, payloads)
    sa.init_response = sa.window.response[0]


def _has_cookie(core: Core, message: Message, nonce: bytes, origin: Origin, now: float) -> bool:
    given = message.notify(NotifyType.COOKIE)
    spi_i, remote, entropy = message.header.spi_i, origin.path.remote, core.entropy("cookie")
    if given is not None and core.cookies.check(given.data, nonce, remote, spi_i, now, entropy):
        core.counters.add("cookies-accepted")
        return True
    core.counters.add("cookies-sent")
    cookie = core.cookies.make(nonce, remote, spi_i, now, entropy)
    core.answer_in_clear(message.header, [Notify(NotifyType.COOKIE, cookie)], origin)
    return False


def _turn_away(core: Core, header: Header, origin: Origin, now: float, reason: Reason, detail: str) -> None:
    core.answer_in_clear(header, [Notify(NotifyType.NO_PROPOSAL_CHOSEN)], origin)
    core.report_refusal(None, None, "us", reason, now, detail=detail)


def _choose(offered: tuple[Proposal, ...], candidates: Iterable[ConnectionConfig], extended: bool) -> Proposal | None:
    """`extended`: the initiator has IKE_INTERMEDIATE, without which there are no additional key exchanges."""
    for connection in candidates:
        chosen = choose(offered, connection.proposals, connection.prefer, additional=extended)
        if chosen is not None:
            return chosen
    return None


# both


def _learn(core: Core, sa: IkeSa, message: Message, path: Path) -> None:
    nat.learn(sa, message, path, core.config.encapsulation == "always")
    sa.fragmentation = bool(core.config.fragment_size) and (
        message.notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is not None
    )
    hashes = message.notify(NotifyType.SIGNATURE_HASH_ALGORITHMS)
    if hashes is not None:
        sa.peer_hashes = frozenset(unpack(f"!{len(hashes.data) // 2}H", hashes.data))


def _derive(core: Core, sa: IkeSa, chosen: Proposal, shared: bytes) -> None:
    picked = algorithms(chosen)
    assert picked.prf is not None
    sa.proposal = Proposal(chosen.number, chosen.protocol, b"", chosen.transforms)
    sa.prf = picked.prf
    sa.suite = cipher_suite(picked.encryption, picked.key_bits, picked.integrity)
    sa.keys = schedule.ike_keys(
        core.prf(sa), sa.suite, ni=sa.nonce_i, nr=sa.nonce_r, spi_i=sa.spi_i, spi_r=sa.spi_r, shared=shared
    )
    sa.intermediate = Intermediate(picked.additional) if picked.additional else None


def is_first_request(header: Header) -> bool:
    """Whether a header is that of the request that starts an IKE SA."""
    return (
        header.exchange == ExchangeType.IKE_SA_INIT
        and header.from_initiator
        and not header.is_response
        and header.message_id == 0
        and header.spi_r == NO_SPI
        and header.spi_i != NO_SPI
    )


def _malformed(message: str) -> ProtocolError:
    return ProtocolError(message, reason=Reason.PAYLOAD_MALFORMED, notify=NotifyType.INVALID_SYNTAX)
