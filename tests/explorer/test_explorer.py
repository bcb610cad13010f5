"""The part of the exploration that fits into every test run; `scripts/bench explore --full` does all of it."""

from copy import deepcopy

import pytest

from ikesim.ike.endpoint import Endpoint
from ikesim.sim.explorer import Result
from ikesim.wire.address import Path
from tests.explorer.matrix import ACTIONS, BOTH_WINNERS, SIDES, Case, cases, ends


def check(case: Case, result: Result, *, whole: bool = True) -> None:
    assert not result.findings, f"{case}\n{result.findings[0]}"
    assert result.orders > 0 or not whole
    assert not (whole and result.cut), f"{case}: {result.cut} branches left out"


@pytest.mark.parametrize("first", ACTIONS)
@pytest.mark.parametrize("sides", SIDES, ids=["alice and bob", "alice twice", "bob twice"])
def test_every_order_of_two_actions(sides: tuple[int, int], first: str) -> None:
    for case in cases(chosen=lambda case: (case.sides, case.first) == (sides, first)):
        check(case, case.run())


@pytest.mark.parametrize("first", ACTIONS)
@pytest.mark.parametrize("sides", SIDES, ids=["alice and bob", "alice twice", "bob twice"])
def test_every_order_of_two_actions_with_any_one_datagram_lost(sides: tuple[int, int], first: str) -> None:
    for case in cases(chosen=lambda case: (case.sides, case.first) == (sides, first)):
        if case.contended or case.nonces is BOTH_WINNERS[0]:
            check(case, case.run(losses=1, max_states=250), whole=False)


@pytest.mark.parametrize("limit", ["duplicates", "delays"])
@pytest.mark.parametrize("first", ["rekey IKE", "rekey CHILD"])
def test_two_rekeyings_with_a_datagram_that_comes_twice_or_late(first: str, limit: str) -> None:
    for case in cases(chosen=lambda case: case.sides == SIDES[0] and case.rekeys and case.first == first):
        check(case, case.run(**{limit: 1, "max_states": 150}), whole=False)


# what the exploration stands on


def test_a_copy_has_the_same_digest_and_goes_on_alike() -> None:
    one, _ = ends(BOTH_WINNERS[0])
    twin = deepcopy(one)
    assert twin.state_digest() == one.state_digest()
    runs = []
    for end in (deepcopy(one), twin):
        ACTIONS["rekey IKE"](end, 1.0)
        ACTIONS["reauthenticate"](end, 1.5)
        end.advance(6.0)
        runs.append(([item.octets for item in end.datagrams()], end.state_digest()))
    assert runs[0] == runs[1]
    assert runs[0][1] != one.state_digest()


def test_a_step_of_a_copy_leaves_the_original_alone() -> None:
    one, _ = ends(BOTH_WINNERS[0])
    before = one.state_digest()
    twin = deepcopy(one)
    ACTIONS["delete IKE"](twin, 1.0)
    twin.advance(500.0)
    assert one.state_digest() == before


@pytest.mark.parametrize("action", ACTIONS)
def test_the_digest_tells_every_step_apart(action: str) -> None:
    one, two = (deepcopy(end) for end in ends(BOTH_WINNERS[0]))
    seen = [one.state_digest()]
    ACTIONS[action](one, 1.0)
    seen.append(one.state_digest())
    sent = one.datagrams()
    seen.append(one.state_digest())
    assert sent
    for item in sent:
        two.receive(item.octets, Path(item.path.remote, item.path.local), 1.0)
    for item in two.datagrams():
        one.receive(item.octets, Path(item.path.remote, item.path.local), 1.1)
        seen.append(one.state_digest())
    assert len(set(seen)) == len(seen) >= 4


def test_the_digest_sees_one_bit_of_replay_window_key_or_timer() -> None:
    one, _ = ends(BOTH_WINNERS[0])

    def changed(change: str) -> Endpoint:
        twin = deepcopy(one)
        sa = next(iter(twin.core.sas.values()))
        child = next(iter(sa.children.values()))
        if change == "window":
            child.inbound.replay.update(1)
        elif change == "key":
            child.outbound.key = child.outbound.key[:-1] + bytes((child.outbound.key[-1] ^ 1,))
        elif change == "timer":
            sa.timers["rekey"] += 0.001
        return twin

    assert len({changed(change).state_digest() for change in ("nothing", "window", "key", "timer")}) == 4
    assert changed("nothing").state_digest() == one.state_digest()
