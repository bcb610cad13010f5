"""When an endpoint tests its cryptography, and what it knows of the outcome.

Once a test has failed the endpoint makes nothing new, with reason self-test-failed; SAs that are up live on until
they would be renewed. The error ends when every test that failed has passed.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ikesim.crypto import selftest
from ikesim.crypto.selftest import Outcome
from ikesim.errors import ForbiddenError
from ikesim.ike.events import to_json

FAILED = "a cryptographic self-test has failed"
"""What a refusal says; which test it was stands in the status."""


@dataclass(frozen=True, slots=True)
class SelfTestSettings:
    """What the two administrators have set."""

    enabled: bool = True
    """The cryptographic administrator's: without it no test runs."""
    interval: float = 0.0
    """The security administrator's: seconds between two runs, 0 for none but those at start and on demand."""
    only: tuple[str, ...] = ()
    """The security administrator's: the tests or families that run; empty: all."""


@dataclass(slots=True)
class SelfTests:
    """The self-tests of one endpoint; plain data."""

    settings: SelfTestSettings = field(default_factory=SelfTestSettings)
    failed: dict[str, str] = field(default_factory=dict)
    """What is wrong, by test; not empty: the endpoint is in its error state."""
    runs: int = 0
    last_run: datetime | None = None
    """Wall time."""
    last_trigger: str = ""
    due: float | None = None
    """Monotonic time of the next periodic run."""

    def configure(self, settings: SelfTestSettings, now: float) -> None:
        """Take other settings; a period begins now. Raises UsageError for a test that does not exist."""
        selftest.select(settings.only)
        self.settings = settings
        self.due = now + settings.interval if settings.enabled and settings.interval else None

    def run(
        self,
        trigger: str,
        at: datetime,
        only: Collection[str] | None,
        hook: Callable[[str, bytes], bytes | None] | None,
    ) -> tuple[Outcome, ...]:
        """Run tests (None: those of the settings). Raises ForbiddenError where they are disabled, UsageError."""
        if not self.settings.enabled:
            raise ForbiddenError("the self-tests are disabled; a cryptographic administrator may enable them")
        outcomes = selftest.run(self.settings.only if only is None else only, hook)
        for outcome in outcomes:
            self.failed.pop(outcome.name, None)
            if not outcome.passed:
                self.failed[outcome.name] = outcome.detail
        self.runs += 1
        self.last_run, self.last_trigger = at, trigger
        return outcomes

    def to_json(self) -> dict[str, Any]:
        """What `ikesim status` and `ikesim self-test show` say."""
        state = "error" if self.failed else "passed" if self.runs else "not-run"
        return {
            "state": state,
            "enabled": self.settings.enabled,
            "interval": self.settings.interval,
            "only": list(self.settings.only),
            "runs": self.runs,
            "last_run": to_json(self.last_run),
            "last_trigger": self.last_trigger or None,
            "failed": dict(self.failed),
        }


def outcome_document(outcomes: Collection[Outcome]) -> list[Mapping[str, Any]]:
    """Outcomes as JSON."""
    return [
        {"name": item.name, "family": item.family, "passed": item.passed, "detail": item.detail} for item in outcomes
    ]
