"""Pseudorandom functions by IANA transform ID, and prf+ (RFC 7296 2.13)."""

import hmac
from dataclasses import dataclass
from functools import lru_cache

from ikesim.errors import CryptoError, UnsupportedAlgorithmError
from ikesim.wire.registry import PrfId, name


@dataclass(frozen=True, slots=True)
class Prf:
    """One PRF; `key_length` is the preferred key size, which is how long SK_d, SK_pi and SK_pr are."""

    id: int
    name: str
    key_length: int
    output_length: int
    digest: str
    """The hash as hashlib names it."""

    def prf(self, key: bytes, data: bytes) -> bytes:
        """prf(key, data): `output_length` octets."""
        return hmac.digest(key, data, self.digest)

    def plus(self, key: bytes, seed: bytes, length: int) -> bytes:
        """The first `length` octets of prf+(key, seed).

        Raises CryptoError beyond 255 rounds, where the counter octet ends (RFC 7296 2.13).
        """
        rounds = -(-length // self.output_length)
        if rounds > 255:
            raise CryptoError(f"prf+ yields at most {255 * self.output_length} octets, not {length}")
        keyed = hmac.new(key, digestmod=self.digest)
        block = b""
        blocks = []
        for counter in range(1, rounds + 1):
            step = keyed.copy()
            step.update(block + seed + counter.to_bytes(1, "big"))
            block = step.digest()
            blocks.append(block)
        return b"".join(blocks)[:length]


_DIGESTS = {
    PrfId.HMAC_SHA1: ("sha1", 20),
    PrfId.HMAC_SHA2_256: ("sha256", 32),
    PrfId.HMAC_SHA2_384: ("sha384", 48),
    PrfId.HMAC_SHA2_512: ("sha512", 64),
}


@lru_cache(maxsize=16)
def prf(id: int) -> Prf:
    """The PRF with this transform ID. Raises UnsupportedAlgorithmError."""
    try:
        digest, length = _DIGESTS[PrfId(id)]
    except (ValueError, KeyError):
        raise UnsupportedAlgorithmError(f"the PRF {name(PrfId, id)} is not implemented") from None
    return Prf(id, PrfId(id).name, length, length, digest)
