"""Plays scenes: two endpoints meet, one of them lies, and what the other decided is looked at."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ikesim.faults import Scene, SceneFault, Switchboard, Target
from ikesim.faults.auth import SendCertificates
from ikesim.ike.events import SaEstablished, SaRefused
from ikesim.pki.decision import Check, CheckOutcome, TrustDecision
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, SimPki, assert_established, assert_refused

AUTHENTICATION_FAILED = 24


@dataclass(frozen=True)
class Expected:
    """What the judge must say. `subject` is the start of the failing check's subject ({liar}, {root} and {issuing}
    stand for the liar's names), `rule` that check's rule as its RFC has it; `evidence` is part of its evidence."""

    reason: str | None
    subject: str = ""
    rule: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


ACCEPTED = Expected(None)


class Case(NamedTuple):
    """A scene, how the judge is configured, and what it must say."""

    row: str
    fault: SceneFault
    expected: Expected
    judge: dict[str, Any]

    @property
    def name(self) -> str:
        options = [
            str(value) if value is not True else key
            for key, value in vars(self.fault).items()
            if value != type(self.fault).options()[key].default
        ]
        policy = [str(value) for value in self.judge.values()]
        return " ".join([self.row, self.fault.title(), *options, *policy])


def play(fault: SceneFault, pki: SimPki, *, liar: str = "alice", seed: str = "", **judge: Any) -> tuple[Scene, Pair]:
    """Prepare the scene, let the endpoints meet (alice initiates) and return what came of it."""
    scene = Scene(pki, liar)
    fault.prepare(scene)
    other = "bob" if liar == "alice" else "alice"
    settings: dict[str, Any] = {liar: dict(scene.own), other: {**scene.judge, **judge}}
    if "local_id" in scene.own:
        # the initiator names whom it expects (IDr), so both ends must agree about that
        settings[other].setdefault("remote_id", scene.own["local_id"])
    pair = Pair.of(pki, seed=seed, crls="http" if scene.fetch else "held", **settings)
    pair.world.services.update(scene.services)
    board = switchboard(host_of(pair, liar))
    if scene.sent:
        board.enable(SendCertificates(payloads=scene.sent))
    for item in scene.faults:
        board.enable(item)
    pair.up()
    return scene, pair


def host_of(pair: Pair, name: str) -> SimHost:
    return pair.alice if name == "alice" else pair.bob


def switchboard(host: SimHost) -> Switchboard:
    return Switchboard(Target.simulated(host))


def verdict(pair: Pair, judge: str) -> TrustDecision:
    """What the judge decided about the liar."""
    events = [event for event in host_of(pair, judge).events if isinstance(event, (SaEstablished, SaRefused))]
    decision = events[0].decision
    assert decision is not None, events
    return decision


def deciding(decision: TrustDecision) -> Check:
    """The check that decided: the first that failed, on the path that has the decision's reason."""
    path = next(path for path in decision.paths if path.reason is decision.reason)
    failed = [check for check in path.checks if check.outcome is CheckOutcome.FAIL and check.reason is path.reason]
    return failed[0]


def check(pair: Pair, liar: str, expected: Expected) -> TrustDecision:
    """Hold a finished scene against what must have come of it."""
    judge = "bob" if liar == "alice" else "alice"
    if expected.reason is None:
        assert_established(pair)
        assert pair.ping() == 1
        decision = verdict(pair, judge)
        assert decision.accepted
        return decision
    event = assert_refused(pair, expected.reason, by=judge)
    decision = verdict(pair, judge)
    assert event.decision is not None and decision.reason == expected.reason
    side = "north" if liar == "alice" else "south"
    names = {
        "liar": f"CN={liar}",
        "root": f"O={side}, CN={side}",
        "issuing": f"O={side}, CN={side}-issuing",
        "side": side,
        "id": decision.identity or "",
    }
    failed = deciding(decision)
    assert failed.subject.startswith(expected.subject.format(**names)), failed
    assert failed.rule == expected.rule, failed
    for key, value in expected.evidence.items():
        wanted = value.format(liar=liar) if isinstance(value, str) else value
        assert failed.evidence.get(key) == wanted, failed
    # the liar learns nothing but that it failed
    told = [event for event in host_of(pair, liar).events if isinstance(event, SaRefused)]
    for item in told:
        assert item.decision is None or item.by != "us"
    return decision
