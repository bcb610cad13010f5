"""Memory that holds a secret: one class owns it, notices when a copy went wrong, and overwrites it afterwards.

Each buffer is memory of its own (not of Python's heap, and left out of core dumps) and carries a digest behind its
octets. The digest moves with them, so that whatever happens to them on the way is found when they have arrived.
"""

import ctypes
import hmac
import mmap
import os
from collections.abc import Callable
from hashlib import blake2b
from typing import NoReturn, Self

from ikesim.errors import CryptoError, ForbiddenError

DIGEST = 16
"""Octets of the digest behind a secret: a copy that went wrong goes unnoticed once in 2^128 times."""


class KeyCopyError(CryptoError):
    """A secret that is not the same any more after it was copied; the copy is destroyed."""


class KeyBuffer:
    """The octets of one secret, until :meth:`release`. Never shown, never pickled, never copied but by `copy`."""

    __slots__ = ("_memory", "_released", "_size")

    def __init__(self, size: int) -> None:
        """Use :meth:`receive`, :meth:`receive_sealed` or :meth:`copy`."""
        self._size = size
        self._released = False
        self._memory = mmap.mmap(-1, size + DIGEST)
        if hasattr(mmap, "MADV_DONTDUMP"):
            self._memory.madvise(mmap.MADV_DONTDUMP)

    @classmethod
    def receive(cls, size: int, write: Callable[[memoryview], object]) -> Self:
        """A secret of `size` octets that comes into being, or into this process, here: `write` puts it in place."""
        buffer = cls(size)
        try:
            write(buffer._whole[:size])
            buffer._whole[size:] = buffer._digest()
        except BaseException:
            buffer.release()
            raise
        return buffer

    @classmethod
    def receive_sealed(cls, size: int, write: Callable[[memoryview], object]) -> Self:
        """As :meth:`receive`, where `write` puts the digest behind the octets too. Raises KeyCopyError."""
        buffer = cls(size)
        try:
            cls._transfer(buffer._whole, write)
            buffer.check()
        except BaseException:
            buffer.release()
            raise
        return buffer

    def copy(self, start: int = 0, end: int | None = None) -> "KeyBuffer":
        """A part of the secret (all of it) in a buffer of its own. Raises KeyCopyError."""
        self.check()
        part = self.view[start:end]
        digest = _digest(part)

        def write(target: memoryview) -> None:
            target[: len(part)] = part
            target[len(part) :] = digest

        return KeyBuffer.receive_sealed(len(part), write)

    @staticmethod
    def _transfer(target: memoryview, write: Callable[[memoryview], object]) -> None:
        """The one place where octets of a secret go from one location to another."""
        write(target)

    @property
    def _whole(self) -> memoryview:
        if self._released:
            raise ForbiddenError("this secret was released: nothing of it is left")
        return memoryview(self._memory)[: self._size + DIGEST]

    @property
    def view(self) -> memoryview:
        """The octets themselves, for as long as the buffer is not released."""
        return self._whole[: self._size].toreadonly()

    @property
    def sealable(self) -> memoryview:
        """The octets and their digest: what goes to where a copy is to be checked after."""
        return self._whole.toreadonly()

    def check(self) -> None:
        """Raise KeyCopyError when the octets are not those that the digest was made of; the buffer is released."""
        if not hmac.compare_digest(self._whole[self._size :], self._digest()):
            self.release()
            raise KeyCopyError("a key was damaged when it was copied in memory; the copy is destroyed")

    def _digest(self) -> bytes:
        return _digest(self._whole[: self._size])

    def release(self) -> None:
        """Overwrite the secret with a random bit pattern; again: nothing."""
        if not self._released:
            memory = memoryview(self._memory)
            memory[:] = os.urandom(len(memory))
            self._released = True

    def __len__(self) -> int:
        return self._size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()

    def __del__(self) -> None:
        self.release()

    def __repr__(self) -> str:
        return f"<{self._size} secret octets>"

    def __reduce__(self) -> NoReturn:
        raise ForbiddenError("a secret never leaves its buffer")


def overwrite(octets: bytes) -> None:
    """Overwrite an immutable object that only the caller knows: libraries hand out private keys as `bytes`.

    A convenience of CPython, where the octets stand at the end of the object; elsewhere nothing happens.
    """
    begin = bytes.__basicsize__ - 1
    if len(octets) > 1 and octets.__sizeof__() == begin + len(octets) + 1:
        ctypes.memmove(id(octets) + begin, os.urandom(len(octets)), len(octets))


def _digest(octets: memoryview) -> bytes:
    return blake2b(octets, digest_size=DIGEST).digest()
