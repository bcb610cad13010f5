"""Every order in which the datagrams of two endpoints can arrive, with losses and duplicates, from any two actions.

The explorer copies endpoints instead of running them again: a state is two endpoints and what is on its way between
them. From each state every datagram may arrive next, be lost, arrive twice, or be late; where nothing is on its way,
time goes on to the next timer that matters. States of the same shape are visited once. After every step the
invariants of :func:`problems` must hold, and at the end the two sides must agree.
"""

from collections import deque
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from ikesim.ike import unique
from ikesim.ike.core import Core
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.sa import HALF_OPEN, UNANSWERED, ChildSa, ChildState, IkeSa, IkeState
from ikesim.ike.tasks import CreateChildTask, DeleteTask, FollowupTask, RekeyIkeTask
from ikesim.ike.traffic import carrier
from ikesim.wire.address import Path
from ikesim.wire.demux import KEEPALIVE
from ikesim.wire.message import Header

NAMES = ("alice", "bob")
HORIZON = 400.0
"""Virtual seconds after the actions within which everything must have settled: two full retransmission schedules."""


_UNSETTLED = ("half-open", unique.CROSSED, unique.OUTLIVED)
"""Timers of an established SA that is to end or to be ended."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A datagram on its way to host `to` (0 or 1)."""

    to: int
    octets: bytes = field(repr=False)
    path: Path
    copies: int = 1


@dataclass(frozen=True, slots=True)
class State:
    """Two endpoints at one moment. Endpoints are never changed in place: a step copies the one that it changes."""

    ends: tuple[Endpoint, Endpoint]
    flights: tuple[Flight, ...]
    now: float
    losses: int
    duplicates: int
    delays: int
    story: tuple[str, ...] = ()


@dataclass(slots=True)
class Finding:
    """An invariant that did not hold, and the steps that led there."""

    problem: str
    story: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((self.problem, *(f"  {number}. {step}" for number, step in enumerate(self.story, 1))))


@dataclass(slots=True)
class Result:
    """What an exploration saw."""

    states: int = 0
    orders: int = 0
    """Complete orders: ways to a state where nothing is left to happen (at least so many)."""
    deepest: int = 0
    findings: list[Finding] = field(default_factory=list)
    cut: int = 0
    """Branches that were left at the limit of steps."""


Action = Callable[[Endpoint, float], None]


def explore(
    ends: tuple[Endpoint, Endpoint],
    actions: tuple[tuple[int, str, Action], ...],
    now: float,
    *,
    losses: int = 0,
    duplicates: int = 0,
    delays: int = 0,
    max_states: int = 20000,
    max_steps: int = 60,
    tunnel: bool = True,
) -> Result:
    """Follow every order after `actions` (host, name, what to do); breadth first, so that findings are short.

    `losses`, `duplicates` and `delays` (a timer fires while something is still on its way) are how often each may
    happen in one order. `tunnel` says whether each side must be able to send to the other all the time: not so where
    an action ends the tunnel.
    """
    copied = (deepcopy(ends[0]), deepcopy(ends[1]))
    state = State(copied, (), now, losses, duplicates, delays)
    for host, name, action in actions:
        state = _act(state, host, name, action)
    result = Result()
    ways: dict[object, int] = {}
    key = shape(state)
    waiting = deque([(state, key)])
    ways[key] = 1
    while waiting:
        state, key = waiting.popleft()
        result.states += 1
        result.deepest = max(result.deepest, len(state.story))
        if result.states > max_states:
            result.cut += len(waiting) + 1
            break
        found = problems(state, tunnel)
        if found:
            result.findings.append(Finding(found, state.story))
            continue
        steps = list(_steps(state))
        here = ways[key]
        if not steps:
            result.orders += here
            found = disagreements(state, tunnel)
            if found:
                result.findings.append(Finding(found, state.story))
            continue
        if len(state.story) >= max_steps:
            result.cut += 1
            continue
        for following in steps:
            key = shape(following)
            if key not in ways:
                waiting.append((following, key))
            ways[key] = ways.get(key, 0) + here
    return result


def _steps(state: State) -> Iterator[State]:
    for index, flight in enumerate(state.flights):
        others = state.flights[:index] + state.flights[index + 1 :]
        yield _deliver(state, flight, others, "arrives")
        if state.losses:
            lost = replace(state, flights=others, losses=state.losses - 1)
            yield _told(lost, f"{_describe(flight)} is lost")
        if state.duplicates and flight.copies == 1:
            again = (*others, replace(flight, copies=2))
            twice = _deliver(replace(state, duplicates=state.duplicates - 1), flight, again, "arrives, and a copy")
            yield twice
    later = _wait(state) if not state.flights or state.delays else None
    if later is not None:
        yield replace(later, delays=state.delays - 1) if state.flights else later


def _act(state: State, host: int, name: str, action: Action) -> State:
    end = deepcopy(state.ends[host])
    action(end, state.now)
    return _told(_collect(state, host, end), f"{NAMES[host]}: {name}")


def _deliver(state: State, flight: Flight, others: tuple[Flight, ...], what: str) -> State:
    end = deepcopy(state.ends[flight.to])
    end.receive(flight.octets, flight.path, state.now)
    moved = _collect(replace(state, flights=others), flight.to, end)
    return _told(moved, f"{_describe(flight)} {what}")


def _wait(state: State) -> State | None:
    """Nothing is on its way: go on to the next timer of a side that still has something to do."""
    deadlines = [
        (deadline, host)
        for host, end in enumerate(state.ends)
        if _busy(end.core) and (deadline := end.next_deadline()) is not None
    ]
    if not deadlines:
        return None
    deadline, host = min(deadlines)
    now = max(deadline, state.now)
    end = deepcopy(state.ends[host])
    end.advance(now)
    return _told(_collect(replace(state, now=now), host, end), f"{NAMES[host]}'s timer fires")


def _collect(state: State, host: int, end: Endpoint) -> State:
    sent = tuple(
        Flight(1 - host, item.octets, Path(item.path.remote, item.path.local))
        for item in end.datagrams()
        if item.octets != KEEPALIVE
    )
    end.events()
    end.inner_packets()
    ends = (end, state.ends[1]) if host == 0 else (state.ends[0], end)
    return replace(state, ends=ends, flights=state.flights + sent)


def _told(state: State, step: str) -> State:
    return replace(state, story=(*state.story, step))


def _describe(flight: Flight) -> str:
    octets = flight.octets[4:] if flight.octets[:4] == bytes(4) else flight.octets
    header = Header.parse(octets)
    names = {34: "IKE_SA_INIT", 35: "IKE_AUTH", 36: "CREATE_CHILD_SA", 37: "INFORMATIONAL"}
    kind = "response" if header.is_response else "request"
    name = names.get(header.exchange, str(header.exchange))
    return f"{name} {kind} {header.message_id} of {octets[:4].hex()} to {NAMES[flight.to]}"


# what must hold


def problems(state: State, tunnel: bool) -> str:
    """The invariant that does not hold in a state, or nothing."""
    for name, end in zip(NAMES, state.ends, strict=True):
        leak = _leak(end.core)
        if leak:
            return f"{name}: {leak}"
    if tunnel:
        for host, name in enumerate(NAMES):
            ours, theirs = state.ends[host].core, state.ends[1 - host].core
            carrier = _carrier(ours)
            if carrier is None or not _can_receive(theirs, carrier):
                return f"{name} sends on no CHILD SA that the other side can receive on"
    if state.now > HORIZON and any(_busy(end.core) for end in state.ends):
        return f"nothing has settled after {HORIZON:g} s"
    return ""


def disagreements(state: State, tunnel: bool) -> str:
    """How the two sides differ where nothing is left to happen, or nothing."""
    one, two = (end.core for end in state.ends)
    if tunnel and not any(sa.state is IkeState.ESTABLISHED for sa in one.sas.values()):
        return "no IKE SA is left"
    ike_one, ike_two = ({(sa.spi_i, sa.spi_r) for sa in _alive(core)} for core in (one, two))
    if ike_one != ike_two:
        return f"the IKE SAs differ: {_ids(one)} and {_ids(two)}"
    esp_one = {(child.spi_in, child.spi_out) for child in one.children.values()}
    esp_two = {(child.spi_out, child.spi_in) for child in two.children.values()}
    if esp_one != esp_two:
        return f"the CHILD SAs differ: {_children(one)} and {_children(two)}"
    for name, core in zip(NAMES, (one, two), strict=True):
        if any(child.state is not ChildState.INSTALLED for child in core.children.values()):
            return f"{name} keeps a CHILD SA that was replaced: {_children(core)}"
        if len(_alive(core)) > 1:
            return f"{name} keeps more than one IKE SA: {_ids(core)}"
    return ""


def _leak(core: Core) -> str:
    held = [child for sa in core.sas.values() for child in sa.children.values()]
    if sorted(child.id for child in held) != sorted(child.id for child in core.children.values()):
        return "CHILD SAs of the tables differ"
    for sa in core.sas.values():
        for child in sa.children.values():
            if child.sa != sa.id:
                return f"{child.id} is held by {sa.id}, but names {child.sa}"
    waiting = sum(not sa.initiator and sa.state in HALF_OPEN for sa in core.sas.values())
    if core.half_open != waiting:
        return f"{core.half_open} SAs are counted as half-open, and {waiting} are"
    return ""


def _carrier(core: Core) -> ChildSa | None:
    """The CHILD SA that an IP packet would be sent on now."""
    for child in core.children.values():
        source, destination = child.local_ts[0], child.remote_ts[0]
        return carrier(core, (source.protocol, source.start, destination.start, None, None))
    return None


def _can_receive(core: Core, child: ChildSa) -> bool:
    theirs = core.children.get(child.spi_out)
    return theirs is not None and theirs.spi_out == child.spi_in


def _alive(core: Core) -> list[IkeSa]:
    return [sa for sa in core.sas.values() if sa.state in (IkeState.ESTABLISHED, IkeState.DELETE_RESPONSE)]


def _busy(core: Core) -> bool:
    """Whether something is still to happen on its own: an answer awaited, a task waiting, an SA on its way."""
    return any(
        sa.window.outstanding is not None
        or sa.queue
        or sa.postponed
        or (sa.state is IkeState.ESTABLISHED and not sa.timers.keys().isdisjoint(_UNSETTLED))
        or sa.state in UNANSWERED
        or sa.state in HALF_OPEN
        for sa in core.sas.values()
    )


def _ids(core: Core) -> str:
    return ", ".join(f"{sa.id} {sa.state}" for sa in _alive(core)) or "none"


def _children(core: Core) -> str:
    return ", ".join(f"{child.id} {child.state}" for child in core.children.values()) or "none"


# when two states are the same


def shape(state: State) -> object:
    """What a state is apart from its keys, nonces and SPIs: equal for states that must go on alike."""
    numbers: dict[bytes, int] = {}

    def number(spi: bytes) -> int:
        return numbers.setdefault(spi, len(numbers))

    ends = tuple(_end_shape(end.core, number) for end in state.ends)
    flights = tuple(sorted(_flight_shape(flight, number) for flight in state.flights))
    return ends, flights, state.losses, state.duplicates, state.delays


def _end_shape(core: Core, number: Callable[[bytes], int]) -> object:
    return tuple(
        (
            number(sa.spi_i),
            number(sa.spi_r),
            sa.state.value,
            sa.initiator,
            sa.window.next_send,
            sa.window.next_receive,
            bool(sa.window.response),
            _task_shape(core, sa.window.outstanding.task, number) if sa.window.outstanding is not None else None,
            sa.window.outstanding.sent if sa.window.outstanding is not None else 0,
            tuple(_task_shape(core, task, number) for task in sa.queue),
            tuple(_task_shape(core, task, number) for task in sa.postponed),
            tuple(
                (number(child.spi_in), number(child.spi_out), child.state.value, child.sending, child.ours)
                for child in sa.children.values()
            ),
            _sa_number(core, sa.replaced_by, number),
            len(sa.followup.methods) if sa.followup is not None else 0,
            tuple(sorted(sa.timers)),
        )
        for sa in core.sas.values()
    )


def _task_shape(core: Core, task: Any, number: Callable[[bytes], int]) -> object:
    name = type(task).__name__
    if isinstance(task, CreateChildTask):
        return name, _child_number(core, task.rekeys, number), _child_number(core, task.rival, number), task.attempts
    if isinstance(task, RekeyIkeTask):
        return name, _sa_number(core, task.rival, number), task.attempts
    if isinstance(task, FollowupTask):
        return name, len(task.methods), _task_shape(core, task.task, number)
    if isinstance(task, DeleteTask):
        return name, tuple(_child_number(core, child, number) for child in task.children)
    return (name,)


def _child_number(core: Core, child_id: Any, number: Callable[[bytes], int]) -> int:
    for child in core.children.values():
        if child.id == child_id:
            return number(child.spi_in)
    return -1 if child_id is None else -2


def _sa_number(core: Core, sa_id: Any, number: Callable[[bytes], int]) -> int:
    sa = core.sas.get(sa_id)
    return number(sa.spi_i) if sa is not None else (-1 if sa_id is None else -2)


def _flight_shape(flight: Flight, number: Callable[[bytes], int]) -> tuple[int, ...]:
    octets = flight.octets[4:] if flight.octets[:4] == bytes(4) else flight.octets
    header = Header.parse(octets)
    return (
        flight.to,
        number(header.spi_i),
        number(header.spi_r),
        header.exchange,
        header.flags,
        header.message_id,
        header.length,
        flight.copies,
    )
