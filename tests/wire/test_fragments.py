"""Fragmentation of protected messages (RFC 7383)."""

import copy
import random
from itertools import permutations

import pytest

from ikesim.errors import WireError
from ikesim.wire.fragments import MAX_FRAGMENTS, MAX_OCTETS, Reassembly, split

PLAINTEXT = bytes(range(256)) * 4


@pytest.mark.parametrize(
    ("octets", "room", "sizes"),
    [
        (0, 100, [0]),
        (1, 100, [1]),
        (100, 100, [100]),
        (101, 100, [100, 1]),
        (300, 100, [100, 100, 100]),
        (5, 1, [1, 1, 1, 1, 1]),
    ],
)
def test_cutting(octets: int, room: int, sizes: list[int]) -> None:
    pieces = split(PLAINTEXT[:octets], 35, room)
    assert [len(piece) for piece in pieces] == sizes
    assert b"".join(pieces) == PLAINTEXT[:octets]


def test_more_pieces_than_a_peer_takes_are_not_made() -> None:
    assert len(split(bytes(MAX_FRAGMENTS), 35, 1)) == MAX_FRAGMENTS
    for room in (1, 0, -1):
        with pytest.raises(WireError) as caught:
            split(bytes(MAX_FRAGMENTS + 1), 35, room)
        assert caught.value.notify is None


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_any_order_makes_the_whole(order: tuple[int, ...]) -> None:
    pieces = split(PLAINTEXT[:250], 35, 100)
    reassembly = Reassembly()
    results = [reassembly.add(number, 3, 35 if number == 1 else 0, pieces[number - 1]) for number in order]
    assert results == [None, None, PLAINTEXT[:250]]
    assert reassembly.first_payload == 35


def test_a_single_fragment_is_whole() -> None:
    reassembly = Reassembly()
    assert reassembly.add(1, 1, 41, b"all") == b"all"
    assert reassembly.first_payload == 41


def test_only_fragment_1_says_what_the_first_payload_is() -> None:
    reassembly = Reassembly()
    reassembly.add(2, 2, 99, b"b")
    assert reassembly.add(1, 2, 35, b"a") == b"ab"
    assert reassembly.first_payload == 35


def test_a_repeated_fragment_changes_nothing() -> None:
    reassembly = Reassembly()
    assert reassembly.add(1, 2, 35, b"first") is None
    assert reassembly.add(1, 2, 99, b"second") is None
    assert reassembly.octets == 5
    assert reassembly.add(2, 2, 0, b"+") == b"first+"
    assert reassembly.first_payload == 35
    assert reassembly.add(2, 2, 0, b"+") is None


def test_a_larger_total_starts_anew() -> None:
    # RFC 7383 section 2.6: the sender has found a smaller path MTU
    reassembly = Reassembly()
    reassembly.add(1, 2, 35, b"abcdef")
    assert reassembly.add(1, 3, 35, b"abcd") is None
    assert reassembly.add(2, 3, 0, b"efgh") is None
    assert reassembly.octets == 8
    assert reassembly.add(3, 3, 0, b"i") == b"abcdefghi"


def test_a_smaller_total_is_ignored() -> None:
    reassembly = Reassembly()
    reassembly.add(1, 3, 35, b"a")
    assert reassembly.add(1, 2, 35, b"xx") is None
    assert reassembly.add(2, 2, 0, b"yy") is None
    assert reassembly.add(2, 3, 0, b"b") is None
    assert reassembly.add(3, 3, 0, b"c") == b"abc"


@pytest.mark.parametrize(("number", "total"), [(0, 1), (2, 1), (0, 0), (65535, 65534)])
def test_lying_numbers(number: int, total: int) -> None:
    with pytest.raises(WireError) as caught:
        Reassembly().add(number, total, 35, b"x")
    assert caught.value.payload == 53


def test_a_flood_of_totals_is_refused() -> None:
    reassembly = Reassembly()
    reassembly.add(1, 2, 35, b"held")
    with pytest.raises(WireError):
        reassembly.add(1, MAX_FRAGMENTS + 1, 35, b"x")
    assert (reassembly.octets, reassembly.pieces) == (0, {})


def test_a_flood_of_octets_is_refused_and_lets_go_of_what_it_held() -> None:
    reassembly = Reassembly()
    for number in range(1, 99):
        reassembly.add(number, 200, 35, bytes(1000))
    assert reassembly.octets == 98_000
    with pytest.raises(WireError):
        reassembly.add(99, 200, 35, bytes(1000))
    assert (reassembly.octets, reassembly.pieces) == (0, {})


def test_the_largest_message_fits() -> None:
    reassembly = Reassembly()
    reassembly.add(1, 2, 35, bytes(MAX_OCTETS - 1))
    assert reassembly.add(2, 2, 0, b"x") == bytes(MAX_OCTETS - 1) + b"x"


def test_limits_can_be_set() -> None:
    with pytest.raises(WireError):
        Reassembly(max_fragments=4).add(1, 5, 35, b"x")
    assert Reassembly(max_fragments=4).add(1, 4, 35, b"x") is None
    with pytest.raises(WireError):
        Reassembly(max_octets=4).add(1, 2, 35, b"12345")


def test_what_is_held_is_bounded_whatever_comes() -> None:
    dice = random.Random(7383)
    reassembly = Reassembly(max_fragments=16, max_octets=2000)
    for _ in range(5000):
        total = dice.choice((2, 3, 8, 15, 16, 17, 300, 65535))
        try:
            whole = reassembly.add(dice.randrange(total + 2), total, 35, bytes(dice.randrange(400)))
        except WireError:
            continue
        assert whole is None or len(whole) <= 2000
        assert len(reassembly.pieces) <= 16
        assert sum(map(len, reassembly.pieces.values())) == reassembly.octets <= 2000


def test_a_copy_is_a_state_of_its_own() -> None:
    reassembly = Reassembly()
    reassembly.add(1, 2, 35, b"a")
    twin = copy.deepcopy(reassembly)
    assert twin == reassembly
    assert twin.add(2, 2, 0, b"b") == b"ab"
    assert reassembly.pieces == {1: b"a"}


def test_plaintext_is_not_shown() -> None:
    reassembly = Reassembly()
    reassembly.add(1, 2, 35, b"planted secret")
    assert "planted" not in repr(reassembly)
