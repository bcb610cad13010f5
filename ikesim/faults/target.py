"""The endpoint that faults are attached to, whichever shell it runs in."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ikesim.ike.core import Core
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.ids import SaId
from ikesim.ike.ports import Datagram, Hooks
from ikesim.ike.sa import IkeSa, IkeState
from ikesim.wire.address import Path

if TYPE_CHECKING:
    from ikesim.daemon.host import EndpointHost
    from ikesim.sim.host import SimHost

MAX_KEPT = 1000
"""Datagrams that faults keep for one endpoint, in each direction."""


@dataclass(slots=True)
class Target:
    """An endpoint, its hooks, its clock, and how to carry on what it emits."""

    endpoint: Endpoint
    hooks: Hooks
    now: Callable[[], float]
    pump: Callable[[], None]
    """Hand on what waits in the endpoint's queues."""
    after: Callable[[float, Callable[[], None]], None]
    """Call a function in so many seconds."""
    inbound: list[tuple[bytes, Path]] = field(default_factory=list)
    """Datagrams that faults kept, in order of arrival."""
    outbound: list[tuple[bytes, Path]] = field(default_factory=list)
    """Those that it would have sent."""
    passing: bool = False
    """A fault itself is delivering: faults of the flow leave the datagram alone."""

    @classmethod
    def simulated(cls, host: "SimHost") -> "Target":
        """An endpoint of a simulation."""
        assert isinstance(host.endpoint, Endpoint)
        world = host.world
        return cls(
            host.endpoint,
            host.hooks,
            lambda: world.now,
            host.drain,
            lambda seconds, action: world.after(seconds, lambda _: action()),
        )

    @classmethod
    def running(cls, host: "EndpointHost") -> "Target":
        """An endpoint of a daemon, in its event loop."""
        return cls(
            host.endpoint,
            host.ports.hooks,
            host.now,
            lambda: host.act(lambda now: None),
            lambda seconds, action: void(asyncio.get_running_loop().call_later(seconds, action)),
        )

    @property
    def core(self) -> Core:
        """What the endpoint's exchanges share."""
        return self.endpoint.core

    def sa(self, sa: SaId | None) -> IkeSa | None:
        """An IKE SA by name."""
        return None if sa is None else self.core.sas.get(sa)

    def established(self) -> list[IkeSa]:
        """The IKE SAs that are up."""
        return [sa for sa in self.core.sas.values() if sa.state is IkeState.ESTABLISHED]

    def keep(self, octets: bytes, path: Path, *, inbound: bool) -> None:
        """Remember a datagram, the newest ones."""
        kept = self.inbound if inbound else self.outbound
        kept.append((octets, path))
        del kept[:-MAX_KEPT]

    def send(self, octets: bytes, path: Path) -> None:
        """Put a datagram into the queue as it is, past every hook."""
        self.core.out_datagrams.append(Datagram(self.core.next_sequence(), octets, path))

    def deliver(self, octets: bytes, path: Path) -> None:
        """Let the endpoint receive a datagram, past the faults of the flow."""
        before, self.passing = self.passing, True
        try:
            self.endpoint.receive(octets, path, self.now())
        finally:
            self.passing = before


def void(_: object) -> None:
    """Nothing."""
