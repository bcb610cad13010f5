"""`scripts/bench sas`: what an established IKE SA with one CHILD SA costs in memory, and in timers while it is idle.

Both ends live in one process. Memory is what `tracemalloc` counts for one end's share of many SAs, made by real
handshakes; the part of the decision record is what goes away when the record is taken out.
"""

import gc
import tracemalloc
from dataclasses import dataclass, replace
from functools import partial
from time import process_time
from typing import Any

from ikesim.ike.config import EndpointConfig
from ikesim.ike.sa import IkeState
from tests.bench.handshake import Side, handshake, make_sides

SIZES = (100, 1_000)
FULL_SIZES = (*SIZES, 20_000)
IDLE = 600.0
"""Virtual seconds of nothing but timers: liveness checks and keepalives of all SAs."""


def run(full: bool = False) -> dict[str, Any]:
    """Figures in octets for each SA of one end, and CPU when idle; ratios: growth, and the part of a core."""
    figures: dict[str, Any] = {}
    each: list[float] = []
    for size in FULL_SIZES if full else SIZES:
        cost = measure(size)
        each.append(cost.octets)
        figures |= {
            f"{size:,} SAs: octets each": round(cost.octets),
            f"{size:,} SAs: of these the decision record": round(cost.record),
            f"{size:,} SAs: part of a core, timers only": round(cost.idle, 4),
            f"{size:,} SAs: part of a core, a sign of life each 30 s": round(cost.asking, 4),
        }
    ratios = {"largest_over_smallest": round(each[-1] / each[0], 3), "of_12_KiB": round(max(each) / 12_288, 3)}
    return {"figures": figures, "ratios": {**ratios, "idle_core": round(cost.idle, 4)}}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one end."""

    octets: float
    """For each SA, and those of its decision record."""
    record: float
    asking: float
    """The part of a core with a sign of life from each peer every 30 s, and where traffic makes that needless."""
    idle: float


def measure(size: int) -> Cost:
    """What so many SAs cost."""
    alice, bob = (roomy(side) for side in make_sides())
    for number in range(20):
        handshake(alice, bob, 100.0 + number * 1e-3)
    gc.collect()
    tracemalloc.start(1)
    before = tracemalloc.get_traced_memory()[0]
    for number in range(size):
        handshake(alice, bob, 1000.0 + number * 1e-3)
    gc.collect()
    after = tracemalloc.get_traced_memory()[0]
    held = [
        [sa for sa in side.endpoint.core.sas.values() if sa.state is IkeState.ESTABLISHED] for side in (alice, bob)
    ]
    assert all(len(sas) == size + 20 for sas in held)
    assert all(len(side.endpoint.core.children) == size + 20 for side in (alice, bob))
    peers = [sa.peer for sas in held for sa in sas]
    for sas in held:
        for sa in sas:
            assert sa.peer is not None
            sa.peer = replace(sa.peer, decision=held[0][0].peer.decision)  # type: ignore[union-attr]  # established
    del peers
    gc.collect()
    without = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    now = 1000.0 + size * 1e-3
    asking, now = idle(alice, bob, now)
    for sas in held:
        for sa in sas:
            sa.last_heard = now + 2 * IDLE  # traffic flows: no sign of life is asked for
    return Cost((after - before) / 2 / size, (after - without) / 2 / size, asking, idle(alice, bob, now)[0])


def idle(alice: Side, bob: Side, now: float) -> tuple[float, float]:
    """The part of a core that one end takes while nothing happens but timers, and the time after that."""
    begun, last = process_time(), now + IDLE
    while now < last:
        now = step(alice, bob, now)
    return (process_time() - begun) / IDLE / 2, now


def roomy(side: Side) -> Side:
    """The same end, with a configuration that lets one peer have many SAs."""
    config: EndpointConfig = side.endpoint.config
    connections = {name: replace(item, unique="never") for name, item in config.connections.items()}
    side.endpoint.core.config = replace(config, connections=connections, cookie_threshold=1 << 30)
    return side


def step(alice: Side, bob: Side, now: float) -> float:
    """Let the next timer of either end fire, and carry what it sends and what answers; the time then."""
    deadlines = [side.endpoint.next_deadline() for side in (alice, bob)]
    now = max(now, min(deadline for deadline in deadlines if deadline is not None))
    for ours, theirs in ((alice, bob), (bob, alice)):
        traffic = [(theirs, ours, item) for item in ours.do(partial(ours.endpoint.advance, now))]
        while traffic:
            to, sender, (octets, path) = traffic.pop()
            answers = to.do(partial(to.endpoint.receive, octets, path, now))
            traffic += [(sender, to, item) for item in answers]
        ours.endpoint.events()
        theirs.endpoint.events()
    return now
