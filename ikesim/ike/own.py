"""Our side of IKE_AUTH: which certificate we send, and our AUTH payload (RFC 7296 2.15, 3.6 to 3.8; RFC 7427)."""

from functools import lru_cache

from ikesim.crypto import schedule
from ikesim.crypto.schedule import IkeKeys
from ikesim.crypto.signatures import SignatureScheme, Signing, choose_signing, encode_auth
from ikesim.errors import CryptoError, NotFoundError, ProtocolError, UsageError
from ikesim.ike import announcement, intauth, ppk
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.core import Core
from ikesim.ike.sa import Announced, IkeSa
from ikesim.pki.certificates import parse as parse_certificate
from ikesim.pki.snapshot import LocalCertificate, TrustStore
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import AUTH, CERT, CERTREQ, IDi
from ikesim.wire.registry import CertEncoding, HashAlgorithm, NotifyType
from ikesim.wire.values import value

ANNOUNCED_HASHES = (
    HashAlgorithm.SHA2_256,
    HashAlgorithm.SHA2_384,
    HashAlgorithm.SHA2_512,
    HashAlgorithm.IDENTITY,
)
"""What our SIGNATURE_HASH_ALGORITHMS lists (RFC 7427 4)."""


@value
class OwnAuth:
    """What proves who we are: CERT payloads (perhaps none) and AUTH."""

    certificates: tuple[CERT, ...]
    auth: AUTH
    without_ppk: AUTH | None = None
    """AUTH once more, for a peer that does not have the PPK."""


def requested_authorities(message: Message) -> tuple[bytes, ...] | None:
    """What the CERTREQ payloads of a message ask for, 20 octets each; None if it has none.

    It is only a hint: unknown encodings ask for nothing, and octets that are left over are passed over.
    """
    requests = [item.data for item in message.all(CERTREQ) if item.encoding == CertEncoding.X509_SIGNATURE]
    if not requests:
        return None
    return tuple(
        dict.fromkeys(data[start : start + 20] for data in requests for start in range(0, len(data) - 19, 20))
    )


def local_readiness(core: Core, connection: ConnectionConfig) -> tuple[Reason, str] | None:
    """Why a connection cannot authenticate us, with the sentence that says it; None if it can."""
    store = core.ports.trust()
    if any(name in store.local for name in connection.local_certificates):
        return ppk.missing(core, connection)
    waiting = [name for name in connection.local_certificates if name in store.pending]
    if waiting:
        return (
            Reason.LOCAL_CERTIFICATE_PENDING,
            f"certificate {waiting[0]!r} is still pending: load what the CA issued for it",
        )
    names = ", ".join(map(repr, connection.local_certificates)) or "none configured"
    return Reason.LOCAL_CERTIFICATE_MISSING, f"no local certificate is held ({names})"


def own_auth(core: Core, sa: IkeSa, connection: ConnectionConfig, mixed: IkeKeys | None = None) -> OwnAuth:
    """Our CERT and AUTH payloads; AUTH under `mixed` keys, where there are any, and if need be without.

    Raises ProtocolError where we have nothing to authenticate with.
    """
    schemes, store = connection.signature_schemes, core.ports.trust()
    candidates = [
        (held, _signing(held.certificate, schemes, sa.peer_hashes, _announced_for(store, sa, held)))
        for held in certificates_in_order(store, sa, connection)
    ]
    if not candidates:
        missing = local_readiness(core, connection)
        assert missing is not None
        raise _unable(missing[0], missing[1])
    held, signing = next(((held, signing) for held, signing in candidates if signing is not None), candidates[0])
    if signing is None:
        raise _unable(
            Reason.AUTH_METHOD_NOT_ALLOWED,
            f"certificate {held.certificate_id!r} can sign in no way that both sides allow"
            + (f": the peer announces {announcement.shown(sa.announced)}" if sa.announced else ""),
        )
    auth = _sign(core, sa, connection, held, signing, mixed)
    without = None
    if mixed is not None and not connection.ppk_required:
        without = _sign(core, sa, connection, held, signing, None)
    send = connection.send_certificate
    sent: tuple[bytes, ...] = ()
    if send == "always" or (send == "if-asked" and sa.authorities is not None):
        sent = (held.certificate, *held.chain)
    return OwnAuth(_payloads(sent), auth, without)


def _sign(
    core: Core,
    sa: IkeSa,
    connection: ConnectionConfig,
    held: LocalCertificate,
    signing: Signing,
    keys: IkeKeys | None,
) -> AUTH:
    identity = connection.local_id
    octets = auth_octets(core, sa, IDi(identity.type, identity.data).encode(), ours=True, keys=keys)
    hooks = core.ports.hooks
    if hooks.before_sign is not None:
        octets = hooks.before_sign(sa.id, octets, held.certificate_id) or octets
    try:
        signature = core.ports.sign(held.certificate_id, signing.scheme, octets)
    except (NotFoundError, UsageError, CryptoError) as error:
        raise _unable(Reason.LOCAL_KEY_MISSING, f"certificate {held.certificate_id!r} cannot sign: {error}") from None
    if hooks.after_sign is not None:
        signature = hooks.after_sign(sa.id, signature, held.certificate_id) or signature
    public_key = parse_certificate(held.certificate).public_key
    return AUTH(signing.method, encode_auth(signing, public_key, signature))


@lru_cache(maxsize=64)
def _signing(
    certificate: bytes,
    schemes: tuple[SignatureScheme, ...],
    peer_hashes: frozenset[int] | None,
    announced: tuple[Announced, ...] | None,
) -> Signing | None:
    """How the key of a certificate signs for such a peer: the same for all of its kind."""
    public_key = parse_certificate(certificate).public_key
    if announced is None:
        return choose_signing(public_key, schemes, peer_hashes)
    return announcement.choose(public_key, schemes, peer_hashes, announced)


def _announced_for(store: TrustStore, sa: IkeSa, held: LocalCertificate) -> tuple[Announced, ...] | None:
    """What the peer accepts for one of our certificates; None: it did not say."""
    if not sa.announced:
        return None
    if not any(item.link for item in sa.announced):
        return sa.announced
    issuers, asked = _issuers(store, held), sa.authorities or ()
    return tuple(
        item for item in sa.announced if not item.link or issuers.intersection(asked[item.link - 1 : item.link])
    )


@lru_cache(maxsize=64)
def _payloads(chain: tuple[bytes, ...]) -> tuple[CERT, ...]:
    """A chain of ours as CERT payloads."""
    return tuple(CERT(CertEncoding.X509_SIGNATURE, der) for der in chain)


def certificates_in_order(store: TrustStore, sa: IkeSa, connection: ConnectionConfig) -> list[LocalCertificate]:
    """Our certificates for a connection: those that lead to a CA the peer asked for first, then in file order."""
    held = [store.local[name] for name in connection.local_certificates if name in store.local]
    asked = sa.authorities
    if asked and len(held) > 1:
        held.sort(key=lambda item: not any(authority in asked for authority in _issuers(store, item)))
    return held


def _issuers(store: TrustStore, held: LocalCertificate) -> set[bytes]:
    """SHA-1 of the SubjectPublicKeyInfo of every CA above a certificate that we hold."""
    chain = [parse_certificate(der) for der in (held.certificate, *held.chain)]
    names = {item.issuer for item in chain}
    authorities = [parse_certificate(der) for der in store.ca.values()]
    return {item.spki_sha1 for item in chain[1:]} | {item.spki_sha1 for item in authorities if item.subject in names}


def auth_octets(core: Core, sa: IkeSa, id_body: bytes, *, ours: bool, keys: IkeKeys | None = None) -> bytes:
    """The octets that AUTH covers (RFC 7296 2.15, RFC 9242 3.3.2): that of our own AUTH, or of the peer's."""
    keys = keys or sa.keys
    assert keys is not None
    if ours == sa.initiator:
        message, nonce, key = sa.init_request, sa.nonce_r, keys.pi
    else:
        message, nonce, key = sa.init_response, sa.nonce_i, keys.pr
    return schedule.auth_octets(message, nonce, core.prf(sa), key, id_body, intauth.int_auth(sa))


def _unable(reason: Reason, detail: str) -> ProtocolError:
    return ProtocolError(detail, reason=reason, notify=NotifyType.AUTHENTICATION_FAILED)
