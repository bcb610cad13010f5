"""The work that one trust decision may cost, counted, so that no peer's certificates can ask for more.

Each number says where it comes from. What is exceeded ends the search, never the process: BudgetExceeded is turned
into the reason `cert-path-budget` by the decision.
"""

from dataclasses import dataclass, field

from ikesim.errors import IkesimError

SIGNATURES = 100
"""Signature verifications of one decision; webpki's Budget uses the same (a valid chain needs 2 to 10)."""
STEPS = 2000
"""Links tried while paths are searched; webpki allows 200,000 calls of a hundredth of the cost."""
PATHS = 64
"""Candidate paths that are judged and reported; PKITS and cross-signed hierarchies stay below ten."""
NAMES = 50_000
"""Comparisons of a name with a constraint; 250,000 in Go and in webpki, here scaled to a stall of 50 ms."""
POLICIES = 2000
"""Nodes and edges of the policy graph; OpenSSL's tree limit is 1000 nodes (CVE-2023-0464)."""


class BudgetExceeded(IkesimError):
    """A decision asked for more work than it may cost; `kind` is which counter ran out."""

    def __init__(self, kind: str, limit: int) -> None:
        super().__init__(f"the budget of {limit} {kind} is spent")
        self.kind = kind
        self.limit = limit


@dataclass(slots=True)
class Budget:
    """What one decision has left to spend."""

    signatures: int = SIGNATURES
    steps: int = STEPS
    paths: int = PATHS
    names: int = NAMES
    policies: int = POLICIES
    _paid: set[bytes] = field(default_factory=set)

    def signature(self) -> None:
        """Spend one verification, also where a cache knows its result: answers must not depend on what is cached."""
        self.signatures -= 1
        if self.signatures < 0:
            raise BudgetExceeded("signatures", SIGNATURES)

    def verified(self, what: bytes) -> None:
        """A verification was made, and from now on a cache knows of it under `what`."""
        self._paid.add(what)

    def remembered(self, what: bytes) -> None:
        """A cache knows what a verification says: spend it, unless it was spent in this decision already."""
        if what not in self._paid:
            self.signature()
            self._paid.add(what)

    def step(self) -> None:
        """Spend one link of the search."""
        self.steps -= 1
        if self.steps < 0:
            raise BudgetExceeded("links", STEPS)

    def path(self) -> None:
        """Spend one candidate path."""
        self.paths -= 1
        if self.paths < 0:
            raise BudgetExceeded("candidate paths", PATHS)

    def name(self, count: int = 1) -> None:
        """Spend comparisons of names."""
        self.names -= count
        if self.names < 0:
            raise BudgetExceeded("name comparisons", NAMES)

    def policy(self, count: int = 1) -> None:
        """Spend nodes or edges of the policy graph."""
        self.policies -= count
        if self.policies < 0:
            raise BudgetExceeded("policy nodes", POLICIES)
