"""Assertions about a pair, whose messages say what was decided, why, and what became of every datagram."""

from ikesim.ike.events import SaClosed, SaEstablished, SaRefused
from ikesim.reasons import Reason
from ikesim.testing.pair import Pair


def assert_established(pair: Pair) -> tuple[SaEstablished, SaEstablished]:
    """Both hosts hold an IKE SA with the other, and every CHILD SA of one has its counterpart at the other.

    Returns alice's and bob's newest SaEstablished that still holds. Raises AssertionError.
    """
    __tracebackhide__ = True
    found: list[SaEstablished] = []
    for host in (pair.alice, pair.bob):
        alive = list(host.peers().values())
        if not alive:
            _fail(pair, f"{host.name} holds no IKE SA{_last_end(pair)}")
        found.append(alive[-1])
    ours, theirs = (
        [child for child in pair.children(host) if child.state == "installed"] for host in (pair.alice, pair.bob)
    )
    if {(child.spi_in, child.spi_out) for child in ours} != {(child.spi_out, child.spi_in) for child in theirs}:
        _fail(pair, f"the CHILD SAs differ: {pair.alice.name} {ours}, {pair.bob.name} {theirs}")
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
                    _fail(pair, f"refused with {wanted}, but {other.name} still holds {', '.join(other.established)}")
            return event
    if refusals:
        seen = "; ".join(f"{host.name} says {event.reason} by {event.by}" for host, event in refusals)
        _fail(pair, f"expected a refusal with {wanted}{f' by {by}' if by else ''}, but {seen}")
    established = [host.name for host in (pair.alice, pair.bob) if host.established]
    state = (
        f"{' and '.join(established)} hold{'s' * (len(established) == 1)} an IKE SA"
        if established
        else "nothing came up"
    )
    _fail(pair, f"expected a refusal with {wanted}, but nobody refused: {state}{_last_end(pair)}")
    raise AssertionError  # not reached: _fail raises


def _last_end(pair: Pair) -> str:
    ends = [
        f"{host.name}: {type(event).__name__} {event.reason}"
        for host in (pair.alice, pair.bob)
        for event in host.events
        if isinstance(event, (SaRefused, SaClosed))
    ]
    return f" ({'; '.join(ends)})" if ends else ""


def _fail(pair: Pair, message: str) -> None:
    __tracebackhide__ = True
    decisions = [
        f"{host.name}'s decision: {event.decision.to_json()}"
        for host in (pair.alice, pair.bob)
        for event in host.events
        if isinstance(event, (SaEstablished, SaRefused)) and event.decision is not None
    ]
    raise AssertionError("\n".join([message, *decisions, pair.world.report()]))
