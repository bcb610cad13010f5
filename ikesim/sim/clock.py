"""Virtual time: one monotonic clock for the whole world, and a wall clock that hosts may disagree about."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
"""The wall time at which simulations start, unless they say otherwise."""


@dataclass(slots=True)
class VirtualClock:
    """Monotonic seconds from 0, moved by whoever owns the clock and never backwards."""

    epoch: datetime = EPOCH
    """The true wall time (aware) at monotonic 0."""
    now: float = 0.0

    def advance_to(self, time: float) -> float:
        """Move to `time`; an earlier one leaves the clock where it is. Returns the time it then shows."""
        self.now = max(self.now, time)
        return self.now

    def wall(self, offset: float = 0.0) -> datetime:
        """The wall clock of a host whose clock is `offset` seconds fast."""
        return self.epoch + timedelta(seconds=self.now + offset)
