"""Postquantum preshared keys mixed into the key schedule at authentication, in both roles (RFC 8784).

Both sides say in IKE_SA_INIT that they can (USE_PPK). The initiator names its PPK in IKE_AUTH and proves itself with
it; unless it insists, it adds a second proof without (NO_PPK_AUTH), for a responder that does not have that PPK. The
responder says which of the two it took by answering with PPK_IDENTITY or not.
"""

from ikesim.crypto import schedule
from ikesim.crypto.schedule import IkeKeys
from ikesim.errors import AuthError, CryptoError, NotFoundError, ProtocolError, UsageError
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.core import Core
from ikesim.ike.sa import IkeSa, Proof
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import AUTH, Notify
from ikesim.wire.registry import NotifyType

FIXED = b"\x02"
"""PPK_ID_FIXED (RFC 8784 5.1): an identity that both sides were configured with."""


def held(core: Core, connection: ConnectionConfig) -> bool:
    """Whether a connection has a PPK that we hold."""
    if not connection.ppk_id:
        return False
    try:
        return core.ports.use_secret(connection.ppk_secret, len) > 0
    except (NotFoundError, UsageError, CryptoError):
        return False


def missing(core: Core, connection: ConnectionConfig) -> tuple[Reason, str] | None:
    """Why a connection that insists on its PPK cannot be, with the sentence that says it; None if it can."""
    if not connection.ppk_required or held(core, connection):
        return None
    name = connection.ppk_secret
    return (
        Reason.LOCAL_KEY_MISSING,
        f"no PPK {name!r} is held: add it with ikesim pki secret add {name} --kind ike-psk",
    )


def mixed(core: Core, sa: IkeSa, connection: ConnectionConfig) -> IkeKeys:
    """The SA's keys with a connection's PPK in them. Raises ProtocolError where it cannot be read."""
    assert sa.keys is not None
    keys, prf = sa.keys, core.prf(sa)
    try:
        return core.ports.use_secret(connection.ppk_secret, lambda ppk: schedule.with_ppk(prf, keys, ppk))
    except (NotFoundError, UsageError, CryptoError) as error:
        raise ProtocolError(
            f"the PPK {connection.ppk_secret!r} cannot be used: {error}",
            reason=Reason.LOCAL_KEY_MISSING,
            notify=NotifyType.AUTHENTICATION_FAILED,
        ) from None


def identity(connection: ConnectionConfig) -> Notify:
    """What names a connection's PPK in IKE_AUTH."""
    return Notify(NotifyType.PPK_IDENTITY, FIXED + connection.ppk_id.encode())


def proof(core: Core, sa: IkeSa, message: Message, connection: ConnectionConfig, payload: AUTH) -> Proof:
    """How the peer's IKE_AUTH proves itself to a connection: with the PPK or without.

    Raises AuthError where the peer does without a PPK and the connection does not, or the other way round.
    """
    assert sa.keys is not None
    named = message.notify(NotifyType.PPK_IDENTITY) if sa.use_ppk else None
    if named is not None and (sa.initiator or (named == identity(connection) and held(core, connection))):
        try:
            return Proof(mixed(core, sa, connection), payload.data, connection.ppk_id)
        except ProtocolError as error:
            raise _refused(str(error)) from None
    if connection.ppk_required:
        said = "none" if named is None else named.data[1:].decode(errors="replace")
        raise _refused("the connection requires its PPK", required=connection.ppk_id, peer=said)
    if named is None:
        return Proof(sa.keys, payload.data)
    without = message.notify(NotifyType.NO_PPK_AUTH)
    if without is None:
        said = named.data[1:].decode(errors="replace")
        raise _refused("the peer requires a PPK that is not held for this connection", peer=said)
    return Proof(sa.keys, without.data)


def adopt(core: Core, sa: IkeSa, verified: Proof | None) -> None:
    """Go on with the keys by which the peer proved itself."""
    assert verified is not None
    sa.ppk = verified.ppk
    if verified.ppk is not None:
        sa.keys = verified.keys
        core.installed(sa)


def _refused(message: str, **evidence: object) -> AuthError:
    return AuthError(message, reason=Reason.AUTH_METHOD_NOT_ALLOWED, evidence={"ppk": message, **evidence})
