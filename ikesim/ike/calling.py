"""Which connections are initiated again, and when: a tunnel that should be up, and is not, is called with patience.

Wanted is what starts immediately, what `liveness.action = "restart"` calls again, and what breaks before it makes
anew. Who ended a connection by hand does not want it until somebody initiates it again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from ikesim.ike.config import ConnectionConfig
from ikesim.reasons import Reason

FIRST_WAIT = 5.0
"""Seconds before the second call; each further one waits twice as long."""
LONGEST_WAIT = 300.0
JITTER = 0.2
"""Fraction of a wait that is taken off at random, so that many clients do not call a reborn gateway at once."""
SETTLED = frozenset(
    (
        Reason.DELETED_BY_US,
        Reason.CONNECTION_REMOVED,
        Reason.REKEYED,
        Reason.REAUTHENTICATED,
        Reason.REPLACED,
        Reason.UNIQUE_KEPT,
        Reason.SHUTDOWN,
    )
)
"""Ends after which nothing is missing, or nobody misses it."""


@dataclass(slots=True)
class Calls:
    """The calls to come of one endpoint, by connection; plain data."""

    due: dict[str, float] = field(default_factory=dict)
    tried: dict[str, int] = field(default_factory=dict)
    """Calls in a row that led to no SA."""
    wanted: dict[str, None] = field(default_factory=dict)
    unwanted: dict[str, None] = field(default_factory=dict)

    def want(self, name: str, now: float) -> None:
        """Call a connection at once, and again until it is up."""
        self.wanted[name] = None
        self.due[name] = now

    def give_up(self, name: str) -> None:
        """Somebody ended it by hand."""
        self.wanted.pop(name, None)
        self.due.pop(name, None)
        self.tried.pop(name, None)
        self.unwanted[name] = None

    def begin(self, name: str) -> None:
        """Somebody initiates it."""
        self.unwanted.pop(name, None)

    def up(self, name: str) -> None:
        """It is up."""
        self.due.pop(name, None)
        self.tried.pop(name, None)
        self.wanted.pop(name, None)

    def lost(
        self, connection: ConnectionConfig, reason: Reason, now: float, entropy: Callable[[str, int], bytes]
    ) -> None:
        """An SA of a connection ended, or did not come up: call again after a while, if that is wanted."""
        name = connection.name
        wanted = name in self.wanted or connection.start == "immediately"
        if not wanted or name in self.unwanted or reason in SETTLED or connection.remote is None:
            return
        tried = self.tried[name] = self.tried.get(name, 0) + 1
        wait = min(FIRST_WAIT * 2.0 ** min(tried - 1, 10), LONGEST_WAIT)
        self.due[name] = now + wait * (1 - JITTER * int.from_bytes(entropy("jitter", 2)) / 65536)

    def next_deadline(self) -> float | None:
        """When the next call is due."""
        return min(self.due.values(), default=None)

    def take_due(self, now: float) -> list[str]:
        """The connections to call now."""
        names = [name for name, deadline in self.due.items() if deadline <= now]
        for name in names:
            del self.due[name]
        return names
