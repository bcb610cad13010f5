"""Traffic selectors: text, matching, and narrowing by cases worked out by hand (RFC 7296 2.9, RFC 4301 4.4.1)."""

from ipaddress import ip_address
from itertools import product

import pytest

from ikesim.wire.selectors import TrafficSelector, narrow


def ts(text: str) -> TrafficSelector:
    return TrafficSelector.parse(text)


def many(*texts: str) -> tuple[TrafficSelector, ...]:
    return tuple(TrafficSelector.parse(text) for text in texts)


def octets(text: str) -> bytes:
    return ip_address(text).packed


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("10.1.0.0/24", (7, 0, 0, 65535, "10.1.0.0", "10.1.0.255")),
        ("10.1.0.0/24[tcp/80]", (7, 6, 80, 80, "10.1.0.0", "10.1.0.255")),
        ("10.0.0.1-10.0.0.9", (7, 0, 0, 65535, "10.0.0.1", "10.0.0.9")),
        ("10.1.0.0/24[udp/1000-2000]", (7, 17, 1000, 2000, "10.1.0.0", "10.1.0.255")),
        ("10.1.0.0/24[udp]", (7, 17, 0, 65535, "10.1.0.0", "10.1.0.255")),
        ("10.1.0.0/24[89]", (7, 89, 0, 65535, "10.1.0.0", "10.1.0.255")),
        ("192.0.2.7/32[tcp/opaque]", (7, 6, 65535, 0, "192.0.2.7", "192.0.2.7")),
        ("0.0.0.0/0", (7, 0, 0, 65535, "0.0.0.0", "255.255.255.255")),
        ("2001:db8::/64", (8, 0, 0, 65535, "2001:db8::", "2001:db8::ffff:ffff:ffff:ffff")),
        ("2001:db8::1-2001:db8::3[sctp/7]", (8, 132, 7, 7, "2001:db8::1", "2001:db8::3")),
        ("::/0[icmpv6/128]", (8, 58, 0x8000, 0x80FF, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")),
        ("10.0.0.0/8[icmp/3(1)]", (7, 1, 0x0301, 0x0301, "10.0.0.0", "10.255.255.255")),
        ("10.0.0.0/8[icmp/3-5]", (7, 1, 0x0300, 0x05FF, "10.0.0.0", "10.255.255.255")),
        ("10.0.0.0/8[icmp/3(1)-3(4)]", (7, 1, 0x0301, 0x0304, "10.0.0.0", "10.255.255.255")),
        ("10.1.0.0/24[255/65535]", (7, 255, 65535, 65535, "10.1.0.0", "10.1.0.255")),
        ("10.0.0.1/32[icmp/255(255)]", (7, 1, 65535, 65535, "10.0.0.1", "10.0.0.1")),
        ("10.0.0.1/32[any/53]", (7, 0, 53, 53, "10.0.0.1", "10.0.0.1")),
    ],
)
def test_text_both_ways(text: str, fields: tuple[int, int, int, int, str, str]) -> None:
    *numbers, start, end = fields
    selector = TrafficSelector(*numbers, octets(start), octets(end))  # type: ignore[arg-type]  # four ints
    assert ts(text) == selector
    assert str(selector) == text


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (" 10.1.0.0/24 ", "10.1.0.0/24"),
        ("10.1.0.0/255.255.255.0", "10.1.0.0/24"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("10.1.0.0-10.1.0.255", "10.1.0.0/24"),
        ("10.1.0.1-10.1.1.0", "10.1.0.1-10.1.1.0"),
        ("10.1.0.1-10.1.0.1", "10.1.0.1/32"),
        ("10.1.0.0/24[any]", "10.1.0.0/24"),
        ("10.1.0.0/24[6/443]", "10.1.0.0/24[tcp/443]"),
        ("10.1.0.0/24[tcp/any]", "10.1.0.0/24[tcp]"),
        ("10.1.0.0/24[/80]", "10.1.0.0/24[any/80]"),
        ("2001:DB8::1/128", "2001:db8::1/128"),
    ],
)
def test_other_spellings(text: str, canonical: str) -> None:
    assert str(ts(text)) == canonical


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is not a network"),
        ("alice", "'alice' is not a network"),
        ("10.1.0.5/24", "'10.1.0.5/24' has host bits set: the network is 10.1.0.0/24"),
        ("10.1.0.0/33", "'10.1.0.0/33' is not a network"),
        ("10.1.0.0/24[tcp/80", "expected NETWORK[PROTOCOL/PORT]"),
        ("10.1.0.0/24[tcp/80]x", "expected NETWORK[PROTOCOL/PORT]"),
        ("10.1.0.0/24[tpc]", "'tpc' is not a protocol"),
        ("10.1.0.0/24[256]", "'256' is not a protocol"),
        ("10.1.0.0/24[tcp/http]", "'http' is not a port: expected 0 to 65535"),
        ("10.1.0.0/24[tcp/65536]", "'65536' is not a port"),
        ("10.1.0.0/24[tcp/90-80]", "'90-80' is not a range of ports"),
        ("10.1.0.0/24[icmp/256]", "'256' is not an ICMP type: expected 0 to 255"),
        ("10.1.0.0/24[icmp/3(x)]", "'x' is not an ICMP code"),
        ("10.0.0.9-10.0.0.1", "'10.0.0.9-10.0.0.1' is not a range"),
        ("10.0.0.1-::1", "is not a range: expected FIRST-LAST of one address family"),
        ("10.0.0.1-bob", "'bob' is not an IP address"),
    ],
)
def test_a_wrong_text_is_explained(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        ts(text)
    assert sentence in str(caught.value)


def test_a_backwards_range_is_shown_as_it_is() -> None:
    assert str(TrafficSelector(7, 0, 0, 65535, octets("10.0.0.9"), octets("10.0.0.8"))) == "10.0.0.9-10.0.0.8"
    assert str(TrafficSelector(7, 0, 0, 65535, octets("10.0.0.9"), octets("10.0.0.0"))) == "10.0.0.9-10.0.0.0"


def test_from_network() -> None:
    assert TrafficSelector.from_network("10.1.0.0/24") == ts("10.1.0.0/24")
    assert TrafficSelector.from_network("2001:db8::/64", 17, (53, 53)) == ts("2001:db8::/64[udp/53]")


@pytest.mark.parametrize(
    ("selector", "protocol", "address", "port", "selected"),
    [
        ("10.1.0.0/24", 6, "10.1.0.0", 80, True),
        ("10.1.0.0/24", 1, "10.1.0.255", 0x0800, True),
        ("10.1.0.0/24", 6, "10.1.1.0", 80, False),
        ("10.1.0.0/24", 6, "10.0.255.255", 80, False),
        ("10.1.0.0/24", 6, "::ffff:10.1.0.1", 80, False),
        ("10.1.0.0/24", 50, "10.1.0.1", None, True),
        ("10.1.0.0/24[tcp/80]", 6, "10.1.0.1", 80, True),
        ("10.1.0.0/24[tcp/80]", 6, "10.1.0.1", 81, False),
        ("10.1.0.0/24[tcp/80]", 17, "10.1.0.1", 80, False),
        ("10.1.0.0/24[tcp/80]", 6, "10.1.0.1", None, False),
        ("10.1.0.0/24[udp/1000-2000]", 17, "10.1.0.1", 1000, True),
        ("10.1.0.0/24[udp/1000-2000]", 17, "10.1.0.1", 2000, True),
        ("10.1.0.0/24[udp/1000-2000]", 17, "10.1.0.1", 2001, False),
        ("10.1.0.0/24[udp/opaque]", 17, "10.1.0.1", None, True),
        ("10.1.0.0/24[udp/opaque]", 17, "10.1.0.1", 53, False),
        ("10.1.0.0/24[icmp/8]", 1, "10.1.0.1", 0x0800, True),
        ("10.1.0.0/24[icmp/8]", 1, "10.1.0.1", 0x0001, False),
        ("2001:db8::/64", 58, "2001:db8::1", 0x8000, True),
        ("2001:db8::/64", 58, "2001:db8:0:1::1", 0x8000, False),
    ],
)
def test_packets(selector: str, protocol: int, address: str, port: int | None, selected: bool) -> None:
    assert ts(selector).matches(protocol, octets(address), port) is selected


@pytest.mark.parametrize(
    ("one", "two", "common"),
    [
        ("10.1.0.0/16", "10.1.2.0/24", "10.1.2.0/24"),
        ("10.1.0.0/24", "10.2.0.0/24", None),
        ("10.0.0.0-10.0.0.9", "10.0.0.5-10.0.0.20", "10.0.0.5-10.0.0.9"),
        ("10.0.0.0-10.0.0.9", "10.0.0.9-10.0.0.20", "10.0.0.9/32"),
        ("10.0.0.0/8", "::/0", None),
        ("10.0.0.0/8[tcp]", "10.0.0.0/8", "10.0.0.0/8[tcp]"),
        ("10.0.0.0/8[tcp]", "10.0.0.0/8[udp]", None),
        ("10.0.0.0/8[tcp/1-100]", "10.0.0.0/8[tcp/50-200]", "10.0.0.0/8[tcp/50-100]"),
        ("10.0.0.0/8[tcp/1-100]", "10.0.0.0/8[tcp/101]", None),
        ("10.0.0.0/8[tcp/80]", "10.9.0.0/16", "10.9.0.0/16[tcp/80]"),
        ("10.0.0.0/8[tcp/opaque]", "10.0.0.0/8", "10.0.0.0/8[tcp/opaque]"),
        ("10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/opaque]"),
        ("10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/80]", None),
        ("2001:db8::/32", "2001:db8:1::/48", "2001:db8:1::/48"),
    ],
)
def test_intersection_is_the_same_from_both_sides(one: str, two: str, common: str | None) -> None:
    expected = None if common is None else ts(common)
    assert ts(one).intersect(ts(two)) == expected
    assert ts(two).intersect(ts(one)) == expected


@pytest.mark.parametrize(
    ("whole", "part", "contained"),
    [
        ("10.0.0.0/8", "10.0.0.0/8", True),
        ("10.0.0.0/8", "10.1.0.0/16[tcp/80]", True),
        ("10.0.0.0/8", "10.1.0.0/16[tcp/opaque]", True),
        ("10.0.0.0/8", "9.255.255.255-10.0.0.1", False),
        ("10.0.0.0/8", "::/0", False),
        ("10.0.0.0/8[tcp]", "10.0.0.0/8", False),
        ("10.0.0.0/8[tcp]", "10.0.0.0/8[udp]", False),
        ("10.0.0.0/8[tcp/80-90]", "10.0.0.0/8[tcp/80-91]", False),
        ("10.0.0.0/8[tcp/0-65534]", "10.0.0.0/8[tcp/opaque]", False),
        ("10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/opaque]", True),
        ("10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp/80]", False),
        ("10.0.0.0/8[tcp/opaque]", "10.0.0.0/8[tcp]", False),
    ],
)
def test_containment(whole: str, part: str, contained: bool) -> None:
    assert ts(whole).contains(ts(part)) is contained


def test_containment_and_intersection_agree_with_packets() -> None:
    """Both against what they mean, packet by packet, on a world of few addresses, protocols and ports."""
    texts = [
        f"{addresses}{rest}"
        for addresses in ("10.0.0.0/30", "10.0.0.1-10.0.0.2", "10.0.0.2/31", "10.0.0.3/32")
        for rest in ("", "[tcp]", "[tcp/80]", "[tcp/79-81]", "[tcp/opaque]", "[udp]")
    ]
    packets = list(
        product((6, 17, 50), [octets(f"10.0.0.{last}") for last in range(4)], (None, 0, 79, 80, 81, 65535))
    )
    for one, two in product(many(*texts), repeat=2):
        first, second = ({packet for packet in packets if selector.matches(*packet)} for selector in (one, two))
        common = one.intersect(two)
        assert {packet for packet in packets if common and common.matches(*packet)} == first & second, (one, two)
        if one.contains(two):
            assert second <= first, (str(one), str(two))


def test_an_unknown_type_selects_nothing() -> None:
    label = TrafficSelector(10, 0, 0, 0, b"label", b"")
    assert not label.matches(6, b"label", 80)
    assert label.intersect(label) is None
    assert not label.contains(label)
    assert str(label) == "selector type 10: 6c6162656c"


@pytest.mark.parametrize(
    ("offered", "own", "narrowed"),
    [
        # all of the offer, part of it, nothing
        (("10.1.0.0/24",), ("10.0.0.0/8",), ("10.1.0.0/24",)),
        (("0.0.0.0/0",), ("10.1.0.0/24",), ("10.1.0.0/24",)),
        (("10.2.0.0/24",), ("10.1.0.0/24",), ()),
        ((), ("10.1.0.0/24",), ()),
        # RFC 7296 section 2.9: the packet that asked comes first, and the rest of the offer holds it
        (
            ("192.0.2.66/32[udp/53]", "192.0.2.0/24"),
            ("192.0.2.0/24", "203.0.113.0/24"),
            ("192.0.2.0/24",),
        ),
        (
            ("192.0.2.66/32[udp/53]", "192.0.2.0/24[tcp]"),
            ("192.0.2.0/24",),
            ("192.0.2.66/32[udp/53]", "192.0.2.0/24[tcp]"),
        ),
        # two of ours inside one of theirs; one of ours across two of theirs
        (("10.0.0.0/8",), ("10.1.0.0/24", "10.2.0.0/24"), ("10.1.0.0/24", "10.2.0.0/24")),
        (("10.2.0.0/24", "10.1.0.0/24"), ("10.0.0.0/8",), ("10.2.0.0/24", "10.1.0.0/24")),
        # families and types do not mix
        (("::/0", "0.0.0.0/0"), ("10.1.0.0/24",), ("10.1.0.0/24",)),
        (("::/0", "0.0.0.0/0"), ("10.1.0.0/24", "2001:db8::/64"), ("2001:db8::/64", "10.1.0.0/24")),
        # protocols and ports
        (("10.0.0.0/8",), ("10.1.0.0/24[tcp/443]",), ("10.1.0.0/24[tcp/443]",)),
        (("10.0.0.0/8[udp]",), ("10.1.0.0/24[tcp/443]",), ()),
        (("10.0.0.0/8[tcp/1-1000]",), ("10.1.0.0/24[tcp/443-2000]",), ("10.1.0.0/24[tcp/443-1000]",)),
        # what is offered twice is answered once
        (("10.1.0.0/24", "10.1.0.0/24", "10.1.0.0/25"), ("0.0.0.0/0",), ("10.1.0.0/24",)),
        (("10.1.0.0/25", "10.1.0.0/24"), ("0.0.0.0/0",), ("10.1.0.0/24",)),
    ],
)
def test_narrowing(offered: tuple[str, ...], own: tuple[str, ...], narrowed: tuple[str, ...]) -> None:
    assert narrow(many(*offered), many(*own)) == many(*narrowed)


def test_narrowing_never_outgrows_a_payload() -> None:
    offered = many(*(f"10.0.{number}.0/24[tcp]" for number in range(256)))
    own = many(*(f"10.0.0.0/8[tcp/{port}]" for port in range(1, 5)))
    narrowed = narrow(offered, own)
    assert len(narrowed) == 255
    assert narrowed[:2] == many("10.0.0.0/24[tcp/1]", "10.0.0.0/24[tcp/2]")
