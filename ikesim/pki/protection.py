"""Key protection: secrets are sealed with a wrapping key whenever they are not in use, in memory and on disk.

The wrapping key is a file of its own outside the state folder, so that a copy of the state folder tells no secret. It
is made with the first store that needs it, and from then on missed when it is gone.
"""

import os
from hashlib import blake2b
from pathlib import Path
from typing import NoReturn, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ikesim.errors import ForbiddenError, NotFoundError, UsageError
from ikesim.pki import disk
from ikesim.pki.buffers import DIGEST, KeyBuffer

SUFFIX = ".wrapping-key"
_MAGIC = b"ikesim wrapping key 1\n"
_KEY = 32
_NONCE = 12
_TAG = 16
_MARK = 8
"""Octets at the front of what is sealed that tell one wrapping key from another."""


def default_file(folder: Path) -> Path:
    """Where the wrapping key of a folder lives unless it is said otherwise: beside it, never inside."""
    return folder.with_name(folder.name + SUFFIX)


class KeyProtection:
    """Seals and opens secrets with one wrapping key."""

    __slots__ = ("_key", "_mark", "file")

    def __init__(self, key: KeyBuffer, file: Path | None) -> None:
        """Use :meth:`open` or :meth:`ephemeral`."""
        self.file = file
        """None: the wrapping key dies with the process, as do the secrets."""
        self._key = key
        self._mark = blake2b(key=key.view, digest_size=_MARK, person=b"ikesim wrapping").digest()

    @classmethod
    def ephemeral(cls) -> Self:
        """Protection of secrets that are in memory only."""
        return cls(KeyBuffer.receive(_KEY, _draw), None)

    @classmethod
    def open(cls, file: Path, *, create: bool) -> Self:
        """The wrapping key in `file`, made there when it is missing and `create`.

        Raises UsageError when it is missing otherwise, damaged or open to others: nothing is readable then.
        """
        try:
            content = disk.read_secret(file)
        except NotFoundError:
            if not create:
                raise UsageError(
                    f"the wrapping key {file} is missing, and the keys are sealed with it: restore it from its "
                    "backup; without it they cannot be read by anybody, and new ones must be made"
                ) from None
            with KeyBuffer.receive(_KEY, _draw) as key, key_file(key) as made:
                disk.write_private(file, made.view)
            content = disk.read_secret(file)
        with content:
            if len(content) != len(_MAGIC) + _KEY or content.view[: len(_MAGIC)] != _MAGIC:
                raise UsageError(f"{file} is not a wrapping key of ikesim, or is damaged: restore it from its backup")
            return cls(content.copy(len(_MAGIC)), file)

    def __repr__(self) -> str:
        return f"<KeyProtection {self.file or 'in memory'}>"

    def __reduce__(self) -> NoReturn:
        raise ForbiddenError("a wrapping key never leaves its process")

    def seal(self, secret: KeyBuffer, what: bytes) -> bytes:
        """`secret` encrypted (AES-256-GCM), bound to `what` it is; it opened again before anybody relies on it."""
        secret.check()
        nonce = os.urandom(_NONCE)
        sealed = self._mark + nonce + AESGCM(self._key.view).encrypt(nonce, secret.sealable, what)
        self.unseal(sealed, what).release()
        return sealed

    def unseal(self, sealed: bytes | memoryview, what: bytes) -> KeyBuffer:
        """What :meth:`seal` sealed, to be released after use. Raises UsageError, KeyCopyError."""
        if len(sealed) < _MARK + _NONCE + _TAG + DIGEST:
            raise UsageError("is too short to hold a sealed key")
        if sealed[:_MARK] != self._mark:
            raise UsageError(f"is sealed with another wrapping key than {self.file or 'this one'}")
        self._key.check()
        nonce, rest = sealed[_MARK : _MARK + _NONCE], sealed[_MARK + _NONCE :]

        def write(target: memoryview) -> None:
            AESGCM(self._key.view).decrypt_into(nonce, rest, what, target)

        try:
            return KeyBuffer.receive_sealed(len(rest) - _TAG - DIGEST, write)
        except InvalidTag:
            raise UsageError("is not what was sealed: it was changed, or put in another's place") from None


def key_file(key: KeyBuffer) -> KeyBuffer:
    """The content of a wrapping key's file."""

    def write(target: memoryview) -> None:
        target[: len(_MAGIC)] = _MAGIC
        target[len(_MAGIC) :] = key.view

    return KeyBuffer.receive(len(_MAGIC) + len(key), write)


def _draw(target: memoryview) -> None:
    with open("/dev/urandom", "rb", buffering=0) as kernel:
        kernel.readinto(target)
