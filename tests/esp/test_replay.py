"""The replay window, by tables and against a plain model (RFC 4303 3.4.3, appendix A2)."""

import random

import pytest

from ikesim.esp.replay import ReplayWindow

WRAP = 1 << 32


def receive(window: ReplayWindow, low: int) -> int | None:
    """The sequence number under which an authentic packet was accepted."""
    sequence = window.expand(low)
    if not window.check(sequence):
        return None
    window.update(sequence)
    return sequence


TABLE = [
    ("in order", [1, 2, 3, 4], [1, 2, 3, 4]),
    ("zero is never sent", [0, 1, 0], [None, 1, None]),
    ("first packet lost", [2, 3, 1], [2, 3, 1]),
    ("duplicates", [1, 1, 2, 1, 2, 3], [1, None, 2, None, None, 3]),
    ("reordered within the window", [5, 3, 4, 1, 2, 3], [5, 3, 4, 1, 2, None]),
    ("the left edge", [64, 1, 65, 1, 2], [64, 1, 65, None, 2]),
    ("just beyond the left edge", [65, 1, 2, 2], [65, None, 2, None]),
    ("far behind", [10_000, 1, 9_936, 9_937, 9_937], [10_000, None, None, 9_937, None]),
    ("a jump of just the window", [1, 65, 2, 1], [1, 65, 2, None]),
    ("a jump of one less keeps the old mark", [1, 64, 1, 2], [1, 64, None, 2]),
    ("a jump far ahead forgets all marks", [1, 2, 1_000_000, 999_999, 2], [1, 2, 1_000_000, 999_999, None]),
    ("the last number without ESN", [WRAP - 1, WRAP - 1, WRAP - 2], [WRAP - 1, None, WRAP - 2]),
]


@pytest.mark.parametrize(("arrivals", "accepted"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_is_accepted(arrivals: list[int], accepted: list[int | None]) -> None:
    window = ReplayWindow()
    results = []
    for low in arrivals:
        fresh = window.check(low)  # without ESN the number is taken as it came
        if fresh:
            window.update(low)
        results.append(low if fresh else None)
    assert results == accepted


ESN_TABLE = [
    # name, highest number so far, what arrives, what it stands for (None: refused)
    ("first packet", 0, 1, 1),
    ("before the first packet", 0, WRAP - 1, None),
    ("zero at the start", 0, 0, None),
    ("over the wrap in order", WRAP - 1, 0, WRAP),
    ("over the wrap with loss", WRAP - 1, 500, WRAP + 500),
    ("late from before the wrap", WRAP + 3, WRAP - 2, WRAP - 2),
    ("left edge before the wrap", WRAP + 3, WRAP - 60, WRAP - 60),
    ("beyond the left edge means the next subspace", WRAP + 100, 36, 2 * WRAP + 36),
    ("right at the left edge", WRAP + 100, 37, WRAP + 37),
    ("just ahead", WRAP + 100, 101, WRAP + 101),
    ("far ahead in this subspace", WRAP + 100, WRAP - 1, 2 * WRAP - 1),
    ("many wraps", 7 * WRAP - 1, 0, 7 * WRAP),
    ("late, many wraps", 7 * WRAP, WRAP - 1, 7 * WRAP - 1),
]


@pytest.mark.parametrize(
    ("top", "low", "expected"), [row[1:] for row in ESN_TABLE], ids=[row[0] for row in ESN_TABLE]
)
def test_extended_numbers_are_inferred(top: int, low: int, expected: int | None) -> None:
    window = ReplayWindow(top=top, bitmap=1 if top else 0)
    assert receive(window, low) == expected
    if expected is not None:
        assert receive(window, expected % WRAP) is None or expected > top + WRAP // 2


def test_a_check_marks_nothing() -> None:
    window = ReplayWindow()
    assert window.check(7)
    assert window.check(7)
    assert (window.top, window.bitmap) == (0, 0)


@pytest.mark.parametrize("size", [32, 64, 1024])
@pytest.mark.parametrize("start", [0, WRAP - 500, 3 * WRAP - 500])
def test_against_a_model_that_remembers_everything(size: int, start: int) -> None:
    draws = random.Random(size * start + 1)
    window = ReplayWindow(size=size, top=start, bitmap=1 if start else 0)
    seen, top = ({start} if start else set()), start
    for _ in range(3000):
        sequence = max(
            1, top + draws.choice([1, 1, 1, 2, draws.randrange(-2 * size, 2), draws.randrange(1, 3 * size)])
        )
        if sequence <= top - size:
            continue  # its low half cannot be told from one far ahead
        fresh = sequence not in seen
        assert receive(window, sequence % WRAP) == (sequence if fresh else None)
        if fresh:
            seen.add(sequence)
            top = max(top, sequence)
        assert window.top == top
        assert window.bitmap >> size == 0
