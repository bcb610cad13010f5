"""Endpoints that speak no IKE: what a shell does must not depend on what its core says."""

from datetime import UTC, datetime
from typing import Any

from ikesim.ike.config import EndpointConfig
from ikesim.ike.events import Event, FetchFinished, Ready
from ikesim.ike.ids import FetchId, SaId
from ikesim.ike.ports import Datagram, Fetch, InnerPacket
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.pki.snapshot import TrustStore
from ikesim.sim import SeededEntropy, SimHost, SimPorts, World
from ikesim.wire.address import Address, Path


class NoVault:
    """Signs nothing."""

    def sign(self, certificate_id: str, scheme: object, octets: bytes) -> bytes:
        raise AssertionError


class Counting:
    """Sends datagrams 1, 2, 3... to `peer` when told or when its timer fires; answers what begins with "?"."""

    def __init__(self, local: Address, peer: Address, period: float | None = None, count: int = 0) -> None:
        self.path = Path(local, peer)
        self.period = period
        self.left = count
        self.deadline = period
        self.number = 0
        self.out: list[Any] = []
        self.received: list[tuple[float, bytes, Path]] = []
        self.results: list[tuple[float, FetchId, FetchResult]] = []
        self.advanced: list[float] = []
        self.sequence = 0

    def emit(self, kind: type, *values: Any) -> None:
        self.sequence += 1
        self.out.append(kind(self.sequence, *values))

    def say(self, octets: bytes, path: Path | None = None) -> None:
        self.emit(Datagram, octets, path or self.path)

    def receive(self, datagram: bytes, path: Path, now: float) -> None:
        self.received.append((now, datagram, path))
        if datagram.startswith(b"?"):
            self.say(b"!" + datagram[1:], path)

    def advance(self, now: float) -> None:
        self.advanced.append(now)
        if self.deadline is None or now < self.deadline or self.period is None:
            return
        self.number += 1
        self.say(b"%d" % self.number)
        self.left -= 1
        self.deadline = self.deadline + self.period if self.left > 0 else None

    def next_deadline(self) -> float | None:
        return self.deadline

    def initiate(self, connection: str, now: float) -> SaId:
        self.say(connection.encode())
        return SaId("a#1")

    def fetched(self, fetch: FetchId, result: FetchResult, now: float) -> None:
        self.results.append((now, fetch, result))
        wall = datetime(2026, 1, 1, tzinfo=UTC)
        self.sequence += 1
        self.out.append(
            FetchFinished(sequence=self.sequence, time=wall, endpoint="a", url="", result=result.error or "ok")
        )

    def send_inner(self, packet: bytes, now: float) -> None:
        self.say(packet)

    def fetch(self, number: int, request: FetchRequest) -> None:
        self.emit(Fetch, FetchId(number), request)

    def inner(self, packet: bytes) -> None:
        self.emit(InnerPacket, packet, SaId("a/net#1"))

    def ready(self) -> None:
        self.sequence += 1
        wall = datetime(2026, 1, 1, tzinfo=UTC)
        self.out.append(Ready(sequence=self.sequence, time=wall, endpoint="a", listen=(), listen_nat_t=()))

    def _take(self, kind: type) -> list[Any]:
        taken = [item for item in self.out if isinstance(item, kind)]
        self.out = [item for item in self.out if not isinstance(item, kind)]
        return taken

    def datagrams(self) -> list[Datagram]:
        return self._take(Datagram)

    def inner_packets(self) -> list[InnerPacket]:
        return self._take(InnerPacket)

    def events(self) -> list[Event]:
        return self._take(Event)

    def fetches(self) -> list[Fetch]:
        return self._take(Fetch)

    def create_child(self, sa: SaId, child: str, now: float) -> None: ...
    def rekey(self, sa: SaId, now: float) -> None: ...
    def terminate(self, sa: SaId, now: float) -> None: ...
    def check_liveness(self, sa: SaId, now: float) -> None: ...
    def reauthenticate(self, sa: SaId, now: float) -> None: ...
    def reconfigure(self, config: EndpointConfig, now: float) -> None: ...
    def trust_changed(self, now: float) -> None: ...


A, B = Address("192.0.2.1", 500), Address("192.0.2.2", 500)


def host(world: World, name: str, core: Counting, inner: Any = None) -> SimHost:
    """A host that listens on its core's local address."""
    config = EndpointConfig(name=name, listen=(core.path.local,), listen_nat_t=())
    ports = SimPorts(SeededEntropy(world.seed, name), NoVault(), TrustStore(), world.clock.epoch)
    return world.place(SimHost(world, config, core, ports, inner))


def two(seed: int | str = 1, *, count: int = 0, period: float | None = None, **conditions: float) -> World:
    """A world with host a, which sends `count` datagrams to b every `period` seconds, and b."""
    from ikesim.sim import Conditions

    world = World(seed, conditions=Conditions(**conditions))
    host(world, "a", Counting(A, B, period, count))
    host(world, "b", Counting(B, A))
    return world


def core(world: World, name: str) -> Counting:
    """The fake endpoint of a host."""
    endpoint = world.hosts[name].endpoint
    assert isinstance(endpoint, Counting)
    return endpoint
