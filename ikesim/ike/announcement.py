"""SUPPORTED_AUTH_METHODS: saying how the peer may authenticate, and heeding what it says (RFC 9593).

A responder announces in IKE_SA_INIT, or says there that it will in IKE_INTERMEDIATE (an empty list); an initiator
that heard an announcement makes its own in IKE_AUTH. Without one the peer's hash algorithms and CERTREQ are all there
is to go by, and an endpoint with certificates of several kinds may take one that the other cannot use.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from ikesim.crypto.signatures import SignatureScheme, Signing, algorithm_identifier, choose_signing, scheme_of
from ikesim.ike.core import Core
from ikesim.ike.sa import Announced, IkeSa
from ikesim.wire.message import Message
from ikesim.wire.payloads import Notify
from ikesim.wire.registry import AuthMethod, NotifyType, name

OLDER_METHODS = {
    SignatureScheme.ECDSA_SHA256: AuthMethod.ECDSA_SHA2_256_P256,
    SignatureScheme.ECDSA_SHA384: AuthMethod.ECDSA_SHA2_384_P384,
    SignatureScheme.ECDSA_SHA512: AuthMethod.ECDSA_SHA2_512_P521,
    SignatureScheme.RSA_PKCS1_SHA1: AuthMethod.RSA_DIGITAL_SIGNATURE,
}
"""AUTH methods with a number of their own; all others are method 14 with an AlgorithmIdentifier (RFC 7427)."""
_ANY_CA = 0


@lru_cache(maxsize=16)
def announce(schemes: tuple[SignatureScheme, ...]) -> Notify:
    """What we accept, for certificates of any CA: method 14 in the order of `schemes`, then the older methods."""
    said = [
        (AuthMethod.DIGITAL_SIGNATURE, algorithm_identifier(scheme))
        for scheme in schemes
        if scheme is not SignatureScheme.RSA_PKCS1_SHA1
    ]
    said += [(OLDER_METHODS[scheme], b"") for scheme in schemes if scheme in OLDER_METHODS]
    return Notify(
        NotifyType.SUPPORTED_AUTH_METHODS,
        b"".join(bytes((3 + len(identifier), method, _ANY_CA)) + identifier for method, identifier in said),
    )


def learn(core: Core, sa: IkeSa, message: Message) -> None:
    """Take the announcement of a message, if it has one; one that does not parse is counted and says nothing."""
    notify = message.notify(NotifyType.SUPPORTED_AUTH_METHODS)
    if notify is None:
        return
    try:
        sa.announced = tuple(_read(notify.data))
    except ValueError:
        core.counters.add("auth-announcements-malformed")


def _read(data: bytes) -> Iterator[Announced]:
    """The announcements, each of 2 octets (length, method), 3 (and a link to a CA) or more (and an identifier)."""
    position = 0
    while position < len(data):
        length = data[position]
        item = data[position : position + length]
        if length < 2 or len(item) < length:
            raise ValueError(f"an announcement of {length} octets where {len(data) - position} are left")
        position += length
        method, link = item[1], item[2] if length > 2 else _ANY_CA
        yield Announced(method, link, scheme_of(item[3:]) if method == AuthMethod.DIGITAL_SIGNATURE else None)


def choose(
    public_key: PublicKeyTypes,
    allowed: Sequence[SignatureScheme],
    peer_hashes: frozenset[int] | None,
    announced: Sequence[Announced],
) -> Signing | None:
    """As :func:`choose_signing`, within what the peer announced."""
    schemes = {item.scheme for item in announced if item.method == AuthMethod.DIGITAL_SIGNATURE}
    methods = {item.method for item in announced}
    signing = choose_signing(public_key, [scheme for scheme in allowed if scheme in schemes], peer_hashes)
    if signing is not None and signing.method == AuthMethod.DIGITAL_SIGNATURE:
        return signing
    return choose_signing(public_key, [scheme for scheme in allowed if OLDER_METHODS.get(scheme) in methods], None)


def shown(announced: Sequence[Announced]) -> str:
    """Announcements in words."""
    return ", ".join(dict.fromkeys(str(item.scheme or name(AuthMethod, item.method)) for item in announced))
