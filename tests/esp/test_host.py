"""The inner host: echo over IPv4 and IPv6, judged by scapy's independent arithmetic."""

import warnings

import pytest

from ikesim.esp.host import InnerHost, echo_request, internet_checksum, parse_echo_reply
from ikesim.wire.selectors import TrafficSelector

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # scapy names ciphers that cryptography is about to move
    from scapy.layers.inet import ICMP, IP, UDP
    from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest, IPv6, IPv6ExtHdrHopByHop
    from scapy.packet import Raw

HOST = InnerHost(["10.2.0.0/24", "2001:db8:2::/64"])
PAYLOADS = [b"", b"x", b"even", bytes(range(256)) * 4, b"\xff" * 1001]


@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
def test_an_ipv4_echo_comes_back(payload: bytes) -> None:
    request = echo_request("10.1.0.1", "10.2.0.9", 0xBEEF, 3, payload)
    # what scapy computes for the same fields, checksums included
    assert request == bytes(
        IP(src="10.1.0.1", dst="10.2.0.9", id=0, ttl=64) / ICMP(type=8, id=0xBEEF, seq=3) / Raw(payload)
    )
    reply = HOST.receive(request)
    assert reply == bytes(
        IP(src="10.2.0.9", dst="10.1.0.1", id=0, ttl=64) / ICMP(type=0, id=0xBEEF, seq=3) / Raw(payload)
    )
    assert parse_echo_reply(reply) == ("10.2.0.9", "10.1.0.1", 0xBEEF, 3, payload)


@pytest.mark.parametrize("payload", PAYLOADS, ids=len)
def test_an_ipv6_echo_comes_back(payload: bytes) -> None:
    request = echo_request("2001:db8:1::1", "2001:db8:2::9", 0xBEEF, 3, payload)
    assert request == bytes(
        IPv6(src="2001:db8:1::1", dst="2001:db8:2::9") / ICMPv6EchoRequest(id=0xBEEF, seq=3, data=payload)
    )
    reply = HOST.receive(request)
    assert reply == bytes(
        IPv6(src="2001:db8:2::9", dst="2001:db8:1::1") / ICMPv6EchoReply(id=0xBEEF, seq=3, data=payload)
    )
    assert parse_echo_reply(reply) == ("2001:db8:2::9", "2001:db8:1::1", 0xBEEF, 3, payload)


def test_every_address_of_its_networks_answers_and_no_other() -> None:
    for address in ("10.2.0.0", "10.2.0.1", "10.2.0.255"):
        assert HOST.receive(echo_request("10.1.0.1", address, 1, 1)) is not None
    for address in ("10.1.255.255", "10.2.1.0", "32.1.13.184"):
        assert HOST.receive(echo_request("10.1.0.1", address, 1, 1)) is None
    assert HOST.receive(echo_request("2001:db8:1::1", "2001:db8:2:0:ffff::", 1, 1)) is not None
    assert HOST.receive(echo_request("2001:db8:1::1", "2001:db8:2:1::", 1, 1)) is None


def test_networks_may_be_traffic_selectors() -> None:
    host = InnerHost([TrafficSelector.parse("10.3.0.5-10.3.0.7")])
    answering = [n for n in range(10) if host.receive(echo_request("10.1.0.1", f"10.3.0.{n}", 1, 1))]
    assert answering == [5, 6, 7]


REQUEST = echo_request("10.1.0.1", "10.2.0.9", 1, 1, b"payload!")
OTHERS = {
    "nothing": b"",
    "a reply": bytes(IP(src="10.1.0.1", dst="10.2.0.9") / ICMP(type=0)),
    "another ICMP type": bytes(IP(src="10.1.0.1", dst="10.2.0.9") / ICMP(type=3)),
    "a code that is not 0": bytes(IP(src="10.1.0.1", dst="10.2.0.9") / ICMP(type=8, code=1)),
    "UDP": bytes(IP(src="10.1.0.1", dst="10.2.0.9") / UDP(dport=7) / b"payload"),
    "a first fragment": bytes(IP(src="10.1.0.1", dst="10.2.0.9", flags="MF") / ICMP(type=8) / b"payload"),
    "a later fragment": bytes(IP(src="10.1.0.1", dst="10.2.0.9", frag=3) / ICMP(type=8) / b"payload"),
    "a wrong header checksum": REQUEST[:10] + b"\0\0" + REQUEST[12:],
    "a wrong ICMP checksum": REQUEST[:-1] + b"?",
    "a length beyond the packet": bytes(IP(src="10.1.0.1", dst="10.2.0.9", len=500) / ICMP(type=8)),
    "a header length below 20": bytes(IP(src="10.1.0.1", dst="10.2.0.9", ihl=4) / ICMP(type=8)),
    "IPv6 with an extension header": bytes(
        IPv6(src="2001:db8:1::1", dst="2001:db8:2::9") / IPv6ExtHdrHopByHop() / ICMPv6EchoRequest()
    ),
    "IPv6 with a wrong checksum": bytes(
        IPv6(src="2001:db8:1::1", dst="2001:db8:2::9") / ICMPv6EchoRequest(cksum=0x1234)
    ),
    "ICMP in IPv6": bytes(IPv6(src="2001:db8:1::1", dst="2001:db8:2::9", nh=1) / ICMP(type=8)),
    "no IP version": b"\x70" + REQUEST[1:],
}


@pytest.mark.parametrize("packet", OTHERS.values(), ids=OTHERS)
def test_anything_else_gets_silence(packet: bytes) -> None:
    assert HOST.receive(packet) is None


@pytest.mark.parametrize("request_packet", [REQUEST, echo_request("2001:db8:1::1", "2001:db8:2::9", 1, 1, b"abc")])
def test_a_request_cut_anywhere_gets_silence(request_packet: bytes) -> None:
    for length in range(len(request_packet)):
        assert HOST.receive(request_packet[:length]) is None
    reply = HOST.receive(request_packet)
    assert reply is not None
    for length in range(len(reply)):
        assert parse_echo_reply(reply[:length]) is None


def test_ip_options_and_octets_behind_the_packet_do_not_disturb() -> None:
    options = bytes(IP(src="10.1.0.1", dst="10.2.0.9", options=[b"\1\1\1\1"]) / ICMP(type=8, id=5, seq=6) / b"data")
    reply = HOST.receive(options + b"trailing")
    assert reply is not None
    assert parse_echo_reply(reply) == ("10.2.0.9", "10.1.0.1", 5, 6, b"data")


def test_a_request_is_no_reply() -> None:
    assert parse_echo_reply(REQUEST) is None


def test_addresses_of_two_families_are_refused() -> None:
    with pytest.raises(ValueError, match="one address family"):
        echo_request("10.1.0.1", "2001:db8::1", 1, 1)


def test_the_checksum_of_rfc_1071() -> None:
    assert internet_checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF  # section 3
