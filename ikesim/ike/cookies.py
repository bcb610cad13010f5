"""Stateless cookies against floods of half-open SAs (RFC 7296 2.6)."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from ikesim.wire.address import Address

SECRET_LIFETIME = 60.0
"""Seconds after which the secret is replaced; the one before stays good for as long again."""


@dataclass(slots=True)
class CookieJar:
    """Makes and checks cookies: version | HMAC-SHA256(secret, Ni | IPi | SPIi), with secrets that rotate."""

    secret: bytes = field(default=b"", repr=False)
    previous: bytes = field(default=b"", repr=False)
    version: int = 0
    changed_at: float = 0.0

    def make(self, nonce: bytes, remote: Address, spi_i: bytes, now: float, entropy: Callable[[int], bytes]) -> bytes:
        """The cookie that this initiator must return (33 octets; RFC 7296 allows 1 to 64)."""
        self._rotate(now, entropy)
        return bytes((self.version,)) + _mac(self.secret, nonce, remote, spi_i)

    def check(
        self, cookie: bytes, nonce: bytes, remote: Address, spi_i: bytes, now: float, entropy: Callable[[int], bytes]
    ) -> bool:
        """Whether `cookie` is one that we gave this initiator for this nonce, under this secret or the one before."""
        self._rotate(now, entropy)
        if len(cookie) != 33:
            return False
        if cookie[0] == self.version:
            secret = self.secret
        elif self.previous and cookie[0] == (self.version - 1) % 256:
            secret = self.previous
        else:
            return False
        return hmac.compare_digest(cookie[1:], _mac(secret, nonce, remote, spi_i))

    def _rotate(self, now: float, entropy: Callable[[int], bytes]) -> None:
        if self.secret and now - self.changed_at < SECRET_LIFETIME:
            return
        expired = now - self.changed_at >= 2 * SECRET_LIFETIME
        self.previous = b"" if expired else self.secret
        self.secret = entropy(32)
        self.version = (self.version + 1) % 256
        self.changed_at = now


def _mac(secret: bytes, nonce: bytes, remote: Address, spi_i: bytes) -> bytes:
    return hmac.digest(secret, nonce + remote.packed + spi_i, "sha256")
