"""The inspector against captures whose contents tshark and a second decryption have told."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ikesim.capture.keys import KeyLog
from ikesim.capture.recorder import Recorder
from ikesim.cli.inspect import inspect
from ikesim.wire import address
from ikesim.wire.address import Address
from tests.capture.sealing import child_sa, esp_packet, ike_message, ike_sa
from tests.capture.test_keys import GCM, PATH, known_keys

NAMES = [
    "corelight-ikev1-certs",
    "openswan-badKE",
    "openswan-parent",
    "scapy-ikev2_notify_redirect",
    "strongswan-auth-failed",
    "strongswan-cbc-rsa",
    "strongswan-cookie-invalid-ke",
    "strongswan-eap-md5",
    "strongswan-gcm16-ecdsa",
    "suricata-weak-dh",
    "tcpdump-ikev2-id-short",
    "tcpdump-ikev2four",
    "tcpdump-ikev2pI2",
    "ukncsc-ikev2",
]


def run(capture: Path, *options: str) -> str:
    result = CliRunner().invoke(inspect, [str(capture), *options], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def entry_of(vectors: Path, name: str) -> dict[str, Any]:
    entries = json.loads((vectors / "captures" / "expectations.json").read_text())["captures"]
    (entry,) = [entry for entry in entries if entry["file"] == f"{name}.pcap"]
    assert isinstance(entry, dict)
    return entry


def differences(expected: Any, found: Any, where: str) -> list[str]:
    """Every expected field that was not found so. Ours may say more; a missing "critical" means false."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            return [f"{where}: {found!r} is no object"]
        return [
            line for key, value in expected.items() for line in differences(value, found.get(key), f"{where}.{key}")
        ]
    if isinstance(expected, list):
        if not isinstance(found, list) or len(found) != len(expected):
            return [f"{where}: {found!r} instead of {expected!r}"]
        pairs = zip(expected, found, strict=True)
        return [
            line
            for number, (one, other) in enumerate(pairs)
            for line in differences(one, other, f"{where}[{number}]")
        ]
    return [] if expected == found else [f"{where}: {found!r} instead of {expected!r}"]


def guessed(payload: dict[str, Any]) -> dict[str, Any]:
    """An expected payload without the IV and ICV that tshark guesses when it has no keys."""
    if payload.get("decrypted") is False:
        return {key: value for key, value in payload.items() if key not in ("iv", "icv")}
    return payload


def flat(message: dict[str, Any]) -> dict[str, Any]:
    """Our message with addresses spelt as in the expectations."""
    source, destination = Address.parse(message["source"]), Address.parse(message["destination"])
    return message | {
        "src": source.host,
        "dst": destination.host,
        "sport": source.port,
        "dport": destination.port,
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_known_capture(shared_vectors: Path, tmp_path: Path, name: str) -> None:
    entry = entry_of(shared_vectors, name)
    with KeyLog(tmp_path / "keys") as log:
        known_keys(entry, log)
    capture = shared_vectors / "captures" / entry["file"]
    messages = json.loads(run(capture, "--keys", str(tmp_path / "keys"), "--json"))["messages"]
    ike = [flat(message) for message in messages if message["kind"].startswith("ike")]
    assert (len(ike), len(messages) - len(ike)) == (entry["ike_messages"], entry["esp_frames"])
    wrong: list[str] = []
    for expected, found in zip(entry["messages"], ike, strict=True):
        where = f"frame {expected['frame']}"
        if entry["compare"] == "header":
            expected = {key: value for key, value in expected.items() if key != "payloads"}
            damaged = found["kind"] == "ikev1" or found["error"] or any("error" in p for p in found["payloads"])
            wrong += [] if damaged else [f"{where}: damage is not reported"]
        else:
            expected = expected | {"payloads": [guessed(payload) for payload in expected["payloads"]]}
        wrong += differences(expected, found, where)
    assert not wrong
    by_frame = {message["frame"]: message for message in ike}
    for opened in entry["decrypted"]:
        sealed = by_frame[opened["frame"]]["payloads"][-1]
        assert (sealed["decrypted"], sealed["icv_ok"]) == (True, opened["icv_ok"])
        assert [payload["type"] for payload in sealed["payloads"]] == opened.get("inner", [])
    esp = {message["frame"]: message for message in messages if message["kind"] == "esp"}
    for packet in entry.get("esp", []):
        found = esp[packet["frame"]]
        what = {8: "request", 0: "reply"}[packet["icmp_type"]]
        assert (found["spi"], found["sequence"], found["icv_ok"]) == (packet["spi"], packet["sequence"], True)
        assert found["inner"] == (
            f"{packet['inner_src']} > {packet['inner_dst']} ICMP echo {what} {packet['icmp_seq']} (84 octets)"
        )


def test_every_known_capture_is_looked_at(shared_vectors: Path) -> None:
    assert sorted(path.stem for path in (shared_vectors / "captures").glob("*.pcap")) == NAMES


def test_lines_for_people(shared_vectors: Path, tmp_path: Path) -> None:
    entry = entry_of(shared_vectors, "strongswan-auth-failed")
    with KeyLog(tmp_path / "keys") as log:
        known_keys(entry, log)
    lines = run(shared_vectors / "captures" / entry["file"], "--keys", str(tmp_path / "keys")).splitlines()
    assert len(lines) == 4
    assert "192.0.2.1:500 > 192.0.2.2:500 IKE_SA_INIT request 0 [i] SA(IKE AES_GCM_16_256 " in lines[0]
    assert "IKE_AUTH request 1 [i] SK { IDi(fqdn:a.example) CERT(" in lines[2]
    assert lines[3].endswith("IKE_AUTH response 1 [r] SK { N(AUTHENTICATION_FAILED) }")


def test_without_keys_what_is_encrypted_says_so(shared_vectors: Path) -> None:
    lines = run(shared_vectors / "captures" / "strongswan-auth-failed.pcap").splitlines()
    assert lines[3].endswith("IKE_AUTH response 1 [r] SK { encrypted }")


def test_a_check_value_that_does_not_fit_is_said_beside_what_was_decrypted(
    shared_vectors: Path, tmp_path: Path
) -> None:
    entry = entry_of(shared_vectors, "tcpdump-ikev2pI2")
    with KeyLog(tmp_path / "keys") as log:
        known_keys(entry, log)
    lines = run(shared_vectors / "captures" / entry["file"], "--keys", str(tmp_path / "keys")).splitlines()
    assert "SK* { IDi(fqdn:west) AUTH(" in lines[1]
    assert lines[1].endswith("} !! the integrity check value does not fit the key")


def test_with_an_aead_nothing_unverified_is_shown(tmp_path: Path) -> None:
    spoiled = bytearray(ike_message(ike_sa(GCM, 1, PATH)))
    spoiled[-1] ^= 1
    with KeyLog(tmp_path / "keys") as log, Recorder(tmp_path / "a.pcapng") as recorder:
        log.install(None, ike_sa(GCM, 1, PATH))
        recorder.record(bytes(4) + bytes(spoiled), PATH, 1.0, outbound=True)
    (line,) = run(tmp_path / "a.pcapng", "--keys", str(tmp_path / "keys")).splitlines()
    assert line.endswith(
        "INFORMATIONAL request 2 [i] SK { encrypted } !! the integrity check value does not fit the key"
    )


def test_a_capture_of_ours_opens_with_its_profile_again(tmp_path: Path) -> None:
    ike, child = ike_sa(GCM, 1, PATH), child_sa(GCM, 1, PATH)
    with KeyLog(tmp_path / "keys") as log, Recorder(tmp_path / "a.pcapng") as recorder:
        log.install(None, ike)
        log.install(None, child)
        recorder.record(bytes(4) + ike_message(ike), PATH, 1.5, outbound=True, endpoint="alice")
        recorder.record(esp_packet(child), PATH, 2.5, outbound=True, endpoint="alice")
        recorder.record(b"\xff", PATH, 3.5, outbound=True, endpoint="alice")
    lines = [
        line.split(" ", 1)[1] for line in run(tmp_path / "a.pcapng", "--keys", str(tmp_path / "keys")).splitlines()
    ]
    assert lines[0].endswith("INFORMATIONAL request 2 [i] SK { N(INITIAL_CONTACT) D(IKE) }")
    assert lines[1].endswith("ESP c2000001 1 (64 octets) { 10.1.0.1 > 10.2.0.1 ICMP echo request 1 (28 octets) }")
    assert lines[2].endswith("192.0.2.1:5501 > 192.0.2.2:5500 keepalive")


def test_text_of_peers_cannot_reach_the_terminal(tmp_path: Path) -> None:
    """An IKE_SA_INIT of one Vendor ID payload that tries to clear the screen, and an ID payload that does too."""
    evil = b"\x1b[2J\x1b]0;owned\x07\xe2\x80\xae"
    header = bytes(range(1, 17)) + bytes([43, 0x20, 34, 8]) + bytes(4)
    vendor = bytes([35, 0]) + (4 + len(evil)).to_bytes(2) + evil
    identity = bytes([0, 0]) + (8 + len(evil)).to_bytes(2) + bytes([2, 0, 0, 0]) + evil
    message = header + (28 + len(vendor) + len(identity)).to_bytes(4) + vendor + identity
    path = address.Path(Address("192.0.2.1", 500), Address("192.0.2.2", 500))
    with Recorder(tmp_path / "evil.pcapng") as recorder:
        recorder.record(message, path, 1.0, outbound=True)
    shown = run(tmp_path / "evil.pcapng")
    assert shown.strip().isprintable()
    assert f"V({evil.hex()})" in shown
    assert "IDi(type 2 1b5b324a" in shown


@pytest.mark.parametrize("cut", [0, 3, 23, 24, 39, 40, 60, 200])
def test_a_capture_that_was_cut_off_shows_what_is_whole(shared_vectors: Path, tmp_path: Path, cut: int) -> None:
    whole = (shared_vectors / "captures" / "strongswan-auth-failed.pcap").read_bytes()
    (tmp_path / "cut.pcap").write_bytes(whole[:cut])
    result = CliRunner().invoke(inspect, [str(tmp_path / "cut.pcap")])
    if cut < 24:
        assert str(result.exception) == f"{tmp_path / 'cut.pcap'} is neither pcap nor pcapng"
    else:
        assert result.exit_code == 0
        assert len(result.stdout.splitlines()) <= 1


def test_damaged_captures_never_end_the_run(shared_vectors: Path, tmp_path: Path) -> None:
    """Every octet of a capture's first packets set to 0xff in turn: a line or an error of ours, nothing else."""
    from ikesim.capture.describe import line, to_json
    from ikesim.capture.inspector import Inspector
    from ikesim.capture.reader import dissect, read_frames

    whole = (shared_vectors / "captures" / "strongswan-gcm16-ecdsa.pcap").read_bytes()
    frames = list(read_frames(shared_vectors / "captures" / "strongswan-gcm16-ecdsa.pcap"))
    assert len(frames) == 12
    packet = whole[40 : 40 + int.from_bytes(whole[32:36], "little")]
    for place in range(len(packet)):
        for value in (0, 0xFF):
            damaged = packet[:place] + bytes([value]) + packet[place + 1 :]
            found = Inspector().inspect(dissect(damaged, int.from_bytes(whole[20:24], "little"), 1, 0.0))
            assert line(found).isprintable()
            json.dumps(to_json(found))
    for length in range(len(packet)):
        found = Inspector().inspect(dissect(packet[:length], int.from_bytes(whole[20:24], "little"), 1, 0.0))
        assert line(found)


def test_rows_that_cannot_be_used_are_named_without_their_secrets(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    folder.mkdir()
    (folder / "ikev2_decryption_table").write_text(
        '01,02,c0ffee,c0ffee,"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"\n'
        '01,02,c0ffee,c0ffee,"ROT13",,,"NONE [RFC4306]"\n'
        "01,02,c0ffee\n"
        "01,02,c0ffee,nothex,x,,,y\n"
    )
    with Recorder(tmp_path / "a.pcapng") as recorder:
        recorder.record(b"\xff", PATH, 1.0, outbound=True)
    result = CliRunner().invoke(inspect, [str(tmp_path / "a.pcapng"), "--keys", str(folder)])
    assert result.stderr.splitlines() == [
        "ikesim: ikev2_decryption_table row 1: AES-GCM-128 with 16 octet ICV [RFC5282] takes keys of 20 octets",
        "ikesim: ikev2_decryption_table row 2: 'ROT13' with 'NONE [RFC4306]' is not supported",
        "ikesim: ikev2_decryption_table row 3: fields are missing",
        "ikesim: ikev2_decryption_table row 4: a field does not parse",
    ]
    assert "c0ffee" not in result.output


@pytest.mark.parametrize("option", [[], ["--keys", "nowhere"]])
def test_what_is_not_there_is_one_sentence(tmp_path: Path, option: list[str]) -> None:
    (tmp_path / "empty").write_bytes(b"\xff")
    result = CliRunner().invoke(inspect, [str(tmp_path / "nothing.pcap"), *option])
    assert str(result.exception) in (
        f"the capture {tmp_path / 'nothing.pcap'} cannot be read: No such file or directory",
        "nowhere is not a folder of keys (ikesim run --keys DIR writes one)",
    )
