"""One seeded router: what it drops, delays, doubles, reorders and spoils is a function of the seed.

Arrivals are ordered by (time, sequence). The fate of datagram n from A to B depends on the seed, on A, B and n alone,
so that traffic of others, or in the other direction, never changes it. Every datagram's fate is logged.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from ikesim.capture.headline import headline
from ikesim.sim.entropy import SeededEntropy
from ikesim.wire.address import Address, Path

LOG_LIMIT = 10_000
"""Log entries kept; a simulation that runs for virtual weeks stays at about 10 MiB."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What one direction of the network does to datagrams. Probabilities are 0 to 1, times are seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """Probability of being held back for `reorder_delay` more, so that later datagrams overtake."""
    corrupt: float = 0.0
    """Probability of one flipped bit."""
    delay: float = 0.01
    jitter: float = 0.0
    """At most this is added to the delay, evenly distributed."""
    reorder_delay: float = 0.05


@dataclass(slots=True)
class Transit:
    """One datagram on its way, as filters see it: they may change all but its number and addresses."""

    number: int
    """Counts what was sent into the network, from 1."""
    index: int
    """Counts what was sent in this direction, from 1."""
    sent_at: float
    source: Address
    destination: Address
    octets: bytes
    delays: list[float]
    """Seconds until each copy arrives; an empty list: it is dropped."""
    notes: list[str] = field(default_factory=list)
    """What happened to it, in words."""

    def drop(self, why: str) -> None:
        """Let no copy arrive."""
        self.delays = []
        self.notes.append(f"dropped: {why}")


Filter = Callable[[Transit], None]
"""Sees every datagram of its direction after the seeded conditions did their work, dropped ones too."""


@dataclass(slots=True)
class LogEntry:
    """A datagram and its fate."""

    number: int
    sent_at: float
    source: Address
    destination: Address
    octets: bytes
    """As sent, before any corruption."""
    notes: list[str]

    def __str__(self) -> str:
        return (
            f"#{self.number} t={self.sent_at:.6f} {self.source} -> {self.destination} "
            f"{headline(self.octets)}: {', '.join(self.notes)}"
        )


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """A copy of a datagram that will reach its destination at `time`."""

    time: float
    sequence: int
    number: int
    octets: bytes = field(compare=False)
    path: Path = field(compare=False)
    """As the receiver sees it: local is the destination."""


@dataclass(slots=True)
class Network:
    """The router. `conditions` hold for every direction that `set_conditions` does not name."""

    seed: str
    conditions: Conditions = field(default_factory=Conditions)
    log: deque[LogEntry] = field(default_factory=lambda: deque(maxlen=LOG_LIMIT))
    sent: int = 0
    _entropy: dict[tuple[str, str], SeededEntropy] = field(default_factory=dict)
    _count: dict[tuple[str, str], int] = field(default_factory=dict)
    _directions: dict[tuple[str, str], Conditions] = field(default_factory=dict)
    _filters: list[tuple[str | None, str | None, Filter]] = field(default_factory=list)
    _arrivals: list[Arrival] = field(default_factory=list)
    _sequence: int = 0
    _open: dict[int, tuple[LogEntry, int]] = field(default_factory=dict)
    """Log entry and copies under way, by number, of what has not arrived yet."""

    def set_conditions(self, source: str, destination: str, conditions: Conditions) -> None:
        """Let `conditions` hold from one host address to another, from now on."""
        self._directions[source, destination] = conditions

    def add_filter(self, function: Filter, *, source: str | None = None, destination: str | None = None) -> Filter:
        """Show `function` what goes from `source` to `destination` (hosts; None: any), in order of adding."""
        self._filters.append((source, destination, function))
        return function

    def remove_filter(self, function: Filter) -> None:
        """Take a filter away again."""
        self._filters = [entry for entry in self._filters if entry[2] is not function]

    def send(self, octets: bytes, path: Path, now: float) -> Transit:
        """Take a datagram that a host sends along `path` (local is the sender) and decide its fate."""
        direction = (path.local.host, path.remote.host)
        self.sent += 1
        index = self._count[direction] = self._count.get(direction, 0) + 1
        transit = Transit(self.sent, index, now, path.local, path.remote, octets, [])
        self._meet_conditions(transit, direction)
        for source, destination, function in self._filters:
            if source in (None, direction[0]) and destination in (None, direction[1]):
                function(transit)
        entry = LogEntry(transit.number, now, path.local, path.remote, octets, transit.notes)
        self.log.append(entry)
        seen_by_receiver = Path(path.remote, path.local)
        for delay in transit.delays:
            self._sequence += 1
            arrival = Arrival(now + max(0.0, delay), self._sequence, transit.number, transit.octets, seen_by_receiver)
            heappush(self._arrivals, arrival)
        if transit.delays:
            self._open[transit.number] = (entry, len(transit.delays))
        elif not any(note.startswith("dropped") for note in transit.notes):
            transit.notes.append("dropped: filter")
        return transit

    def _meet_conditions(self, transit: Transit, direction: tuple[str, str]) -> None:
        conditions = self._directions.get(direction, self.conditions)
        entropy = self._entropy.get(direction)
        if entropy is None:
            entropy = self._entropy[direction] = SeededEntropy(self.seed, f"network {direction[0]} {direction[1]}")
        # Always the same draws for each datagram: changing one condition does not shift the others' dice.
        lost, doubled, reordered, corrupted, jitter, echo, where = (
            entropy.unit(purpose) for purpose in ("loss", "duplicate", "reorder", "corrupt", "jitter", "echo", "bit")
        )
        delay = conditions.delay + conditions.jitter * jitter
        if reordered < conditions.reorder:
            delay += conditions.reorder_delay
            transit.notes.append("held back")
        if corrupted < conditions.corrupt and transit.octets:
            bit = int(where * len(transit.octets) * 8)
            spoiled = bytearray(transit.octets)
            spoiled[bit // 8] ^= 0x80 >> bit % 8
            transit.octets = bytes(spoiled)
            transit.notes.append(f"corrupted (octet {bit // 8}, bit {bit % 8})")
        transit.delays.append(delay)
        if doubled < conditions.duplicate:
            transit.delays.append(conditions.delay + conditions.jitter * echo)
            transit.notes.append("duplicated")
        if lost < conditions.loss:
            transit.drop("loss")

    def next_arrival(self) -> float | None:
        """When the next datagram arrives, None while nothing is under way."""
        return self._arrivals[0].time if self._arrivals else None

    def under_way(self) -> tuple[Arrival, ...]:
        """All that has not arrived yet, in the order in which it will."""
        return tuple(sorted(self._arrivals))

    def arrive(self, now: float) -> Arrival | None:
        """Take the next datagram that arrives at or before `now`."""
        if not self._arrivals or self._arrivals[0].time > now:
            return None
        return heappop(self._arrivals)

    def take(self, arrival: Arrival) -> Arrival:
        """Take a datagram out of its order, for whoever chooses orders. Raises ValueError when it is not here."""
        self._arrivals.remove(arrival)
        heapify(self._arrivals)
        return arrival

    def note(self, arrival: Arrival, fate: str) -> None:
        """Log how an arrival ended."""
        entry, copies = self._open.pop(arrival.number)
        entry.notes.append(fate)
        if copies > 1:
            self._open[arrival.number] = (entry, copies - 1)

    def fates(self, newest: int | None = None) -> str:
        """The log as text, a line for each datagram (or for the `newest`); what is still under way says so."""
        entries = list(self.log)
        left_out = 0 if newest is None else max(0, len(entries) - newest)
        lines = [f"({left_out} earlier ones)"] if left_out else []
        lines += [
            f"{entry}{', ' if entry.notes else ''}under way" if entry.number in self._open else str(entry)
            for entry in entries[left_out:]
        ]
        return "\n".join(lines)
