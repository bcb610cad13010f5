"""ESP packets against strongSwan's captures, RFC 7634, and scapy's independent implementation."""

import copy
import warnings
from pathlib import Path
from typing import Any

import pytest

from ikesim.crypto.ciphers import cipher_suite
from ikesim.esp.host import echo_request
from ikesim.esp.packet import EspError, InboundEsp, OutboundEsp, SequenceExhausted
from ikesim.esp.replay import ReplayWindow
from ikesim.wire.registry import EncryptionId, IntegrityId
from tests.crypto.vectors import datagrams, entry, load

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # scapy names ciphers that cryptography is about to move
    from scapy.layers.inet import ICMP, IP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.ipsec import ESP, SecurityAssociation

SPI = bytes.fromhex("c0ffee01")
PING4 = echo_request("10.1.0.1", "10.2.0.1", 7, 1, b"abcdefgh")
PING6 = echo_request("2001:db8:1::1", "2001:db8:2::1", 7, 1, b"abcdefghi")
GCM = cipher_suite(EncryptionId.AES_GCM_16, 128, None)
CBC = cipher_suite(EncryptionId.AES_CBC, 128, IntegrityId.HMAC_SHA2_256_128)


def entropy(count: int) -> bytes:
    return b"\x5a" * count


def pair(suite: Any, esn: bool = False, **state: Any) -> tuple[OutboundEsp, InboundEsp]:
    key, integrity_key = bytes(range(suite.key_length)), bytes(range(100, 100 + suite.integrity_key_length))
    return OutboundEsp(SPI, suite, key, integrity_key, esn, **state), InboundEsp(SPI, suite, key, integrity_key, esn)


def seal(suite: Any, plaintext: bytes, sequence: int = 1) -> bytes:
    """A packet with any payload and trailer, rightly protected."""
    outbound, _ = pair(suite)
    aad = SPI + sequence.to_bytes(4, "big")
    iv = suite.make_iv(sequence, entropy)
    return aad + suite.seal(outbound.key, outbound.integrity_key, iv=iv, aad=aad, plaintext=plaintext)


@pytest.mark.parametrize("file", ["strongswan-gcm16-ecdsa.pcap", "strongswan-cbc-rsa.pcap"])
def test_esp_packets_of_strongswan(shared_vectors: Path, file: str) -> None:
    expected = entry(shared_vectors, file)
    inbound = {}
    for row in expected["esp_keys"]:
        suite = cipher_suite(row["encr"], row["key_length"], row["integ"])
        key, integrity_key = bytes.fromhex(row["encryption_key"]), bytes.fromhex(row["integrity_key"] or "")
        inbound[row["spi"]] = InboundEsp(bytes.fromhex(row["spi"]), suite, key, integrity_key)
    for packet in expected["esp"]:
        octets = datagrams(shared_vectors / "captures" / file)[packet["frame"] - 1]
        inner = IP(inbound[packet["spi"]].unprotect(octets))
        assert (inner.src, inner.dst) == (packet["inner_src"], packet["inner_dst"])
        assert (inner[ICMP].type, inner[ICMP].seq) == (packet["icmp_type"], packet["icmp_seq"])
        with pytest.raises(EspError) as replayed:
            inbound[packet["spi"]].unprotect(octets)
        assert replayed.value.cause == "replay"
    assert len(expected["esp"]) >= 4
    assert all(side.packets > 0 and side.replay.top == side.packets for side in inbound.values())


def test_the_esp_packet_of_rfc_7634(shared_vectors: Path) -> None:
    packet = next(p for p in load(shared_vectors / "kdf" / "aead.json")["packets"] if p["id"] == "rfc7634-esp")
    suite = cipher_suite(EncryptionId.CHACHA20_POLY1305, None, None)
    key = bytes.fromhex(packet["key"] + packet["salt"])
    inbound = InboundEsp(bytes.fromhex(packet["spi"]), suite, key, b"")
    inner = inbound.unprotect(bytes.fromhex(packet["packet"]))
    assert inner == bytes.fromhex(packet["plaintext"])[:-4]
    assert (inbound.packets, inbound.octets, inbound.replay.top) == (1, 84, 5)


SCAPY = {
    "AES-GCM": ("NULL", [(EncryptionId.AES_GCM_16, bits, None) for bits in (128, 192, 256)]),
    "AES-CCM": ("NULL", [(EncryptionId.AES_CCM_16, bits, None) for bits in (128, 256)]),
    "CHACHA20-POLY1305": ("NULL", [(EncryptionId.CHACHA20_POLY1305, None, None)]),
    "AES-CBC": ("SHA2-256-128", [(EncryptionId.AES_CBC, bits, 12) for bits in (128, 256)]),
    "AES-CTR": ("SHA2-512-256", [(EncryptionId.AES_CTR, bits, 14) for bits in (128, 192, 256)]),
    "NULL": ("HMAC-SHA1-96", [(EncryptionId.NULL, None, 2)]),
}
SCAPY_ROWS = [(name, auth, ids) for name, (auth, rows) in SCAPY.items() for ids in rows]


def scapy_sa(crypt: str, auth: str, side: OutboundEsp | InboundEsp, family: Any, **more: Any) -> Any:
    outer = {IP: IP(src="192.0.2.1", dst="192.0.2.2"), IPv6: IPv6(src="2001:db8::1", dst="2001:db8::2")}[family]
    return SecurityAssociation(
        ESP,
        spi=int.from_bytes(SPI, "big"),
        crypt_algo=crypt,
        crypt_key=side.key,
        auth_algo=auth,
        auth_key=side.integrity_key or None,
        tunnel_header=outer,
        **more,
    )


@pytest.mark.parametrize(("crypt", "auth", "ids"), SCAPY_ROWS, ids=str)
@pytest.mark.parametrize(("inner", "family"), [(PING4, IP), (PING6, IPv6)], ids=["ipv4", "ipv6"])
def test_scapy_reads_ours_and_we_read_scapys(crypt: str, auth: str, ids: Any, inner: bytes, family: Any) -> None:
    outbound, inbound = pair(cipher_suite(*ids))
    sa = scapy_sa(crypt, auth, outbound, family)
    for sequence in (1, 2):
        ours = outbound.protect(inner, entropy)
        outer = family(bytes(family(**({"proto": 50} if family is IP else {"nh": 50})) / ours))
        assert bytes(sa.decrypt(outer)) == inner
        theirs = bytes(sa.encrypt(family(inner), seq_num=sequence)[ESP])
        assert inbound.unprotect(theirs) == inner
    assert (outbound.sequence, inbound.packets, inbound.octets) == (2, 2, 2 * len(inner))


@pytest.mark.parametrize(
    ("crypt", "auth", "ids"), [row for row in SCAPY_ROWS if row[0] in ("AES-GCM", "AES-CBC")], ids=str
)
def test_extended_sequence_numbers_as_scapy_protects_them(crypt: str, auth: str, ids: Any) -> None:
    high = 3
    outbound, inbound = pair(cipher_suite(*ids), esn=True, sequence=(high << 32) - 1)
    inbound.replay = ReplayWindow(top=(high << 32) - 1, bitmap=1)
    sa = scapy_sa(crypt, auth, outbound, IP, esn_en=True, esn=high)
    theirs = bytes(sa.encrypt(IP(PING4), seq_num=5, esn_en=True, esn=high)[ESP])
    assert inbound.unprotect(theirs) == PING4
    assert inbound.replay.top == (high << 32) + 5
    ours = outbound.protect(PING4, entropy)
    assert ours[4:8] == bytes(4)
    assert inbound.unprotect(ours) == PING4
    _, too_old = pair(cipher_suite(*ids), esn=True)
    with pytest.raises(EspError) as refused:
        too_old.unprotect(ours)
    assert refused.value.cause in ("icv", "replay")


@pytest.mark.parametrize("suite", [GCM, CBC], ids=["gcm", "cbc"])
def test_one_flipped_bit_anywhere_is_noticed_and_moves_no_window(suite: Any) -> None:
    outbound, inbound = pair(suite)
    packet = outbound.protect(PING4, entropy)
    before = copy.deepcopy(inbound)
    for place in range(4, len(packet)):
        flipped = bytearray(packet)
        flipped[place] ^= 0x10
        with pytest.raises(EspError) as refused:
            inbound.unprotect(bytes(flipped))
        assert refused.value.cause == "icv"
    assert inbound == before
    assert inbound.unprotect(packet) == PING4


def test_another_key_is_noticed() -> None:
    outbound, inbound = pair(GCM)
    inbound.key = bytes((inbound.key[0] ^ 1,)) + inbound.key[1:]
    with pytest.raises(EspError) as refused:
        inbound.unprotect(outbound.protect(PING4, entropy))
    assert refused.value.cause == "icv"


@pytest.mark.parametrize("suite", [GCM, CBC], ids=["gcm", "cbc"])
def test_a_packet_cut_anywhere_is_refused(suite: Any) -> None:
    outbound, inbound = pair(suite)
    packet = outbound.protect(PING4, entropy)
    for length in range(len(packet)):
        with pytest.raises(EspError) as refused:
            inbound.unprotect(packet[:length])
        assert refused.value.cause in ("malformed", "icv")


@pytest.mark.parametrize("extra", range(20))
def test_payload_and_trailer_fill_blocks_and_words(extra: int) -> None:
    inner = echo_request("10.1.0.1", "10.2.0.1", 7, 1, bytes(extra))
    for suite, block in ((GCM, 4), (CBC, 16)):
        outbound, inbound = pair(suite)
        packet = outbound.protect(inner, entropy)
        ciphertext = len(packet) - 8 - suite.iv_length - suite.icv_length
        assert ciphertext % block == 0
        assert 2 <= ciphertext - len(inner) < 2 + block
        assert inbound.unprotect(packet) == inner


def test_ivs_never_repeat_and_cbc_ivs_are_drawn() -> None:
    outbound, _ = pair(GCM)
    assert len({outbound.protect(PING4, entropy)[8:16] for _ in range(100)}) == 100
    outbound, _ = pair(CBC)
    assert outbound.protect(PING4, lambda count: b"\xcc" * count)[8:24] == b"\xcc" * 16


def test_a_dummy_packet_is_authentic_and_no_packet() -> None:
    _, inbound = pair(GCM)
    assert inbound.unprotect(seal(GCM, b"whatever" + b"\1\2\2\x3b")) is None
    assert (inbound.packets, inbound.replay.top) == (0, 1)


@pytest.mark.parametrize("inner", [PING4, PING6], ids=["ipv4", "ipv6"])
def test_padding_against_traffic_analysis_is_cut_off(inner: bytes) -> None:
    _, inbound = pair(GCM)
    padded = inner + bytes(41)
    filler = -(len(padded) + 2) % 4
    trailer = bytes(range(1, filler + 1)) + bytes((filler, 4 if inner is PING4 else 41))
    assert inbound.unprotect(seal(GCM, padded + trailer)) == inner


MALFORMED = {
    "no trailer": b"\4",
    "nothing": b"",
    "padding longer than the payload": bytes(10) + b"\x0b\4",
    "padding of zeros": PING4 + bytes(2) + b"\2\4",
    "no inner packet": b"\0\4",
    "an IPv6 packet called IPv4": PING6 + b"\0\4",
    "an IPv4 packet called IPv6": PING4 + bytes(20) + b"\0\x29",
    "a transport mode payload": PING4[20:] + b"\0\1",
    "an inner IPv4 length beyond the payload": PING4[:2] + b"\0\xff" + PING4[4:] + b"\0\4",
    "an inner IPv4 length below its header": PING4[:2] + b"\0\x13" + PING4[4:] + b"\0\4",
    "an inner IPv6 length beyond the payload": PING6[:4] + b"\0\xff" + PING6[6:] + b"\0\x29",
}


@pytest.mark.parametrize("plaintext", MALFORMED.values(), ids=MALFORMED)
def test_authentic_nonsense_is_malformed(plaintext: bytes) -> None:
    _, inbound = pair(GCM)
    with pytest.raises(EspError) as refused:
        inbound.unprotect(seal(GCM, plaintext))
    assert refused.value.cause == "malformed"
    assert inbound.packets == 0


@pytest.mark.parametrize("inner", [b"", b"\x50", b"\x00" * 20])
def test_only_ip_packets_enter_a_tunnel(inner: bytes) -> None:
    outbound, _ = pair(GCM)
    with pytest.raises(EspError, match="no IP packet"):
        outbound.protect(inner, entropy)
    assert outbound.sequence == 0


def test_sequence_numbers_end_without_esn_and_go_on_with_it() -> None:
    outbound, _ = pair(GCM, sequence=0xFFFFFFFE)
    assert outbound.protect(PING4, entropy)[4:8] == b"\xff\xff\xff\xff"
    with pytest.raises(SequenceExhausted, match="c0ffee01"):
        outbound.protect(PING4, entropy)
    extended, _ = pair(GCM, esn=True, sequence=0xFFFFFFFF)
    assert extended.protect(PING4, entropy)[4:8] == bytes(4)
    last, _ = pair(GCM, esn=True, sequence=0xFFFFFFFFFFFFFFFF)
    with pytest.raises(SequenceExhausted):
        last.protect(PING4, entropy)


def test_a_copy_is_independent_and_equal() -> None:
    outbound, inbound = pair(GCM)
    copies = copy.deepcopy((outbound, inbound))
    packet = outbound.protect(PING4, entropy)
    assert copies[0].sequence == 0
    assert copies[0].protect(PING4, entropy) == packet
    assert inbound.unprotect(packet) == copies[1].unprotect(packet) == PING4
