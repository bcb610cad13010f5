"""Both ends rekey the IKE SA at once, and the network drops what hurts most (RFC 7296 2.8.1, 2.8.2, 2.25.2)."""

from collections.abc import Callable

import pytest

from ikesim.ike.events import SaClosed
from ikesim.sim import Transit
from ikesim.testing import Pair, assert_established
from ikesim.wire.registry import ExchangeType

MakePair = Callable[..., Pair]
QUIET = {"liveness": {"interval": 0}, "keepalive": 0}


def rekey_both(pair: Pair, *, hurt: Callable[[Transit], None] | None = None) -> None:
    pair.up()
    pair.world.settle()
    if hurt is not None:
        pair.world.network.add_filter(hurt)
    for host in (pair.alice, pair.bob):
        host.rekey(host.established[0])
    pair.world.run_until(pair.world.now + 120.0)


def same_sas(pair: Pair) -> None:
    """Each end holds the one new IKE SA, with the CHILD SA, and nothing else."""
    assert_established(pair)
    ours, theirs = (pair.sas(host) for host in (pair.alice, pair.bob))
    assert [(sa["spi_i"], sa["spi_r"]) for sa in ours] == [(sa["spi_i"], sa["spi_r"]) for sa in theirs]
    assert len(ours) == 1
    assert pair.ping() == 1
    assert {event.reason for host in (pair.alice, pair.bob) for event in host.of(SaClosed)} <= {
        "rekeyed",
        "deleted-by-peer",
    }


def create_child_sa(transit: Transit, *, response: bool) -> bool:
    octets = transit.octets[4:]
    return len(octets) > 28 and octets[18] == ExchangeType.CREATE_CHILD_SA and bool(octets[19] & 0x20) is response


@pytest.mark.parametrize("seed", range(4))
def test_both_rekey_at_once(ike_pair: MakePair, seed: int) -> None:
    pair = ike_pair(seed=seed, alice=QUIET, bob=QUIET)
    rekey_both(pair)
    same_sas(pair)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("loser", ["192.0.2.1", "192.0.2.2"])
def test_the_request_of_one_is_lost_until_the_other_has_deleted_the_old_sa(
    ike_pair: MakePair, seed: int, loser: str
) -> None:
    pair = ike_pair(seed=seed, alice=QUIET, bob=QUIET)

    def lose_request(transit: Transit) -> None:
        if transit.source.host == loser and create_child_sa(transit, response=False):
            transit.drop("its request")

    rekey_both(pair, hurt=lose_request)
    same_sas(pair)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("loser", ["192.0.2.1", "192.0.2.2"])
def test_the_response_to_one_is_lost_until_the_other_has_deleted_the_old_sa(
    ike_pair: MakePair, seed: int, loser: str
) -> None:
    pair = ike_pair(seed=seed, alice=QUIET, bob=QUIET)

    def lose_response(transit: Transit) -> None:
        if transit.destination.host == loser and create_child_sa(transit, response=True) and transit.sent_at < 3.0:
            transit.drop("the response")

    rekey_both(pair, hurt=lose_response)
    same_sas(pair)


@pytest.mark.parametrize("seed", range(30))
def test_both_rekey_at_once_on_a_bad_network(ike_pair: MakePair, seed: int) -> None:
    pair = ike_pair(seed=seed, alice=QUIET, bob=QUIET, loss=0.1, duplicate=0.15, reorder=0.2, jitter=0.03)
    rekey_both(pair)
    pair.world.network.conditions = type(pair.world.network.conditions)()
    pair.world.settle()
    same_sas(pair)
