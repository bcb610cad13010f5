"""Streams of octets: independent by purpose and owner, repeatable, and settable."""

import copy

import pytest

from ikesim.sim import SeededEntropy


def test_the_same_seed_owner_and_purpose_give_the_same_octets() -> None:
    assert SeededEntropy("s", "alice").draw("nonce", 32) == SeededEntropy("s", "alice").draw("nonce", 32)


@pytest.mark.parametrize(
    ("seed", "owner", "purpose"), [("t", "alice", "nonce"), ("s", "bob", "nonce"), ("s", "alice", "spi")]
)
def test_another_seed_owner_or_purpose_gives_others(seed: str, owner: str, purpose: str) -> None:
    assert SeededEntropy(seed, owner).draw(purpose, 32) != SeededEntropy("s", "alice").draw("nonce", 32)


def test_names_cannot_run_into_each_other() -> None:
    assert SeededEntropy("a|b", "c").draw("p", 16) != SeededEntropy("a", "b|c").draw("p", 16)
    assert SeededEntropy("s", "a|p").draw("q", 16) != SeededEntropy("s", "a").draw("p|q", 16)


def test_one_more_or_a_longer_draw_shifts_nothing_else() -> None:
    plain, busy = SeededEntropy("s", "alice"), SeededEntropy("s", "alice")
    first = [plain.draw("ke", 32), plain.draw("nonce", 32), plain.draw("nonce", 32)]
    busy.draw("spi", 8)
    second = [busy.draw("ke", 64)[:32]]
    busy.draw("iv", 8)
    second += [busy.draw("nonce", 16), busy.draw("nonce", 32)]
    assert second[0] == first[0]
    assert second[2] == first[2]
    assert first[1] != first[2]


def test_chosen_octets_come_first_and_must_fit() -> None:
    entropy, plain = SeededEntropy("s", "alice"), SeededEntropy("s", "alice")
    entropy.chosen["nonce"] = [bytes(32), bytes(16)]
    assert entropy.draw("nonce", 32) == bytes(32)
    with pytest.raises(ValueError, match="16 octets were chosen for nonce, but 32 are drawn"):
        entropy.draw("nonce", 32)
    plain.draw("nonce", 32), plain.draw("nonce", 32)
    assert entropy.draw("nonce", 32) == plain.draw("nonce", 32)


def test_a_copy_goes_on_from_where_it_was_made() -> None:
    entropy = SeededEntropy("s", "alice")
    entropy.draw("nonce", 32)
    twin = copy.deepcopy(entropy)
    assert twin.draw("nonce", 32) == entropy.draw("nonce", 32)
    twin.draw("nonce", 32)
    assert entropy.draws == {"nonce": 2}


def test_units_are_even() -> None:
    entropy = SeededEntropy("s", "alice")
    drawn = [entropy.unit("u") for _ in range(4000)]
    assert min(drawn) >= 0 and max(drawn) < 1
    assert [sum(low <= value < low + 0.25 for value in drawn) // 100 for low in (0, 0.25, 0.5, 0.75)] == [
        pytest.approx(10, abs=1)
    ] * 4
