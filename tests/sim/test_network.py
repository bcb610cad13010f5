"""The router: what it does to datagrams follows from the seed alone, and its log tells each one's fate."""

import os
import subprocess
import sys
from pathlib import Path as FilePath

import pytest

from ikesim.sim import Conditions, Network, Transit
from ikesim.wire.address import Address, Path
from tests.sim.fakes import A, B, core, two

REPOSITORY = FilePath(__file__).parents[2]
BAD = {"loss": 0.2, "duplicate": 0.1, "reorder": 0.1, "corrupt": 0.1, "delay": 0.05, "jitter": 0.02}


def send(network: Network, count: int, every: float = 1.0) -> list[Transit]:
    return [network.send(b"datagram %d" % number, Path(A, B), number * every) for number in range(1, count + 1)]


def story(seed: str) -> str:
    """All that happens to 300 datagrams and their answers under bad conditions."""
    world = two(seed, count=300, period=0.03, **BAD)
    world.run_until(60.0)
    return f"{world.network.fates()}\n{core(world, 'b').received}"


def test_the_same_seed_tells_the_same_story_and_another_seed_another() -> None:
    assert story("one") == story("one")
    assert story("one") != story("two")


def test_the_story_does_not_depend_on_the_hash_seed() -> None:
    program = "from tests.sim.test_network import story; print(story('one'))"
    stories = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert stories[0] == stories[1]
    assert stories[0].count("\n") > 300


@pytest.mark.parametrize("what", ["loss", "duplicate", "reorder", "corrupt"])
@pytest.mark.parametrize("probability", [0.0, 0.05, 0.5, 1.0])
def test_as_many_datagrams_suffer_as_the_probability_says(what: str, probability: float) -> None:
    network = Network("statistics", Conditions(**{what: probability}))
    words = {"loss": "dropped: loss", "duplicate": "duplicated", "reorder": "held back", "corrupt": "corrupted"}
    suffered = sum(any(note.startswith(words[what]) for note in transit.notes) for transit in send(network, 2000))
    # Four standard deviations of the binomial distribution.
    margin = 4 * (2000 * probability * (1 - probability)) ** 0.5
    assert abs(suffered - 2000 * probability) <= margin


def test_each_condition_throws_its_own_dice() -> None:
    """More loss loses more of the same datagrams, and changes nothing for those that still arrive."""
    little, much = (Network("dice", Conditions(loss=loss, jitter=0.5, duplicate=0.3)) for loss in (0.1, 0.4))
    for one, other in zip(send(little, 500), send(much, 500), strict=True):
        assert not (one.delays == [] and other.delays)
        if other.delays:
            assert one.delays == other.delays


def test_traffic_in_one_direction_does_not_change_the_fates_of_the_other() -> None:
    alone, together = (Network("directions", Conditions(**BAD)) for _ in range(2))
    expected = [(transit.delays, transit.octets) for transit in send(alone, 50)]
    found = []
    for number in range(1, 51):
        together.send(b"other way", Path(B, A), float(number))
        transit = together.send(b"datagram %d" % number, Path(A, B), float(number))
        found.append((transit.delays, transit.octets))
    assert found == expected


def test_without_conditions_datagrams_arrive_in_order_after_the_delay() -> None:
    world = two(count=5, period=0.001, delay=0.25)
    world.run_until(10.0)
    assert [octets for _, octets, _ in core(world, "b").received] == [b"1", b"2", b"3", b"4", b"5"]
    assert [round(now, 6) for now, _, _ in core(world, "b").received] == [0.251, 0.252, 0.253, 0.254, 0.255]


def test_a_reordered_datagram_is_overtaken() -> None:
    world = two(count=40, period=0.001, reorder=0.3)
    world.run_until(10.0)
    arrived = [int(octets) for _, octets, _ in core(world, "b").received]
    assert arrived != sorted(arrived)
    assert sorted(arrived) == list(range(1, 41))


def test_a_duplicate_arrives_twice_and_the_log_says_when() -> None:
    world = two(count=1, period=1.0, duplicate=1.0)
    world.run_until(10.0)
    assert len(core(world, "b").received) == 2
    assert world.network.fates() == (
        "#1 t=1.000000 192.0.2.1:500 -> 192.0.2.2:500 1 octets: "
        "duplicated, delivered at 1.010000, delivered at 1.010000"
    )


def test_corruption_flips_the_bit_that_the_log_names() -> None:
    network = Network("corruption", Conditions(corrupt=1.0))
    for transit in send(network, 20):
        sent = b"datagram %d" % transit.index
        (octet, bit) = (int(word.strip("),")) for word in transit.notes[0].split() if word.strip("),").isdigit())
        difference = [one ^ other for one, other in zip(sent, transit.octets, strict=True)]
        assert difference == [0x80 >> bit if place == octet else 0 for place in range(len(sent))]


def test_arrivals_at_one_instant_come_in_the_order_of_sending() -> None:
    network = Network("ties", Conditions(delay=1.0))
    for number in range(20):
        network.send(b"%d" % number, Path(A, B), 0.0)
    arrivals = [network.arrive(1.0) for _ in range(20)]
    assert [arrival.octets for arrival in arrivals if arrival] == [b"%d" % number for number in range(20)]
    assert network.arrive(1.0) is None


def test_conditions_of_one_direction() -> None:
    world = two(count=3, period=1.0)
    world.network.set_conditions("192.0.2.1", "192.0.2.2", Conditions(loss=1.0))
    world.run_until(5.0)
    core(world, "b").say(b"the other way")
    world.hosts["b"].drain()
    world.run_until(6.0)
    assert core(world, "b").received == []
    assert [octets for _, octets, _ in core(world, "a").received] == [b"the other way"]


def test_filters_see_their_direction_and_decide() -> None:
    world = two(count=4, period=1.0)
    seen: list[tuple[int, bytes]] = []

    def meddle(transit: Transit) -> None:
        seen.append((transit.index, transit.octets))
        if transit.index == 1:
            transit.drop("the first")
        if transit.index == 2:
            transit.octets = b"changed"
        if transit.index == 3:
            transit.delays = [5.0, 6.0]

    world.network.add_filter(meddle, source="192.0.2.1")
    world.network.add_filter(lambda transit: transit.drop("never seen"), source="192.0.2.2")
    world.run_until(3.5)
    world.network.remove_filter(meddle)
    world.run_until(20.0)
    assert seen == [(1, b"1"), (2, b"2"), (3, b"3")]
    assert [(round(now, 2), octets) for now, octets, _ in core(world, "b").received] == [
        (2.01, b"changed"),
        (4.01, b"4"),
        (8.0, b"3"),
        (9.0, b"3"),
    ]
    assert "1 octets: dropped: the first\n" in world.network.fates()


def test_a_datagram_to_nobody_is_logged_as_lost() -> None:
    world = two()
    world.send(b"x", Path(A, Address("192.0.2.9", 500)))
    world.send(b"\xff", Path(A, Address("192.0.2.2", 4500)))
    assert world.network.fates().splitlines()[1].endswith("192.0.2.2:4500 keepalive: under way")
    world.settle()
    assert [line.split(": ")[1] for line in world.network.fates().splitlines()] == [
        "lost at 0.010000 (nobody listens there)",
        "lost at 0.010000 (nobody listens there)",
    ]


def test_the_log_forgets_the_oldest_but_goes_on_counting() -> None:
    from ikesim.sim.network import LOG_LIMIT

    network = Network("long")
    for _ in range(LOG_LIMIT + 5):
        network.send(b"", Path(A, B), 0.0)
        arrival = network.arrive(1.0)
        assert arrival is not None
        network.note(arrival, "delivered")
    assert (len(network.log), network.log[0].number, network.sent) == (LOG_LIMIT, 6, LOG_LIMIT + 5)
