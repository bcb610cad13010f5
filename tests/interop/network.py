"""Two network namespaces joined by a veth pair.

            ours                                 theirs (strongSwan)
    inner   10.88.1.1 in 10.88.1.0/24            10.88.2.1 in 10.88.2.0/24
    outer   10.88.0.1 --------- veth pair ------ 10.88.0.2

Our inner host lives in the daemon's memory; strongSwan's inner address is one of its namespace, on `lo`. The names
hold the process's number, so that two runs on one machine do not meet.
"""

import contextlib
import itertools
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.interop.processes import LabError, run, start


@dataclass(frozen=True)
class Side:
    """One end of the pair."""

    address: str
    inner: str
    subnet: str


OURS = Side("10.88.0.1", "10.88.1.1", "10.88.1.0/24")
THEIRS = Side("10.88.0.2", "10.88.2.1", "10.88.2.0/24")

_numbers = itertools.count()


@dataclass
class Network:
    """The pair of namespaces; a context manager that removes them, whatever happened between."""

    tag: str = field(default_factory=lambda: f"{os.getpid()}-{next(_numbers)}")

    @property
    def ours(self) -> str:
        """Name of the namespace that ikesim runs in."""
        return f"ikesim-{self.tag}-o"

    @property
    def theirs(self) -> str:
        """Name of the namespace that strongSwan runs in."""
        return f"ikesim-{self.tag}-t"

    def __enter__(self) -> Self:
        _remove_orphans()
        try:
            for namespace in (self.ours, self.theirs):
                run("ip", "netns", "add", namespace)
            run(
                "ip",
                "link",
                "add",
                "outer",
                "netns",
                self.ours,
                "type",
                "veth",
                "peer",
                "name",
                "outer",
                "netns",
                self.theirs,
            )
            for namespace, side in ((self.ours, OURS), (self.theirs, THEIRS)):
                ip = ("ip", "-n", namespace)
                run(*ip, "address", "add", f"{side.address}/24", "dev", "outer")
                # Without an IPv6 link-local address, whose late appearance makes charon send a MOBIKE update.
                run(*ip, "link", "set", "outer", "addrgenmode", "none")
                run(*ip, "link", "set", "lo", "up")
                run(*ip, "link", "set", "outer", "up")
            run("ip", "-n", self.theirs, "address", "add", f"{THEIRS.inner}/32", "dev", "lo")
        except LabError:
            self.remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Delete the namespaces that exist; with a namespace goes its end of the pair, and with that the other."""
        for namespace in (self.ours, self.theirs):
            run("ip", "netns", "delete", namespace, check=False)

    def add_inner_address_of_ours(self) -> None:
        """For a strongSwan in our place, which has no inner host in memory."""
        run("ip", "-n", self.ours, "address", "add", f"{OURS.inner}/32", "dev", "lo")

    def ping(self, count: int = 3) -> str:
        """Ping our inner host from strongSwan's side, through the tunnel; returns ping's own summary line."""
        done = run(*self._ping_command("-c", str(count)), check=False)
        return _summary((done.stdout + done.stderr).decode(errors="replace"))

    @contextlib.contextmanager
    def pinging(self, log: Path) -> Iterator["Pinging"]:
        """Go on pinging until told to end."""
        process = start(self._ping_command(), log=log, listen=True)
        try:
            yield Pinging(process)
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()

    def _ping_command(self, *options: str) -> list[str]:
        source = ["-I", THEIRS.inner, OURS.inner]
        return ["ip", "netns", "exec", self.theirs, "ping", "-n", "-i", "0.05", "-W", "2", *options, *source]


def _remove_orphans() -> None:
    """Delete the namespaces of a run that was killed; its processes ended with it."""
    for name in run("ip", "netns", "list").stdout.decode().split():
        match = re.fullmatch(r"ikesim-(\d+)-\d+-[ot]", name)
        if match and not Path("/proc", match[1]).exists():
            run("ip", "netns", "delete", name, check=False)


class Pinging:
    """A ping that goes on."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def wait_for_replies(self, count: int) -> None:
        """Return after as many more replies."""
        assert self._process.stdout is not None
        while count:
            line = self._process.stdout.readline()
            if not line:
                raise LabError("ping ended by itself")
            count -= b"bytes from" in line

    def end(self) -> str:
        """Stop pinging; returns ping's own summary line."""
        self._process.send_signal(signal.SIGINT)
        return _summary(self._process.communicate()[0].decode(errors="replace"))


def _summary(said: str) -> str:
    return next((line for line in said.splitlines() if "packets transmitted" in line), said)
