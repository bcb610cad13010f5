"""The Wireshark profile: an installed tshark must open what it claims to open, and nothing is left readable."""

import json
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ikesim.capture.keys import KeyLog
from ikesim.capture.recorder import Recorder
from ikesim.crypto.ciphers import CipherSuite, cipher_suite
from ikesim.crypto.schedule import ChildKeys, IkeKeys
from ikesim.errors import UsageError
from ikesim.ike.sa import InstalledChild, InstalledIke
from ikesim.wire import address
from ikesim.wire.address import Address
from tests.capture.sealing import INNER_KINDS, child_sa, esp_packet, ike_message, ike_sa
from tests.capture.tshark import read

PATH = address.Path(Address("192.0.2.1", 5501), Address("192.0.2.2", 5500))
GCM = cipher_suite(20, 128, None)
CHACHA = cipher_suite(28, None, None)
SIZES = (128, 192, 256)
INTEGRITIES = (2, 12, 13, 14)
SUITES = [
    *(cipher_suite(encryption, size, None) for encryption in (14, 15, 16, 18, 19, 20) for size in SIZES),
    *(cipher_suite(encryption, size, mac) for encryption in (12, 13) for size in SIZES for mac in INTEGRITIES),
    *(cipher_suite(11, None, mac) for mac in INTEGRITIES),
    CHACHA,
]


def test_tshark_opens_every_suite_that_the_log_does_not_warn_of(tmp_path: Path) -> None:
    warnings: list[str] = []
    expected: list[tuple[CipherSuite, str, bool]] = []
    with KeyLog(tmp_path / "keys", warnings.append) as log, Recorder(tmp_path / "all.pcapng") as recorder:
        log.decode_ports(marked=(5500, 5501))
        for number, suite in enumerate(SUITES):
            ike, child = ike_sa(suite, number, PATH), child_sa(suite, number, PATH, initiator=number % 2 == 0)
            before = len(warnings)
            log.install(None, ike)
            ike_opens = len(warnings) == before
            # CCM's ESP is in none of 4.0's tables (packet-ipsec.c), whatever the key; the sentence comes once a mode.
            esp_opens = suite.encryption not in (14, 15, 16, 28)
            log.install(None, child)
            for outbound in (True, False):
                recorder.record(bytes(4) + ike_message(ike, from_initiator=outbound), PATH, 1.0, outbound=outbound)
                expected.append((suite, "ike", ike_opens))
                recorder.record(esp_packet(child, outbound=outbound), PATH, 1.0, outbound=outbound)
                expected.append((suite, "esp", esp_opens))
    found = read(tmp_path / "all.pcapng", tmp_path / "keys")
    inner = ",".join(str(kind) for kind in INNER_KINDS)
    wrong = [
        (suite, what, packet)
        for (suite, what, opens), packet in zip(expected, found, strict=True)
        if opens
        != (
            packet["isakmp.typepayload"] == f"46,{inner}"
            if what == "ike"
            else (packet["esp.icv_good"], packet["icmp.type"]) == ("1", "8")
        )
    ]
    assert not wrong
    assert [sentence.split(":")[0] for sentence in warnings] == [
        "Wireshark 4.0 cannot decrypt ESP with AES_CCM_8",
        "Wireshark 4.0 cannot decrypt ESP with AES_CCM_12",
        "Wireshark 4.0 cannot decrypt ESP with AES_CCM_16",
        "Wireshark 4.0 cannot decrypt IKE with CHACHA20_POLY1305",
        "Wireshark 4.0 cannot decrypt ESP with CHACHA20_POLY1305",
    ]


def test_extended_sequence_numbers_decrypt_and_the_log_says_what_tshark_then_claims(tmp_path: Path) -> None:
    warnings: list[str] = []
    with KeyLog(tmp_path / "keys", warnings.append) as log, Recorder(tmp_path / "esn.pcapng") as recorder:
        log.decode_ports(marked=(5500, 5501))
        child = child_sa(GCM, 1, PATH, esn=True)
        log.install(None, child)
        recorder.record(esp_packet(child), PATH, 1.0, outbound=True)
    (packet,) = read(tmp_path / "esn.pcapng", tmp_path / "keys")
    assert (packet["icmp.type"], packet["esp.icv_good"]) == ("8", "0")
    assert warnings == ["extended sequence numbers: Wireshark 4.0 decrypts such ESP but calls its ICV bad"]


def test_rows_follow_a_rekey_while_the_file_is_open(tmp_path: Path) -> None:
    with KeyLog(tmp_path / "keys") as log, Recorder(tmp_path / "rekey.pcapng") as recorder:
        log.decode_ports(marked=(5500, 5501))
        for number in (1, 2):
            child, ike = child_sa(GCM, number, PATH), ike_sa(GCM, number, PATH)
            log.install(None, child)
            log.install(None, ike)
            recorder.record(esp_packet(child), PATH, 1.0, outbound=True)
            recorder.record(bytes(4) + ike_message(ike), PATH, 1.0, outbound=True)
        found = read(tmp_path / "rekey.pcapng", tmp_path / "keys")
    assert [packet["icmp.type"] or packet["isakmp.typepayload"] for packet in found] == ["8", "46,41,42"] * 2


def test_ipv6_and_bare_ike_on_a_port_of_ours(tmp_path: Path) -> None:
    path = address.Path(Address("2001:db8::1", 5501), Address("2001:db8::2", 5502))
    with KeyLog(tmp_path / "keys") as log, Recorder(tmp_path / "six.pcapng") as recorder:
        log.decode_ports(marked=(5501,), bare=(5502,))
        child, ike = child_sa(GCM, 1, path), ike_sa(GCM, 1, path)
        log.install(None, child)
        log.install(None, ike)
        marked = address.Path(path.local, Address("2001:db8::2", 5501))
        recorder.record(esp_packet(child), marked, 1.0, outbound=True)
        bare = address.Path(Address("2001:db8::1", 40000), path.remote)
        recorder.record(ike_message(ike), bare, 1.0, outbound=True)
    esp, ike_packet = read(tmp_path / "six.pcapng", tmp_path / "keys")
    assert (esp["icmp.type"], esp["esp.icv_good"]) == ("8", "1")
    assert ike_packet["isakmp.typepayload"] == "46,41,42"


def test_without_the_profile_nothing_is_open(tmp_path: Path) -> None:
    with Recorder(tmp_path / "closed.pcapng") as recorder:
        path = address.Path(Address("192.0.2.1", 4500), Address("192.0.2.2", 4500))
        recorder.record(bytes(4) + ike_message(ike_sa(GCM, 1, path)), path, 1.0, outbound=True)
        recorder.record(esp_packet(child_sa(GCM, 1, path)), path, 1.0, outbound=True)
    ike, esp = read(tmp_path / "closed.pcapng", tmp_path / "no-profile")
    assert (ike["isakmp.typepayload"], esp["icmp.type"]) == ("46", "")


def test_only_its_owner_can_read_the_profile(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    (folder / "esp_sa").touch(mode=0o644)
    with KeyLog(folder) as log:
        log.decode_ports(marked=(5500,))
        log.install(None, ike_sa(GCM, 1, PATH))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == dict.fromkeys(("ikev2_decryption_table", "esp_sa", "decode_as_entries", "preferences"), 0o600)
    fresh = KeyLog(tmp_path / "new" / "keys")
    fresh.close()
    assert stat.S_IMODE((tmp_path / "new" / "keys").stat().st_mode) == 0o700


def test_both_ends_in_one_process_write_a_row_once_and_a_second_run_keeps_the_first(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    for run in (1, 2):
        with KeyLog(folder) as log:
            log.decode_ports(marked=(5500, 4500))
            log.install(None, ike_sa(GCM, run, PATH))
            log.install(None, ike_sa(GCM, run, PATH))
    assert len((folder / "ikev2_decryption_table").read_text().splitlines()) == 2
    assert (folder / "decode_as_entries").read_text() == "decode_as_entry: udp.port,5500,(none),UDPENCAP\n"
    assert len((folder / "preferences").read_text().splitlines()) == 2


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"the key log .*file/keys cannot be written: Not a directory"):
        KeyLog(tmp_path / "file" / "keys")


def known_keys(entry: dict[str, Any], log: KeyLog) -> None:
    """The keys that came with a capture, written by our log."""
    for keys in entry["keys"]:
        suite = cipher_suite(keys["encr"], keys["key_length"], keys["integ"])
        values = {name[3:]: bytes.fromhex(value) for name, value in keys.items() if name.startswith("SK_") and value}
        ike = InstalledIke(
            spi_i=bytes.fromhex(keys["initiator_spi"]),
            spi_r=bytes.fromhex(keys["responder_spi"]),
            suite=suite,
            keys=IkeKeys(**{name: values.get(name, b"") for name in ("d", "ai", "ar", "ei", "er", "pi", "pr")}),
            path=PATH,
        )
        log.install(None, ike)
    for one, other in zip(*[iter(entry.get("esp_keys", []))] * 2, strict=True):
        sent, received = (
            SimpleNamespace(
                e=bytes.fromhex(key["encryption_key"]),
                a=bytes.fromhex(key["integrity_key"] or ""),
                spi=bytes.fromhex(key["spi"]),
            )
            for key in (one, other)
        )
        child = InstalledChild(
            spi_in=received.spi,
            spi_out=sent.spi,
            suite=cipher_suite(one["encr"], one["key_length"], one["integ"]),
            keys=ChildKeys(ei=sent.e, ai=sent.a, er=received.e, ar=received.a),
            initiator=True,
            path=address.Path(Address(one["src"], 4500), Address(one["dst"], 4500)),
            esn=False,
        )
        log.install(None, child)


def test_known_captures_open_with_a_profile_of_their_keys(shared_vectors: Path, tmp_path: Path) -> None:
    entries = json.loads((shared_vectors / "captures" / "expectations.json").read_text())["captures"]
    opened = pings = 0
    for entry in entries:
        if not entry["keys"] or entry["file"].startswith("tcpdump"):
            continue  # tcpdump's has a damaged ICV, before which tshark stops
        folder = tmp_path / entry["file"]
        with KeyLog(folder) as log:
            known_keys(entry, log)
        capture = tmp_path / f"{entry['file']}.copy"
        capture.write_bytes((shared_vectors / "captures" / entry["file"]).read_bytes())
        found = {int(packet["frame.number"]): packet for packet in read(capture, folder)}
        for message in entry["decrypted"]:
            if "inner" not in message:
                continue  # a fragment before the last
            kinds = [int(kind) for kind in found[message["frame"]]["isakmp.typepayload"].split(",")]
            kinds = [kind for kind in kinds if kind not in (2, 3)]  # tshark counts proposals and transforms too
            assert kinds == [53 if "fragment" in message else 46, *message["inner"]], (entry["file"], message)
            opened += 1
        for packet in entry.get("esp", []):
            seen = found[packet["frame"]]
            assert (seen["icmp.type"], seen["esp.icv_good"]) == (str(packet["icmp_type"]), "1")
            pings += 1
    assert (opened, pings) == (26, 8)
