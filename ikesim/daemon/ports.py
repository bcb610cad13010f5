"""The core's services as the operating system gives them."""

import os
import time
from datetime import UTC, datetime

from ikesim.crypto.signatures import SignatureScheme
from ikesim.ike.ports import Hooks
from ikesim.pki.keys import encapsulate
from ikesim.pki.snapshot import TrustStore
from ikesim.pki.store import PkiStore


class SystemPorts:
    """Entropy from the kernel, keys from the vault, PKI objects from the store, time from the host."""

    def __init__(self, store: PkiStore) -> None:
        self.hooks = Hooks()
        self._store = store

    def entropy(self, purpose: str, count: int) -> bytes:
        """Octets from the kernel; the purposes need no streams of their own here."""
        return os.urandom(count)

    def sign(self, certificate_id: str, scheme: SignatureScheme, octets: bytes) -> bytes:
        """A signature by the vault."""
        return self._store.vault.sign(certificate_id, scheme, octets)

    def encapsulate(self, method: int, public: bytes) -> tuple[bytes, bytes]:
        """ML-KEM by the library, which takes its randomness itself."""
        return encapsulate(method, public)

    def trust(self) -> TrustStore:
        """The PKI objects as they stand now."""
        return self._store.snapshot()

    def wall(self, now: float) -> datetime:
        """The host's clock at monotonic time `now`, which may lie a little ahead or behind."""
        return datetime.fromtimestamp(time.time() + (now - time.monotonic()), UTC)
