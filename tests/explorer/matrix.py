"""What is explored: every pair of actions, begun by either side or both by one, with either nonce outcome."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from ikesim.ike.config import LivenessConfig
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.sa import IkeSa, IkeState
from ikesim.sim.entropy import SeededEntropy
from ikesim.sim.explorer import NAMES, Action, Result, explore
from ikesim.sim.host import SimPorts
from ikesim.testing.pair import Pair
from ikesim.testing.pki import SimPki

QUIET: dict[str, Any] = {"liveness": LivenessConfig(interval=0), "keepalive": 0}


class NoncePorts(SimPorts):
    """Ports whose nonces rise or fall from one draw to the next, all of a host's below all of its peer's or above.

    Whoever asks draws first and answers later. With alice's below bob's and rising, the request of alice holds the
    lowest nonce of two exchanges that cross; with falling ones her answer does: so either SA gets superfluous.
    """

    rising: bool = True
    first: int = 0

    @classmethod
    def of(cls, ports: SimPorts, *, rising: bool, first: int) -> "NoncePorts":
        made = cls(ports.random, ports.vault, ports.store, ports.epoch, ports.clock_offset, ports.hooks)
        made.rising, made.first = rising, first
        return made

    def entropy(self, purpose: str, count: int) -> bytes:
        drawn = super().entropy(purpose, count)
        if purpose != "nonce":
            return drawn
        number = self.random.draws[purpose]
        order = number if self.rising else 0xFFFF - number
        return bytes((self.first,)) + order.to_bytes(2) + drawn[3:]

    def __deepcopy__(self, memo: dict[int, Any]) -> "NoncePorts":
        random = SeededEntropy(self.random.seed, self.random.owner, dict(self.random.draws))
        twin = SimPorts(random, self.vault, self.store, self.epoch, self.clock_offset)
        return NoncePorts.of(twin, rising=self.rising, first=self.first)


@dataclass(frozen=True, slots=True)
class Nonces:
    """Who holds the lowest nonce."""

    rising: bool
    alice_lower: bool

    def __str__(self) -> str:
        holder = "alice" if self.alice_lower else "bob"
        return f"{holder}'s {'request' if self.rising else 'answer'} holds the lowest nonce"


NONCES = (Nonces(True, True), Nonces(False, True), Nonces(True, False), Nonces(False, False))
BOTH_WINNERS = NONCES[:2]

_ready: dict[Nonces, tuple[Endpoint, Endpoint]] = {}


def ends(nonces: Nonces) -> tuple[Endpoint, Endpoint]:
    """Two endpoints with one IKE SA and one CHILD SA, alice the initiator, nothing on its way."""
    if nonces not in _ready:
        pair = Pair.of(SimPki("explorer"), seed="explorer", alice=QUIET, bob=QUIET)
        pair.up()
        found = []
        for host, lower in ((pair.alice, nonces.alice_lower), (pair.bob, not nonces.alice_lower)):
            assert isinstance(host.endpoint, Endpoint)
            host.endpoint.core.ports = NoncePorts.of(host.ports, rising=nonces.rising, first=0 if lower else 128)
            end = deepcopy(host.endpoint)
            end.events()
            found.append(end)
        _ready[nonces] = (found[0], found[1])
    return _ready[nonces]


def _sa(end: Endpoint) -> IkeSa:
    return next(sa for sa in end.core.sas.values() if sa.state is IkeState.ESTABLISHED and sa.replaced_by is None)


def _rekey_ike(end: Endpoint, now: float) -> None:
    end.rekey(_sa(end).id, now)


def _rekey_child(end: Endpoint, now: float) -> None:
    end.rekey(next(iter(_sa(end).children)), now)


def _delete_ike(end: Endpoint, now: float) -> None:
    end.terminate(_sa(end).id, now)


def _delete_child(end: Endpoint, now: float) -> None:
    end.terminate(next(iter(_sa(end).children)), now)


def _create_child(end: Endpoint, now: float) -> None:
    end.create_child(_sa(end).id, "net", now)


def _liveness(end: Endpoint, now: float) -> None:
    end.check_liveness(_sa(end).id, now)


def _reauthenticate(end: Endpoint, now: float) -> None:
    end.reauthenticate(_sa(end).id, now)


ACTIONS: Mapping[str, Action] = {
    "rekey IKE": _rekey_ike,
    "rekey CHILD": _rekey_child,
    "delete IKE": _delete_ike,
    "delete CHILD": _delete_child,
    "create CHILD": _create_child,
    "liveness": _liveness,
    "reauthenticate": _reauthenticate,
}
SIDES = ((0, 1), (0, 0), (1, 1))


@dataclass(frozen=True, slots=True)
class Case:
    """Two actions, the first by host `sides[0]`, with the nonces that decide who wins."""

    first: str
    second: str
    sides: tuple[int, int]
    nonces: Nonces

    def __str__(self) -> str:
        one, two = (NAMES[side] for side in self.sides)
        return f"{one}: {self.first}, {two}: {self.second}, {self.nonces}"

    @property
    def tunnel(self) -> bool:
        """Whether each side must be able to send to the other all the time."""
        return not any("delete" in action for action in (self.first, self.second))

    @property
    def rekeys(self) -> bool:
        """Whether both actions replace an SA."""
        return all("rekey" in action for action in (self.first, self.second))

    @property
    def contended(self) -> bool:
        """Whether both sides may replace the same SA, so that nonces decide."""
        replacing = ("rekey IKE", "rekey CHILD", "reauthenticate")
        return self.sides[0] != self.sides[1] and self.first == self.second and self.first in replacing

    def run(self, **limits: int) -> Result:
        """Explore it; `limits` are those of `explore`."""
        actions = tuple(
            (side, name, ACTIONS[name]) for side, name in zip(self.sides, (self.first, self.second), strict=True)
        )
        return explore(ends(self.nonces), actions, 1.0, tunnel=self.tunnel, **limits)


def cases(nonces: tuple[Nonces, ...] = BOTH_WINNERS, chosen: Callable[[Case], bool] | None = None) -> Iterator[Case]:
    """Every case, in a fixed order."""
    for sides in SIDES:
        for first in ACTIONS:
            for second in ACTIONS:
                if first == "delete IKE" and sides[0] == sides[1]:
                    continue  # nothing is left that the same side could act on
                for item in nonces:
                    case = Case(first, second, sides, item)
                    if chosen is None or chosen(case):
                        yield case
