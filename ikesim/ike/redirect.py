"""Redirection to another gateway, in both roles (RFC 5685).

A client says in IKE_SA_INIT that it follows. The gateway may send it away there (stateless, with the client's nonce
as proof that it saw the request), in IKE_AUTH once both are authenticated, or at any later time. Wherever the client
is sent, it expects the same identity there as configured, so that a redirect gains an impostor nothing.
"""

from collections.abc import Sequence
from ipaddress import ip_address

from ikesim.errors import ProtocolError, UsageError
from ikesim.ike import events
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.core import Core
from ikesim.ike.sa import IkeSa, IkeState
from ikesim.ike.tasks import InformTask, Redirection
from ikesim.pki.decision import TrustDecision
from ikesim.reasons import Reason
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Message
from ikesim.wire.payloads import Delete, Notify
from ikesim.wire.registry import ExchangeType, NotifyType, ProtocolId

MAX_REDIRECTS = 5
PERIOD = 300.0
"""At most so many in so many seconds: MAX_REDIRECTS and REDIRECT_LOOP_DETECT_PERIOD of RFC 5685 10."""
TIMER = "redirected"
"""After it a gateway ends an SA whose client it has sent away: after the half-open timeout."""
IPV4, IPV6, FQDN = 1, 2, 3
"""Gateway identity types (RFC 5685 7.1)."""


class NoDestinationError(ProtocolError):
    """A redirect that is not followed, although the gateway means it."""


def _identity(host: str, nonce: bytes = b"") -> bytes:
    """A gateway as the notifies have it: type, length, address, and in IKE_SA_INIT the client's nonce."""
    packed = ip_address(host).packed
    return bytes((IPV4 if len(packed) == 4 else IPV6, len(packed))) + packed + nonce


def _read(data: bytes) -> tuple[int, bytes, bytes]:
    """Type, identity and nonce. Raises ProtocolError."""
    end = 2 + data[1] if len(data) > 1 else 2
    identity, nonce = data[2:end], data[end:]
    octets = {IPV4: 4, IPV6: 16}.get(data[0] if data else 0, len(identity))
    if len(data) < end or not identity or len(identity) != octets:
        raise ProtocolError(
            f"a gateway identity of {len(data)} octets does not parse",
            reason=Reason.PAYLOAD_MALFORMED,
            notify=NotifyType.INVALID_SYNTAX,
        )
    return data[0], identity, nonce


# the client


def willing(redirected_from: str) -> Notify:
    """What tells a responder that we follow, and who has sent us."""
    if redirected_from:
        return Notify(NotifyType.REDIRECTED_FROM, _identity(redirected_from))
    return Notify(NotifyType.REDIRECT_SUPPORTED)


def destination(
    core: Core, connection: ConnectionConfig, path: Path, data: bytes, now: float, *, nonce: bytes | None = None
) -> Address:
    """Where a REDIRECT sends us.

    Raises ProtocolError for one that does not parse or (with `nonce`) does not come from who saw our request,
    NoDestinationError where we cannot or do not go.
    """
    kind, identity, seen = _read(data)
    if nonce is not None and seen != nonce:
        raise ProtocolError("a REDIRECT without our nonce", reason=Reason.PAYLOAD_MALFORMED)
    recent = tuple(time for time in core.redirects.get(connection.name, ()) if now - time < PERIOD)
    if kind not in (IPV4, IPV6):
        shown = identity.decode("ascii", "backslashreplace")
        raise _nowhere(f"sent to {shown!r}, but only addresses are followed, not names")
    host = str(ip_address(identity))
    if len(identity) != len(path.local.packed):
        raise _nowhere(f"sent to {host}, which is of another address family than {path.local.host}")
    if len(recent) >= MAX_REDIRECTS:
        raise _nowhere(f"sent to {host} after {MAX_REDIRECTS} redirects within {PERIOD:g} s: this looks like a loop")
    assert connection.remote is not None
    core.redirects[connection.name] = (*recent, now)
    return Address(host, connection.remote.port)


def _nowhere(message: str) -> NoDestinationError:
    return NoDestinationError(message, reason=Reason.REDIRECTED)


def leave(
    core: Core, sa: IkeSa, connection: ConnectionConfig, message: Message, decision: TrustDecision, now: float
) -> None:
    """The responder has proved itself and sends us away: end what it believes established, and go there."""
    moved = message.notify(NotifyType.REDIRECT)
    assert moved is not None
    remote = None
    try:
        remote = destination(core, connection, sa.path, moved.data, now)
        detail = f"sent to {remote.host}"
    except ProtocolError as error:
        detail = str(error)
    core.refuse(sa, "peer", Reason.REDIRECTED, now, decision=decision, detail=detail, authenticated=True, linger=True)
    delete = Delete(ProtocolId.IKE)
    core.request(sa, ExchangeType.INFORMATIONAL, [delete], InformTask((delete,), final=True), now)
    if remote is not None:
        core.redirections.append(Redirection(sa.id, connection.name, remote, sa.path.remote.host, keep=False))


def heed(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """The peer of an established SA sends us away: make one with the other gateway; when it is up this one ends."""
    moved = message.notify(NotifyType.REDIRECT)
    connection = core.config.connections.get(sa.connection or "")
    if moved is None or sa.peer is None or connection is None:
        return
    if not sa.peer.initiator or not connection.follow_redirects or connection.remote is None:
        return
    if sa.successor in core.sas or sa.replaced_by is not None:
        return
    try:
        remote = destination(core, connection, sa.path, moved.data, now)
    except ProtocolError as error:
        core.emit(events.Anomaly, now, what=f"not redirected: {error}", rule="RFC 5685 5", sa=sa.id)
        return
    sa.redirected = True
    core.redirections.append(Redirection(sa.id, connection.name, remote, sa.path.remote.host, keep=True))


# the gateway


def follows(message: Message) -> bool:
    """Whether the sender of an IKE_SA_INIT request goes where it is sent."""
    said = (message.notify(kind) for kind in (NotifyType.REDIRECT_SUPPORTED, NotifyType.REDIRECTED_FROM))
    return any(notify is not None for notify in said)


def at_init(candidates: Sequence[ConnectionConfig], message: Message, nonce: bytes) -> Notify | None:
    """The answer to IKE_SA_INIT that sends a client away: where no candidate would serve it.

    Nobody is sent back to where it comes from.
    """
    targets = [item.redirect_to for item in candidates if item.redirect_to and item.redirect_at == "init"]
    if len(targets) < len(candidates) or not follows(message):
        return None
    before = message.notify(NotifyType.REDIRECTED_FROM)
    if before is not None and before.data == _identity(targets[0]):
        return None
    return Notify(NotifyType.REDIRECT, _identity(targets[0], nonce))


def at_auth(sa: IkeSa, connection: ConnectionConfig) -> Notify | None:
    """What stands in IKE_AUTH instead of a CHILD SA where the client is sent away."""
    if not connection.redirect_to or connection.redirect_at != "auth" or not sa.follows_redirects:
        return None
    return Notify(NotifyType.REDIRECT, _identity(connection.redirect_to))


def ask(core: Core, sa: IkeSa, gateway: str, now: float) -> InformTask:
    """The request that sends an established client away. Raises UsageError."""
    assert sa.peer is not None
    if sa.peer.initiator:
        raise UsageError(f"IKE SA {sa.id} was initiated by us: only the peer can redirect it (RFC 5685 5)")
    if not sa.follows_redirects:
        raise UsageError(f"the peer of IKE SA {sa.id} did not say that it follows redirects")
    try:
        notify = Notify(NotifyType.REDIRECT, _identity(gateway))
    except ValueError:
        raise UsageError(f"{gateway!r} is not an IP address") from None
    expect_leave(core, sa, now)
    return InformTask((notify,))


def expect_leave(core: Core, sa: IkeSa, now: float) -> None:
    """A client that was sent away should end its SA; else we do."""
    assert sa.state is IkeState.ESTABLISHED
    sa.closing = Reason.REDIRECTED
    core.timers.set(sa, TIMER, now + core.config.half_open_timeout)
