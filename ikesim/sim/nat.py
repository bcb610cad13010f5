"""A NAT in the simulated network: hosts behind it appear at its outer address, each socket at a port of its own.

Mappings do not depend on the destination (RFC 4787 4.1), are used by whoever outside knows them, and end after
`timeout` seconds without a packet from inside, as those of home routers do.
"""

from dataclasses import dataclass, field

from ikesim.wire.address import Address, Path


@dataclass(slots=True)
class Nat:
    """One NAT box; plain data."""

    outside: str
    """Its outer address."""
    inside: frozenset[str]
    """The addresses of the hosts behind it."""
    timeout: float = 120.0
    """Seconds: RFC 4787 4.3 asks for at least two minutes, many boxes give less."""
    first_port: int = 40_000
    ports: dict[Address, int] = field(default_factory=dict)
    used: dict[int, tuple[Address, float]] = field(default_factory=dict)
    """By outer port: the inner socket, and when it last sent."""

    def outward(self, path: Path, now: float) -> Path:
        """The path of a datagram from inside as the network sees it."""
        if path.local.host not in self.inside:
            return path
        port = self.ports.get(path.local)
        if port is None or now - self.used[port][1] > self.timeout:
            self._forget(path.local)
            port = self.ports[path.local] = self.first_port
            self.first_port += 1
        self.used[port] = (path.local, now)
        return Path(Address(self.outside, port), path.remote)

    def inward(self, path: Path, now: float) -> Path:
        """The path of a datagram as its receiver sees it; unchanged where the NAT knows no receiver."""
        if path.local.host != self.outside:
            return path
        inner, last = self.used.get(path.local.port, (None, 0.0))
        if inner is None or now - last > self.timeout:
            return path
        return Path(inner, path.remote)

    def reboot(self) -> None:
        """Lose all mappings: the next ones get other ports."""
        self.ports.clear()
        self.used.clear()

    def _forget(self, inner: Address) -> None:
        port = self.ports.pop(inner, None)
        if port is not None:
            self.used.pop(port, None)
