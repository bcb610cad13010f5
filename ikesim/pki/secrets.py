"""The other persistent secrets of an endpoint: IKE preshared keys and manual VPN keys.

An IKE preshared key authenticates nobody here (certificates do), but a connection may mix one into its keys
(`ppk-id`, RFC 8784). They are held, listed without their values and protected as private keys are, and they leave no
more than those do.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeVar

from ikesim.errors import NotFoundError, UsageError
from ikesim.pki import disk
from ikesim.pki.buffers import KeyBuffer
from ikesim.pki.keeping import Header, Keeper, damaged
from ikesim.pki.protection import KeyProtection
from ikesim.pki.vault import check_name, open_folder, utc_now

T = TypeVar("T")

MAX_OCTETS = 255
"""Of one secret (Junos: 1 to 255 characters)."""
_SUFFIX = ".secret"


class SecretKind(StrEnum):
    """What a secret is for."""

    IKE_PSK = "ike-psk"
    MANUAL_VPN = "manual-vpn"


@dataclass(frozen=True, slots=True)
class Secret:
    """What may be known about a secret: everything but its value, its length included."""

    id: str
    kind: SecretKind
    created: datetime


class SecretStore:
    """The preshared and manual keys of one endpoint."""

    def __init__(self, keeper: Keeper, clock: Callable[[], datetime]) -> None:
        """Use :meth:`open`."""
        self._keeper = keeper
        self._clock = clock

    @classmethod
    def open(
        cls,
        directory: Path | None = None,
        key_protection: bool | KeyProtection = False,
        *,
        wrapping_key: Path | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> Self:
        """The secrets in `directory`, in memory without one; the rest is as with `Vault.open`. Raises UsageError."""
        if directory is None:
            given = KeyProtection.ephemeral() if key_protection is True else key_protection or None
            return cls(Keeper(None, _SUFFIX, given), clock)
        protection = open_folder(directory, _SUFFIX, key_protection, wrapping_key)
        return cls(Keeper(directory, _SUFFIX, protection), clock)

    def __repr__(self) -> str:
        return f"<SecretStore {self._keeper.directory or 'in memory'}>"

    def __deepcopy__(self, memo: dict[int, object]) -> Self:
        return self

    def add(self, name: str, kind: SecretKind, value: KeyBuffer) -> Secret:
        """Keep a secret; `value` passes into the store's hands. Raises UsageError when the name is taken."""
        check_name(name, "name of a secret")
        if not 1 <= len(value) <= MAX_OCTETS:
            raise UsageError(f"a secret has 1 to {MAX_OCTETS} octets, this one has {len(value)}")
        if self._keeper.directory is None:
            return self._add(name, kind, value)
        with disk.folder_lock(self._keeper.directory / "lock"):
            return self._add(name, kind, value)

    def _add(self, name: str, kind: SecretKind, value: KeyBuffer) -> Secret:
        if name in self._keeper.names():
            raise UsageError(f"{name} already names a secret; it is free again after ikesim pki secret rm {name}")
        created = self._clock().astimezone(UTC)
        self._keeper.put(name, {"created": created.isoformat(), "type": kind.value}, value)
        return Secret(name, kind, created)

    def ls(self) -> dict[str, Secret]:
        """What may be known of every secret, by name. Raises UsageError for a file that is damaged."""
        return {name: self._describe(name, self._keeper.header(name)) for name in self._keeper.names()}

    def _describe(self, name: str, header: Header) -> Secret:
        try:
            return Secret(name, SecretKind(header["type"]), datetime.fromisoformat(header["created"]))
        except (ValueError, KeyError, TypeError):
            raise damaged(self._keeper.path(name)) from None

    def use(self, name: str, action: Callable[[memoryview], T]) -> T:
        """Hand a secret to `action`, for as long as that takes. Raises NotFoundError, UsageError, KeyCopyError."""
        self._check(name)
        return self._keeper.use(name, action)

    def remove(self, name: str) -> None:
        """Destroy a secret. Raises NotFoundError."""
        self._check(name)
        if self._keeper.directory is None:
            self._keeper.delete(name)
            return
        with disk.folder_lock(self._keeper.directory / "lock"):
            self._keeper.delete(name)

    def hold(self) -> None:
        """Read every secret into memory, as a daemon does at its start. Raises UsageError."""
        self.ls()

    def forget(self) -> None:
        """Let go of what is on disk as well."""
        self._keeper.forget()

    def _check(self, name: str) -> None:
        if check_name(name, "name of a secret") not in self._keeper.names():
            raise NotFoundError(f"no secret is named {name}: ikesim pki secret ls lists what there is")
