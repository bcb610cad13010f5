"""Captures of our own endpoints: tshark and the inspector must read whole conversations, across rekeys."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ikesim.capture.keys import KeyLog
from ikesim.cli.inspect import inspect
from ikesim.testing import Pair, assert_established
from tests.capture.tshark import read

MakePair = Callable[..., Pair]

CERT, AUTH = "37", "39"
HYBRID = "aes128gcm16-prfsha256-x25519-ke1_mlkem768-ke2_ecp256"
CUSTOM = {
    "alice": {"listen": "127.0.0.1:5500", "listen_nat_t": "127.0.0.1:5501"},
    "bob": {"listen": "127.0.0.2:5500", "listen_nat_t": "127.0.0.2:5501"},
}
BARE = {name: {**settings, "framing": "bare-init"} for name, settings in CUSTOM.items()}
SIX = {
    "alice": {"listen": "[2001:db8::1]:500"},
    "bob": {"listen": "[2001:db8::2]:500"},
}


def conversation(pair: Pair, tmp_path: Path) -> list[str]:
    """Up, ping, rekey CHILD, ping, rekey IKE, ping, liveness, down; recorded. Returns the key log's warnings."""
    warnings: list[str] = []
    with KeyLog(tmp_path / "keys", warnings.append) as log:
        log.decode_ports_of(pair.alice.config)
        pair.alice.hooks.on_install = log.install
        pair.up()
        assert_established(pair)
        assert pair.ping() == 1
        pair.alice.rekey(pair.children(pair.alice)[0].id)
        pair.world.settle()
        assert pair.ping() == 1
        pair.alice.rekey(pair.alice.established[0])
        pair.world.settle()
        assert pair.ping() == 1
        pair.bob.check_liveness(pair.bob.established[0])
        pair.world.settle()
        pair.down()
    pair.world.write_capture(tmp_path / "own.pcapng")
    return warnings


@pytest.mark.parametrize("settings", [{}, CUSTOM, BARE, SIX], ids=["standard ports", "custom ports", "bare", "IPv6"])
@pytest.mark.parametrize("proposal", ["aes128gcm16-prfsha256-x25519", "aes256-sha512-ecp256"])
def test_tshark_reads_a_whole_conversation(
    ike_pair: MakePair, tmp_path: Path, settings: dict[str, Any], proposal: str
) -> None:
    both = {name: {**settings.get(name, {}), "proposals": proposal} for name in ("alice", "bob")}
    for own in both.values():
        own["child"] = {"proposals": proposal.replace("prfsha256-x25519", "").replace("-ecp256", "").rstrip("-")}
    pair = ike_pair(**both)
    assert conversation(pair, tmp_path) == []
    found = read(
        tmp_path / "own.pcapng",
        tmp_path / "keys",
        "isakmp.exchangetype",
        "isakmp.typepayload",
        "icmp.type",
        "esp.icv_good",
        "esp.spi",
    )
    assert sum(packet["isakmp.exchangetype"] == "34" for packet in found) == 2
    auth = [packet["isakmp.typepayload"].split(",") for packet in found if packet["isakmp.exchangetype"] == "35"]
    opened = [kinds for kinds in auth if {CERT, AUTH} <= set(kinds)]
    assert len(opened) == 2
    sealed = [packet["isakmp.typepayload"] for packet in found if packet["isakmp.exchangetype"] in ("36", "37")]
    assert len(sealed) >= 8
    assert sum(kinds == "46" for kinds in sealed) <= 4  # empty responses only
    esp = [packet for packet in found if packet["esp.spi"]]
    assert [(packet["icmp.type"], packet["esp.icv_good"]) for packet in esp] == [("8", "1"), ("0", "1")] * 3
    assert len({packet["esp.spi"] for packet in esp}) == 4


@pytest.mark.parametrize("proposal", ["aes128gcm16-prfsha256-x25519", HYBRID])
def test_the_inspector_reads_it_too(ike_pair: MakePair, tmp_path: Path, proposal: str) -> None:
    conversation(ike_pair(alice={"proposals": proposal}, bob={"proposals": proposal}), tmp_path)
    result = CliRunner().invoke(
        inspect, [str(tmp_path / "own.pcapng"), "--keys", str(tmp_path / "keys"), "--json"], catch_exceptions=False
    )
    messages = json.loads(result.stdout)["messages"]
    sealed = [
        payload for message in messages for payload in message.get("payloads", []) if payload["type"] in (46, 53)
    ]
    assert len(sealed) >= 10
    assert all(payload["decrypted"] and payload["icv_ok"] for payload in sealed)
    assert sum(message["kind"] == "esp" and "ICMP echo" in message["inner"] for message in messages) == 6
    assert not [message for message in messages if message["error"]]


def test_the_keys_after_ike_intermediate_are_those_that_tshark_uses(ike_pair: MakePair, tmp_path: Path) -> None:
    # Wireshark holds one row for a pair of SPIs, the last: it opens IKE_AUTH and all later messages.
    conversation(ike_pair(alice={"proposals": HYBRID}, bob={"proposals": HYBRID}), tmp_path)
    found = read(tmp_path / "own.pcapng", tmp_path / "keys", "isakmp.exchangetype", "isakmp.typepayload")
    auth = [packet["isakmp.typepayload"].split(",") for packet in found if packet["isakmp.exchangetype"] == "35"]
    assert len([kinds for kinds in auth if {CERT, AUTH} <= set(kinds)]) == 2


def test_what_wireshark_cannot_open_is_said_once(ike_pair: MakePair, tmp_path: Path) -> None:
    chacha = {"proposals": "chacha20poly1305-prfsha256-x25519", "child": {"proposals": "chacha20poly1305"}}
    assert conversation(ike_pair(alice=chacha, bob=chacha), tmp_path) == [
        "Wireshark 4.0 cannot decrypt IKE with CHACHA20_POLY1305: the capture shows it encrypted",
        "Wireshark 4.0 cannot decrypt ESP with CHACHA20_POLY1305: the capture shows it encrypted",
    ]
    assert (tmp_path / "keys" / "esp_sa").read_text() == ""
