"""The pytest plugin: fixtures for tests of certificate authentication, and the story of every failed simulation."""

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from ikesim.testing.pair import Pair
    from ikesim.testing.pki import SimPki

_PAIRS = pytest.StashKey["list[Pair]"]()


@pytest.fixture
def ike_pki(request: pytest.FixtureRequest) -> "SimPki":
    """Roots north and south, an issuing CA under each, leaves for alice (north) and bob (south), CRLs for all.

    Every key follows from the test's name.
    """
    from ikesim.testing.pki import SimPki

    return SimPki(seed=request.node.name)


@pytest.fixture
def ike_pair(request: pytest.FixtureRequest, ike_pki: "SimPki") -> "Iterator[Callable[..., Pair]]":
    """A function that makes two connected hosts, alice and bob, of the PKI of this test: see `Pair.of`.

    The seed is the test's name unless `seed=` says otherwise. When the test fails, its report shows the seed, the
    fate of every datagram and the events of both hosts.
    """
    from ikesim.testing.pair import Pair

    pairs: list[Pair] = []
    request.node.stash[_PAIRS] = pairs

    def make(**settings: Any) -> Pair:
        settings.setdefault("seed", request.node.name)
        pair = Pair.of(ike_pki, **settings)
        pairs.append(pair)
        return pair

    yield make
    pairs.clear()


@pytest.fixture
def assert_established() -> "Callable[..., Any]":
    """`ikesim.testing.assert_established` as a fixture."""
    from ikesim.testing.assertions import assert_established

    return assert_established


@pytest.fixture
def assert_refused() -> "Callable[..., Any]":
    """`ikesim.testing.assert_refused` as a fixture."""
    from ikesim.testing.assertions import assert_refused

    return assert_refused


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the story of each pair to the report of a failed test."""
    report = yield
    if report.when == "call" and report.failed and _PAIRS in item.stash:
        pairs = item.stash[_PAIRS]
        told = getattr(call.excinfo.value, "pair", None) if call.excinfo else None
        for number, pair in enumerate(pairs, 1):
            if pair is told:
                continue  # the assertion's own message holds it
            report.sections.append((f"ikesim pair {number}", pair.world.report()))
    return report
