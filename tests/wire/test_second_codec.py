"""Two other codecs read what we write: scapy.contrib.ikev2 and tshark."""

import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from scapy.contrib import ikev2
from scapy.utils import RawPcapWriter

from ikesim.wire.message import Flags, Header, encode_message, protected_prefix
from ikesim.wire.payloads import (
    AUTH,
    CERT,
    CERTREQ,
    CP,
    EAP,
    KE,
    SA,
    SKF,
    Body,
    Delete,
    IDi,
    IDr,
    Nonce,
    Notify,
    TSi,
    TSr,
    VendorId,
)
from ikesim.wire.proposals import Proposal, Transform
from ikesim.wire.registry import ExchangeType
from ikesim.wire.selectors import TrafficSelector
from tests.support import lacking
from tests.wire.cases import CASES, Case

HEADER = Header(b"\1" * 8, b"\2" * 8, 0, 0x20, ExchangeType.IKE_AUTH, Flags.INITIATOR, 7, 0)
BEYOND_SCAPY = {
    "sa-unknown-attributes": "knows the key length as a transform's only attribute",
    "sa-long-key-length-is-not-understood": "knows the key length as a transform's only attribute",
    "ts-unknown-type": "looks for 16 octets before it reads a selector's type",
}
NOT_A_CERTIFICATE = "cert"
"""The case whose data is DER, but no certificate: tshark looks inside and says so."""
BEYOND_TSHARK = {"id-null": "tshark 4.0 asserts that identification data is there"}


def readable(beyond: dict[str, str]) -> list[Case]:
    return [case for case in CASES if case.name not in beyond]


# scapy


def packed(text: str) -> bytes:
    return ip_address(text).packed


def chain(packet: Any) -> list[Any]:
    """Scapy strings payloads, proposals and transforms together as layers."""
    found = []
    while packet and packet.name != "NoPayload":
        found.append(packet)
        packet = packet.payload
    return found


def scapy_selector(packet: Any) -> TrafficSelector:
    family = "v4" if packet.TS_type == 7 else "v6"
    start, end = (packed(packet.getfieldval(f"{edge}_address_{family}")) for edge in ("starting", "ending"))
    return TrafficSelector(packet.TS_type, packet.IP_protocol_ID, packet.start_port, packet.end_port, start, end)


def scapy_identity(cls: type[IDi] | type[IDr], packet: Any) -> IDi | IDr:
    data = packed(packet.ID) if packet.IDtype in (1, 5) else packet.ID
    return cls(packet.IDtype, data, packet.res2.to_bytes(3, "big"))


def scapy_proposals(packet: Any) -> SA:
    return SA(
        tuple(
            Proposal(
                entry.proposal,
                entry.proto,
                entry.SPI,
                tuple(
                    Transform(each.transform_type, each.transform_id, each.key_length and each.key_length & 0xFFFF)
                    for each in chain(entry.trans)
                ),
            )
            for entry in chain(packet.prop)
        )
    )


SCAPY: dict[type[Any], Callable[[Any], Body]] = {
    ikev2.IKEv2_SA: scapy_proposals,
    ikev2.IKEv2_KE: lambda p: KE(p.group, p.ke),
    ikev2.IKEv2_IDi: lambda p: scapy_identity(IDi, p),
    ikev2.IKEv2_IDr: lambda p: scapy_identity(IDr, p),
    ikev2.IKEv2_CERT: lambda p: CERT(p.cert_encoding, bytes(p.cert_data)),
    ikev2.IKEv2_CERTREQ: lambda p: CERTREQ(p.cert_encoding, p.cert_authority),
    ikev2.IKEv2_AUTH: lambda p: AUTH(p.auth_type, p.load, p.res2.to_bytes(3, "big")),
    ikev2.IKEv2_Nonce: lambda p: Nonce(p.nonce),
    ikev2.IKEv2_Notify: lambda p: Notify(p.type, p.notify, p.proto, p.SPI),
    ikev2.IKEv2_Delete: lambda p: Delete(p.proto, tuple(p.SPI)),
    ikev2.IKEv2_VendorID: lambda p: VendorId(p.vendorID),
    ikev2.IKEv2_TSi: lambda p: TSi(tuple(map(scapy_selector, p.traffic_selector))),
    ikev2.IKEv2_TSr: lambda p: TSr(tuple(map(scapy_selector, p.traffic_selector))),
    ikev2.IKEv2_CP: lambda p: CP(p.CFGType, tuple((a.type, bytes(a)[4:]) for a in p.attributes)),
    ikev2.IKEv2_EAP: lambda p: EAP(p.load),
    ikev2.IKEv2_Encrypted_Fragment: lambda p: SKF(p.frag_number, p.frag_total, p.load),
}


def read_by_scapy(octets: bytes) -> list[Body]:
    header, *payloads = chain(ikev2.IKEv2(octets))
    assert (header.init_SPI, header.resp_SPI, header.version) == (HEADER.spi_i, HEADER.spi_r, 0x20)
    assert (int(header.exch_type), int(header.flags), header.id) == (35, 8, 7)
    assert header.length == len(octets)
    return [SCAPY[type(payload)](payload) for payload in payloads]


@pytest.mark.parametrize("case", readable(BEYOND_SCAPY), ids=str)
def test_scapy_reads_what_we_write(case: Case) -> None:
    assert read_by_scapy(encode_message(HEADER, (case.value,))) == [case.value]


def test_scapy_reads_a_whole_chain() -> None:
    values = [case.value for case in readable(BEYOND_SCAPY) if not isinstance(case.value, SKF)]
    assert read_by_scapy(encode_message(HEADER, values)) == values


@pytest.mark.parametrize("name", BEYOND_SCAPY)
def test_scapy_still_cannot_read(name: str) -> None:
    (case,) = (case for case in CASES if case.name == name)
    try:
        read = read_by_scapy(encode_message(HEADER, (case.value,)))
    except (KeyError, AttributeError, TypeError):
        return
    assert read != [case.value], "take it out of BEYOND_SCAPY"


# tshark


@cache
def tshark() -> str:
    found = shutil.which("tshark")
    return found or lacking("tshark is not installed: run `apt-get install -y tshark`")


TRANSFORM_FIELDS = {1: "encr", 2: "prf", 3: "integ", 4: "dh", 5: "esn"}


def fields_of(value: Body) -> dict[str, list[str]]:
    """The fields that tshark must find in a payload, and their values in order."""
    found: dict[str, list[str]] = {}

    def field(name: str, *values: Any) -> None:
        texts = [entry.hex() if isinstance(entry, bytes) else str(entry) for entry in values]
        found.setdefault(f"isakmp.{name}", []).extend(text for text in texts if text)

    match value:
        case SA():
            for proposal in value.proposals:
                field("prop.number", proposal.number)
                field("prop.protoid", proposal.protocol)
                field("prop.transforms", len(proposal.transforms))
                field("spi", proposal.spi)
                for transform in proposal.transforms:
                    field("tf.type", transform.type)
                    field(f"tf.id.{TRANSFORM_FIELDS[transform.type]}", transform.id)
                    length = () if transform.key_length is None else ((14, transform.key_length),)
                    for kind, content in (*length, *transform.attributes):
                        short = isinstance(content, int)
                        octets = content.to_bytes(2, "big") if isinstance(content, int) else content
                        field("ike2.attr.format", int(short))
                        field("ike2.attr.type", kind)
                        field("ike2.attr.value", octets)
                        if kind == 14:
                            field("ike2.attr.key_length", int.from_bytes(octets, "big"))
        case KE():
            field("key_exchange.dh_group", value.method)
            field("key_exchange.data", value.data)
        case IDi() | IDr():
            field("id.type", value.id_type)
            shown = {1: "ipv4_addr", 2: "fqdn", 11: "key_id"}[value.id_type]
            text = {1: lambda d: str(ip_address(d)), 2: bytes.decode, 11: bytes.hex}[value.id_type](value.data)
            field(f"id.data.{shown}", text)
        case CERT():
            field("cert.encoding", value.encoding)
            if value.encoding == 12:
                field("cert.x509.hash", value.data[:20])
                field("cert.x509.url", value.data[20:].decode())
        case CERTREQ():
            field("certreq.type", value.encoding)
            field("ike.certreq.authority", *value.authorities)
        case AUTH():
            field("auth.method", value.method)
            field("auth.data", value.data)
        case Nonce():
            field("nonce", value.data)
        case Notify():
            field("notify.msgtype", value.type)
            field("notify.protoid", value.protocol)
            field("spisize", len(value.spi))
            field("spi", value.spi)
            field("notify.data", value.data or "<MISSING>")
        case Delete():
            field("delete.protoid", value.protocol)
            field("spinum", len(value.spis))
            field("delete.spi", *value.spis)
        case VendorId():
            field("vid_bytes", value.data)
        case TSi() | TSr():
            field("ts.number", len(value.selectors))
            for selector in value.selectors:
                field("ts.type", selector.type)
                if selector.type in (7, 8):
                    family = {7: "ipv4", 8: "ipv6"}[selector.type]
                    field("ts.protoid", selector.protocol)
                    field("ts.start_port", selector.start_port)
                    field("ts.end_port", selector.end_port)
                    field(f"ts.start_{family}", ip_address(selector.start))
                    field(f"ts.end_{family}", ip_address(selector.end))
        case CP():
            field("cfg.type", value.type)
            for kind, content in value.attributes:
                field("cfg.attr.type", kind)
                field("cfg.attr.value", content)
        case SKF():
            field("frag.number", value.number)
            field("frag.total", value.total)
    return found


COMMON = [
    "isakmp.typepayload",
    "isakmp.payloadlength",
    "isakmp.criticalpayload",
    "_ws.malformed",
    "_ws.expert.message",
]


def dissect(datagrams: list[bytes], folder: Path, fields: list[str]) -> list[dict[str, list[str]]]:
    """What tshark finds in datagrams between two ports 500, one mapping of fields to values each."""
    capture = folder / "emitted.pcap"
    with RawPcapWriter(str(capture), linktype=101) as writer:
        for octets in datagrams:
            udp = b"\x01\xf4\x01\xf4" + (8 + len(octets)).to_bytes(2, "big") + bytes(2) + octets
            ip = b"\x45\0" + (20 + len(udp)).to_bytes(2, "big") + bytes(4) + b"\x40\x11\0\0"
            writer.write(ip + packed("192.0.2.1") + packed("192.0.2.2") + udp)
    columns = [part for field in fields for part in ("-e", field)]
    # the separators are characters that no value holds
    command = [
        tshark(),
        "-n",
        "-r",
        str(capture),
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "aggregator=|",
        *columns,
    ]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(lines) == len(datagrams)
    rows = (line.split("\t") for line in lines)
    return [{key: cell.split("|") for key, cell in zip(fields, row, strict=True) if cell} for row in rows]


def test_tshark_reads_what_we_write(tmp_path: Path) -> None:
    cases = readable(BEYOND_TSHARK)
    fields = COMMON + sorted({field for case in cases for field in fields_of(case.value)} | {"eap.id", "eap.len"})
    rows = dissect([encode_message(HEADER, (case.value,)) for case in cases], tmp_path, fields)
    for case, row in zip(cases, rows, strict=True):
        expected = {key: values for key, values in fields_of(case.value).items() if values}
        assert {key: row.get(key) for key in expected} == expected, case
        assert row["isakmp.typepayload"][0] == str(int(case.value.kind)), case
        assert row["isakmp.payloadlength"][0] == str(4 + len(case.octets)), case
        assert ("_ws.malformed" in row) is (case.name == NOT_A_CERTIFICATE), case
    (eap,) = (row for case, row in zip(cases, rows, strict=True) if isinstance(case.value, EAP))
    assert (eap["eap.id"], eap["eap.len"]) == (["5"], ["5"])


def test_tshark_reads_a_whole_chain(tmp_path: Path) -> None:
    cases = [case for case in readable(BEYOND_TSHARK) if case.name != NOT_A_CERTIFICATE]
    values = [case.value for case in cases if not isinstance(case.value, SA | SKF)]
    (row,) = dissect([encode_message(HEADER, values)], tmp_path, COMMON)
    assert row["isakmp.typepayload"] == [str(int(value.kind)) for value in values]
    assert row["isakmp.payloadlength"] == [str(4 + len(value.encode())) for value in values]
    assert "_ws.malformed" not in row


def test_tshark_sees_critical_bits(tmp_path: Path) -> None:
    payloads = (Nonce(bytes(16), critical=True), Notify(16384))
    (row,) = dissect([encode_message(HEADER, payloads)], tmp_path, COMMON)
    assert row["isakmp.criticalpayload"] == ["1", "0"]


def test_tshark_sees_the_frame_of_a_protected_message(tmp_path: Path) -> None:
    fields = [
        "isakmp.typepayload",
        "isakmp.payloadlength",
        "isakmp.nextpayload",
        "isakmp.length",
        "isakmp.frag.number",
    ]
    datagrams = [
        protected_prefix(HEADER, 35, 40) + bytes(40),
        protected_prefix(HEADER, 35, 40, number=1, total=2) + bytes(40),
    ]
    sk, skf = dissect(datagrams, tmp_path, fields)
    assert (sk["isakmp.typepayload"], sk["isakmp.payloadlength"], sk["isakmp.length"]) == (["46"], ["44"], ["72"])
    assert (skf["isakmp.typepayload"], skf["isakmp.payloadlength"], skf["isakmp.length"]) == (["53"], ["48"], ["76"])
    assert sk["isakmp.nextpayload"] == ["46", "35"]
    assert skf["isakmp.nextpayload"] == ["53", "35"]
    assert skf["isakmp.frag.number"] == ["1"]


@pytest.mark.parametrize("name", BEYOND_TSHARK)
def test_tshark_still_cannot_read(name: str, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if case.name == name)
    (row,) = dissect([encode_message(HEADER, (case.value,))], tmp_path, ["_ws.malformed", "_ws.expert.message"])
    assert row, "take it out of BEYOND_TSHARK"
