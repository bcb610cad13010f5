"""Making keys: from the system's randomness, or, where their scheme allows it, from entropy handed in."""

from collections.abc import Callable

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, mlkem, rsa

from ikesim.errors import KeyExchangeError, UnsupportedAlgorithmError, UsageError
from ikesim.wire.registry import KeyExchangeId

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
Entropy = Callable[[int], bytes]

_CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
_ORDERS = {
    256: 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
    384: 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    521: int(
        "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa"
        "51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
        16,
    ),
}
"""Group orders (SEC 2, sections 2.4.2, 2.5.1, 2.6.1)."""
DEFAULT_SIZES = {"ecdsa": 256, "rsa": 2048, "ed25519": 256, "ed448": 456}


def check_size(kind: str, size: int | None) -> int:
    """The size in bits that `kind` gets; UsageError for a kind or size that is not offered."""
    if kind not in DEFAULT_SIZES:
        raise UsageError(f"key type {kind!r} is not one of {', '.join(DEFAULT_SIZES)}")
    bits = DEFAULT_SIZES[kind] if size is None else size
    if kind == "ecdsa" and bits not in _CURVES:
        raise UsageError(f"an ECDSA key has 256, 384 or 521 bits, not {bits}")
    if kind == "rsa" and not (2048 <= bits <= 8192 and bits % 8 == 0):
        raise UsageError(f"an RSA key has 2048 to 8192 bits, a multiple of 8, not {bits}")
    if kind in ("ed25519", "ed448") and bits != DEFAULT_SIZES[kind]:
        raise UsageError(f"{kind} has one key size; leave it out")
    return bits


def make_key(kind: str, size: int | None = None, entropy: Entropy | None = None) -> PrivateKey:
    """A new private key. With `entropy` ECDSA and EdDSA keys are a function of it (SP 800-186 rejection sampling).

    RSA keys cannot be seeded: with `entropy` they are refused (UsageError), so that no run is less repeatable than
    it says.
    """
    bits = check_size(kind, size)
    if kind == "rsa":
        if entropy is not None:
            raise UsageError("an RSA key cannot be made from given entropy")
        return rsa.generate_private_key(65537, bits)
    if kind == "ed25519":
        return (
            ed25519.Ed25519PrivateKey.generate()
            if entropy is None
            else ed25519.Ed25519PrivateKey.from_private_bytes(entropy(32))
        )
    if kind == "ed448":
        return (
            ed448.Ed448PrivateKey.generate()
            if entropy is None
            else ed448.Ed448PrivateKey.from_private_bytes(entropy(57))
        )
    if entropy is None:
        return ec.generate_private_key(_CURVES[bits])
    while True:
        scalar = int.from_bytes(entropy((bits + 7) // 8), "big") & ((1 << bits) - 1)
        if 1 <= scalar < _ORDERS[bits]:
            return ec.derive_private_key(scalar, _CURVES[bits])


def parse_key_type(text: str) -> tuple[str, int | None]:
    """`ecdsa-p256`, `ecdsa-384`, `rsa-3072`, `rsa`, `ed25519`, `ed448` as (kind, size). Raises UsageError."""
    kind, _, size = text.partition("-")
    digits = size.removeprefix("p")
    if size and not digits.isdigit():
        raise UsageError(f"key type {text!r} is not of the form ecdsa-p256, rsa-2048, ed25519 or ed448")
    bits = int(digits) if digits else None
    check_size(kind, bits)
    return kind, bits


def describe(key: PublicKey) -> tuple[str, int]:
    """(kind, size in bits) of a public key, in the words that :func:`make_key` takes."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ecdsa", key.key_size
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa", key.key_size
    kind = "ed25519" if isinstance(key, ed25519.Ed25519PublicKey) else "ed448"
    return kind, DEFAULT_SIZES[kind]


def spki(key: PublicKey) -> bytes:
    """The DER of the key's SubjectPublicKeyInfo."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


_ENCAPSULATION: dict[int, type[mlkem.MLKEM768PublicKey] | type[mlkem.MLKEM1024PublicKey]] = {
    KeyExchangeId.ML_KEM_768: mlkem.MLKEM768PublicKey,
    KeyExchangeId.ML_KEM_1024: mlkem.MLKEM1024PublicKey,
}


def encapsulate(method: int, public: bytes) -> tuple[bytes, bytes]:
    """An ML-KEM ciphertext for a peer's encapsulation key, and the shared secret: what the core asks of `Ports`.

    Its randomness is the library's own and cannot be handed in. Raises KeyExchangeError for what is no such key,
    UnsupportedAlgorithmError for another method.
    """
    kind = _ENCAPSULATION.get(method)
    if kind is None:
        raise UnsupportedAlgorithmError(f"key exchange method {method} has no encapsulation")
    try:
        shared, ciphertext = kind.from_public_bytes(public).encapsulate()
    except ValueError as error:
        raise KeyExchangeError(f"the peer's ML-KEM key is not one: {error}") from None
    return ciphertext, shared
