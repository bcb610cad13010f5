"""IKE_AUTH: who the peer is, whether its certificate and AUTH hold, and the first CHILD SA (RFC 7296 1.2, 2.15, 3.6).

The order is fixed: parse; path, offline; identity; AUTH with the leaf's key; only then revocation, which may need
the network. What it needs becomes a Fetch and the SA waits in IkeState.VERDICT; :func:`resume` goes on when answers
are in.
"""

from dataclasses import replace
from functools import lru_cache

from ikesim.crypto.signatures import SignatureScheme, verify_auth
from ikesim.errors import AuthError, ProtocolError
from ikesim.ike import addresses, announcement, child, childless, events, lifetime, mobike, ppk, redirect, unique
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.core import Core
from ikesim.ike.grammar import Form, recognise
from ikesim.ike.ids import FetchId
from ikesim.ike.negotiation import choose
from ikesim.ike.own import ANNOUNCED_HASHES, auth_octets, own_auth, requested_authorities
from ikesim.ike.sa import Authenticated, IkeSa, IkeState, PendingVerdict, VerifiedAuth
from ikesim.ike.self_tests import FAILED
from ikesim.ike.tasks import AuthTask, ChildOffer, CreateChildTask, DeleteTask, InformTask, InitTask
from ikesim.pki.decision import Attempt, TrustDecision
from ikesim.pki.fetching import FetchResult
from ikesim.pki.identity import Identity, IdentityPattern
from ikesim.pki.trust import AuthState, TrustRequest, decide
from ikesim.reasons import Reason, rank
from ikesim.wire.message import Message
from ikesim.wire.payloads import AUTH, CERT, CERTREQ, Delete, IDi, IDr, Notify, Payload
from ikesim.wire.registry import (
    AuthMethod,
    CertEncoding,
    ExchangeType,
    NotifyType,
    PayloadType,
    ProtocolId,
    is_error,
    name,
)

_ANNOUNCED = frozenset(ANNOUNCED_HASHES)
CHILD_ERRORS = frozenset(
    (
        NotifyType.NO_PROPOSAL_CHOSEN,
        NotifyType.SINGLE_PAIR_REQUIRED,
        NotifyType.NO_ADDITIONAL_SAS,
        NotifyType.INTERNAL_ADDRESS_FAILURE,
        NotifyType.FAILED_CP_REQUIRED,
        NotifyType.TS_UNACCEPTABLE,
        NotifyType.TEMPORARY_FAILURE,
    )
)
"""Errors in an IKE_AUTH response that leave the IKE SA up: only the CHILD SA failed (RFC 7296 1.2)."""
VERDICT_TIME = 10.0
"""Seconds that all fetches of one decision may take together."""


# what comes and goes


def send_request(core: Core, sa: IkeSa, now: float, init: InitTask | None = None, other: bytes = b"") -> None:
    """Send IKE_AUTH: IDi, CERT, CERTREQ, IDr, AUTH, and the first CHILD SA (RFC 7296 1.2)."""
    connection = core.connection(sa)
    try:
        alone = childless.begins_alone(sa, connection)
        mixed = ppk.mixed(core, sa, connection) if sa.use_ppk else None
        own = own_auth(core, sa, connection, mixed)
    except ProtocolError as error:
        core.refuse(sa, "us", error.reason, now, detail=str(error))
        return
    payloads: list[Payload] = [IDi(connection.local_id.type, connection.local_id.data), *own.certificates]
    expected = _exact(connection.remote_id)
    known = core.sas_with(connection.name, expected) if expected is not None else []
    if connection.unique != "never" and not known:
        payloads.append(Notify(NotifyType.INITIAL_CONTACT))
    hashes = core.authorities(connection.name)
    if hashes:
        payloads.append(CERTREQ(CertEncoding.X509_SIGNATURE, b"".join(hashes)))
    if expected is not None:
        payloads.append(IDr(expected.type, expected.data))
    payloads.append(own.auth)
    task = AuthTask(init=init, other=other)
    if not alone:
        first = connection.children[0]
        local_ts = addresses.offered(connection) or first.local_ts
        task.offer = child.make_offer(core, first, with_exchange=False, local_ts=local_ts, remote_ts=first.remote_ts)
        payloads += [*addresses.request(core, sa, connection), *child.offer_payloads(task.offer)]
    if connection.mobike:
        payloads += [Notify(NotifyType.MOBIKE_SUPPORTED), *mobike.additional(core, sa.path)]
    if sa.announced is not None and connection.announce_auth_methods:
        payloads.append(announcement.announce(connection.signature_schemes))
    if mixed is not None:
        payloads.append(ppk.identity(connection))
        if own.without_ppk is not None:
            payloads.append(Notify(NotifyType.NO_PPK_AUTH, own.without_ppk.data))
    core.request(sa, ExchangeType.IKE_AUTH, payloads, task, now)


def _exact(pattern: IdentityPattern) -> Identity | None:
    """The one identity that a pattern allows; None if it allows several."""
    return None if pattern.wildcard else pattern.identity


def handle_request(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """Take an initiator's IKE_AUTH and begin to judge it. Raises ProtocolError where it is malformed."""
    recognise(message)
    identification, asked = message.get(IDi), message.get(IDr)
    assert identification is not None and sa.origin is not None
    sa.path, sa.marked = sa.origin.path, sa.origin.marked
    sa.mobike = message.notify(NotifyType.MOBIKE_SUPPORTED) is not None
    mobike.learn_addresses(sa, message)
    sa.authorities = requested_authorities(message)
    announcement.learn(core, sa, message)
    sa.move(IkeState.VERDICT)
    candidates = tuple(
        connection.name
        for connection in core.connections_for(sa.path)
        if (asked is None or (connection.local_id.type, connection.local_id.data) == (asked.id_type, asked.data))
        and _would_have_agreed(sa, connection)
    )
    if not candidates:
        _send_refusal(
            core,
            sa,
            Reason.NO_CONNECTION,
            now,
            None,
            "no connection that allows the proposal agreed on answers for the identity asked for",
        )
        return
    _begin(core, sa, message, identification, candidates, None, now)


def handle_response(core: Core, sa: IkeSa, message: Message, task: AuthTask, now: float) -> None:
    """Take the responder's IKE_AUTH: judge it, or note that the responder refused us."""
    form = recognise(message)
    errors = [item.type for item in message.notifies() if is_error(item.type)]
    # RFC 7296 3.10.1: an error in a response, known or not, means that the request failed, whatever else is there.
    if form is Form.AUTH_NOTIFY or not CHILD_ERRORS.issuperset(errors):
        contradicts_itself = form is not Form.AUTH_NOTIFY
        said = [name(NotifyType, number) for number in errors]
        detail = f"the responder answered {' '.join(said) or 'without an identity'}"
        core.refuse(
            sa, "peer", Reason.PEER_REFUSED, now, detail=detail, authenticated=True, linger=contradicts_itself
        )
        if contradicts_itself:
            _tell(core, sa, now)
        return
    identification = message.get(IDr)
    assert identification is not None and sa.connection is not None
    sa.mobike = core.connection(sa).mobike and message.notify(NotifyType.MOBIKE_SUPPORTED) is not None
    mobike.learn_addresses(sa, message)
    sa.move(IkeState.VERDICT)
    _begin(core, sa, message, identification, (sa.connection,), task.offer, now)


def _would_have_agreed(sa: IkeSa, connection: ConnectionConfig) -> bool:
    """Whether what IKE_SA_INIT agreed on is a proposal of this connection, and not of another candidate only."""
    return sa.proposal is not None and choose((sa.proposal,), connection.proposals) is not None


def _begin(
    core: Core,
    sa: IkeSa,
    message: Message,
    identification: IDi | IDr,
    candidates: tuple[str, ...],
    offer: ChildOffer | None,
    now: float,
) -> None:
    sent = message.all(CERT)
    sa.pending = PendingVerdict(
        message=message,
        id_type=identification.id_type,
        id_data=identification.data,
        certificates=tuple([item.data for item in sent if item.encoding == CertEncoding.X509_SIGNATURE]),
        encodings=tuple([item.encoding for item in sent]),
        candidates=_expecting(core, identification, candidates),
        offer=offer,
    )
    resume(core, sa, now)


def _expecting(core: Core, identification: IDi | IDr, candidates: tuple[str, ...]) -> tuple[str, ...]:
    """The candidates whose remote-id fits; all of them where none does, so that the decision can say so."""
    if len(candidates) == 1:
        return candidates
    identity = Identity.received(identification.id_type, identification.data)
    fitting = tuple(item for item in candidates if core.config.connections[item].remote_id.matches(identity))
    return fitting or candidates


# the judgement


def resume(core: Core, sa: IkeSa, now: float) -> None:
    """Judge the peer with what is known now: accept, refuse, or ask the network for more."""
    pending = sa.pending
    assert pending is not None
    while pending.position < len(pending.candidates):
        candidate = pending.candidates[pending.position]
        decision = _judge(core, sa, pending, candidate, now)
        if decision.wanted and _fetch(core, sa, pending, decision, now):
            return
        if decision.wanted:
            continue
        for profile, der, url in decision.learned_crls:
            core.emit(events.TrustChanged, now, what="crl", ca_profile=profile, crl=der, url=url)
        if decision.learned_ocsp:
            core.ocsp.responses.learn(decision.learned_ocsp, core.ports.wall(now))
        if decision.accepted:
            _accept(core, sa, pending, candidate, decision, now)
            return
        pending.attempts.append((candidate, decision))
        pending.position += 1
        pending.auth = pending.verified = pending.proof = None
    decision = _furthest(pending)
    assert decision.reason is not None
    _send_refusal(core, sa, decision.reason, now, decision, decision.summary)


def _judge(core: Core, sa: IkeSa, pending: PendingVerdict, candidate: str, now: float) -> TrustDecision:
    """The decision of one candidate connection about the peer."""
    connection = core.config.connections[candidate]
    policy = core.policy(candidate)
    request = TrustRequest(
        certificates=pending.certificates,
        identity=Identity.received(pending.id_type, pending.id_data),
        policy=policy,
        at=core.ports.wall(now),
        expected=connection.remote_id,
        encodings=pending.encodings,
    )
    held = core.evidence_about(pending.certificates, now)
    if pending.auth is None:
        decision = decide(request, held.with_auth(AuthState.pending()))
        if decision.reason is not None:
            return decision
        pending.auth = _check_auth(core, sa, pending, connection, decision)
    if policy.asks_with_nonce:
        request = replace(request, nonce=core.ocsp_nonce(now))
    return decide(request, held.with_auth(pending.auth, pending.fetched))


def _check_auth(
    core: Core, sa: IkeSa, pending: PendingVerdict, connection: ConnectionConfig, decision: TrustDecision
) -> AuthState:
    """Verify AUTH with the leaf's key over the octets as they came (RFC 7296 2.15)."""
    payload = pending.message.get(AUTH)
    raw = pending.message.raw(PayloadType.IDr if sa.initiator else PayloadType.IDi)
    assert raw is not None and decision.leaf is not None
    if payload is None:
        return AuthState.failed(Reason.AUTH_MISSING, {"payloads": len(pending.message.payloads)})
    try:
        proof = ppk.proof(core, sa, pending.message, connection, payload)
        scheme = verify_auth(
            payload.method,
            proof.data,
            auth_octets(core, sa, bytes(raw.body), ours=False, keys=proof.keys),
            decision.leaf.public_key,
            allowed=connection.signature_schemes,
            announced_hashes=_ANNOUNCED,
        )
    except AuthError as error:
        return AuthState.failed(error.reason, error.evidence)
    pending.verified = VerifiedAuth(payload.method, scheme)
    pending.proof = proof
    return _verified(payload.method, scheme, (proof.ppk or "none") if connection.ppk_id else None)


@lru_cache(maxsize=32)
def _verified(method: int, scheme: SignatureScheme, ppk_used: str | None) -> AuthState:
    """What a decision says about an AUTH that verified; of a PPK only where the connection has one."""
    evidence: dict[str, object] = {"method": name(AuthMethod, method), "scheme": str(scheme)}
    if ppk_used is not None:
        evidence["ppk"] = ppk_used
    return AuthState.verified(evidence)


def _furthest(pending: PendingVerdict) -> TrustDecision:
    """The refusal of the candidate that came furthest, with every attempt in it."""
    best = max(
        (decision for _, decision in pending.attempts), key=lambda item: rank(item.reason or Reason.CERT_NOT_SENT)
    )
    return best.with_attempts(_attempts(pending))


def _attempts(pending: PendingVerdict) -> tuple[Attempt, ...]:
    return tuple(Attempt(candidate, decision.reason) for candidate, decision in pending.attempts)


def judge_again(core: Core, sa: IkeSa, now: float) -> TrustDecision | None:
    """The decision about an established peer by what is held now, if it is that the peer was revoked; else None."""
    peer = sa.peer
    assert peer is not None
    connection = core.connection(sa)
    request = TrustRequest(
        certificates=peer.certificates,
        identity=peer.identity,
        policy=core.policy(connection.name),
        at=core.ports.wall(now),
        expected=connection.remote_id,
    )
    decision = decide(request, core.evidence().with_auth(AuthState.verified()))
    return decision if decision.reason in (Reason.CERT_REVOKED, Reason.CERT_ON_HOLD) else None


# waiting for the network


def _fetch(core: Core, sa: IkeSa, pending: PendingVerdict, decision: TrustDecision, now: float) -> bool:
    """Ask for what a decision still wants; False if nothing is under way, because every request was turned down."""
    for wanted in decision.wanted:
        fetch_id = None if pending.late else core.fetch(sa, wanted, now)
        if fetch_id is None:
            error = f"no answer within {VERDICT_TIME:g} s" if pending.late else "too many fetches are open"
            pending.fetched[wanted] = FetchResult(core.ports.wall(now), error=error)
        else:
            pending.waiting[fetch_id] = wanted
    if pending.waiting and "verdict" not in sa.timers:
        core.timers.set(sa, "verdict", now + VERDICT_TIME)
    return bool(pending.waiting)


def fetched(core: Core, sa: IkeSa, fetch_id: FetchId, result: FetchResult, now: float) -> None:
    """A fetch that this SA waits for has ended; the judgement goes on when it was the last."""
    pending = sa.pending
    wanted = pending.waiting.pop(fetch_id, None) if pending is not None else None
    if pending is None or wanted is None:
        return
    pending.fetched[wanted] = result
    if not pending.waiting:
        resume(core, sa, now)


def abandon(core: Core, sa: IkeSa, reason: Reason, now: float) -> None:
    """End an SA whose verdict is still awaited; the peer is told that it was refused."""
    _send_refusal(core, sa, reason, now, None, "ended while the peer was being judged")


def out_of_time(core: Core, sa: IkeSa, now: float) -> None:
    """The fetches of a decision took too long: judge without them."""
    pending = sa.pending
    if pending is None:
        return
    for wanted in pending.waiting.values():
        pending.fetched[wanted] = FetchResult(core.ports.wall(now), error=f"no answer within {VERDICT_TIME:g} s")
    pending.waiting.clear()
    pending.late = True
    resume(core, sa, now)


# the verdict


def _accept(
    core: Core, sa: IkeSa, pending: PendingVerdict, candidate: str, decision: TrustDecision, now: float
) -> None:
    connection = core.config.connections[candidate]
    identity = Identity.received(pending.id_type, pending.id_data)
    sa.connection = candidate
    decision = decision.with_attempts((*_attempts(pending), Attempt(candidate, None)))
    if core.self_tests.failed:
        _send_refusal(core, sa, Reason.SELF_TEST_FAILED, now, decision, FAILED)
        return
    assert pending.verified is not None and decision.leaf is not None
    peer = Authenticated(
        identity,
        pending.certificates,
        decision,
        pending.verified,
        core.ports.wall(now),
        initiator=sa.initiator,
        began=sa.began,
        done=core.next_sequence(),
        up=now,
        lowest_nonce=min(sa.nonce_i, sa.nonce_r),
    )
    initial_contact = pending.message.notify(NotifyType.INITIAL_CONTACT) is not None
    keeps = connection.unique == "keep" and not sa.initiator and not initial_contact
    if keeps and (rivals := core.sas_with(candidate, identity)):
        _send_refusal(core, sa, Reason.UNIQUE_KEPT, now, decision, f"{identity} already has {rivals[0].id}")
        return
    ppk.adopt(core, sa, pending.proof)
    if sa.initiator and connection.follow_redirects and pending.message.notify(NotifyType.REDIRECT) is not None:
        redirect.leave(core, sa, connection, pending.message, decision, now)
        return
    if sa.initiator:
        _finish_initiator(core, sa, pending, peer, now)
    elif not _finish_responder(core, sa, pending, peer, connection, now):
        return
    if connection.unique != "never":
        unique.after_establishment(core, sa, initial_contact, now)
    if sa.initiator:
        sa.queue.extend(map(CreateChildTask, connection.children[0 if pending.offer is None else 1 :]))


def _finish_initiator(core: Core, sa: IkeSa, pending: PendingVerdict, peer: Authenticated, now: float) -> None:
    _establish(core, sa, peer, now)
    lifetime.heed(core, sa, pending.message, now)
    addresses.take_reply(core, sa, pending.message, now)
    if pending.offer is None:
        return
    try:
        choice = child.read_answer(core, sa, pending.offer, pending.message)
    except child.ChildFailure as failure:
        _report_child_failure(core, sa, pending.offer.config.name, failure, now)
        if failure.notify is None:
            sa.queue.append(InformTask((Delete(ProtocolId.ESP, (pending.offer.spi,)),)))
        return
    child.install(core, sa, choice, child.ChildNonces(sa.nonce_i, sa.nonce_r), now, ours=True)


def _finish_responder(
    core: Core, sa: IkeSa, pending: PendingVerdict, peer: Authenticated, connection: ConnectionConfig, now: float
) -> bool:
    """Answer with our own IDr, CERT, AUTH and the CHILD SA; False if we refuse, or cannot authenticate ourselves."""
    with_child = pending.message.raw(PayloadType.SA) is not None
    if not with_child and connection.childless == "never":
        _send_refusal(core, sa, Reason.CHILD_FAILED, now, peer.decision, childless.UNWANTED)
        return False
    try:
        own = own_auth(core, sa, connection)
    except ProtocolError as error:
        _send_refusal(core, sa, error.reason, now, peer.decision, str(error))
        return False
    payloads: list[Payload] = [IDr(connection.local_id.type, connection.local_id.data), *own.certificates, own.auth]
    if connection.reauth_time:
        payloads.append(Notify(NotifyType.AUTH_LIFETIME, round(connection.reauth_time).to_bytes(4)))
    message, choice, failure = pending.message, None, None
    moved = redirect.at_auth(sa, connection)
    if moved is not None:
        payloads.append(moved)
    elif with_child:
        try:
            childless.check_offer(connection)
            given = addresses.answer(core, sa, connection, message, peer.identity)
            choice = child.choose_child(core, sa, message, connection.children, connection.prefer, in_auth=True)
            payloads += [*given, *choice.payloads()]
        except (child.ChildFailure, addresses.AddressFailure) as error:
            failure = error
            payloads.append(Notify(error.notify or NotifyType.NO_PROPOSAL_CHOSEN, error.data))
    if sa.mobike and connection.mobike:
        payloads += [Notify(NotifyType.MOBIKE_SUPPORTED), *mobike.additional(core, sa.path)]
    if sa.ppk is not None:
        payloads.append(Notify(NotifyType.PPK_IDENTITY))
    sa.mobike = sa.mobike and connection.mobike
    _establish(core, sa, peer, now)
    core.respond(sa, ExchangeType.IKE_AUTH, payloads)
    if moved is not None:
        redirect.expect_leave(core, sa, now)
    if choice is not None:
        child.install(core, sa, choice, child.ChildNonces(sa.nonce_i, sa.nonce_r), now, ours=False)
    elif failure is not None:
        _report_child_failure(core, sa, "", failure, now)
    return True


def _establish(core: Core, sa: IkeSa, peer: Authenticated, now: float) -> None:
    core.leave_half_open(sa)
    sa.timers.pop("verdict", None)
    sa.establish(peer, now)
    core.index_peer(sa)
    lifetime.start(core, sa, now)
    lifetime.start_reauthentication(core, sa, now)
    assert sa.connection is not None
    core.calls.up(sa.connection)
    core.emit(events.SaEstablished, now, sa=sa.id, connection=sa.connection, decision=peer.decision)
    old = core.sas.get(sa.reauthenticates) if sa.reauthenticates is not None else None
    if old is not None and old.state is IkeState.ESTABLISHED:
        old.queue.append(DeleteTask(Reason.REDIRECTED if old.redirected else Reason.REAUTHENTICATED))
        core.wake(old)
    # AUTH covered them once; from here on nothing needs them, and they are the largest part of an idle SA.
    sa.init_request = sa.init_response = b""
    sa.intermediate = sa.announced = None


def _report_child_failure(core: Core, sa: IkeSa, child_name: str, failure: ProtocolError, now: float) -> None:
    core.emit(
        events.ChildDown,
        now,
        sa=sa.id,
        child=core.new_id("child"),
        name=child_name,
        reason=failure.reason,
        detail=str(failure),
    )


def refuse_answer(core: Core, sa: IkeSa, error: ProtocolError, now: float) -> None:
    """Refuse a responder whose IKE_AUTH breaks the protocol; it is told, since it believes the SA established."""
    _send_refusal(core, sa, error.reason, now, None, str(error))


def _tell(core: Core, sa: IkeSa, now: float) -> None:
    """Tell a responder that it is refused: it believes the SA established (RFC 7296 2.21.2)."""
    notify = Notify(NotifyType.AUTHENTICATION_FAILED)
    core.request(sa, ExchangeType.INFORMATIONAL, [notify], InformTask((notify,), final=True), now)


def _send_refusal(
    core: Core, sa: IkeSa, reason: Reason, now: float, decision: TrustDecision | None, detail: str
) -> None:
    """Refuse the peer; on the wire it is AUTHENTICATION_FAILED and nothing more.

    A responder answers so; an initiator says so in an INFORMATIONAL of its own, since the responder believes the SA
    established (RFC 7296 2.21.2).
    """
    old = core.sas.get(sa.reauthenticates) if sa.reauthenticates is not None else None
    core.refuse(sa, "us", reason, now, decision=decision, detail=detail, linger=True)
    if sa.initiator:
        _tell(core, sa, now)
    else:
        core.respond(sa, ExchangeType.IKE_AUTH, [Notify(NotifyType.AUTHENTICATION_FAILED)])
    revoked = reason in (Reason.CERT_REVOKED, Reason.CERT_ON_HOLD)
    if old is not None and revoked and core.connection(old).on_revocation != "ignore":
        # The old SA rests on the same certificate.
        old.queue.append(DeleteTask(Reason.REVOKED_LATER, decision=decision))
        core.wake(old)
