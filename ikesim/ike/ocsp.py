"""What an endpoint remembers of OCSP between handshakes: responses that may be used again, and the nonce of now."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ikesim.pki.responses import Responses

NONCE_LENGTH = 32
"""Octets (RFC 8954 2.1)."""
NONCE_TIME = 10.0
"""Seconds for which a nonce serves: as long as the fetches of one decision may take."""


@dataclass(slots=True)
class OcspMemory:
    """Peers that come at once share a nonce, so that one fetch about one certificate serves all who wait for it."""

    responses: Responses = field(default_factory=Responses)
    nonce: bytes = b""
    drawn_at: float = 0.0

    def nonce_at(self, now: float, entropy: Callable[[int], bytes], *, waiting: bool) -> bytes:
        """The nonce for requests made now: a new one unless fetches are under way and the last one is young."""
        if not (self.nonce and waiting and 0 <= now - self.drawn_at < NONCE_TIME):
            self.nonce, self.drawn_at = entropy(NONCE_LENGTH), now
        return self.nonce
