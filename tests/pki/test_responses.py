"""The memory of OCSP responses is bounded and forgets what has expired; budgets do not see caches."""

from datetime import timedelta

import pytest

from ikesim.pki import responses
from ikesim.pki.budget import SIGNATURES, Budget, BudgetExceeded
from ikesim.pki.caching import clear_caches
from ikesim.pki.crl import CRL_CACHE
from ikesim.pki.decision import LearnedOcsp
from ikesim.pki.profiles import RevocationSettings
from ikesim.pki.responses import MAX_ABOUT_ONE, MAX_OCTETS, MAX_RESPONSES, Responses
from ikesim.reasons import Reason
from tests.pki.revocation_world import CRL, HOUR, NOW, OCSP, World

LATER = NOW + HOUR


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def test_responses_are_found_by_the_certificate_they_are_about(world: World) -> None:
    held = Responses()
    held.learn([LearnedOcsp(b"ours", world.leaf.serial, LATER), LearnedOcsp(b"others", 4711, LATER)], NOW)
    assert held.about([world.leaf.der], NOW) == (b"ours",)
    assert held.about([b"no certificate", world.root.certificate], NOW) == ()
    assert held.about([world.leaf.der], LATER) == (b"ours",)
    assert held.about([world.leaf.der], LATER + timedelta(microseconds=1)) == ()


def test_what_is_newer_comes_first_and_few_are_kept_of_one_serial(world: World) -> None:
    held = Responses()
    for number in range(MAX_ABOUT_ONE + 2):
        held.learn([LearnedOcsp(b"%d" % number, world.leaf.serial, LATER)], NOW)
    assert held.about([world.leaf.der], NOW) == (b"5", b"4", b"3", b"2")
    assert len(held) == 1


def test_the_memory_is_bounded(world: World) -> None:
    held = Responses()
    held.learn([LearnedOcsp(b"x" * (MAX_OCTETS + 1), 1, LATER), LearnedOcsp(b"late", 2, NOW - HOUR)], NOW)
    assert len(held) == 0
    held.learn([LearnedOcsp(b"ours", world.leaf.serial, NOW + 2 * HOUR)], NOW)
    held.learn([LearnedOcsp(b"r", serial, LATER) for serial in range(1, MAX_RESPONSES + 1)], NOW)
    assert len(held) == MAX_RESPONSES
    assert held.about([world.leaf.der], NOW) == (), "learned longest ago"
    held.learn([LearnedOcsp(b"ours", world.leaf.serial, NOW + 3 * HOUR)], LATER + HOUR)
    assert held.about([world.leaf.der], LATER + HOUR) == (b"ours",), "the expired ones went first"
    assert len(held) == 1


def _forget() -> None:
    clear_caches()
    CRL_CACHE.clear()


@pytest.mark.parametrize("settings", [CRL, OCSP], ids=["crl", "ocsp"])
def test_a_budget_is_spent_the_same_cold_and_warm(world: World, settings: RevocationSettings) -> None:
    crls = tuple(world.root.crl(NOW - HOUR, number=number) for number in range(20, 26))
    answers = tuple(world.root.ocsp(world.leaf.der, NOW - timedelta(minutes=minute)) for minute in range(1, 7))
    left = []
    for cold in (True, False):
        if cold:
            _forget()
        budget = Budget()
        for _ in range(2):
            assert world.check(settings, *crls, ocsp=answers, budget=budget).accepted
        left.append(budget.signatures)
    assert left == [SIGNATURES - len(crls) - len(answers)] * 2


@pytest.mark.parametrize("cold", [True, False])
def test_an_exhausted_budget_says_so_also_when_caches_know_everything(world: World, cold: bool) -> None:
    crls = tuple(world.root.crl(NOW - HOUR, number=number) for number in range(30, 34))
    if cold:
        _forget()
    else:
        assert world.check(CRL, *crls).accepted
    result = world.check(CRL, *crls, budget=Budget(signatures=len(crls) - 1))
    assert result.reason is Reason.CERT_PATH_BUDGET
    assert world.check(CRL, *crls, budget=Budget(signatures=len(crls))).accepted


def test_what_a_cache_knows_is_paid_once() -> None:
    budget = Budget(signatures=1)
    budget.remembered(b"a")
    budget.remembered(b"a")
    with pytest.raises(BudgetExceeded, match="signatures"):
        budget.remembered(b"b")
    budget = Budget(signatures=1)
    budget.signature()
    budget.verified(b"a")
    budget.remembered(b"a")
    assert budget.signatures == 0
    assert responses.MAX_RESPONSES * responses.MAX_OCTETS <= 8 * 1024 * 1024
