"""Keys that only tests use: RSA keys of any size from published labels, and signatures that no library makes.

The primes are the first ones after SHAKE-256 of a label that are 2 modulo 3, so that e = 3 works: anybody can make
them again, and nobody may use them.
"""

from functools import lru_cache
from hashlib import shake_256
from math import lcm

from cryptography.hazmat.primitives.asymmetric import rsa

from ikesim.pki.der_writer import bit_string, integer, null, oid, sequence

_OFFSETS = {512: (778, 312), 1024: (1092, 48), 2048: (414, 1664), 2047: (482, 1172)}
"""Size of the modulus in bits -> how far behind the labels' numbers the primes stand."""
RSA_ENCRYPTION = "1.2.840.113549.1.1.1"
_DIGEST_INFO = {
    "sha1": bytes.fromhex("3021300906052b0e03021a05000414"),
    "sha256": bytes.fromhex("3031300d060960864801650304020105000420"),
}
"""DigestInfo up to the hash (RFC 8017 9.2, note 1)."""


@lru_cache(maxsize=16)
def rsa_key(bits: int = 2048, exponent: int = 65537) -> rsa.RSAPrivateKey:
    """The test key of that size: 512, 1024, 2047 or 2048 bits, with exponent 3 or 65537."""
    p, q = (_prime(bits, name, offset) for name, offset in zip("pq", _OFFSETS[bits], strict=True))
    d = pow(exponent, -1, lcm(p - 1, q - 1))
    public = rsa.RSAPublicNumbers(exponent, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    return numbers.private_key(unsafe_skip_rsa_key_validation=True)


def _prime(bits: int, name: str, offset: int) -> int:
    """The prime of a label. Of 2047 bits: both primes have their second bit clear, so that the product is short."""
    size = (bits + 1) // 2
    label = f"ikesim test-only RSA {bits if bits % 2 else size} {name}"
    number = int.from_bytes(shake_256(label.encode()).digest(size // 8), "big") | 3 << size - 2 | 1
    return (number & ~(1 << size - 2) if bits % 2 else number) + offset


def rsa_spki(modulus: int, exponent: int) -> bytes:
    """The SubjectPublicKeyInfo of any two numbers (RFC 8017 A.1.1)."""
    return sequence(sequence(oid(RSA_ENCRYPTION), null()), bit_string(sequence(integer(modulus), integer(exponent))))


def pkcs1_block(octets: int, hash_name: str, digest: bytes) -> bytes:
    """EMSA-PKCS1-v1_5 for a modulus of `octets` octets (RFC 8017 9.2)."""
    info = _DIGEST_INFO[hash_name] + digest
    return b"\x00\x01" + b"\xff" * (octets - len(info) - 3) + b"\x00" + info


def garbage_block(octets: int, hash_name: str, digest: bytes, padding: int = 8) -> bytes:
    """The same with short padding and octets behind the hash, which a verifier that reads from the left accepts."""
    start = b"\x00\x01" + b"\xff" * padding + b"\x00" + _DIGEST_INFO[hash_name] + digest
    return start + b"\x42" * (octets - len(start))


def raw_sign(key: rsa.RSAPrivateKey, block: bytes) -> bytes:
    """The RSA operation on a block of the modulus' size, with no padding of its own."""
    numbers = key.private_numbers()
    result = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
    return result.to_bytes((key.key_size + 7) // 8, "big")


def cube_root_forgery(modulus_octets: int, hash_name: str, digest: bytes) -> bytes:
    """A number whose cube starts like a PKCS#1 v1.5 block: a forgery where e = 3 (CVE-2018-16152)."""
    wanted = int.from_bytes(garbage_block(modulus_octets, hash_name, digest), "big")
    low, high = 0, 1 << modulus_octets * 8 // 3 + 1
    while low < high:
        middle = (low + high) // 2
        if middle**3 < wanted:
            low = middle + 1
        else:
            high = middle
    return low.to_bytes(modulus_octets, "big")
