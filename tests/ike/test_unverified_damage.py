"""What was not verified may come from anybody: no damage to a datagram on its way ends an established SA."""

from collections.abc import Callable

import pytest

from ikesim.ike.events import SaClosed
from ikesim.sim import Transit
from ikesim.testing import Pair, assert_established

MakePair = Callable[..., Pair]


@pytest.mark.parametrize("sender", ["192.0.2.1", "192.0.2.2"])
@pytest.mark.parametrize("fragment_size", [1280, 400])
def test_no_flipped_bit_of_a_protected_message_ends_the_sa(
    ike_pair: MakePair, sender: str, fragment_size: int
) -> None:
    """Every bit of header and SK header, then every 16th: once damaged, then (as a retransmission) whole."""
    size = {"fragment_size": fragment_size, "liveness": {"interval": 0}, "keepalive": 0}
    pair = ike_pair(alice=size, bob=size)
    pair.up()
    pair.world.settle()
    bits = [*range(36 * 8), *range(36 * 8, 60 * 8, 16)]
    damaged: list[int] = []
    whole_next = False

    def damage(transit: Transit) -> None:
        nonlocal whole_next
        if transit.source.host != sender or not bits:
            return
        if not whole_next:
            bit = bits.pop(0)
            spoiled = bytearray(transit.octets)
            spoiled[bit // 8] ^= 0x80 >> bit % 8
            transit.octets = bytes(spoiled)
            damaged.append(bit)
        whole_next = not whole_next

    pair.world.network.add_filter(damage)
    while bits:
        pair.alice.check_liveness(pair.alice.established[0])
        pair.world.run_until(pair.world.now + 5.0)
        assert not pair.alice.of(SaClosed) and not pair.bob.of(SaClosed), f"after bit {damaged[-1]}"
    assert len(damaged) == 300
    pair.world.network.remove_filter(damage)
    pair.world.run_until(pair.world.now + 60.0)
    assert_established(pair)
    assert pair.ping() == 1


@pytest.mark.parametrize("fragment_size", [1280, 200])
@pytest.mark.parametrize("octet", [0, 40, -1])
def test_a_damaged_copy_before_a_request_does_not_keep_its_answer_from_being_repeated(
    ike_pair: MakePair, fragment_size: int, octet: int
) -> None:
    """Request 1 is damaged, request 2 arrives, its response is lost, request 3 gets the response again."""
    settings = {"fragment_size": fragment_size, "liveness": {"interval": 0}, "keepalive": 0}
    pair = ike_pair(alice=settings, bob=settings)
    pair.up()
    pair.world.settle()
    start = pair.world.now

    def hurt(transit: Transit) -> None:
        if transit.source.host == "192.0.2.1" and transit.sent_at < start + 1.0:
            spoiled = bytearray(transit.octets)
            spoiled[octet] ^= 0x01
            transit.octets = bytes(spoiled)
        if transit.source.host == "192.0.2.2" and transit.sent_at < start + 6.0:
            transit.drop("the response")

    pair.world.network.add_filter(hurt)
    pair.alice.rekey(pair.children(pair.alice)[0].id)
    pair.world.run_until(start + 120.0)
    assert_established(pair)
    assert pair.ping() == 1
