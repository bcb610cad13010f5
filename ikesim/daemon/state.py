"""The state folder: one daemon at a time, and a socket path that the kernel accepts.

Light on imports: the command line uses it to find a running daemon.
"""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ikesim.errors import UsageError

SOCKET_NAME = "control.sock"
LOCK_NAME = "daemon.lock"
MAX_SOCKET_PATH = 100
"""Octets; sockaddr_un holds 108 on Linux, 104 elsewhere."""


class StateLock:
    """Holds the state folder for one daemon; the kernel lets go of it when the process ends."""

    def __init__(self, state: Path) -> None:
        try:
            self._descriptor = os.open(state / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UsageError(f"the state folder {state} cannot be used: {error.strerror or error}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(self._descriptor)
            by = f" (process {holder})" if holder.isdigit() else ""
            raise UsageError(f"another daemon{by} already runs on the state folder {state}") from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let the next daemon in."""
        os.close(self._descriptor)


@contextlib.contextmanager
def socket_path(folder: Path, name: str = SOCKET_NAME) -> Iterator[str]:
    """A path to a Unix socket in a folder (the control socket of a state folder) that fits into a socket address.

    A long one leads through a private folder in the runtime or temporary directory, which exists only as long as it
    takes to bind or connect.
    """
    path = folder / name
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        yield str(path)
        return
    base = os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()
    if len(os.fsencode(base)) > 60 or not os.path.isdir(base):
        base = "/tmp"
    with tempfile.TemporaryDirectory(prefix="ikesim-", dir=base) as private:
        link = Path(private, "state")
        link.symlink_to(folder.absolute())
        yield str(link / name)
