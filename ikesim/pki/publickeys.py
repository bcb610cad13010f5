"""Public keys from SubjectPublicKeyInfo: loaded by `cryptography`, with what it lets pass refused.

Keys come from strangers. What is malformed, impossible or of a kind that IKE cannot use is a ValueError in words.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ikesim.pki import der

PublicKey = (
    rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey | dsa.DSAPublicKey
)

_EC_PUBLIC_KEY = "1.2.840.10045.2.1"

MAX_RSA_BITS = 16384
"""OpenSSL's OPENSSL_RSA_MAX_MODULUS_BITS: a larger modulus only costs time."""
MAX_RSA_EXPONENT_BITS = 64
"""OpenSSL's OPENSSL_RSA_MAX_PUBEXP_BITS: a larger exponent only costs time."""

_ED25519_P = 2**255 - 19
_ED25519_SMALL = frozenset(
    {
        0,
        1,
        _ED25519_P - 1,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)
"""The y coordinates of the eight points of small order on edwards25519, as the sign bit is masked."""
_ED448_P = 2**448 - 2**224 - 1

P = ParamSpec("P")
T = TypeVar("T")


def contained(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call into `cryptography`; whatever it raises on strange input, panics included, comes out as ValueError.

    A panic of its Rust code is a PanicException, which derives from BaseException and has no importable name.
    """
    try:
        return call(*args, **kwargs)
    except (ValueError, TypeError, OverflowError, UnsupportedAlgorithm) as error:
        raise ValueError(str(error) or type(error).__name__) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":
            raise
        raise ValueError("the library gave up on it") from None


def load_public_key(spki: bytes) -> PublicKey:
    """The key of a SubjectPublicKeyInfo. Raises ValueError, saying what is wrong with it."""
    try:
        algorithm = der.read(spki, der.SEQUENCE).children()[0].expect(der.SEQUENCE).children()
        if algorithm[0].oid() == _EC_PUBLIC_KEY and (len(algorithm) != 2 or algorithm[1].tag != der.OID):
            raise ValueError(
                "an elliptic curve given by explicit parameters (RFC 5480 2.1.1 allows named curves only)"
            )
    except (der.DerError, IndexError):
        raise ValueError("a SubjectPublicKeyInfo that cannot be read") from None
    key = contained(load_der_public_key, spki)
    if isinstance(key, rsa.RSAPublicKey):
        _check_rsa(contained(key.public_numbers))
    elif isinstance(key, ed25519.Ed25519PublicKey):
        y = int.from_bytes(key.public_bytes_raw(), "little") & (2**255 - 1)
        if y % _ED25519_P in _ED25519_SMALL or y >= _ED25519_P:
            raise ValueError("an Ed25519 point of small order or not in its canonical form")
    elif isinstance(key, ed448.Ed448PublicKey):
        y = int.from_bytes(key.public_bytes_raw()[:56], "little")
        if y in (0, 1) or y >= _ED448_P - 1:
            raise ValueError("an Ed448 point of small order or not in its canonical form")
    elif not isinstance(key, (ec.EllipticCurvePublicKey, dsa.DSAPublicKey)):
        raise ValueError(f"a key of a kind that signs nothing in IKE ({type(key).__name__})")
    return key


def _check_rsa(numbers: rsa.RSAPublicNumbers) -> None:
    if numbers.e < 3 or numbers.e % 2 == 0:
        raise ValueError(f"the RSA exponent {numbers.e} is impossible")
    if numbers.e.bit_length() > MAX_RSA_EXPONENT_BITS:
        raise ValueError(f"an RSA exponent of {numbers.e.bit_length()} bits")
    if numbers.n % 2 == 0 or numbers.n.bit_length() > MAX_RSA_BITS:
        raise ValueError(f"an RSA modulus of {numbers.n.bit_length()} bits that is even or too large")


def key_strength(key: PublicKey) -> tuple[str, int]:
    """A key's kind ("rsa", "ecdsa", "ed25519", "ed448", "dsa") and its size in bits."""
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ecdsa", key.key_size
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", 256
    if isinstance(key, ed448.Ed448PublicKey):
        return "ed448", 456
    return "dsa", key.key_size
