"""The endpoint that faults are attached to, whichever shell it runs in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ikesim.ike.core import Core
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.ids import SaId
from ikesim.ike.ports import Datagram, Hooks
from ikesim.ike.sa import IkeSa
from ikesim.wire.address import Path

if TYPE_CHECKING:
    from ikesim.daemon.host import EndpointHost
    from ikesim.sim.host import SimHost


@dataclass(slots=True)
class Target:
    """An endpoint, its hooks, its clock, and how to carry on what it emits."""

    endpoint: Endpoint
    hooks: Hooks
    now: Callable[[], float]
    pump: Callable[[], None]
    """Hand on what waits in the endpoint's queues."""

    @classmethod
    def simulated(cls, host: "SimHost") -> "Target":
        """An endpoint of a simulation."""
        assert isinstance(host.endpoint, Endpoint)
        return cls(host.endpoint, host.hooks, lambda: host.world.now, host.drain)

    @classmethod
    def running(cls, host: "EndpointHost") -> "Target":
        """An endpoint of a daemon."""
        return cls(host.endpoint, host.ports.hooks, host.now, lambda: host.act(lambda now: None))

    @property
    def core(self) -> Core:
        """What the endpoint's exchanges share."""
        return self.endpoint.core

    def sa(self, sa: SaId | None) -> IkeSa | None:
        """An IKE SA by name."""
        return None if sa is None else self.core.sas.get(sa)

    def send(self, octets: bytes, path: Path) -> None:
        """Put a datagram into the queue as it is, past every hook."""
        self.core.out_datagrams.append(Datagram(self.core.next_sequence(), octets, path))
