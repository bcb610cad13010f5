"""Timers of many SAs in one heap: setting and cancelling cost nothing, firing O(log n).

A timer's deadline is kept with its SA; an entry of the heap that no longer agrees with it is dropped when it comes
up.
"""

from dataclasses import dataclass, field
from heapq import heappop, heappush

from ikesim.ike.ids import SaId
from ikesim.ike.sa import IkeSa


@dataclass(slots=True)
class Timers:
    """The pending deadlines of one endpoint, in order of (deadline, order of setting)."""

    heap: list[tuple[float, int, SaId, str]] = field(default_factory=list)
    count: int = 0

    def __deepcopy__(self, memo: object) -> "Timers":
        return Timers(list(self.heap), self.count)

    def set(self, sa: IkeSa, name: str, deadline: float) -> None:
        """Start or move the timer `name` of an SA."""
        sa.timers[name] = deadline
        self.count += 1
        heappush(self.heap, (deadline, self.count, sa.id, name))

    def next_deadline(self, sas: dict[SaId, IkeSa]) -> float | None:
        """The earliest deadline that still counts."""
        self._drop(sas)
        return self.heap[0][0] if self.heap else None

    def due(self, sas: dict[SaId, IkeSa], now: float) -> tuple[IkeSa, str] | None:
        """Take the next timer whose deadline has come; None if there is none."""
        self._drop(sas)
        if not self.heap or self.heap[0][0] > now:
            return None
        _, _, sa_id, name = heappop(self.heap)
        sa = sas[sa_id]
        del sa.timers[name]
        return sa, name

    def _drop(self, sas: dict[SaId, IkeSa]) -> None:
        while self.heap:
            deadline, _, sa_id, name = self.heap[0]
            sa = sas.get(sa_id)
            if sa is not None and sa.timers.get(name) == deadline:
                return
            heappop(self.heap)
