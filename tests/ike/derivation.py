"""The key schedule and IntAuth once more, from the formulas of the RFCs and nothing of ikesim's: a second opinion.

PRF_HMAC_SHA2_256 and AES-128-GCM with a 16 octet ICV only (RFC 7296 2.13 to 2.18, RFC 5282, RFC 9242, RFC 9370).
"""

import hmac
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

PROPOSAL = "aes128gcm16-prfsha256-x25519"


def prf(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def prf_plus(key: bytes, seed: bytes, octets: int) -> bytes:
    """prf+(K,S) = T1 | T2 | ..., T1 = prf(K, S | 0x01), T2 = prf(K, T1 | S | 0x02) (RFC 7296 2.13)."""
    whole, last = b"", b""
    number = 1
    while len(whole) < octets:
        last = prf(key, last + seed + bytes((number,)))
        whole += last
        number += 1
    return whole[:octets]


@dataclass(frozen=True)
class Keys:
    """{SK_d | SK_ei | SK_er | SK_pi | SK_pr}: with AES-GCM there are no SK_a, and SK_e ends with the salt."""

    d: bytes
    ei: bytes
    er: bytes
    pi: bytes
    pr: bytes


def expand(skeyseed: bytes, ni: bytes, nr: bytes, spis: bytes) -> Keys:
    octets = prf_plus(skeyseed, ni + nr + spis, 32 + 20 + 20 + 32 + 32)
    return Keys(octets[:32], octets[32:52], octets[52:72], octets[72:104], octets[104:136])


def first_keys(shared: bytes, ni: bytes, nr: bytes, spis: bytes) -> Keys:
    """SKEYSEED = prf(Ni | Nr, SK(0))."""
    return expand(prf(ni + nr, shared), ni, nr, spis)


def next_keys(before: Keys, shared: bytes, ni: bytes, nr: bytes, spis: bytes) -> Keys:
    """SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr) (RFC 9370 2.2.2)."""
    return expand(prf(before.d, shared + ni + nr), ni, nr, spis)


def opened(octets: bytes, key: bytes) -> tuple[bytes, int, bytes]:
    """(header and generic header as they are, first payload inside, payload chain) of one SK or SKF datagram."""
    start = 28 + (8 if octets[16] == 53 else 4)
    aad, sealed = octets[:start], octets[start:]
    plaintext = AESGCM(key[:16]).decrypt(key[16:] + sealed[:8], sealed[8:], aad)
    return aad[:32], aad[28], plaintext[: len(plaintext) - 1 - plaintext[-1]]


def covered(datagrams: list[bytes], key: bytes) -> bytes:
    """A | P of one message, whole or in fragments (RFC 9242 3.3.2, figure 1)."""
    parts = [opened(octets, key) for octets in datagrams]
    plaintext = b"".join(part[2] for part in parts)
    header, first, _ = parts[0]
    return (
        header[:16]  # SPIs
        + b"\x2e"  # Next Payload: Encrypted, also where it went in Encrypted Fragments
        + header[17:24]
        + (32 + len(plaintext)).to_bytes(4)
        + bytes((first, 0))
        + (4 + len(plaintext)).to_bytes(2)
        + plaintext
    )


def x25519(private: bytes, public: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))


def ml_kem_768(seed: bytes, ciphertext: bytes) -> bytes:
    return MLKEM768PrivateKey.from_seed_bytes(seed).decapsulate(ciphertext)
