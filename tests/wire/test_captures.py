"""Captured exchanges of other implementations: what stands in the clear, compared with what tshark found there."""

import hashlib
import json
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from scapy.utils import RawPcapReader

from ikesim.errors import WireError
from ikesim.wire.demux import DatagramKind, classify
from ikesim.wire.message import Header, Message
from ikesim.wire.payloads import CERT, CERTREQ, KE, SA, Delete, IDi, IDr, Nonce, Notify, VendorId
from ikesim.wire.registry import PayloadType

FILES = (
    "corelight-ikev1-certs.pcap",
    "openswan-badKE.pcap",
    "openswan-parent.pcap",
    "scapy-ikev2_notify_redirect.pcap",
    "strongswan-auth-failed.pcap",
    "strongswan-cbc-rsa.pcap",
    "strongswan-cookie-invalid-ke.pcap",
    "strongswan-eap-md5.pcap",
    "strongswan-gcm16-ecdsa.pcap",
    "suricata-weak-dh.pcap",
    "tcpdump-ikev2-id-short.pcap",
    "tcpdump-ikev2four.pcap",
    "tcpdump-ikev2pI2.pcap",
    "ukncsc-ikev2.pcap",
)
HEADERS_ONLY = {"corelight-ikev1-certs.pcap", "openswan-badKE.pcap", "tcpdump-ikev2-id-short.pcap"}
"""IKEv1 or damaged: each has a test of its own."""
LINK_HEADER_OCTETS = {0: 4, 1: 14, 101: 0}
"""By link type: BSD loopback, Ethernet, raw IP."""


@pytest.fixture(scope="module")
def expectations(shared_vectors: Path) -> dict[str, dict[str, Any]]:
    content = json.loads((shared_vectors / "captures" / "expectations.json").read_text())
    return {capture["file"]: capture for capture in content["captures"]}


def datagrams(file: Path) -> list[tuple[str, str, int, int, bytes]]:
    """Source, destination, ports and UDP payload of every frame (all are IPv4 and whole)."""
    with RawPcapReader(str(file)) as reader:
        frames = [frame[LINK_HEADER_OCTETS[reader.linktype] :] for frame, _ in reader]
    found = []
    for packet in frames:
        udp = packet[(packet[0] & 15) * 4 :]
        ports = int.from_bytes(udp[0:2], "big"), int.from_bytes(udp[2:4], "big")
        addresses = str(ip_address(packet[12:16])), str(ip_address(packet[16:20]))
        found.append((*addresses, *ports, udp[8 : int.from_bytes(udp[4:6], "big")]))
    return found


def messages(capture: dict[str, Any], folder: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """Each expected message with the UDP payload of its frame."""
    frames = datagrams(folder / capture["file"])
    assert len(frames) == capture["frames"]
    assert len(capture["messages"]) == capture["ike_messages"]
    for expected in capture["messages"]:
        source, destination, source_port, destination_port, octets = frames[expected["frame"] - 1]
        assert (source, destination) == (expected["src"], expected["dst"])
        assert (source_port, destination_port) == (expected["sport"], expected["dport"])
        yield expected, octets


def test_no_capture_is_left_out(expectations: dict[str, dict[str, Any]]) -> None:
    assert sorted(expectations) == sorted(FILES)
    assert {file for file in FILES if expectations[file]["compare"] != "all"} == HEADERS_ONLY


@pytest.mark.parametrize("file", FILES)
def test_headers(file: str, expectations: dict[str, dict[str, Any]], shared_vectors: Path) -> None:
    for expected, datagram in messages(expectations[file], shared_vectors / "captures"):
        kind, octets = classify(datagram, {bytes.fromhex(expected["initiator_spi"])})
        if expected["version"] == "2.0":
            assert kind is (DatagramKind.MARKED_IKE if expected["non_esp_marker"] else DatagramKind.IKE)
        header = Header.parse(octets)
        assert header.encode() == octets[:28]
        assert {
            "initiator_spi": header.spi_i.hex(),
            "responder_spi": header.spi_r.hex(),
            "version": f"{header.major}.{header.minor}",
            "exchange": header.exchange,
            "flags": header.flags,
            "message_id": header.message_id,
            "length": header.length,
        } == {
            key: expected[key]
            for key in ("initiator_spi", "responder_spi", "version", "exchange", "flags", "message_id", "length")
        }


@pytest.mark.parametrize("file", FILES)
def test_demultiplexing(file: str, expectations: dict[str, dict[str, Any]], shared_vectors: Path) -> None:
    capture = expectations[file]
    folder = shared_vectors / "captures"
    ike = {expected["frame"]: expected for expected in capture["messages"]}
    spis = {bytes.fromhex(expected["initiator_spi"]) for expected in capture["messages"]}
    esp_spis = {bytes.fromhex(entry["spi"].removeprefix("0x")) for entry in capture.get("esp_keys", ())}
    esp_frames = 0
    for number, (*_, octets) in enumerate(datagrams(folder / file), 1):
        kind, _ = classify(octets, spis | esp_spis)
        if number in ike:
            assert kind is (DatagramKind.MARKED_IKE if ike[number]["non_esp_marker"] else DatagramKind.IKE)
        elif kind is not DatagramKind.KEEPALIVE:
            assert kind is DatagramKind.ESP
            esp_frames += 1
    assert esp_frames == capture["esp_frames"]


@pytest.mark.parametrize("file", [file for file in FILES if file not in HEADERS_ONLY])
def test_payloads(file: str, expectations: dict[str, dict[str, Any]], shared_vectors: Path) -> None:
    capture = expectations[file]
    for expected, datagram in messages(capture, shared_vectors / "captures"):
        octets = datagram[4:] if expected["non_esp_marker"] else datagram
        message = Message.parse(octets)
        assert len(message.payloads) == len(expected["payloads"])
        for raw, payload in zip(message.payloads, expected["payloads"], strict=True):
            assert described(raw.payload()) == interesting(payload)
            assert (raw.kind, len(raw.body) + 4) == (payload["type"], payload["length"])
            assert raw.critical is payload.get("critical", False)
            # RFC 7296 says how to write a payload in one way only: what others wrote comes out again
            assert raw.payload().encode() == bytes(raw.body)
        last, frame = expected["payloads"][-1], message.protected()
        assert (frame is not None) is (last["type"] in (PayloadType.SK, PayloadType.SKF))
        if frame is not None:
            assert frame.number == last.get("fragment", 0)
            assert frame.sealed.hex().startswith(last.get("iv") or "")


def interesting(payload: dict[str, Any]) -> dict[str, Any]:
    """What of an expected payload does not depend on keys."""
    sealed = payload["type"] in (PayloadType.SK, PayloadType.SKF)
    keys = () if sealed else DESCRIBED
    return {key: payload[key] for key in keys if key in payload}


DESCRIBED = (
    "proposals",
    "group",
    "data",
    "data_sha256",
    "notify",
    "protocol",
    "spi",
    "spis",
    "encoding",
    "authorities",
    "id_type",
)


def described(payload: object) -> dict[str, Any]:
    """A decoded payload in the terms of expectations.json."""
    match payload:
        case SA():
            return {"proposals": [proposal(entry) for entry in payload.proposals]}
        case KE():
            return {"group": payload.method, "data": payload.data.hex()}
        case IDi() | IDr():
            return {"id_type": payload.id_type, "data": payload.data.hex()}
        case CERT():
            return {"encoding": payload.encoding, "data_sha256": hashlib.sha256(payload.data).hexdigest()}
        case CERTREQ():
            return {"encoding": payload.encoding, "authorities": [entry.hex() for entry in payload.authorities]}
        case Nonce() | VendorId():
            return {"data": payload.data.hex()}
        case Notify():
            found = {"notify": payload.type, "protocol": payload.protocol, "spi": payload.spi.hex()}
            return found | {"data": payload.data.hex()}
        case Delete():
            return {"protocol": payload.protocol, "spis": [spi.hex() for spi in payload.spis]}
    return {}


def proposal(entry: Any) -> dict[str, Any]:
    return {
        "number": entry.number,
        "protocol": entry.protocol,
        "spi": entry.spi.hex(),
        "transforms": [
            {"type": transform.type, "id": transform.id}
            | ({"key_length": transform.key_length} if transform.key_length is not None else {})
            for transform in entry.transforms
        ],
    }


def test_ikev1_is_told_apart_and_not_decoded(expectations: dict[str, dict[str, Any]], shared_vectors: Path) -> None:
    for _, octets in messages(expectations["corelight-ikev1-certs.pcap"], shared_vectors / "captures"):
        message = Message.parse(octets)
        assert (message.header.major, message.payloads) == (1, ())
        assert classify(octets)[0] is DatagramKind.JUNK


def test_an_identity_that_overshoots_its_message(
    expectations: dict[str, dict[str, Any]], shared_vectors: Path
) -> None:
    # a bare message whose initiator SPI is zero, and so looks marked at first sight
    ((expected, octets),) = messages(expectations["tcpdump-ikev2-id-short.pcap"], shared_vectors / "captures")
    assert classify(octets) == (DatagramKind.IKE, octets)
    with pytest.raises(WireError) as caught:
        for raw in Message.parse(octets).payloads:
            raw.payload()
    assert caught.value.payload == expected["payloads"][0]["type"] == 35


def test_a_damaged_key_exchange_is_read_and_left_to_its_group(
    expectations: dict[str, dict[str, Any]], shared_vectors: Path
) -> None:
    ((expected, octets),) = messages(expectations["openswan-badKE.pcap"], shared_vectors / "captures")
    message = Message.parse(octets)
    assert list(message.kinds) == [payload["type"] for payload in expected["payloads"]]
    ke = message.get(KE)
    assert ke is not None
    assert ke.method == next(payload["group"] for payload in expected["payloads"] if payload["type"] == 34)
