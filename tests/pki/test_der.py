"""The DER reader: every length is checked, what BER allows and peers send is read, all else is named."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ikesim.pki.der import GENERALIZED_TIME, UTC_TIME, DerError, Element, decode_oid, decode_time, read
from ikesim.pki.der_writer import oid, sequence, tlv


@pytest.mark.parametrize(
    ("tag", "text", "expected"),
    [
        (UTC_TIME, b"260301120000Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (UTC_TIME, b"491231235959Z", datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)),
        (UTC_TIME, b"500101000000Z", datetime(1950, 1, 1, tzinfo=UTC)),
        (UTC_TIME, b"2603011200Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (UTC_TIME, b"260301120000+0130", datetime(2026, 3, 1, 10, 30, tzinfo=UTC)),
        (GENERALIZED_TIME, b"20500101000000Z", datetime(2050, 1, 1, tzinfo=UTC)),
        (GENERALIZED_TIME, b"20260301120000.5Z", datetime(2026, 3, 1, 12, tzinfo=UTC)),
        (GENERALIZED_TIME, b"99991231235959Z", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_times(tag: int, text: bytes, expected: datetime) -> None:
    """RFC 5280 4.1.2.5: UTCTime means 1950 to 2049."""
    assert decode_time(text, tag) == expected
    assert read(tlv(tag, text)).time() == expected


@pytest.mark.parametrize(
    ("tag", "text"),
    [
        (UTC_TIME, b""),
        (UTC_TIME, b"261301120000Z"),
        (UTC_TIME, b"260230120000Z"),
        (UTC_TIME, b"260301120000"),
        (UTC_TIME, b"26030112000aZ"),
        (UTC_TIME, b"\xff\xff"),
        (GENERALIZED_TIME, b"20260301120000+99"),
        (GENERALIZED_TIME, b"00000101000000Z"),
        (GENERALIZED_TIME, b"99991231235959-2300"),
    ],
)
def test_times_that_are_none(tag: int, text: bytes) -> None:
    with pytest.raises(DerError):
        decode_time(text, tag)


@pytest.mark.parametrize(
    "dotted", ["0.9.2342.19200300.100.1.25", "1.2.840.113549.1.9.1", "2.5.4.3", "2.999.1", "2.5.29.32.0"]
)
def test_object_identifiers(dotted: str) -> None:
    assert read(oid(dotted)).oid() == dotted


@pytest.mark.parametrize("octets", [b"", b"\x80", b"\x2a\x86", b"\x2a" * 129])
def test_object_identifiers_that_are_none(octets: bytes) -> None:
    with pytest.raises(DerError):
        decode_oid(octets)


@pytest.mark.parametrize(
    ("octets", "said"),
    [
        (b"", "cut short"),
        (b"\x30", "cut short"),
        (b"\x30\x01", "past its parent"),
        (b"\x30\x80\x00\x00", "indefinite"),
        (b"\x30\x82\x01", "does not fit"),
        (b"\x30\x89" + bytes(20), "does not fit"),
        (b"\x30\x00\x00", "after the end"),
        (b"\x1f\x81\x01\x00", "above 127"),
    ],
)
def test_lengths_and_tags_that_lie(octets: bytes, said: str) -> None:
    with pytest.raises(DerError, match=said):
        read(octets)


@pytest.mark.parametrize("inside", [b"\x02\x05\x00", b"\x02", b"\x02\x82\xff\xff", b"\x30\x80"])
def test_a_child_never_reaches_beyond_its_parent(inside: bytes) -> None:
    outer = Element.at(sequence(inside) + bytes(70000), 0, 2 + len(inside))
    with pytest.raises(DerError):
        outer.children()


def test_lengths_need_not_be_minimal() -> None:
    assert read(b"\x30\x83\x00\x00\x03\x02\x01\x07").children()[0].integer() == 7
    assert read(b"\x1f\x22\x01x").tag == 0x1F22


def test_nesting_is_bounded() -> None:
    octets = b""
    for _ in range(40):
        octets = sequence(octets)
    element = read(octets)
    with pytest.raises(DerError, match="nested"):
        while True:
            element = element.children()[0]


@pytest.mark.parametrize(
    "octets", [b"\x01\x02\x00\x00", b"\x02\x00", b"\x03\x00", b"\x03\x01\x01", b"\x03\x02\x09\x00"]
)
def test_values_that_break_their_type(octets: bytes) -> None:
    element = read(octets)
    with pytest.raises(DerError):
        {1: element.boolean, 2: element.integer, 3: element.bits}[element.tag]()
    with pytest.raises(DerError, match="belongs"):
        element.oid()


@given(st.binary(max_size=80))
def test_any_octets_are_read_or_named(octets: bytes) -> None:
    try:
        pending = [read(octets)]
        while pending:
            element = pending.pop()
            assert 0 <= element.start <= element.content <= element.end <= len(octets)
            if element.tag & 0x20:
                pending += element.children()
    except DerError as error:
        assert 0 <= error.offset <= len(octets)
