"""OpenIKED's daemon in a namespace, as a responder that any peer may try.

iked asks the kernel for a PF_KEY socket before it does anything, and where the kernel has none it ends. What a test
needs of it is its judgement of certificates, which comes before any CHILD SA: so here every iked gets one end of a
pair of sockets in place of PF_KEY, by strace's fault injection, and at the other end this module says yes to all.
"""

import os
import re
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from tests.interop.network import OURS, THEIRS
from tests.interop.processes import DIE_WITH_THE_TEST, PATIENCE, LabError, run, stop

IKED = Path("/usr/sbin/iked")
INSTALL = "apt-get install -y --no-install-recommends openiked strace"

_HEADER = struct.Struct("=BBBBHHII")
"""struct sadb_msg: version, type, errno, satype, length in units of 8 octets, reserved, sequence, process."""
_ASSOCIATION = struct.Struct("=HH4sBBBBI")
"""struct sadb_sa: length, extension type, SPI, and what is 0 here."""
_GETSPI, _SA_EXTENSION = 1, 1

CONFIGURATION = """\
set passive
ikev2 "lab" passive tunnel esp from {theirs.subnet} to {ours.subnet} local any peer {ours.address} \\
    ikesa enc aes-128-gcm prf hmac-sha2-256 group curve25519 srcid {name}
"""
_READY = "mode active -> passive"


class Iked:
    """One iked, with the folder that it sees as /etc/iked."""

    def __init__(self, namespace: str, folder: Path, name: str, *, strict: bool) -> None:
        """`name` is its own host name; `strict` says for the reader that it will hold CRLs."""
        self.namespace, self.folder, self.name, self.strict = namespace, folder, name, strict
        self._process: subprocess.Popen[bytes] | None = None
        self._kernel: socket.socket | None = None
        self._lines: list[str] = []
        self._from = 0
        self._more = threading.Condition()
        for part in ("ca", "certs", "crls", "private", "pubkeys"):
            (folder / "etc" / part).mkdir(parents=True)
        (folder / "etc" / "private").chmod(0o700)
        folder.chmod(0o711)
        configuration = folder / "iked.conf"
        configuration.write_text(CONFIGURATION.format(ours=OURS, theirs=THEIRS, name=name))
        configuration.chmod(0o600)

    def start(self, *, key: bytes, certificate: bytes, authorities: Sequence[bytes], crls: Sequence[bytes]) -> None:
        """Run with these credentials, all PEM. Raises LabError when it does not come up."""
        etc = self.folder / "etc"
        private = etc / "private" / "local.key"
        private.touch(mode=0o600)
        private.write_bytes(key)
        (etc / "certs" / f"{self.name}.crt").write_bytes(certificate)
        for number, item in enumerate(authorities):
            (etc / "ca" / f"{number}.crt").write_bytes(item)
        for number, item in enumerate(crls):
            (etc / "crls" / f"{number}.crl").write_bytes(item)
        position = self._position_of_pf_key()
        self._kernel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        threading.Thread(target=_answer_as_kernel, args=(self._kernel,), daemon=True).start()
        with theirs:
            number = theirs.fileno()
            injected = ("-e", f"inject=socket:retval={number}:when={position}", "-e", "inject=setsockopt:retval=0")
            self._process = subprocess.Popen(
                [*DIE_WITH_THE_TEST, *self._command(*injected)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(number,),
            )
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self.wait_for(_READY)

    def _command(self, *options: str) -> list[str]:
        inside = (
            f"mount -t tmpfs tmpfs /var/run && mount --bind {self.folder}/etc /etc/iked && "
            f"exec strace -D -f -o {self.folder}/trace -e trace=socket,setsockopt {' '.join(options)} "
            f"{IKED} -d -vv -f {self.folder}/iked.conf"
        )
        return ["ip", "netns", "exec", self.namespace, "unshare", "-m", "sh", "-c", inside]

    def _position_of_pf_key(self) -> int:
        """Which of its calls of socket(2) asks for PF_KEY, found by letting it fail of that."""
        probe = [word.replace("strace -D", "strace") for word in self._command()]
        said = run(*probe, check=False)
        calls: dict[str, int] = {}
        for line in (self.folder / "trace").read_text().splitlines():
            process, _, call = line.partition(" ")
            if call.lstrip().startswith("socket("):
                calls[process] = calls.get(process, 0) + 1
                if "AF_KEY" in call:
                    return calls[process]
        raise LabError(f"iked did not ask for PF_KEY: {said.stderr.decode(errors='replace')}")

    def stop(self) -> None:
        """End it, and what stands for the kernel."""
        if self._process:
            stop(self._process)
        if self._kernel:
            self._kernel.close()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                with self._more:
                    self._lines.append(line.decode(errors="replace"))
                    self._more.notify_all()

    def mark(self) -> None:
        """`log` and `wait_for` begin here."""
        self._from = len(self._lines)

    def log(self) -> str:
        """What iked wrote since the mark."""
        return "".join(self._lines[self._from :])

    def wait_for(self, pattern: str) -> re.Match[str]:
        """What iked wrote, or writes now, since the mark. Raises LabError when it does not come."""
        deadline = time.monotonic() + PATIENCE
        with self._more:
            while (found := re.search(pattern, self.log())) is None:
                if not self._more.wait(deadline - time.monotonic()):
                    raise LabError(f"iked never said {pattern!r}; it said:\n{self.log()}")
        return found


def _answer_as_kernel(kernel: socket.socket) -> None:
    """Say yes to every PF_KEY message, and give an SPI to who asks for one, until the socket closes."""
    while True:
        try:
            message = kernel.recv(65536)
        except OSError:
            return
        if len(message) < _HEADER.size:
            return
        version, kind, _, satype, length, _, sequence, process = _HEADER.unpack_from(message)
        body = message[_HEADER.size :]
        if kind == _GETSPI:
            body += _ASSOCIATION.pack(_ASSOCIATION.size // 8, _SA_EXTENSION, os.urandom(4), 0, 0, 0, 0, 0)
            length += _ASSOCIATION.size // 8
        kernel.send(_HEADER.pack(version, kind, 0, satype, length, 0, sequence, process) + body)


def lacks() -> str | None:
    """What this machine lacks to run it; None when nothing."""
    missing = [tool for tool in (str(IKED), "strace") if shutil.which(tool) is None]
    return f"{' and '.join(missing)} missing: {INSTALL}" if missing else None
