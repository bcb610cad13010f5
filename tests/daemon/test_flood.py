"""A daemon in a flood of IKE_SA_INIT requests: `scripts/bench flood` in short, and in what order datagrams wait."""

from pathlib import Path

import pytest

from ikesim.wire.demux import first_request
from tests.bench import flood


async def test_a_tunnel_and_a_handshake_live_through_a_flood(tmp_path: Path) -> None:
    result = await flood.measure(tmp_path, 200_000, 3.0)
    figures, ratios = result["figures"], result["ratios"]
    assert figures["spoofed IKE_SA_INIT sent"] > 1_000
    assert figures["cookies sent"] > 100
    assert figures["cookies accepted"] >= 1
    assert figures["internal errors"] == 0
    # without an order among what waits these are about a fifth, and none
    assert ratios["echoes_answered"] >= 0.7
    assert ratios["handshakes_completed"] >= 0.5


SPI = b"\x01" * 8


def header(next_payload: int, exchange: int, flags: int, spi_r: bytes = bytes(8)) -> bytes:
    return SPI + spi_r + bytes((next_payload, 0x20, exchange, flags)) + bytes(4) + (28).to_bytes(4)


@pytest.mark.parametrize("marker", [b"", bytes(4)], ids=["bare", "marked"])
def test_requests_of_strangers_are_told_by_a_look(marker: bytes) -> None:
    # SA (33) first: no cookie; N (41) first: one that comes back (RFC 7296 2.6)
    assert first_request(marker + header(33, 34, 8)) is False
    assert first_request(marker + header(41, 34, 8)) is True
    # an answer, a request of an SA, another exchange
    assert first_request(marker + header(33, 34, 0x20)) is None
    assert first_request(marker + header(33, 34, 8, b"\x02" * 8)) is None
    assert first_request(marker + header(46, 35, 8)) is None


@pytest.mark.parametrize("octets", [b"", b"\xff", bytes(4), bytes(19), b"\x0a" * 60, SPI * 4])
def test_what_is_no_such_request_is_left_alone(octets: bytes) -> None:
    assert first_request(octets) is None
