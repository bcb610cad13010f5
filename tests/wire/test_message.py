"""Whole messages: header, chain of payloads, the frame of what is protected."""

import copy
import struct
from itertools import pairwise

import pytest

from ikesim.errors import WireError
from ikesim.reasons import Reason
from ikesim.wire.message import (
    MAX_PAYLOADS,
    Flags,
    Header,
    Message,
    encode_message,
    encode_payloads,
    parse_payloads,
    protected_prefix,
)
from ikesim.wire.payloads import CERT, SKF, Body, IDi, Nonce, Notify, Opaque, VendorId
from ikesim.wire.registry import NotifyType, PayloadType
from tests.wire.cases import CASES

SPI_I, SPI_R = bytes.fromhex("0102030405060708"), bytes.fromhex("1112131415161718")
HEADER = Header(SPI_I, SPI_R, 0, 0x20, 35, 0x28, 0x01020304, 0)
HEADER_TEXT = "0102030405060708 1112131415161718 {next} 20 23 28 01020304 {length}"


def message(first: int, chain: bytes, version: str = "20") -> bytes:
    """Octets by hand: the header of RFC 7296 figure 4, then `chain`."""
    text = HEADER_TEXT.format(next=f"{first:02x}", length=f"{28 + len(chain):08x}")
    return bytes.fromhex(text.replace(" 20 ", f" {version} ", 1)) + chain


def generic(following: int, body: bytes, flags: int = 0) -> bytes:
    """A payload by hand: the generic header of RFC 7296 figure 5, then its body."""
    return struct.pack("!BBH", following, flags, 4 + len(body)) + body


def test_header_both_ways() -> None:
    octets = bytes.fromhex(HEADER_TEXT.format(next="21", length="0000abcd"))
    header = Header.parse(octets + b"more")
    assert header == Header(SPI_I, SPI_R, 33, 0x20, 35, 40, 0x01020304, 0xABCD)
    assert header.encode() == octets
    assert (header.major, header.minor, header.is_response, header.from_initiator) == (2, 0, True, True)


@pytest.mark.parametrize(
    ("flags", "response", "initiator"),
    [(0, False, False), (Flags.INITIATOR, False, True), (Flags.RESPONSE, True, False), (0xD7, False, False)],
)
def test_flags(flags: int, response: bool, initiator: bool) -> None:
    header = Header(SPI_I, SPI_R, 0, 0x2F, 37, flags, 0, 28)
    assert (header.is_response, header.from_initiator, header.minor) == (response, initiator, 15)


@pytest.mark.parametrize("length", range(28))
def test_a_short_header_is_met_with_silence(length: int) -> None:
    with pytest.raises(WireError) as caught:
        Header.parse(bytes(length))
    assert (caught.value.payload, caught.value.notify, caught.value.rule) == (None, None, "RFC 7296 3.1")


@pytest.mark.parametrize("stated", [0, 27, 31, 33, 0xFFFFFFFF])
def test_the_length_field_must_be_the_number_of_octets(stated: int) -> None:
    octets = bytearray(message(40, b""))
    octets[16] = 0
    octets += bytes(4)
    octets[24:28] = stated.to_bytes(4, "big")
    with pytest.raises(WireError) as caught:
        Message.parse(bytes(octets))
    assert (caught.value.payload, caught.value.offset, caught.value.rule) == (None, 24, "RFC 7296 3.1")


@pytest.mark.parametrize("case", [case for case in CASES if case.value.kind != PayloadType.SKF], ids=str)
def test_a_message_both_ways(case) -> None:  # type: ignore[no-untyped-def]  # parametrized
    octets = message(case.value.kind, generic(41, case.octets) + generic(0, bytes.fromhex("00004000")))
    assert encode_message(HEADER, (case.value, Notify(NotifyType.INITIAL_CONTACT))) == octets
    read = Message.parse(octets)
    assert read.kinds == (case.value.kind, 41)
    assert [raw.payload() for raw in read.payloads] == [case.value, Notify(16384)]
    assert (read.octets, read.header.length) == (octets, len(octets))


@pytest.mark.parametrize("case", [case for case in CASES if case.value.kind != PayloadType.SKF], ids=str)
def test_a_message_cut_anywhere_is_refused_whatever_its_header_says(case) -> None:  # type: ignore[no-untyped-def]
    octets = message(case.value.kind, generic(41, case.octets) + generic(0, bytes.fromhex("00004000")))
    for length in range(len(octets)):
        with pytest.raises(WireError):
            Message.parse(octets[:length])
        if length >= 28:
            with pytest.raises(WireError) as caught:
                Message.parse(octets[:24] + length.to_bytes(4, "big") + octets[28:length])
            assert 28 <= caught.value.offset <= length


def test_trailing_octets_are_refused() -> None:
    octets = message(40, generic(0, bytes(16)))
    with pytest.raises(WireError) as caught:
        Message.parse(octets + b"\0")
    assert caught.value.offset == 24
    with pytest.raises(WireError) as caught:
        Message.parse(message(40, generic(0, bytes(16)) + b"\0"))
    assert (caught.value.payload, caught.value.offset) == (40, len(octets))


def test_octets_after_a_header_without_payloads_are_refused() -> None:
    with pytest.raises(WireError) as caught:
        Message.parse(message(0, b"\0"))
    assert (caught.value.payload, caught.value.offset) == (None, 28)
    assert Message.parse(message(0, b"")).payloads == ()


@pytest.mark.parametrize("length", range(4))
def test_a_payload_shorter_than_its_own_header_ends_the_walk(length: int) -> None:
    octets = message(43, struct.pack("!BBH", 43, 0, length) * 100)
    with pytest.raises(WireError) as caught:
        Message.parse(octets)
    assert (caught.value.payload, caught.value.offset, caught.value.rule) == (43, 30, "RFC 7296 3.2")


def test_a_payload_that_overshoots_is_named() -> None:
    with pytest.raises(WireError) as caught:
        Message.parse(message(43, generic(40, b"vendor") + struct.pack("!BBH", 0, 0, 21) + bytes(16)))
    assert (caught.value.payload, caught.value.offset, caught.value.notify) == (40, 28 + 10 + 2, 7)


def test_payloads_are_counted() -> None:
    def chain(count: int) -> bytes:
        return generic(43, b"") * (count - 1) + generic(0, b"")

    assert len(Message.parse(message(43, chain(MAX_PAYLOADS))).payloads) == 64
    with pytest.raises(WireError) as caught:
        Message.parse(message(43, chain(MAX_PAYLOADS + 1)))
    assert (caught.value.payload, caught.value.offset) == (43, 28 + 4 * 64)
    assert "64" in str(caught.value)


def test_unknown_payloads_are_kept_with_their_critical_bit() -> None:
    read = Message.parse(message(200, generic(201, b"one", 0x80) + generic(0, b"two", 0x7F)))
    assert [(raw.kind, raw.critical, bytes(raw.body), raw.offset) for raw in read.payloads] == [
        (200, True, b"one", 28),
        (201, False, b"two", 35),
    ]
    assert read.payloads[0].payload() == Opaque(200, b"one", critical=True)
    assert read.payloads[1].payload() == Opaque(201, b"two")


def test_the_critical_bit_of_a_known_payload_is_kept_aside() -> None:
    # RFC 7296 section 2.5: it has no meaning for payloads that are understood
    read = Message.parse(message(40, generic(0, b"n" * 16, 0x80)))
    assert read.payloads[0].critical
    assert read.get(Nonce) == Nonce(b"n" * 16)


def test_the_critical_bit_is_written() -> None:
    payloads = (Nonce(b"n" * 16, critical=True), Opaque(200, b"x", critical=True), Opaque(201, b"y"))
    first, chain = encode_payloads(payloads)
    assert (first, chain) == (40, generic(200, b"n" * 16, 0x80) + generic(201, b"x", 0x80) + generic(0, b"y"))


@pytest.mark.parametrize("version", ["10", "11", "30", "f0", "00"])
def test_of_another_major_version_only_the_header_is_read(version: str) -> None:
    read = Message.parse(message(33, b"not a payload chain", version))
    assert read.payloads == ()
    assert read.header.major == int(version[0], 16)


def test_a_higher_minor_version_is_read() -> None:
    assert Message.parse(message(40, generic(0, bytes(16)), "2f")).kinds == (40,)


def test_bodies_are_read_when_asked_for_and_once() -> None:
    read = Message.parse(message(40, generic(35, b"too short") + generic(0, b"\2\0\0\0alice")))
    assert read.get(IDi) == IDi(2, b"alice")
    assert read.get(IDi) is read.get(IDi)
    with pytest.raises(WireError) as caught:
        read.get(Nonce)
    assert (caught.value.payload, caught.value.offset) == (40, 32)
    assert caught.value.reason is Reason.PAYLOAD_MALFORMED


def test_bodies_are_views_of_the_datagram() -> None:
    octets = message(37, generic(37, b"\4" + bytes(1000)) + generic(0, b"\4" + bytes(1000)))
    assert all(raw.body.obj is octets for raw in Message.parse(octets).payloads)


def test_finding_payloads() -> None:
    payloads: tuple[Body, ...] = (
        CERT(4, b"leaf"),
        Notify(NotifyType.MOBIKE_SUPPORTED),
        CERT(4, b"issuer"),
        Notify(NotifyType.COOKIE, b"c"),
        Notify(NotifyType.COOKIE, b"d"),
    )
    read = Message.parse(encode_message(HEADER, payloads))
    assert read.all(CERT) == (CERT(4, b"leaf"), CERT(4, b"issuer"))
    assert read.get(CERT) == CERT(4, b"leaf")
    assert read.get(Nonce) is None
    assert read.notify(NotifyType.COOKIE) == Notify(16390, b"c")
    assert read.notify(NotifyType.REKEY_SA) is None
    assert read.notifies() == (payloads[1], payloads[3], payloads[4])
    assert [raw.offset for raw in read.raws(37)] == [28, 28 + 9 + 8]
    raw = read.raw(37)
    assert raw is not None
    assert bytes(raw.body) == b"\4leaf"
    assert read.raw(40) is None


def test_state_that_holds_a_message_can_be_copied() -> None:
    read = Message.parse(message(40, generic(43, bytes(16)) + generic(0, b"v")))
    state = copy.deepcopy({"held": read, "raw": read.payloads[1], "skf": SKF(1, 2, memoryview(b"sealed"))})
    assert state["held"].kinds == (40, 43)
    assert state["raw"] == read.payloads[1]
    assert state["skf"] == SKF(1, 2, b"sealed")


def test_payloads_that_decryption_brought_to_light() -> None:
    sealed = Message.parse(message(46, generic(35, b"sealed")))
    first, chain = encode_payloads((IDi(2, b"alice"), VendorId(b"v")))
    opened = sealed.with_payloads(parse_payloads(first, chain, 28 + 4 + 8))
    assert opened.kinds == (35, 43)
    assert (opened.header, opened.octets) == (sealed.header, sealed.octets)
    assert [raw.offset for raw in opened.payloads] == [40, 40 + 13]
    assert sealed.kinds == (46,)


def test_sk_frame() -> None:
    # RFC 7296 section 3.14: Next Payload of SK is the first payload inside; the message ends with it
    octets = message(41, generic(46, bytes.fromhex("00004000")) + generic(35, b"iv|ciphertext|icv"))
    frame = Message.parse(octets).protected()
    assert frame is not None
    assert (frame.first_payload, frame.number, frame.total, frame.offset) == (35, 0, 0, 28 + 8 + 4)
    assert (bytes(frame.aad), bytes(frame.sealed)) == (octets[:40], b"iv|ciphertext|icv")


def test_skf_frame() -> None:
    # RFC 7383 section 2.5: what is authenticated reaches to the end of Total Fragments
    octets = message(53, generic(35, bytes.fromhex("0002 0003") + b"sealed"))
    frame = Message.parse(octets).protected()
    assert frame is not None
    assert (frame.first_payload, frame.number, frame.total, frame.offset) == (35, 2, 3, 36)
    assert (bytes(frame.aad), bytes(frame.sealed)) == (octets[:36], b"sealed")


def test_a_message_in_the_clear_has_no_frame() -> None:
    assert Message.parse(message(0, b"")).protected() is None
    assert Message.parse(message(40, generic(0, bytes(16)))).protected() is None


def test_lying_fragment_numbers_are_refused_before_anything_is_opened() -> None:
    read = Message.parse(message(53, generic(35, bytes.fromhex("0004 0003") + b"sealed")))
    with pytest.raises(WireError) as caught:
        read.protected()
    assert (caught.value.payload, caught.value.offset, caught.value.rule) == (53, 32, "RFC 7383 2.5")


@pytest.mark.parametrize("kind", [PayloadType.SK, PayloadType.SKF])
def test_nothing_follows_a_protected_payload(kind: int) -> None:
    with pytest.raises(WireError) as caught:
        Message.parse(message(kind, generic(41, b"\0\1\0\1sealed") + generic(0, bytes.fromhex("00004000"))))
    assert (caught.value.payload, caught.value.offset) == (kind, 28 + 14)


@pytest.mark.parametrize(
    ("number", "total", "octets"),
    [
        (0, 0, message(46, generic(35, b"0123456789"))),
        (2, 3, message(53, generic(35, bytes.fromhex("00020003") + b"0123456789"))),
    ],
    ids=["SK", "SKF"],
)
def test_the_prefix_of_a_protected_message(number: int, total: int, octets: bytes) -> None:
    assert protected_prefix(HEADER, 35, 10, number=number, total=total) + b"0123456789" == octets


@pytest.mark.parametrize("total", [0, 1])
def test_what_is_too_long_for_a_length_field_is_not_written(total: int) -> None:
    # the generic header, and the fragment's numbers, count as well
    most = 65535 - 4 - 4 * total
    assert len(protected_prefix(HEADER, 35, most, number=total, total=total)) == 28 + 4 + 4 * total
    with pytest.raises(WireError):
        protected_prefix(HEADER, 35, most + 1, number=total, total=total)
    with pytest.raises(WireError):
        encode_message(HEADER, (VendorId(bytes(65532)),))
    assert len(encode_message(HEADER, (VendorId(bytes(65531)),))) == 28 + 65535


def test_offsets_are_those_of_the_generic_headers() -> None:
    first, chain = encode_payloads([case.value for case in CASES if case.value.kind != PayloadType.SKF])
    raws = parse_payloads(first, chain)
    for raw, following in pairwise(raws):
        assert following.offset == raw.offset + 4 + len(raw.body)
        assert raw.next_payload == following.kind
        assert chain[raw.offset] == following.kind
