"""Certificate policies (RFC 5280 6.1, as RFC 9618 makes it safe): a graph in place of the tree.

The tree of RFC 5280 doubles at every level when CAs map policies crosswise. Nodes of one level with the same policy
have the same expected policies, so that one node with several parents stands for all of them: RFC 9618's graph, whose
size is linear in the certificates. What the tree's pruning leaves is what can be reached from the last level.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from ikesim.pki.budget import Budget
from ikesim.pki.certificates import ANY_POLICY, Certificate


@dataclass(slots=True)
class _Node:
    """A valid policy at one depth: what it expects one deeper, and its parents' policies one higher."""

    expected: tuple[str, ...]
    parents: list[str] = field(default_factory=list)


@dataclass(slots=True)
class PolicyState:
    """State variables of RFC 5280 6.1.2 (a), (d), (e), (f), for a path of `length` certificates below the anchor."""

    length: int
    budget: Budget
    initial: frozenset[str]
    """user-initial-policy-set."""
    explicit_policy: int
    policy_mapping: int
    inhibit_any_policy: int
    levels: list[dict[str, _Node]] | None
    """valid_policy_graph, a level for each depth; None: NULL."""
    obeys_constraints: bool = True
    """Whether policyConstraints of certificates count."""

    @classmethod
    def start(
        cls,
        length: int,
        budget: Budget,
        initial: Iterable[str] = (),
        *,
        explicit: bool = False,
        inhibit_any: bool = False,
        inhibit_mapping: bool = False,
        obeys_constraints: bool = True,
    ) -> "PolicyState":
        """The state before the first certificate (6.1.2); no initial policies mean any-policy."""
        return cls(
            length=length,
            budget=budget,
            initial=frozenset(initial) or frozenset((ANY_POLICY,)),
            explicit_policy=0 if explicit else length + 1,
            policy_mapping=0 if inhibit_mapping else length + 1,
            inhibit_any_policy=0 if inhibit_any else length + 1,
            levels=[{ANY_POLICY: _Node((ANY_POLICY,))}],
            obeys_constraints=obeys_constraints,
        )

    def process(self, certificate: Certificate, final: bool) -> bool:
        """6.1.3 (d)-(f) for the next certificate; False when (f) fails. Raises BudgetExceeded."""
        policies = certificate.policies
        if policies is None:
            self.levels = None
        elif self.levels is not None:
            any_counts = self.inhibit_any_policy > 0 or (not final and certificate.is_self_issued)
            self._grow(policies, any_counts)
        return self.explicit_policy > 0 or self.levels is not None

    def _grow(self, policies: tuple[str, ...], any_counts: bool) -> None:
        """6.1.3 (d)(1)-(3)."""
        assert self.levels is not None
        above = self.levels[-1]
        expecting: dict[str, list[str]] = {}
        for policy, node in above.items():
            self.budget.policy(len(node.expected))
            for expected in node.expected:
                expecting.setdefault(expected, []).append(policy)
        grown: dict[str, _Node] = {}
        for policy in policies:
            if policy == ANY_POLICY:
                continue
            parents = expecting.get(policy) or ([ANY_POLICY] if ANY_POLICY in above else [])
            if parents:
                grown[policy] = _Node((policy,), parents)
        if ANY_POLICY in policies and any_counts:
            for policy, parents in expecting.items():
                if policy not in grown:
                    grown[policy] = _Node((policy,), parents)
        self.budget.policy(sum(1 + len(node.parents) for node in grown.values()))
        if grown:
            self.levels.append(grown)
        else:
            self.levels = None

    def prepare(self, certificate: Certificate) -> str:
        """6.1.4 (a), (b), (h)-(j) before the next certificate: "" or what is wrong. Raises BudgetExceeded."""
        mappings = certificate.policy_mappings
        if any(ANY_POLICY in pair for pair in mappings):
            return "any-policy is mapped"
        if mappings and self.levels is not None:
            self._map(mappings)
        if not certificate.is_self_issued:
            self.explicit_policy = max(0, self.explicit_policy - 1)
            self.policy_mapping = max(0, self.policy_mapping - 1)
            self.inhibit_any_policy = max(0, self.inhibit_any_policy - 1)
        constraints = certificate.policy_constraints if self.obeys_constraints else None
        if constraints is not None:
            if constraints.require_explicit is not None:
                self.explicit_policy = min(self.explicit_policy, constraints.require_explicit)
            if constraints.inhibit_mapping is not None:
                self.policy_mapping = min(self.policy_mapping, constraints.inhibit_mapping)
        if certificate.inhibit_any_policy is not None:
            self.inhibit_any_policy = min(self.inhibit_any_policy, certificate.inhibit_any_policy)
        return ""

    def _map(self, mappings: tuple[tuple[str, str], ...]) -> None:
        """6.1.4 (b)."""
        assert self.levels is not None
        level = self.levels[-1]
        targets: dict[str, dict[str, None]] = {}
        for issuer_policy, subject_policy in mappings:
            targets.setdefault(issuer_policy, {})[subject_policy] = None
        self.budget.policy(len(mappings))
        for policy, expected in targets.items():
            if self.policy_mapping == 0:
                level.pop(policy, None)
            elif policy in level:
                level[policy].expected = tuple(expected)
            elif ANY_POLICY in level:
                level[policy] = _Node(tuple(expected), [ANY_POLICY])
        if not level:
            self.levels = None

    def wrap_up(self, certificate: Certificate) -> tuple[bool, frozenset[str], frozenset[str]]:
        """6.1.5 (a), (b), (g) after the end certificate: whether policies are satisfied, the authorities-constrained
        and the user-constrained policy set.
        """
        self.explicit_policy = max(0, self.explicit_policy - 1)
        constraints = certificate.policy_constraints if self.obeys_constraints else None
        if constraints is not None and constraints.require_explicit == 0:
            self.explicit_policy = 0
        authorities = self._authorities()
        if ANY_POLICY in self.initial:
            user = authorities
        elif ANY_POLICY in authorities:
            user = self.initial
        else:
            user = authorities & self.initial
        return self.explicit_policy > 0 or bool(user), authorities, user

    def _authorities(self) -> frozenset[str]:
        """The policies of all nodes that reach the last level and whose parent is any-policy."""
        if self.levels is None:
            return frozenset()
        found = {ANY_POLICY} if ANY_POLICY in self.levels[-1] else set()
        reached = set(self.levels[-1])
        for level in reversed(self.levels[1:]):
            higher: set[str] = set()
            for policy in reached:
                parents = level[policy].parents
                if policy != ANY_POLICY and ANY_POLICY in parents:
                    found.add(policy)
                higher.update(parents)
            reached = higher
        return frozenset(found)
