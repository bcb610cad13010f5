"""Pseudorandom functions by IANA transform ID, and prf+ (RFC 7296 2.13)."""

from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.hmac import HMAC

from ikesim.errors import CryptoError, UnsupportedAlgorithmError
from ikesim.wire.registry import PrfId, name


@dataclass(frozen=True, slots=True)
class Prf:
    """One PRF; `key_length` is the preferred key size, which is how long SK_d, SK_pi and SK_pr are."""

    id: int
    name: str
    key_length: int
    output_length: int
    hash: HashAlgorithm = field(repr=False, compare=False)

    def prf(self, key: bytes, data: bytes) -> bytes:
        """prf(key, data): `output_length` octets."""
        keyed = HMAC(key, self.hash)
        keyed.update(data)
        return keyed.finalize()

    def plus(self, key: bytes | memoryview, seed: bytes, length: int) -> bytes:
        """The first `length` octets of prf+(key, seed).

        Raises CryptoError beyond 255 rounds, where the counter octet ends (RFC 7296 2.13).
        """
        rounds = -(-length // self.output_length)
        if rounds > 255:
            raise CryptoError(f"prf+ yields at most {255 * self.output_length} octets, not {length}")
        keyed = HMAC(key, self.hash)
        block = octets = b""
        for counter in range(1, rounds + 1):
            step = keyed.copy()
            step.update(block + seed + counter.to_bytes(1, "big"))
            block = step.finalize()
            octets += block
        return octets[:length]


_HASHES: dict[PrfId, HashAlgorithm] = {
    PrfId.HMAC_SHA1: SHA1(),
    PrfId.HMAC_SHA2_256: SHA256(),
    PrfId.HMAC_SHA2_384: SHA384(),
    PrfId.HMAC_SHA2_512: SHA512(),
}


@lru_cache(maxsize=16)
def prf(id: int) -> Prf:
    """The PRF with this transform ID. Raises UnsupportedAlgorithmError."""
    try:
        algorithm = _HASHES[PrfId(id)]
    except (ValueError, KeyError):
        raise UnsupportedAlgorithmError(f"the PRF {name(PrfId, id)} is not implemented") from None
    length = algorithm.digest_size
    return Prf(id, PrfId(id).name, length, length, algorithm)
