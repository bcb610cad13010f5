"""The core's services as the operating system gives them."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from ikesim.crypto.signatures import SignatureScheme
from ikesim.errors import NotFoundError
from ikesim.ike.ports import Hooks
from ikesim.pki.keys import encapsulate
from ikesim.pki.secrets import SecretKind
from ikesim.pki.snapshot import TrustStore
from ikesim.pki.store import PkiStore

T = TypeVar("T")


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

    def use_secret(self, name: str, action: Callable[[memoryview], T]) -> T:
        """By the store of secrets, which lends IKE preshared keys only."""
        kept = self._store.secrets.ls().get(name)
        if kept is None or kept.kind is not SecretKind.IKE_PSK:
            raise NotFoundError(f"there is no secret {name} of the kind ike-psk")
        return self._store.secrets.use(name, action)

    def trust(self) -> TrustStore:
        """The PKI objects as they stand now."""
        return self._store.snapshot()

    def wall(self, now: float) -> datetime:
        """The host's clock at monotonic time `now`, which may lie a little ahead or behind."""
        return datetime.fromtimestamp(time.time() + (now - time.monotonic()), UTC)
