"""Encryption and integrity protection of SK payloads and ESP packets, by IANA transform IDs.

A suite is plain data; the contexts that its keys need are made on use and kept in small caches. An AEAD context costs
more than protecting a packet with it, so caching one more than halves the price of a packet.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple, Protocol, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hmac import HMAC

from ikesim.errors import IntegrityError, UnsupportedAlgorithmError
from ikesim.wire.registry import EncryptionId, IntegrityId, name

GCM_TAG = 16
"""The tag that the library's AES-GCM makes; a shorter ICV is its beginning (NIST SP 800-38D 7.1)."""

CACHED_CONTEXTS = 256
"""Keys whose contexts are kept, each about 2.5 KiB: two directions of 64 IKE SAs and 64 CHILD SAs."""


class _Aead(Protocol):
    def encrypt(self, nonce: bytes, data: bytes, associated_data: bytes, /) -> bytes: ...
    def decrypt(self, nonce: bytes, data: bytes | memoryview, associated_data: bytes, /) -> bytes: ...


class _Encryption(NamedTuple):
    """What one encryption transform needs; lengths in octets, `key_bits` empty when the key has one size only."""

    key_bits: tuple[int, ...]
    salt: int
    iv: int
    icv: int
    block: int
    fixed_key: int = 0


class _Integrity(NamedTuple):
    hash: hashes.HashAlgorithm
    key: int
    icv: int


_AES = (128, 192, 256)
_ENCRYPTIONS: dict[int, _Encryption] = {
    EncryptionId.NULL: _Encryption((), 0, 0, 0, 1),
    EncryptionId.AES_CBC: _Encryption(_AES, 0, 16, 0, 16),
    EncryptionId.AES_CTR: _Encryption(_AES, 4, 8, 0, 1),
    EncryptionId.AES_CCM_8: _Encryption(_AES, 3, 8, 8, 1),
    EncryptionId.AES_CCM_12: _Encryption(_AES, 3, 8, 12, 1),
    EncryptionId.AES_CCM_16: _Encryption(_AES, 3, 8, 16, 1),
    EncryptionId.AES_GCM_8: _Encryption(_AES, 4, 8, 8, 1),
    EncryptionId.AES_GCM_12: _Encryption(_AES, 4, 8, 12, 1),
    EncryptionId.AES_GCM_16: _Encryption(_AES, 4, 8, 16, 1),
    EncryptionId.CHACHA20_POLY1305: _Encryption((), 4, 8, 16, 1, fixed_key=32),
}
_INTEGRITIES: dict[int, _Integrity] = {
    IntegrityId.HMAC_SHA1_96: _Integrity(hashes.SHA1(), 20, 12),
    IntegrityId.HMAC_SHA2_256_128: _Integrity(hashes.SHA256(), 32, 16),
    IntegrityId.HMAC_SHA2_384_192: _Integrity(hashes.SHA384(), 48, 24),
    IntegrityId.HMAC_SHA2_512_256: _Integrity(hashes.SHA512(), 64, 32),
}
_CCM = frozenset({EncryptionId.AES_CCM_8, EncryptionId.AES_CCM_12, EncryptionId.AES_CCM_16})
_SHORT_GCM = frozenset({EncryptionId.AES_GCM_8, EncryptionId.AES_GCM_12})


@lru_cache(maxsize=CACHED_CONTEXTS)
def _aead_context(encryption: int, key: bytes, icv: int) -> _Aead:
    if encryption == EncryptionId.CHACHA20_POLY1305:
        return ChaCha20Poly1305(key)
    return AESCCM(key, icv) if encryption in _CCM else AESGCM(key)


@lru_cache(maxsize=CACHED_CONTEXTS)
def _mac_context(integrity: int, key: bytes) -> HMAC:
    return HMAC(key, _INTEGRITIES[integrity].hash)


@dataclass(frozen=True, slots=True)
class CipherSuite:
    """One negotiated protection: an AEAD, or a cipher with an integrity transform. Made by :func:`cipher_suite`.

    Lengths are in octets. `key_length` is the key material to derive, salt included (RFC 5282 7.1, RFC 7634 2);
    `block_length` is what the plaintext with its padding must be a multiple of.
    """

    encryption: int
    key_bits: int | None
    integrity: int | None
    aead: bool = field(init=False, repr=False, compare=False)
    key_length: int = field(init=False, repr=False, compare=False)
    integrity_key_length: int = field(init=False, repr=False, compare=False)
    salt_length: int = field(init=False, repr=False, compare=False)
    iv_length: int = field(init=False, repr=False, compare=False)
    icv_length: int = field(init=False, repr=False, compare=False)
    block_length: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        encryption = _ENCRYPTIONS.get(self.encryption)
        if encryption is None:
            raise UnsupportedAlgorithmError(f"{name(EncryptionId, self.encryption)} is not implemented")
        if encryption.key_bits and self.key_bits not in encryption.key_bits:
            sizes = ", ".join(map(str, encryption.key_bits))
            raise UnsupportedAlgorithmError(
                f"{name(EncryptionId, self.encryption)} takes a key of {sizes} bits, not {self.key_bits}"
            )
        if not encryption.key_bits and self.key_bits is not None:
            raise UnsupportedAlgorithmError(f"{name(EncryptionId, self.encryption)} takes no key length")
        aead = encryption.icv > 0
        put = object.__setattr__  # the instance is frozen from here on
        put(self, "aead", aead)
        if aead:
            if self.integrity:
                raise UnsupportedAlgorithmError(
                    f"{name(EncryptionId, self.encryption)} authenticates by itself and takes no integrity transform"
                )
            put(self, "integrity", None)
            put(self, "integrity_key_length", 0)
            put(self, "icv_length", encryption.icv)
        else:
            integrity = _INTEGRITIES.get(self.integrity or IntegrityId.NONE)
            if integrity is None:
                raise UnsupportedAlgorithmError(
                    f"the integrity transform {name(IntegrityId, self.integrity or 0)} is not implemented"
                )
            put(self, "integrity_key_length", integrity.key)
            put(self, "icv_length", integrity.icv)
        put(self, "key_length", (self.key_bits or 0) // 8 + encryption.fixed_key + encryption.salt)
        put(self, "salt_length", encryption.salt)
        put(self, "iv_length", encryption.iv)
        put(self, "block_length", encryption.block)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self  # immutable: copies of an endpoint share it

    def make_iv(self, counter: int, entropy: Callable[[int], bytes]) -> bytes:
        """The IV of one message: `counter` where it must never repeat (AEAD, CTR), unpredictable octets for CBC.

        The caller never uses a counter twice with one key.
        """
        if self.encryption == EncryptionId.AES_CBC:
            return entropy(self.iv_length)
        return counter.to_bytes(8, "big") if self.iv_length else b""

    def seal(
        self, key: bytes, integrity_key: bytes, *, iv: bytes, aad: bytes, plaintext: bytes, tail: bytes = b""
    ) -> bytes:
        """Protect a padded plaintext: IV, ciphertext and ICV, as they stand on the wire.

        An AEAD authenticates `aad`; otherwise the MAC covers aad, IV, ciphertext and `tail` (the high half of an
        extended sequence number, which is not sent: RFC 4303 2.2.1).
        """
        if self.aead:
            split = len(key) - self.salt_length
            sealed = _aead_context(self.encryption, key[:split], self.icv_length).encrypt(
                key[split:] + iv, plaintext, aad
            )
            if self.encryption in _SHORT_GCM:
                sealed = sealed[: self.icv_length - GCM_TAG]
            return iv + sealed
        body = iv + self._apply(key, iv, plaintext, encrypt=True)
        return body + self._mac(integrity_key, aad, body, tail)

    def open(
        self, key: bytes, integrity_key: bytes, *, aad: bytes, sealed: bytes | memoryview, tail: bytes = b""
    ) -> bytes:
        """The padded plaintext of IV, ciphertext and ICV. Raises IntegrityError when they do not verify."""
        start, end = self.iv_length, len(sealed) - self.icv_length
        if end < start:
            raise IntegrityError(
                f"{len(sealed)} octets are too short for an IV of {start} and an ICV of {self.icv_length}"
            )
        if self.aead:
            split = len(key) - self.salt_length
            nonce = key[split:] + bytes(sealed[:start])
            try:
                if self.encryption in _SHORT_GCM:
                    return _open_short_gcm(key[:split], nonce, aad, sealed[start:end], bytes(sealed[end:]))
                context = _aead_context(self.encryption, key[:split], self.icv_length)
                return context.decrypt(nonce, sealed[start:], aad)
            except InvalidTag:
                raise IntegrityError("the integrity check value does not verify") from None
        expected = self._mac(integrity_key, aad, sealed[:end], tail)
        if not hmac.compare_digest(expected, bytes(sealed[end:])):
            raise IntegrityError("the integrity check value does not verify")
        if (end - start) % self.block_length:
            raise IntegrityError(f"{end - start} octets of ciphertext are no multiple of {self.block_length}")
        return self._apply(key, bytes(sealed[:start]), sealed[start:end], encrypt=False)

    def _mac(self, key: bytes, aad: bytes, body: bytes | memoryview, tail: bytes) -> bytes:
        mac = _mac_context(self.integrity or IntegrityId.NONE, key).copy()
        mac.update(aad)
        mac.update(body)
        if tail:
            mac.update(tail)
        return mac.finalize()[: self.icv_length]

    def _apply(self, key: bytes, iv: bytes, data: bytes | memoryview, *, encrypt: bool) -> bytes:
        """Encrypt or decrypt with a cipher that has no integrity of its own."""
        mode: modes.CBC | modes.CTR
        if self.encryption == EncryptionId.AES_CBC:
            mode = modes.CBC(iv)
        elif self.encryption == EncryptionId.AES_CTR:
            split = len(key) - self.salt_length
            mode = modes.CTR(key[split:] + iv + b"\x00\x00\x00\x01")  # RFC 3686 4
            key = key[:split]
        else:
            return bytes(data)
        cipher = Cipher(algorithms.AES(key), mode)
        context = cipher.encryptor() if encrypt else cipher.decryptor()
        return context.update(data) + context.finalize()


def _open_short_gcm(key: bytes, nonce: bytes, aad: bytes, ciphertext: bytes | memoryview, icv: bytes) -> bytes:
    context = Cipher(algorithms.AES(key), modes.GCM(nonce, icv, min_tag_length=len(icv))).decryptor()
    context.authenticate_additional_data(aad)
    return context.update(ciphertext) + context.finalize()


@lru_cache(maxsize=128)
def cipher_suite(encryption: int, key_bits: int | None, integrity: int | None) -> CipherSuite:
    """The suite of these transform IDs; `key_bits` is the KEY_LENGTH attribute. Raises UnsupportedAlgorithmError."""
    return CipherSuite(encryption, key_bits, integrity)
