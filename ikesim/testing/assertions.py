"""Assertions about a pair, whose messages say what was decided, why, and what became of every datagram."""

from ikesim.ike.events import SaClosed, SaEstablished, SaRefused, to_json
from ikesim.pki.decision import CheckOutcome, TrustDecision
from ikesim.reasons import Reason
from ikesim.testing.pair import Pair


class PairAssertionError(AssertionError):
    """A pair is not as expected; the message holds its whole story."""

    def __init__(self, message: str, pair: Pair) -> None:
        super().__init__(message)
        self.pair = pair


def assert_established(pair: Pair) -> tuple[SaEstablished, SaEstablished]:
    """Both hosts hold an IKE SA with the other, and every CHILD SA of one has its counterpart at the other.

    Returns alice's and bob's newest SaEstablished that still holds. Raises AssertionError.
    """
    __tracebackhide__ = True
    found: list[SaEstablished] = []
    for host in (pair.alice, pair.bob):
        alive = list(host.peers().values())
        if not alive:
            raise _failure(pair, f"{host.name} holds no IKE SA{_last_end(pair)}")
        found.append(alive[-1])
    ours, theirs = (
        [child for child in pair.children(host) if child.state == "installed"] for host in (pair.alice, pair.bob)
    )
    if {(child.spi_in, child.spi_out) for child in ours} != {(child.spi_out, child.spi_in) for child in theirs}:
        raise _failure(pair, f"the CHILD SAs differ: {pair.alice.name} {ours}, {pair.bob.name} {theirs}")
    return found[0], found[1]


def assert_refused(pair: Pair, reason: Reason | str, by: str | None = None) -> SaRefused:
    """An IKE SA was refused for exactly this reason, and nobody holds an IKE SA any more.

    `by` names the host whose decision it was ("alice", "bob"), or is "nobody-answered"; None: any. Returns the event.
    Raises AssertionError, and ValueError for a reason that is not in `ikesim.reasons`.
    """
    __tracebackhide__ = True
    wanted = Reason(reason)
    refusals = [(host, event) for host in (pair.alice, pair.bob) for event in host.of(SaRefused)]
    if by is not None and by != "nobody-answered" and by not in (pair.alice.name, pair.bob.name):
        raise ValueError(f"{by!r} is neither a host of this pair nor nobody-answered")
    for host, event in refusals:
        if event.reason is not wanted:
            continue
        if by is None or event.by == by or (event.by == "us" and host.name == by):
            for other in (pair.alice, pair.bob):
                if other.established:
                    raise _failure(
                        pair, f"refused with {wanted}, but {other.name} still holds {', '.join(other.established)}"
                    )
            return event
    if refusals:
        seen = "; ".join(f"{host.name} says {event.reason} by {event.by}" for host, event in refusals)
        raise _failure(pair, f"expected a refusal with {wanted}{f' by {by}' if by else ''}, but {seen}")
    established = [host.name for host in (pair.alice, pair.bob) if host.established]
    state = (
        f"{' and '.join(established)} hold{'s' * (len(established) == 1)} an IKE SA"
        if established
        else "nothing came up"
    )
    raise _failure(pair, f"expected a refusal with {wanted}, but nobody refused: {state}{_last_end(pair)}")


def _last_end(pair: Pair) -> str:
    ends = [
        f"{host.name}: {type(event).__name__} {event.reason}"
        for host in (pair.alice, pair.bob)
        for event in host.events
        if isinstance(event, (SaRefused, SaClosed))
    ]
    return f" ({'; '.join(ends)})" if ends else ""


def _failure(pair: Pair, message: str) -> PairAssertionError:
    decisions = [
        f"{host.name} decided: {describe_decision(event.decision)}"
        for host in (pair.alice, pair.bob)
        for event in host.events
        if isinstance(event, (SaEstablished, SaRefused)) and event.decision is not None
    ]
    return PairAssertionError("\n".join([message, *decisions, pair.world.report()]), pair)


def describe_decision(decision: TrustDecision) -> str:
    """A decision in a few lines: its summary, and of each path the checks that did not pass."""
    lines = [decision.summary]
    for path in decision.paths:
        lines.append(f"  path {' <- '.join(path.certificates)}: {path.reason or 'accepted'}")
        for check in path.checks:
            if check.outcome is CheckOutcome.FAIL:
                evidence = ", ".join(f"{key} {to_json(value)}" for key, value in check.evidence.items())
                lines.append(f"    failed {check.rule} for {check.subject}: {evidence} ({check.source})")
    return "\n".join(lines)
