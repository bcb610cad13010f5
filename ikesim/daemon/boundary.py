"""The one place where an exception that must never leave the core is met.

The core raises nothing on network input, and documented errors (IkesimError) on commands. Anything else is a bug of
ours; a daemon that other people's tunnels depend on counts it, logs it with its traceback, and goes on without the
datagram, timer or fetch that caused it. Fuzzing and simulation run the core without this boundary, so that a bug
fails there.
"""

import logging
from collections.abc import Callable
from typing import ParamSpec

P = ParamSpec("P")

log = logging.getLogger("ikesim.daemon")


class Boundary:
    """Calls into the core that must not end the daemon; `dropped` counts those that would have."""

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        """Let exceptions through: tests fail on them."""
        self.dropped = 0

    def contain(self, what: str, call: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> bool:
        """Make the call; False when it raised what it must never raise (counted, logged, dropped)."""
        try:
            call(*args, **kwargs)
        except Exception:
            if self.strict:
                raise
            self.dropped += 1
            log.exception("internal error while handling %s; it was dropped (%d so far)", what, self.dropped)
            return False
        return True
