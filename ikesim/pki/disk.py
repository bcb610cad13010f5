"""Files that only their owner can read, written so that a power cut leaves the old state or the new one."""

import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from ikesim.errors import NotFoundError, UsageError
from ikesim.pki.buffers import KeyBuffer

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
_TEMPORARY = ".new-"


def open_directory(path: Path) -> None:
    """Make a private directory, or check that the one there is private. Raises UsageError naming what helps."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=DIRECTORY_MODE)
    except FileExistsError:
        if not path.is_dir():
            at = path if path.parent.is_dir() else path.parent
            raise UsageError(f"{at} is not a directory: name another folder") from None
    except OSError as error:
        raise UsageError(f"the state folder {path} cannot be made: {_words(error)}") from None
    else:
        sync_directory(path.parent)
    check_private(path, DIRECTORY_MODE)


def check_private(path: Path, mode: int) -> os.stat_result:
    """Refuse what others may read or write, or what belongs to somebody else (UsageError); its stat otherwise."""
    try:
        status = path.stat()
    except FileNotFoundError:
        raise NotFoundError(f"{path} does not exist") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {_words(error)}") from None
    if stat.S_IMODE(status.st_mode) & 0o077:
        found = f"{stat.S_IMODE(status.st_mode):04o}"
        raise UsageError(f"{path} is open to others (mode {found}): chmod {mode:o} {path} makes it private")
    if os.geteuid() not in (0, status.st_uid):
        raise UsageError(f"{path} belongs to user {status.st_uid}, not to this one: run as its owner")
    return status


def read_private(path: Path) -> bytes:
    """The content of a private file. Raises NotFoundError, or UsageError when it is open to others."""
    check_private(path, FILE_MODE)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {_words(error)}") from None


def read_secret(path: Path) -> KeyBuffer:
    """The content of a private file, without a copy of it on the heap. Raises as :func:`read_private`."""
    check_private(path, FILE_MODE)
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            return KeyBuffer.receive(size, lambda target: _fill(file, target))
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {_words(error)}") from None


def _fill(file: FileIO, target: memoryview) -> None:
    while target:
        count = file.readinto(target)
        if not count:
            raise OSError(errno.EIO, "it ended early")
        target = target[count:]


@contextmanager
def overwritten(path: Path) -> Iterator[None]:
    """Overwrite the file that was `path` with random octets once the block has replaced or removed it.

    What a journal or a flash controller keeps elsewhere is out of reach.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {_words(error)}") from None
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        yield
        try:
            file.write(os.urandom(os.fstat(file.fileno()).st_size))
            os.fsync(file.fileno())
        except OSError as error:
            raise UsageError(f"the old content of {path} cannot be overwritten: {_words(error)}") from None


def write_private(path: Path, content: bytes | memoryview) -> None:
    """Replace a file in one step: temporary file, fsync, rename, fsync of its directory. Raises UsageError.

    Secrets come as a memoryview, whose repr shows none of them in a traceback.
    """
    temporary = path.with_name(f"{_TEMPORARY}{path.name}")
    try:
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        sync_directory(path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {_words(error)}") from None


def remove_private(path: Path) -> None:
    """Remove a file, if it is there, and make that last."""
    try:
        path.unlink(missing_ok=True)
        sync_directory(path.parent)
    except OSError as error:
        raise UsageError(f"{path} cannot be removed: {_words(error)}") from None


def is_leftover(path: Path) -> bool:
    """True for the temporary file of a write that was cut short."""
    return path.name.startswith(_TEMPORARY)


def sync_directory(path: Path) -> None:
    """Flush a directory, so that a rename inside it survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def folder_lock(path: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the short lock that orders writers and (`shared`) readers of one folder, across processes."""
    descriptor = _open_lock(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open_lock(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: {_words(error)}") from None


def _words(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
