import pytest

from ikesim.wire.address import Address, Path


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1:500", Address("192.0.2.1", 500)),
        ("[2001:db8::1]:4500", Address("2001:db8::1", 4500)),
        ("127.0.0.1:0", Address("127.0.0.1", 0)),
        ("[::1]:65535", Address("::1", 65535)),
    ],
)
def test_text_both_ways(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "default", "canonical"),
    [
        ("192.0.2.1", 4500, "192.0.2.1:4500"),
        ("2001:db8::1", 500, "[2001:db8::1]:500"),
        ("[2001:DB8:0::1]", 500, "[2001:db8::1]:500"),
        ("192.0.2.1:501", 500, "192.0.2.1:501"),
    ],
)
def test_a_port_may_be_understood(text: str, default: int, canonical: str) -> None:
    assert str(Address.parse(text, default)) == canonical


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("192.0.2.1", "'192.0.2.1' has no port: expected HOST:PORT"),
        ("2001:db8::1", "'2001:db8::1' has no port"),
        ("192.0.2.1:65536", "'65536' is not a UDP port"),
        ("192.0.2.1:-1", "'-1' is not a UDP port"),
        ("192.0.2.1:\u0665", "is not a UDP port"),
        ("[::1", "'[::1' is not an address: expected [IPV6]:PORT"),
        ("[::1]500", "is not an address: expected [IPV6]:PORT"),
        ("vpn.example:500", "'vpn.example' is not an IP address (host names are not looked up)"),
        (":500", "'' is not an IP address"),
    ],
)
def test_a_wrong_text_is_explained(text: str, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Address.parse(text)
    assert sentence in str(caught.value)


def test_octets_and_family() -> None:
    assert Address("192.0.2.1", 500).packed == bytes((192, 0, 2, 1))
    assert Address("2001:db8::1", 500).packed == bytes.fromhex("20010db8000000000000000000000001")
    assert Address("::1", 500).is_ipv6
    assert not Address("127.0.0.1", 500).is_ipv6


def test_a_path_is_shown_from_our_end() -> None:
    path = Path(Address("127.0.0.1", 500), Address("::1", 4500))
    assert str(path) == "127.0.0.1:500 <-> [::1]:4500"
