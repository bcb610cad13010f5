"""24 hours of virtual time: a rekeying a minute begun by both sides at once, in a network that loses and reorders."""

import pytest

from tests.longrun.life import Life, live

DAY = 24 * 3600.0


@pytest.fixture(scope="module")
def day() -> Life:
    return live(DAY, seed=1)


def test_each_side_can_reach_the_other_at_every_moment(day: Life) -> None:
    # A new SA is up before the old one goes, whatever was lost: nothing needs a retransmission to be bridged.
    assert day.longest_silence == 0.0


def test_no_more_echoes_are_lost_than_the_network_loses(day: Life) -> None:
    # 1 % of requests and 1 % of replies; 4 standard deviations of that are 0.8 % for 10,000 echoes
    assert day.probes >= 9_900
    assert 1 - day.answered / day.probes <= 0.0199 + 0.008


def test_rekeyings_are_as_many_as_the_clock_says(day: Life) -> None:
    # 1,440 CHILD SAs and 288 IKE SAs a day; each rekeying starts the next interval a little later
    assert 1_600 <= day.rekeyings <= 1_728
    assert set(day.closed) == {"rekeyed"}


def test_sas_do_not_pile_up(day: Life) -> None:
    # the SA, its successor, and the rival of a successor
    assert day.most_ike <= 3
    assert day.most_children <= 3


def test_memory_is_flat(day: Life) -> None:
    assert len(day.objects) == 23
    assert max(day.objects) <= 1.1 * day.objects[0]
    assert max(day.octets) <= 1.1 * day.octets[0]
    assert sum(day.octets[-6:]) <= 1.03 * sum(day.octets[:6])
