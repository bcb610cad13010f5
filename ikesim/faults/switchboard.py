"""Switching faults on and off at one endpoint: any number at once, chained on each seam in the order of switching."""

from collections.abc import Callable
from typing import Any

from ikesim.errors import NotFoundError
from ikesim.faults.base import SEAMS, Fault
from ikesim.faults.target import Target

DROPPED = b""


class Switchboard:
    """The faults of one endpoint. Whatever already listened on its hooks goes on listening, first."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._active: dict[int, Fault] = {}
        self._count = 0
        self._before: dict[str, Callable[..., Any] | None] | None = None

    @property
    def active(self) -> dict[int, Fault]:
        """The faults that are on, by their number here, in the order in which they act."""
        return dict(self._active)

    def enable(self, fault: Fault) -> int:
        """Switch a fault on; the number by which to switch it off. What its start raises leaves it off."""
        fault.target = self._target
        fault.start()
        self._count += 1
        self._active[self._count] = fault
        self._rewire()
        return self._count

    def disable(self, number: int) -> None:
        """Switch a fault off. Raises NotFoundError."""
        fault = self._active.pop(number, None)
        if fault is None:
            raise NotFoundError(f"no fault with number {number} is on")
        self._rewire()
        fault.stop()
        self._target.pump()

    def clear(self) -> None:
        """Switch everything off."""
        for number in list(self._active):
            self.disable(number)

    def _rewire(self) -> None:
        hooks = self._target.hooks
        if self._before is None:
            self._before = {seam: getattr(hooks, seam) for seam in SEAMS}
        for seam in SEAMS:
            calls = [getattr(fault, seam) for fault in self._active.values() if hasattr(fault, seam)]
            before = self._before[seam]
            setattr(hooks, seam, _chain([before, *calls] if before is not None else calls) if calls else before)
        if not self._active:
            self._before = None


def _chain(calls: list[Callable[..., Any]]) -> Callable[..., Any]:
    """One hook out of several: each gets what the one before made of it; a dropped datagram reaches no further."""
    if len(calls) == 1:
        return calls[0]

    def run(sa: Any, value: Any, *rest: Any) -> Any:
        changed = None
        for call in calls:
            result = call(sa, value, *rest)
            if result is not None:
                value = changed = result
                if result == DROPPED and isinstance(result, bytes):
                    break
        return changed

    return run
