"""A tunnel's long life in a bad network: what is lost, what is kept, and for how long nobody can send."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from sys import getsizeof
from types import ModuleType
from typing import Any

from ikesim.esp.host import echo_request, parse_echo_reply
from ikesim.ike.core import Core
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.sa import IkeState
from ikesim.ike.traffic import carrier
from ikesim.sim.host import SimHost
from ikesim.sim.world import World
from ikesim.testing.pair import Pair
from ikesim.testing.pki import SimPki

SETTINGS: dict[str, Any] = {
    "rekey_time": 300.0,
    "child": {"rekey_time": 60.0},
    "jitter": 0.0,
    "over_time": 1.0,
    "retransmit": {"initial": 2.0, "factor": 1.5, "tries": 8},
    "start": "immediately",
}
"""Both sides rekey the CHILD SA each minute and the IKE SA each five, at the same moment: without jitter."""
CONDITIONS = {"loss": 0.01, "duplicate": 0.01, "reorder": 0.05, "delay": 0.02, "jitter": 0.01, "reorder_delay": 0.2}
PROBE = 17.3
"""Seconds between echo requests: in no step with the rekeyings."""
WARM = 2 * 3600.0
"""Seconds after which every kind of timer and cache has been filled once."""


@dataclass(slots=True)
class Life:
    """What was seen."""

    seconds: float = 0.0
    probes: int = 0
    answered: int = 0
    longest_silence: float = 0.0
    """Seconds during which one side's packets could not be received by the other, at the longest."""
    rekeyings: int = 0
    closed: list[str] = field(default_factory=list)
    most_ike: int = 0
    """IKE SAs that one side held at a time, at the most; and CHILD SAs."""
    most_children: int = 0
    objects: list[int] = field(default_factory=list)
    """Objects of both endpoints together, each hour from `WARM` on; and their octets."""
    octets: list[int] = field(default_factory=list)


def live(seconds: float, seed: int) -> Life:
    """Run one life and watch it after every step."""
    pair = Pair.of(SimPki("long run"), seed=seed, alice=SETTINGS, bob=SETTINGS, **CONDITIONS)
    pair.up()
    life = Life(seconds)
    silent = {host.name: pair.world.now for host in (pair.alice, pair.bob)}
    begin, hour = pair.world.now, WARM
    pair.world.after(PROBE, Probing(pair, life))
    while pair.world.now - begin < seconds:
        pair.world.step()
        now = pair.world.now
        for host in (pair.alice, pair.bob):
            if heard(core_of(host), core_of(pair.peer(host))):
                silent[host.name] = now
            life.longest_silence = max(life.longest_silence, now - silent[host.name])
            core = core_of(host)
            up = [sa for sa in core.sas.values() if sa.state is IkeState.ESTABLISHED]
            life.most_ike = max(life.most_ike, len(up))
            life.most_children = max(life.most_children, len(core.children))
        if now - begin >= hour:
            hour += 3600.0
            sizes = [size for host in (pair.alice, pair.bob) for size in plain_data(host)]
            life.objects.append(len(sizes))
            life.octets.append(sum(sizes))
    life.answered = sum(
        parse_echo_reply(packet) is not None for host in (pair.alice, pair.bob) for packet in host.inner_received
    )
    life.rekeyings = sum(type(event).__name__ == "Rekeyed" for event in pair.alice.events)
    life.closed = [
        event.reason for host in (pair.alice, pair.bob) for event in host.events if type(event).__name__ == "SaClosed"
    ]
    return life


@dataclass(slots=True)
class Probing:
    """An echo request from each side, again and again."""

    pair: Pair
    life: Life

    def __call__(self, world: World) -> None:
        """Send two now, and the next ones later."""
        self.life.probes += 2
        number = self.life.probes % 0x10000
        self.pair.alice.send_inner(echo_request("10.1.0.1", "10.2.0.1", 5, number, b""))
        self.pair.bob.send_inner(echo_request("10.2.0.1", "10.1.0.1", 5, number, b""))
        world.after(PROBE, self)


def core_of(host: SimHost) -> Core:
    """The state below a host's endpoint."""
    assert isinstance(host.endpoint, Endpoint)
    return host.endpoint.core


def heard(ours: Core, theirs: Core) -> bool:
    """Whether a packet that we send now is one that the peer can open."""
    for child in ours.children.values():
        flow = (1, child.local_ts[0].start, child.remote_ts[0].start, None, None)
        chosen = carrier(ours, flow)
        known = theirs.children.get(chosen.spi_out) if chosen is not None else None
        return chosen is not None and known is not None and known.spi_out == chosen.spi_in
    return False


def plain_data(host: SimHost) -> Iterator[int]:
    """The sizes of all objects of a host's core, ports and configuration left out, each once."""
    core = core_of(host)
    seen = {id(core.ports), id(core.config)}
    waiting: list[Any] = [value for value in vars(core).values() if id(value) not in seen]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type | ModuleType) or callable(item):
            continue
        seen.add(id(item))
        yield getsizeof(item)
        if isinstance(item, dict):
            waiting += [*item.keys(), *item.values()]
        elif hasattr(item, "__dataclass_fields__"):
            waiting += [getattr(item, name) for name in item.__dataclass_fields__]
        elif not isinstance(item, str | bytes) and hasattr(item, "__iter__"):
            waiting += list(item)
