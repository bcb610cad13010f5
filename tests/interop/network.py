"""Two network namespaces joined by a veth pair.

            ours                                 theirs (strongSwan)
    inner   10.88.1.1 in 10.88.1.0/24            10.88.2.1 in 10.88.2.0/24
    outer   10.88.0.1 --------- veth pair ------ 10.88.0.2

Our inner host lives in the daemon's memory; strongSwan's inner address is one of its namespace, on `lo`. The names hold
the process's number, so that two runs on one machine do not meet.
"""

import itertools
import os
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from tests.interop.processes import LabError, run


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

    def ping(self, *, count: int = 3, interval: float = 0.05) -> str:
        """Ping our inner host from strongSwan's side, through the tunnel; returns ping's own summary line."""
        done = run(*self.ping_command(count=count, interval=interval), check=False)
        lines = [line for line in done.stdout.decode().splitlines() if "packets transmitted" in line]
        return lines[0] if lines else (done.stdout + done.stderr).decode(errors="replace")

    def ping_command(self, *, count: int | None = None, interval: float = 0.05) -> list[str]:
        """The command that pings our inner host from strongSwan's inner address; without a count until interrupted."""
        limit = [] if count is None else ["-c", str(count)]
        return ["ip", "netns", "exec", self.theirs, "ping", "-n", "-i", str(interval), "-W", "2", *limit,
                "-I", THEIRS.inner, OURS.inner]  # fmt: skip
