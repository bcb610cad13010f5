"""The world: hosts, the network between them, modelled services and one virtual clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from pathlib import Path as FilePath

from ikesim.capture.recorder import Recorder
from ikesim.errors import IkesimError
from ikesim.ike.config import EndpointConfig
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import Event
from ikesim.ike.ids import FetchId
from ikesim.ike.ports import Fetch
from ikesim.pki.fetching import FetchResult
from ikesim.pki.snapshot import TrustStore
from ikesim.sim.clock import EPOCH, VirtualClock
from ikesim.sim.entropy import SeededEntropy
from ikesim.sim.host import InnerNetwork, Signer, SimHost, SimPorts
from ikesim.sim.nat import Nat
from ikesim.sim.network import Arrival, Conditions, Network
from ikesim.sim.services import Service, perform
from ikesim.wire.address import Path

STALL_LIMIT = 10_000
"""Steps without virtual time passing after which a simulation is called stuck (a timer that never moves on)."""
REPORTED = 200
"""Datagrams, and events of each host, that a report shows: whole handshakes, and the end of long lives."""


class SimulationError(IkesimError):
    """A simulation did not come to what it waited for; the text holds the seed and every datagram's fate."""


@dataclass(frozen=True, slots=True, order=True)
class _Task:
    time: float
    sequence: int
    action: "Callable[[World], None]" = field(compare=False)


@dataclass(frozen=True, slots=True)
class _FetchEnds:
    """The end of a fetch, as data: it must find its host in a copied world too."""

    host: str
    fetch: FetchId
    result: FetchResult

    def __call__(self, world: "World") -> None:
        world.open_fetches -= 1
        world.hosts[self.host].answer(self.fetch, self.result)


class World:
    """Hosts and all that is between them. The same seed and the same calls give the same history, octet for octet.

    At one instant arrivals come first, then tasks, then timers in the order in which the hosts were added.
    """

    def __init__(self, seed: int | str = 0, *, epoch: datetime = EPOCH, conditions: Conditions | None = None) -> None:
        self.seed = str(seed)
        self.clock = VirtualClock(epoch)
        self.network = Network(self.seed, conditions or Conditions())
        self.hosts: dict[str, SimHost] = {}
        self.services: dict[str, Service] = {}
        """Modelled HTTP services by URL. A URL that is not here refuses connections."""
        self.nats: list[Nat] = []
        """NATs between the hosts, each in front of its own."""
        self.open_fetches = 0
        self._tasks: list[_Task] = []
        self._sequence = 0

    @property
    def now(self) -> float:
        """Virtual seconds since the beginning."""
        return self.clock.now

    def add_host(
        self,
        config: EndpointConfig,
        vault: Signer,
        store: TrustStore,
        *,
        clock_offset: float = 0.0,
        inner: InnerNetwork | None = None,
    ) -> SimHost:
        """A host that runs an endpoint of this configuration."""
        entropy = SeededEntropy(self.seed, f"host {config.name}")
        ports = SimPorts(entropy, vault, store, self.clock.epoch, clock_offset)
        return self.place(SimHost(self, config, Endpoint(config, ports), ports, inner))

    def place(self, host: SimHost) -> SimHost:
        """Put a host into the world. Raises ValueError for a name or a socket that is taken."""
        if host.name in self.hosts:
            raise ValueError(f"there already is a host {host.name!r}")
        for other in self.hosts.values():
            for socket in host.sockets:
                if socket in other.sockets:
                    raise ValueError(f"{other.name} already listens on {socket}")
        self.hosts[host.name] = host
        host.drain()
        return host

    def send(self, octets: bytes, path: Path) -> None:
        """Send a datagram; `path.local` is its source, which need not belong to any host."""
        for nat in self.nats:
            path = nat.outward(path, self.now)
        self.network.send(octets, path, self.now)

    def fetch(self, host: SimHost, fetch: Fetch) -> None:
        """Perform a fetch of `host` against the modelled services."""
        seconds, result = perform(
            fetch.request,
            self.services,
            self.clock.wall(),
            private_allowed=host.config.fetch_private_addresses,
        )
        self.open_fetches += 1
        self.after(seconds, _FetchEnds(host.name, fetch.id, result))

    def at(self, time: float, action: "Callable[[World], None]") -> None:
        """Call `action` with this world (in a copy: with the copy) at virtual `time`, now if that has passed."""
        self._sequence += 1
        heappush(self._tasks, _Task(max(time, self.now), self._sequence, action))

    def after(self, seconds: float, action: "Callable[[World], None]") -> None:
        """Call `action` after `seconds`."""
        self.at(self.now + seconds, action)

    def deliver(self, arrival: Arrival) -> None:
        """Let a datagram that is under way arrive now, whatever its turn: how delivery orders are chosen."""
        self._hand_over(self.network.take(arrival))

    def next_time(self) -> float | None:
        """When something happens next (never in the past); None: never."""
        times = [host.next_deadline() for host in self.hosts.values()]
        times.append(self.network.next_arrival())
        if self._tasks:
            times.append(self._tasks[0].time)
        due = [time for time in times if time is not None]
        return max(min(due), self.now) if due else None

    def step(self) -> bool:
        """Let the next thing happen, moving the clock to it; False: nothing will ever happen."""
        time = self.next_time()
        if time is None:
            return False
        now = self.clock.advance_to(time)
        arrival = self.network.arrive(now)
        if arrival is not None:
            self._hand_over(arrival)
        elif self._tasks and self._tasks[0].time <= now:
            heappop(self._tasks).action(self)
        else:
            for host in self.hosts.values():
                deadline = host.next_deadline()
                if deadline is not None and deadline <= now:
                    host.wake()
                    break
        return True

    def run_until(self, condition: "float | Callable[[], object]", limit: float = 3600.0) -> None:
        """Let things happen until a virtual time, or until `condition()` holds.

        Raises SimulationError when `limit` virtual seconds pass, or nothing can happen, before the condition holds.
        """
        if not callable(condition):
            self._run(lambda: False, float(condition))
            self.clock.advance_to(condition)
            return
        if not self._run(condition, self.now + limit):
            raise SimulationError(f"the condition did not hold within {limit:g} virtual seconds\n{self.report()}")

    def settle(self, limit: float = 3600.0) -> None:
        """Let things happen until nothing is under way and no fetch is open; timers may still be set."""
        self.run_until(lambda: self.network.next_arrival() is None and not self.open_fetches, limit)

    def _run(self, condition: "Callable[[], object]", end: float) -> bool:
        stalled, last = 0, self.now
        while not condition():
            time = self.next_time()
            if time is None or time > end:
                return False
            self.step()
            stalled = stalled + 1 if self.now == last else 0
            last = self.now
            if stalled > STALL_LIMIT:
                raise SimulationError(f"{STALL_LIMIT} steps and no time passed\n{self.report()}")
        return True

    def _hand_over(self, arrival: Arrival) -> None:
        path = arrival.path
        for nat in self.nats:
            path = nat.inward(path, self.now)
        local = path.local
        for host in self.hosts.values():
            if local in host.sockets:
                if host.alive:
                    self.network.note(arrival, f"delivered at {self.now:.6f}")
                    host.arrive(arrival.octets, path)
                else:
                    self.network.note(arrival, f"lost at {self.now:.6f} ({host.name} is off)")
                return
        self.network.note(arrival, f"lost at {self.now:.6f} (nobody listens there)")

    def write_capture(self, file: FilePath) -> None:
        """Write every datagram of the log to a pcapng file, as its sender sent it. Raises UsageError."""
        with Recorder(file) as recorder:
            for entry in self.network.log:
                at = self.clock.epoch + timedelta(seconds=entry.sent_at)
                recorder.record(entry.octets, Path(entry.source, entry.destination), at, outbound=True)

    def report(self) -> str:
        """What a failing test needs: seed, time, the newest datagrams with their fates, each host's newest events."""
        fates = self.network.fates(REPORTED) or "none"
        lines = [f"seed {self.seed!r}, virtual time {self.now:.6f}", "datagrams:", fates]
        for host in self.hosts.values():
            lines.append(f"events of {host.name}:")
            if len(host.events) > REPORTED:
                lines.append(f"  ({len(host.events) - REPORTED} earlier ones)")
            lines += [f"  {describe(event)}" for event in host.events[-REPORTED:]] or ["  none"]
        return "\n".join(lines)


def describe(event: object) -> str:
    """One line about an event, without the whole decision."""
    if not isinstance(event, Event):
        return repr(event)
    document = event.to_json()
    decision = document.pop("decision", None)
    document.pop("endpoint")
    name, time = document.pop("event"), document.pop("time")
    fields = " ".join(f"{key}={value}" for key, value in document.items() if value not in (None, ""))
    summary = f' "{decision["summary"]}"' if decision else ""
    return f"{time} {name} {fields}{summary}"
