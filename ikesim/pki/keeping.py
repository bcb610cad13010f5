"""Secrets by name, a file each or in memory only: as they are, or sealed wherever they are not in use.

A file is a line that says what it is, a line of JSON (no secret: kind, time, public half), and the secret. Other
processes may add, replace and remove files, and switch protection on and off: every call sees what is there now.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from ikesim.errors import ForbiddenError, NotFoundError, UsageError
from ikesim.pki import disk
from ikesim.pki.buffers import KeyBuffer
from ikesim.pki.protection import KeyProtection

T = TypeVar("T")
Header = Mapping[str, Any]

_PLAIN = b"ikesim key 1\n"
_SEALED = b"ikesim key 2\n"
_PLAIN_HEADER = 128
"""Octets of the JSON line of a plain file, padded with blanks."""
_MAX_FRONT = 4096


@dataclass(slots=True, repr=False)
class Kept:
    """One secret in memory."""

    header: Header
    secret: KeyBuffer | bytes
    """A buffer: as it is. Octets: sealed."""
    stamp: tuple[int, int] | None
    """Which version of the file it came from."""

    def __reduce__(self) -> NoReturn:
        raise ForbiddenError("a secret never leaves the process that holds it")


class Keeper:
    """The secrets of one folder, or (without one) of this process."""

    def __init__(self, directory: Path | None, suffix: str, protection: KeyProtection | None) -> None:
        """`protection` None: secrets are kept as they are."""
        self.directory = directory
        self.protection = protection
        self._suffix = suffix
        self._kept: dict[str, Kept] = {}

    def __repr__(self) -> str:
        return f"<Keeper {self.directory or 'in memory'}>"

    def __reduce__(self) -> NoReturn:
        raise ForbiddenError("a secret never leaves the process that holds it")

    def names(self) -> tuple[str, ...]:
        """The names, sorted."""
        if self.directory is None:
            return tuple(sorted(self._kept))
        return tuple(sorted(path.name.removesuffix(self._suffix) for path in self._files()))

    def convert(self, opener: KeyProtection | None = None) -> None:
        """Bring every file to the form that protection asks for; the old content is overwritten.

        `opener` opens what is sealed where protection is off now. Raises UsageError where a file can be neither read
        nor replaced; those before it are converted then.
        """
        assert self.directory is not None
        wrong = _PLAIN if self.protection else _SEALED
        if not any(_form(path) == wrong for path in self._files()):
            return
        with disk.folder_lock(self.directory / "lock"):
            for path in self._files():
                if _form(path) == wrong:
                    name = path.name.removesuffix(self._suffix)
                    header, secret = self._read(name)
                    with self._open(name, header, secret, opener) as opened, disk.overwritten(path):
                        self._write(name, header, self._form_of(name, header, opened))

    def put(self, name: str, header: Header, secret: KeyBuffer) -> None:
        """Keep a secret under a name that is free; `secret` passes into the keeper's hands. Raises UsageError."""
        form = self._form_of(name, header, secret)
        try:
            if self.directory is not None:
                self._write(name, header, form)
        except UsageError:
            secret.release()
            raise
        if form is not secret:
            secret.release()
        self._kept[name] = Kept(header, form, self.stamp(name))

    def header(self, name: str) -> Header:
        """What is no secret. Raises NotFoundError, UsageError."""
        return self.get(name).header

    def use(self, name: str, action: Callable[[memoryview], T]) -> T:
        """Hand the secret to `action`, for as long as that takes. Raises NotFoundError, UsageError, KeyCopyError."""
        kept = self.get(name)
        if isinstance(kept.secret, KeyBuffer):
            return action(kept.secret.view)
        with self._open(name, kept.header, kept.secret, self.protection) as opened:
            return action(opened.view)

    def get(self, name: str) -> Kept:
        """A secret as it stands now: a file replaced or removed by another process is noticed.

        What is sealed was opened once, so that a wrong wrapping key shows at once. Raises NotFoundError, UsageError.
        """
        kept = self._kept.get(name)
        stamp = self.stamp(name)
        if self.directory is not None and (kept is None or kept.stamp != stamp):
            self.drop(name)
            kept = None if stamp is None else self._load(name, stamp)
        if kept is None:
            raise NotFoundError(f"nothing is kept under {name}")
        return kept

    def _load(self, name: str, stamp: tuple[int, int]) -> Kept:
        header, secret = self._read(name)
        opened = self._open(name, header, secret, self.protection)
        form = secret if self.protection is not None and secret is not opened else self._form_of(name, header, opened)
        if form is not opened:
            opened.release()
        kept = self._kept[name] = Kept(header, form, stamp)
        return kept

    def delete(self, name: str) -> None:
        """Destroy a secret; its file is overwritten where protection asks for that. The caller holds the lock."""
        if self.directory is not None:
            with ExitStack() as stack:
                if self.protection is not None:
                    stack.enter_context(disk.overwritten(self.path(name)))
                disk.remove_private(self.path(name))
        self.drop(name)

    def drop(self, name: str) -> None:
        """Let go of what memory holds of a secret."""
        kept = self._kept.pop(name, None)
        if kept is not None and isinstance(kept.secret, KeyBuffer):
            kept.secret.release()

    def forget(self) -> None:
        """Let go of everything that is on disk as well."""
        if self.directory is not None:
            for name in tuple(self._kept):
                self.drop(name)

    def path(self, name: str) -> Path:
        """The file of a secret."""
        assert self.directory is not None
        return self.directory / f"{name}{self._suffix}"

    def stamp(self, name: str) -> tuple[int, int] | None:
        """Differs from an earlier one when the file is another; None without a file."""
        if self.directory is None:
            return None
        try:
            status = os.stat(f"{self.directory}/{name}{self._suffix}")  # at every use: joining Paths costs more
        except FileNotFoundError:
            return None
        return status.st_ino, status.st_mtime_ns

    def _files(self) -> list[Path]:
        assert self.directory is not None
        return secret_files(self.directory, self._suffix)

    def _form_of(self, name: str, header: Header, secret: KeyBuffer) -> KeyBuffer | bytes:
        """A secret as memory and disk have it: sealed, or as it is."""
        if self.protection is None:
            return secret
        return self.protection.seal(secret, self._label(name, header))

    def _open(
        self, name: str, header: Header, secret: KeyBuffer | bytes, protection: KeyProtection | None
    ) -> KeyBuffer:
        if isinstance(secret, KeyBuffer):
            return secret
        where = name if self.directory is None else str(self.path(name))
        if protection is None:
            raise UsageError(f"{where} is sealed: it needs endpoint.key-protection = true")
        try:
            return protection.unseal(secret, self._label(name, header))
        except UsageError as error:
            raise UsageError(f"{where} {error}") from None

    def _label(self, name: str, header: Header) -> bytes:
        """What a sealed secret is bound to: neither its name nor anything said of it can be changed."""
        return b"\0".join((self._suffix.encode(), name.encode(), _line(header)))

    def _write(self, name: str, header: Header, secret: KeyBuffer | bytes) -> None:
        if not isinstance(secret, KeyBuffer):
            disk.write_private(self.path(name), _SEALED + _line(header) + b"\n" + secret)
            return
        front = _PLAIN + _line(header).ljust(_PLAIN_HEADER - 1) + b"\n"

        def write(target: memoryview) -> None:
            target[: len(front)] = front
            target[len(front) :] = secret.view

        with KeyBuffer.receive(len(front) + len(secret), write) as content:
            disk.write_private(self.path(name), content.view)

    def _read(self, name: str) -> tuple[Header, KeyBuffer | bytes]:
        """What a file holds. Raises UsageError, naming it."""
        path = self.path(name)
        with disk.read_secret(path) as content:
            magic = bytes(content.view[: len(_PLAIN)])
            end = next(
                (at for at, octet in enumerate(content.view[:_MAX_FRONT]) if octet == 10 and at > len(magic)), 0
            )
            if magic not in (_PLAIN, _SEALED) or end + 1 >= len(content):
                raise damaged(path)
            try:
                header = json.loads(bytes(content.view[len(magic) : end]))
            except ValueError:
                raise damaged(path) from None
            if not isinstance(header, dict):
                raise damaged(path)
            if magic == _SEALED:
                return header, bytes(content.view[end + 1 :])
            return header, content.copy(end + 1)


def damaged(path: Path) -> UsageError:
    """The sentence about a file that holds no secret of ours."""
    return UsageError(f"{path} is not a key of this vault, or is damaged: restore it, or remove it by hand")


def secret_files(directory: Path, suffix: str) -> list[Path]:
    """The files of secrets in a folder, in order."""
    return [path for path in sorted(directory.glob(f"*{suffix}")) if not disk.is_leftover(path)]


def is_sealed(path: Path) -> bool:
    """Whether a file of a keeper is sealed."""
    return _form(path) == _SEALED


def _form(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read(len(_PLAIN))


def _line(header: Header) -> bytes:
    return json.dumps(header, sort_keys=True).encode()
