"""Key exchange by IANA method ID: MODP, ECP, Brainpool, X25519, X448 and ML-KEM, from entropy that is handed in.

The initiator calls :func:`generate` and later :func:`agree`, the responder :func:`answer`. Only with ML-KEM does it
matter who is which: the initiator's public octets are an encapsulation key, the responder's a ciphertext.

A :class:`KeyPair` is plain data. Loading a private key costs as much as using it, so the loaded key waits in a small
cache between :func:`generate` and :func:`agree`, and leaves it there.
"""

import warnings
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import field
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM1024PrivateKey
from cryptography.hazmat.primitives.asymmetric.x448 import X448PrivateKey, X448PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.utils import CryptographyDeprecationWarning

from ikesim.errors import KeyExchangeError, UnsupportedAlgorithmError
from ikesim.wire.registry import KeyExchangeId, name
from ikesim.wire.values import value

Entropy = Callable[[int], bytes]
Encapsulate = Callable[[int, bytes], tuple[bytes, bytes]]
"""(method, encapsulation key) -> (ciphertext, shared secret), by randomness of its own; raises KeyExchangeError."""

SEED_OCTETS = 64
"""d and z of FIPS 203 7.1, from which an ML-KEM key pair follows."""
WAITING_KEYS = 128
"""Loaded private keys kept between the two halves of an exchange; one beyond these is loaded again when needed."""


@value
class KeyPair:
    """One side's ephemeral key: the private octets, and the public octets as the KE payload carries them."""

    method: int
    private: bytes = field(repr=False)
    public: bytes

    def __deepcopy__(self, memo: object) -> "KeyPair":
        return self  # immutable: copies of an endpoint share it


class _Method(Protocol):
    """One key exchange method; `Any` is whatever the library calls a loaded private key."""

    @property
    def public_length(self) -> int: ...
    @property
    def answer_length(self) -> int: ...
    def draw(self, entropy: Entropy) -> bytes: ...
    def load(self, private: bytes) -> Any: ...
    def public(self, key: Any) -> bytes: ...
    def agree(self, key: Any, peer: bytes) -> bytes: ...


class _Montgomery(NamedTuple):
    """X25519 and X448 (RFC 8031): the library refuses an all-zero shared secret, as section 5 there demands."""

    public_length: int
    private_key: type[X25519PrivateKey] | type[X448PrivateKey]
    public_key: type[X25519PublicKey] | type[X448PublicKey]

    @property
    def answer_length(self) -> int:
        return self.public_length

    def draw(self, entropy: Entropy) -> bytes:
        return entropy(self.public_length)

    def load(self, private: bytes) -> Any:
        return self.private_key.from_private_bytes(private)

    def public(self, key: Any) -> bytes:
        octets: bytes = key.public_key().public_bytes_raw()
        return octets

    def agree(self, key: Any, peer: bytes) -> bytes:
        shared: bytes = key.exchange(self.public_key.from_public_bytes(peer))
        return shared


class _Curve(NamedTuple):
    """Curves over prime fields (RFC 5903, RFC 6954): x and y side by side; the shared secret is x."""

    curve: ec.EllipticCurve
    order: int

    @property
    def public_length(self) -> int:
        return 2 * (-(-self.curve.key_size // 8))

    @property
    def answer_length(self) -> int:
        return self.public_length

    def draw(self, entropy: Entropy) -> bytes:
        bits = self.order.bit_length()
        octets = -(-bits // 8)
        for _ in range(128):  # rejection sampling; a round succeeds with a probability above one half
            candidate = int.from_bytes(entropy(octets), "big") >> (8 * octets - bits)
            if 0 < candidate < self.order:
                return candidate.to_bytes(octets, "big")
        raise KeyExchangeError("128 draws of entropy gave no private key: the source of entropy is broken")

    def load(self, private: bytes) -> Any:
        return ec.derive_private_key(int.from_bytes(private, "big"), self.curve)

    def public(self, key: Any) -> bytes:
        point: bytes = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return point[1:]

    def agree(self, key: Any, peer: bytes) -> bytes:
        # the library refuses a point that is not on the curve (RFC 6989 2.3); these curves have cofactor 1
        point = ec.EllipticCurvePublicKey.from_encoded_point(self.curve, b"\x04" + peer)
        shared: bytes = key.exchange(ec.ECDH(), point)
        return shared


class _Modp:
    """Finite-field groups (RFC 2409, RFC 3526), which the library deprecates: the only class that uses them.

    The prime is computed from its definition, 2^n - 2^(n-64) - 1 + 2^64 * ([2^(n-130) pi] + offset), at first use.
    """

    with warnings.catch_warnings():  # the deprecation is announced by naming the classes, not by using them
        warnings.filterwarnings("ignore", "Diffie-Hellman over finite fields", CryptographyDeprecationWarning)
        from cryptography.hazmat.primitives.asymmetric.dh import (
            DHParameterNumbers,
            DHPrivateNumbers,
            DHPublicKey,
            DHPublicNumbers,
        )

    def __init__(self, bits: int, offset: int, exponent_length: int) -> None:
        self.public_length = self.answer_length = bits // 8
        self._bits = bits
        self._offset = offset
        self._exponent_length = exponent_length

    @cached_property
    def prime(self) -> int:
        middle: int = _scaled_pi(self._bits - 130) + self._offset
        return (1 << self._bits) - (1 << self._bits - 64) - 1 + (middle << 64)

    @cached_property
    def _parameters(self) -> DHParameterNumbers:
        return self.DHParameterNumbers(self.prime, 2)

    @cached_property
    def _generator(self) -> DHPublicKey:
        """The generator as if it were a peer's public value: exchanging with it gives our own public value."""
        return self.DHPublicNumbers(2, self._parameters).public_key()

    def draw(self, entropy: Entropy) -> bytes:
        octets = entropy(self._exponent_length)
        return bytes((octets[0] | 0x80,)) + octets[1:]  # of full length, hence never 0 or 1

    def load(self, private: bytes) -> Any:
        # an exchange does not use the public value beside the exponent; the real one would cost an exchange itself
        unused = self.DHPublicNumbers(2, self._parameters)
        return self.DHPrivateNumbers(int.from_bytes(private, "big"), unused).private_key()

    def public(self, key: Any) -> bytes:
        return self._exchange(key, self._generator)

    def agree(self, key: Any, peer: bytes) -> bytes:
        value = int.from_bytes(peer, "big")
        if not 1 < value < self.prime - 1:  # RFC 6989 2.1
            raise ValueError("the public value is 0, 1, p-1 or beyond")
        return self._exchange(key, self.DHPublicNumbers(value, self._parameters).public_key())

    def _exchange(self, key: Any, public_key: DHPublicKey) -> bytes:
        shared: bytes = key.exchange(public_key)
        return shared.rjust(self.public_length, b"\0")  # RFC 7296 2.14: padded to the length of the modulus


class _Kem(NamedTuple):
    """ML-KEM (FIPS 203): the private octets are the seed; a changed ciphertext gives another secret, not an error."""

    public_length: int
    answer_length: int
    private_key: type[MLKEM768PrivateKey] | type[MLKEM1024PrivateKey]

    def draw(self, entropy: Entropy) -> bytes:
        return entropy(SEED_OCTETS)

    def load(self, private: bytes) -> Any:
        return self.private_key.from_seed_bytes(private)

    def public(self, key: Any) -> bytes:
        octets: bytes = key.public_key().public_bytes_raw()
        return octets

    def agree(self, key: Any, peer: bytes) -> bytes:
        shared: bytes = key.decapsulate(peer)
        return shared


def _scaled_pi(bits: int) -> int:
    """floor(2^bits * pi), by Machin's formula with 64 guard bits."""
    one = 1 << (bits + 64)

    def arccot(x: int) -> int:
        term = total = one // x
        divisor, square = 1, x * x
        while term:
            term //= -square
            divisor += 2
            total += term // divisor
        return total

    return 4 * (4 * arccot(5) - arccot(239)) >> 64


_METHODS: dict[int, _Method] = {
    # exponents: at least the upper end of the range that RFC 3526 8 estimates for the group's strength
    KeyExchangeId.MODP_1024: _Modp(1024, 129093, 32),
    KeyExchangeId.MODP_1536: _Modp(1536, 741804, 32),
    KeyExchangeId.MODP_2048: _Modp(2048, 124476, 40),
    KeyExchangeId.MODP_3072: _Modp(3072, 1690314, 56),
    KeyExchangeId.MODP_4096: _Modp(4096, 240904, 60),
    KeyExchangeId.MODP_6144: _Modp(6144, 929484, 68),
    KeyExchangeId.MODP_8192: _Modp(8192, 4743158, 80),
    KeyExchangeId.ECP_256: _Curve(ec.SECP256R1(), 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551),
    KeyExchangeId.ECP_384: _Curve(
        ec.SECP384R1(),
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973,
    ),
    KeyExchangeId.ECP_521: _Curve(
        ec.SECP521R1(),
        2**521 - 0x5AE79787C40D069948033FEB708F65A2FC44A36477663B851449048E16EC79BF7,
    ),
    KeyExchangeId.BRAINPOOL_256: _Curve(
        ec.BrainpoolP256R1(), 0xA9FB57DBA1EEA9BC3E660A909D838D718C397AA3B561A6F7901E0E82974856A7
    ),
    KeyExchangeId.BRAINPOOL_384: _Curve(
        ec.BrainpoolP384R1(),
        0x8CB91E82A3386D280F5D6F7E50E641DF152F7109ED5456B31F166E6CAC0425A7CF3AB6AF6B7FC3103B883202E9046565,
    ),
    KeyExchangeId.BRAINPOOL_512: _Curve(
        ec.BrainpoolP512R1(),
        0xAADD9DB8DBE9C48B3FD4E6AE33C9FC07CB308DB3B3C9D20ED6639CCA70330870553E5C414CA92619418661197FAC1047 << 128
        | 0x1DB1D381085DDADDB58796829CA90069,
    ),
    KeyExchangeId.CURVE25519: _Montgomery(32, X25519PrivateKey, X25519PublicKey),
    KeyExchangeId.CURVE448: _Montgomery(56, X448PrivateKey, X448PublicKey),
    KeyExchangeId.ML_KEM_768: _Kem(1184, 1088, MLKEM768PrivateKey),
    KeyExchangeId.ML_KEM_1024: _Kem(1568, 1568, MLKEM1024PrivateKey),
}

_waiting: OrderedDict[tuple[int, bytes], Any] = OrderedDict()


def supported(method: int) -> bool:
    """Whether this key exchange method is implemented."""
    return method in _METHODS


def public_length(method: int) -> int:
    """The octets of an initiator's KE payload. Raises UnsupportedAlgorithmError."""
    return _method(method).public_length


def answer_length(method: int) -> int:
    """The octets of a responder's KE payload. Raises UnsupportedAlgorithmError."""
    return _method(method).answer_length


def generate(method: int, entropy: Callable[[int], bytes]) -> KeyPair:
    """A fresh key pair, a function of the octets that `entropy(count)` returns. Raises UnsupportedAlgorithmError."""
    implementation = _method(method)
    private = implementation.draw(entropy)
    key = implementation.load(private)
    _waiting[method, private] = key
    if len(_waiting) > WAITING_KEYS:
        _waiting.popitem(last=False)
    return KeyPair(method, private, implementation.public(key))


def agree(pair: KeyPair, peer_public: bytes) -> bytes:
    """The shared secret with a peer's public value (ML-KEM: its ciphertext), as it enters the key schedule.

    Raises KeyExchangeError when the public value is of the wrong length, out of range, not on the curve, or leads to
    an all-zero secret (RFC 6989, RFC 8031 5).
    """
    implementation = _method(pair.method)
    _check_length(pair.method, implementation.answer_length, peer_public)
    key = _waiting.pop((pair.method, pair.private), None) or implementation.load(pair.private)
    try:
        return implementation.agree(key, peer_public)
    except ValueError as error:
        raise KeyExchangeError(f"invalid public value for {name(KeyExchangeId, pair.method)}: {error}") from None


def answer(method: int, peer_public: bytes, entropy: Entropy, encapsulate: Encapsulate) -> tuple[bytes, bytes]:
    """A responder's half: the octets of its KE payload, and the shared secret.

    Raises KeyExchangeError as :func:`agree` does, and for what is no encapsulation key; UnsupportedAlgorithmError.
    """
    implementation = _method(method)
    if isinstance(implementation, _Kem):
        _check_length(method, implementation.public_length, peer_public)
        return encapsulate(method, peer_public)
    pair = generate(method, entropy)
    return pair.public, agree(pair, peer_public)


def _check_length(method: int, length: int, octets: bytes) -> None:
    if len(octets) != length:
        raise KeyExchangeError(
            f"a public value of {name(KeyExchangeId, method)} has {length} octets, not {len(octets)}"
        )


def _method(method: int) -> _Method:
    try:
        return _METHODS[method]
    except KeyError:
        raise UnsupportedAlgorithmError(f"{name(KeyExchangeId, method)} is not implemented") from None
