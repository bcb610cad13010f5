"""The benches run, say what interface.md promises, and their ratios are of the order that they should be.

The bounds are generous, and nothing is said about times: machines and their load differ.
"""

import json

import pytest
from click.testing import CliRunner

from tests.bench import handshake
from tests.bench.__main__ import BENCHES, main


def test_handshake_is_measured_beside_its_floor() -> None:
    result = handshake.run(10, daemons=0)
    figures, ratios = result["figures"], result["ratios"]
    assert set(ratios) == {"initiator_core", "responder_core"}
    assert all(1 < ratio < 10 for ratio in ratios.values())
    # key pair, agreement, signature, verification, three prf, two prf+, two directions of AES-GCM and more
    assert figures["alice_calls"] > 15 and figures["bob_calls"] > 15
    shares = [value for name, value in figures.items() if name.startswith("beyond_")]
    assert {"beyond_wire", "beyond_ike", "beyond_pki", "beyond_crypto"} <= set(figures)
    assert 95 <= sum(int(share.rstrip("%")) for share in shares) <= 105


def test_the_floor_holds_what_a_handshake_cannot_do_without() -> None:
    alice, bob = handshake.make_sides()
    for _ in handshake.handshakes(2, alice, bob):
        pass
    floors = {"alice": handshake.Floor(), "bob": handshake.Floor()}
    handshake.handshake(alice, bob, 2000.0, {name: floor.recording for name, floor in floors.items()})
    for floor in floors.values():
        names = [getattr(getattr(call, "func", call), "__name__", "") for call in floor.calls]
        assert names.count("sign") == names.count("verify") == 1
        assert names.count("encrypt") + names.count("decrypt") == 3  # one whole message, two fragments
        assert names.count("plus") == 2 and names.count("one_hmac") == 3
        assert names.count("urandom") >= 4


def test_every_handshake_of_the_bench_is_a_fresh_one() -> None:
    alice, bob = handshake.make_sides()
    seen: set[bytes] = set()
    for number in range(3):
        handshake.handshake(alice, bob, 1000.0 + number)
        (sa,) = alice.endpoint.core.sas.values()
        assert sa.keys is not None
        seen |= {sa.spi_i, sa.spi_r, sa.nonce_i, sa.nonce_r, sa.keys.ei, sa.keys.d}
        handshake.end(alice, bob, 1000.0 + number)
        assert not alice.endpoint.core.sas and not bob.endpoint.core.sas
    assert len(seen) == 18


def test_daemons_make_handshakes_over_the_loopback() -> None:
    result = handshake.run(5, daemons=1)
    assert set(result["ratios"]) == {"initiator_core", "responder_core", "initiator_daemon", "responder_daemon"}
    assert all(1 < ratio < 60 for ratio in result["ratios"].values())


def test_trust_is_measured_cold_and_cached() -> None:
    result = CliRunner().invoke(main, ["trust", "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.output)
    assert set(document) == {"figures", "ratios"}
    figures, ratios = document["figures"], document["ratios"]
    assert ratios["cached_signature_checks"] == 0
    assert 1 < ratios["cold_over_floor"] < 20
    # leaf, intermediate and two CRLs
    assert figures["signature_checks"] == 4
    assert figures["cached_us"] < figures["cold_us"] / 2
    assert figures["crl_miss_us"] < figures["crl_load_ms"] * 1000 / 10


@pytest.mark.parametrize("name", BENCHES)
def test_every_bench_is_there(name: str) -> None:
    assert callable(__import__(f"tests.bench.{name}", fromlist=["run"]).run)
