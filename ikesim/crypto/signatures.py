"""Signatures of the AUTH payload: RFC 7427 (method 14), RFC 4754 (methods 9 to 11), RFC 7296 (method 1), RFC 8420."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, cast

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from ikesim.crypto.identifiers import (
    IdentifierError,
    PssParameters,
    parse_identifier,
    pss_identifier,
)
from ikesim.errors import AuthError, CryptoError
from ikesim.reasons import Reason
from ikesim.wire.registry import AuthMethod, HashAlgorithm, name


class SignatureScheme(StrEnum):
    """A way to sign, by its configuration name; in order of preference for the default list."""

    ED25519 = "ed25519"
    ED448 = "ed448"
    ECDSA_SHA256 = "ecdsa-sha256"
    ECDSA_SHA384 = "ecdsa-sha384"
    ECDSA_SHA512 = "ecdsa-sha512"
    RSA_PSS_SHA256 = "rsa-pss-sha256"
    RSA_PSS_SHA384 = "rsa-pss-sha384"
    RSA_PSS_SHA512 = "rsa-pss-sha512"
    RSA_PKCS1_SHA256 = "rsa-pkcs1-sha256"
    RSA_PKCS1_SHA384 = "rsa-pkcs1-sha384"
    RSA_PKCS1_SHA512 = "rsa-pkcs1-sha512"
    RSA_PKCS1_SHA1 = "rsa-pkcs1-sha1"

    @property
    def hash_algorithm(self) -> HashAlgorithm:
        """What SIGNATURE_HASH_ALGORITHMS must list for this scheme (RFC 7427 4, RFC 8420 2)."""
        return _SCHEMES[self].hash_algorithm


class Signing(NamedTuple):
    """How to sign: the AUTH method and the scheme."""

    method: int
    scheme: SignatureScheme


class _Scheme(NamedTuple):
    hash_algorithm: HashAlgorithm
    family: str
    """The key it needs: RSA, ECDSA, Ed25519 or Ed448."""
    hash: hashes.HashAlgorithm | None
    identifier: bytes
    """The DER AlgorithmIdentifier that we send."""


_SHA1, _SHA256, _SHA384, _SHA512 = hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()
_SCHEMES = {
    SignatureScheme.ED25519: _Scheme(HashAlgorithm.IDENTITY, "Ed25519", None, bytes.fromhex("300506032b6570")),
    SignatureScheme.ED448: _Scheme(HashAlgorithm.IDENTITY, "Ed448", None, bytes.fromhex("300506032b6571")),
    SignatureScheme.ECDSA_SHA256: _Scheme(
        HashAlgorithm.SHA2_256, "ECDSA", _SHA256, bytes.fromhex("300a06082a8648ce3d040302")
    ),
    SignatureScheme.ECDSA_SHA384: _Scheme(
        HashAlgorithm.SHA2_384, "ECDSA", _SHA384, bytes.fromhex("300a06082a8648ce3d040303")
    ),
    SignatureScheme.ECDSA_SHA512: _Scheme(
        HashAlgorithm.SHA2_512, "ECDSA", _SHA512, bytes.fromhex("300a06082a8648ce3d040304")
    ),
    SignatureScheme.RSA_PSS_SHA256: _Scheme(HashAlgorithm.SHA2_256, "RSA", _SHA256, pss_identifier("sha256", 32)),
    SignatureScheme.RSA_PSS_SHA384: _Scheme(HashAlgorithm.SHA2_384, "RSA", _SHA384, pss_identifier("sha384", 48)),
    SignatureScheme.RSA_PSS_SHA512: _Scheme(HashAlgorithm.SHA2_512, "RSA", _SHA512, pss_identifier("sha512", 64)),
    SignatureScheme.RSA_PKCS1_SHA256: _Scheme(
        HashAlgorithm.SHA2_256, "RSA", _SHA256, bytes.fromhex("300d06092a864886f70d01010b0500")
    ),
    SignatureScheme.RSA_PKCS1_SHA384: _Scheme(
        HashAlgorithm.SHA2_384, "RSA", _SHA384, bytes.fromhex("300d06092a864886f70d01010c0500")
    ),
    SignatureScheme.RSA_PKCS1_SHA512: _Scheme(
        HashAlgorithm.SHA2_512, "RSA", _SHA512, bytes.fromhex("300d06092a864886f70d01010d0500")
    ),
    SignatureScheme.RSA_PKCS1_SHA1: _Scheme(
        HashAlgorithm.SHA1, "RSA", _SHA1, bytes.fromhex("300d06092a864886f70d0101050500")
    ),
}
_PSS = {
    "sha256": SignatureScheme.RSA_PSS_SHA256,
    "sha384": SignatureScheme.RSA_PSS_SHA384,
    "sha512": SignatureScheme.RSA_PSS_SHA512,
}
_PSS_SCHEMES = frozenset(_PSS.values())
_BY_IDENTIFIER = {scheme.identifier: key for key, scheme in _SCHEMES.items()}
_KINDS = {
    "ECDSA": (EllipticCurvePublicKey, EllipticCurvePrivateKey),
    "RSA": (RSAPublicKey, RSAPrivateKey),
    "Ed25519": (Ed25519PublicKey, Ed25519PrivateKey),
    "Ed448": (Ed448PublicKey, Ed448PrivateKey),
}
_ECDSA = {key: ECDSA(value.hash, deterministic_signing=True) for key, value in _SCHEMES.items() if value.hash}
_PKCS1 = padding.PKCS1v15()

_CURVE_METHODS = {
    AuthMethod.ECDSA_SHA2_256_P256: ("secp256r1", 32, SignatureScheme.ECDSA_SHA256),
    AuthMethod.ECDSA_SHA2_384_P384: ("secp384r1", 48, SignatureScheme.ECDSA_SHA384),
    AuthMethod.ECDSA_SHA2_512_P521: ("secp521r1", 66, SignatureScheme.ECDSA_SHA512),
}
"""RFC 4754: the method fixes curve and hash; r and s have the octets of the curve's order."""
_CURVE_SIGNING = {curve: Signing(method, scheme) for method, (curve, _, scheme) in _CURVE_METHODS.items()}

_Refuse = Callable[..., AuthError]
"""(reason, message, **evidence) -> the error to raise, with method and key added to the evidence."""

_ECDSA_WITH_SHA1 = "1.2.840.10045.4.1"
"""Known and never offered: refused for its hash."""


def algorithm_identifier(scheme: SignatureScheme) -> bytes:
    """The DER AlgorithmIdentifier of RFC 7427 appendix A.

    The PSS trailer field, always 1, is left out, as DER and RFC 4055 3.1 demand; both forms are understood.
    """
    return _SCHEMES[scheme].identifier


def scheme_of(identifier: bytes) -> SignatureScheme | None:
    """The scheme that a DER AlgorithmIdentifier names, in whatever encoding; None if it is none of ours."""

    def refuse(reason: Reason, message: str, **found: object) -> AuthError:
        return AuthError(message, reason=reason, evidence=found)

    known = _BY_IDENTIFIER.get(identifier)
    if known is not None:
        return known
    try:
        return _read_unusual_identifier(identifier, frozenset(HashAlgorithm), refuse)[0]
    except AuthError:
        return None


def describe_key(public_key: PublicKeyTypes) -> str:
    """A key in words: "RSA 2048", "ECDSA secp256r1", "Ed25519"."""
    if isinstance(public_key, RSAPublicKey):
        return f"RSA {public_key.key_size}"
    if isinstance(public_key, EllipticCurvePublicKey):
        return f"ECDSA {public_key.curve.name}"
    return _family(public_key)


def choose_signing(
    public_key: PublicKeyTypes, allowed: Sequence[SignatureScheme], peer_hashes: frozenset[int] | None
) -> Signing | None:
    """How to sign with our key so that the peer understands it; None when no allowed way is left.

    `peer_hashes` is what the peer's SIGNATURE_HASH_ALGORITHMS lists (RFC 7427 4), None when it sent none: then only
    the older methods are left. RSA takes PSS first; ECDSA takes the hash that fits its curve before the others.
    """
    family = _family(public_key)
    fitting = [scheme for scheme in allowed if _SCHEMES[scheme].family == family]
    curve = _CURVE_SIGNING.get(public_key.curve.name) if isinstance(public_key, EllipticCurvePublicKey) else None
    if peer_hashes is not None:
        usable = [scheme for scheme in fitting if _SCHEMES[scheme].hash_algorithm in peer_hashes]
        if isinstance(public_key, RSAPublicKey):
            usable = [scheme for scheme in usable if _pss_room(public_key, scheme) >= _salt(scheme)]
            usable.sort(key=lambda scheme: scheme not in _PSS_SCHEMES)
        elif curve:
            usable.sort(key=lambda scheme: scheme is not curve.scheme)
        if usable:
            return Signing(AuthMethod.DIGITAL_SIGNATURE, usable[0])
    if curve and curve.scheme in fitting:
        return curve
    if SignatureScheme.RSA_PKCS1_SHA1 in fitting:
        return Signing(AuthMethod.RSA_DIGITAL_SIGNATURE, SignatureScheme.RSA_PKCS1_SHA1)
    return None


def sign(private_key: PrivateKeyTypes, scheme: SignatureScheme, octets: bytes) -> bytes:
    """A signature over `octets`: DER for ECDSA (deterministic, RFC 6979), raw otherwise; a PSS salt fits the hash.

    Raises CryptoError when the key is of another kind, or too short for the scheme.
    """
    spec = _SCHEMES[scheme]
    if spec.family == "ECDSA" and _family(private_key) == "ECDSA":
        return cast(EllipticCurvePrivateKey, private_key).sign(octets, _ECDSA[scheme])
    if isinstance(private_key, RSAPrivateKey) and spec.family == "RSA" and spec.hash:
        scheme_padding = (
            padding.PSS(padding.MGF1(spec.hash), spec.hash.digest_size) if scheme in _PSS_SCHEMES else _PKCS1
        )
        try:
            return private_key.sign(octets, scheme_padding, spec.hash)
        except ValueError as error:
            raise CryptoError(
                f"an RSA key of {private_key.key_size} bits cannot sign with {scheme}: {error}"
            ) from None
    if isinstance(private_key, Ed25519PrivateKey) and spec.family == "Ed25519":
        return private_key.sign(octets)
    if isinstance(private_key, Ed448PrivateKey) and spec.family == "Ed448":
        return private_key.sign(octets)
    raise CryptoError(f"{scheme} needs a key for {spec.family}")


def encode_auth(signing: Signing, public_key: PublicKeyTypes, signature: bytes) -> bytes:
    """The Authentication Data of AUTH for a signature as :func:`sign` makes it."""
    if signing.method == AuthMethod.DIGITAL_SIGNATURE:
        identifier = _SCHEMES[signing.scheme].identifier
        return len(identifier).to_bytes(1, "big") + identifier + signature
    curve = _CURVE_METHODS.get(AuthMethod(signing.method))
    if curve is None:
        return signature
    width = curve[1]
    r, s = decode_dss_signature(signature)
    return r.to_bytes(width, "big") + s.to_bytes(width, "big")


def verify_auth(
    method: int,
    data: bytes,
    octets: bytes,
    public_key: PublicKeyTypes,
    *,
    allowed: Sequence[SignatureScheme],
    announced_hashes: frozenset[int],
) -> SignatureScheme:
    """Verify Authentication Data over the octets of RFC 7296 2.15; the scheme that proved them.

    `announced_hashes` is what our SIGNATURE_HASH_ALGORITHMS listed. Raises AuthError with one of the `auth-*`
    reasons and what was compared.
    """

    def refuse(reason: Reason, message: str, **found: object) -> AuthError:
        shown = {"method": name(AuthMethod, method), "key": describe_key(public_key), **found}
        return AuthError(message, reason=reason, evidence=shown)

    if method == AuthMethod.DIGITAL_SIGNATURE:
        scheme, salt, signature = _read_digital_signature(data, announced_hashes, refuse)
    elif method in _CURVE_METHODS:
        scheme, salt, signature = _CURVE_METHODS[AuthMethod(method)][2], None, data
    elif method == AuthMethod.RSA_DIGITAL_SIGNATURE:
        scheme, salt, signature = SignatureScheme.RSA_PKCS1_SHA1, None, data
    else:
        raise refuse(
            Reason.AUTH_METHOD_NOT_ALLOWED,
            f"AUTH method {name(AuthMethod, method)} is not a signature that ikesim verifies",
            allowed=list(map(str, allowed)),
        )
    if scheme not in allowed:
        raise refuse(
            Reason.AUTH_METHOD_NOT_ALLOWED,
            f"the peer signed with {scheme}, which this connection does not allow",
            scheme=str(scheme),
            allowed=list(map(str, allowed)),
        )
    if _SCHEMES[scheme].family != _family(public_key):
        raise refuse(
            Reason.AUTH_KEY_MISMATCH,
            f"the peer signed with {scheme}, but its certificate holds a key for {describe_key(public_key)}",
            scheme=str(scheme),
        )
    if method in _CURVE_METHODS:
        signature = _read_concatenated(AuthMethod(method), signature, public_key, refuse)
    if salt is not None and isinstance(public_key, RSAPublicKey) and salt > (room := _pss_room(public_key, scheme)):
        raise refuse(
            Reason.AUTH_BAD_ENCODING,
            f"a PSS salt of {salt} octets does not fit into {describe_key(public_key)} with {scheme}: at most {room}",
            scheme=str(scheme),
            salt_length=salt,
            salt_length_at_most=room,
        )
    try:
        _verify(public_key, scheme, salt, signature, octets)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        raise refuse(
            Reason.AUTH_BAD_SIGNATURE,
            "the signature does not verify over the octets that the peer must have signed",
            scheme=str(scheme),
            **({} if salt is None else {"salt_length": salt}),
            signature_octets=len(signature),
            signed_octets=len(octets),
        ) from None
    return scheme


def _verify(
    public_key: PublicKeyTypes, scheme: SignatureScheme, salt: int | None, signature: bytes, octets: bytes
) -> None:
    digest = _SCHEMES[scheme].hash
    if _family(public_key) == "ECDSA":
        cast(EllipticCurvePublicKey, public_key).verify(signature, octets, _ECDSA[scheme])
    elif isinstance(public_key, RSAPublicKey) and digest:
        scheme_padding = _PKCS1 if salt is None else padding.PSS(padding.MGF1(digest), salt)
        public_key.verify(signature, octets, scheme_padding, digest)
    elif isinstance(public_key, Ed25519PublicKey | Ed448PublicKey):
        public_key.verify(signature, octets)
    else:
        raise InvalidSignature


def _read_digital_signature(
    data: bytes, announced: frozenset[int], refuse: _Refuse
) -> tuple[SignatureScheme, int | None, bytes]:
    """Scheme, PSS salt length (None: not PSS) and signature of method 14's data (RFC 7427 3)."""
    end = 1 + data[0] if data else 0
    identifier, signature = data[1:end], data[end:]
    if len(identifier) + 1 != end or not signature:
        raise refuse(
            Reason.AUTH_BAD_ENCODING,
            f"AUTH data of {len(data)} octets does not hold an AlgorithmIdentifier and a signature",
            identifier_octets=max(end - 1, 0),
            data_octets=len(data),
        )
    scheme = _BY_IDENTIFIER.get(identifier)
    salt = _salt(scheme) if scheme in _PSS_SCHEMES else None
    if scheme is None:
        scheme, salt = _read_unusual_identifier(identifier, announced, refuse)
    needed = _SCHEMES[scheme].hash_algorithm
    if needed not in announced:
        listed = [name(HashAlgorithm, number) for number in sorted(announced)]
        raise refuse(
            Reason.AUTH_HASH_NOT_ALLOWED,
            f"the peer signed with {scheme}, but {needed.name} is not among the hashes that we announced: "
            f"{', '.join(listed) or 'none'}",
            scheme=str(scheme),
            hash=needed.name,
            announced=listed,
        )
    return scheme, salt, signature


def _read_unusual_identifier(
    identifier: bytes, announced: frozenset[int], refuse: _Refuse
) -> tuple[SignatureScheme, int | None]:
    """Scheme and PSS salt length of an AlgorithmIdentifier that is not octet for octet one of ours."""
    shown = identifier.hex()
    try:
        parsed = parse_identifier(identifier)
    except IdentifierError as error:
        raise refuse(
            Reason.AUTH_BAD_ENCODING,
            f"the AlgorithmIdentifier in AUTH does not parse: {error}",
            identifier=shown,
            fault=str(error),
        ) from None
    if isinstance(parsed, PssParameters):
        if parsed.hash != parsed.mgf_hash:
            raise refuse(
                Reason.AUTH_BAD_ENCODING,
                f"RSASSA-PSS names {parsed.hash} for the message but {parsed.mgf_hash} for the mask",
                identifier=shown,
                **parsed._asdict(),
            )
        scheme = _PSS.get(parsed.hash)
        if scheme:
            return scheme, parsed.salt_length
        what, weak_hash = f"RSASSA-PSS with {parsed.hash}", parsed.hash == "sha1"
    else:
        what, weak_hash = parsed, parsed == _ECDSA_WITH_SHA1
    raise refuse(
        Reason.AUTH_HASH_NOT_ALLOWED if weak_hash else Reason.AUTH_METHOD_NOT_ALLOWED,
        f"the peer signed with an algorithm that ikesim never offers: {what}",
        identifier=shown,
        algorithm=what,
        announced=[name(HashAlgorithm, number) for number in sorted(announced)],
    )


def _read_concatenated(method: AuthMethod, data: bytes, public_key: PublicKeyTypes, refuse: _Refuse) -> bytes:
    """The DER signature of r and s side by side (RFC 4754 7), after checking curve and width."""
    curve, width, scheme = _CURVE_METHODS[method]
    if not isinstance(public_key, EllipticCurvePublicKey) or public_key.curve.name != curve:
        raise refuse(
            Reason.AUTH_KEY_MISMATCH,
            f"AUTH method {method.name} needs a key on {curve}, but the certificate holds {describe_key(public_key)}",
            scheme=str(scheme),
            curve=curve,
        )
    if len(data) != 2 * width:
        raise refuse(
            Reason.AUTH_BAD_ENCODING,
            f"AUTH method {method.name} carries {2 * width} octets of r and s, not {len(data)}",
            scheme=str(scheme),
            signature_octets=len(data),
            expected_octets=2 * width,
        )
    return encode_dss_signature(int.from_bytes(data[:width], "big"), int.from_bytes(data[width:], "big"))


def _family(key: PublicKeyTypes | PrivateKeyTypes) -> str:
    return _family_of(type(key))


@lru_cache(maxsize=64)
def _family_of(kind: type) -> str:
    """The family of a type of keys: asking an abstract class every time costs more than the rest of a check."""
    for family, kinds in _KINDS.items():
        if issubclass(kind, kinds):
            return family
    return kind.__name__


def _salt(scheme: SignatureScheme | None) -> int:
    """The salt that we use: as long as the hash (RFC 7427 A.4); 0 without PSS."""
    if scheme not in _PSS_SCHEMES or scheme is None:
        return 0
    digest = _SCHEMES[scheme].hash
    return digest.digest_size if digest else 0


def _pss_room(key: RSAPublicKey, scheme: SignatureScheme) -> int:
    """The longest salt that EMSA-PSS has room for (RFC 8017 9.1.1); 0 for other schemes."""
    digest = _SCHEMES[scheme].hash
    if scheme not in _PSS_SCHEMES or digest is None:
        return 0
    return (key.key_size + 6) // 8 - digest.digest_size - 2
