"""The table of what may come in on an IKE or NAT-T port (RFC 3948 section 2, RFC 7296 sections 2.23 and 3.1)."""

from collections.abc import Collection

import pytest

from ikesim.wire.demux import DatagramKind, classify

OUR_SPI = bytes.fromhex("a1a2a3a4a5a6a7a8")
OUR_ESP = bytes.fromhex("e5e5e5e5")
KNOWN = frozenset({OUR_SPI, OUR_ESP})


def ike(spi: bytes = b"\xf0" * 8, version: int = 0x20, exchange: int = 34, stated: int | None = None) -> bytes:
    body = bytes(12)
    stated = 28 + len(body) if stated is None else stated
    return spi + bytes(8) + bytes((33, version, exchange, 8)) + bytes(4) + stated.to_bytes(4, "big") + body


TABLE = {
    "keepalive": (b"\xff", DatagramKind.KEEPALIVE, b"\xff"),
    "marked": (bytes(4) + ike(), DatagramKind.MARKED_IKE, ike()),
    "marked-of-another-length": (bytes(4) + ike(stated=5), DatagramKind.MARKED_IKE, ike(stated=5)),
    "marker-alone": (bytes(4), DatagramKind.MARKED_IKE, b""),
    "bare-with-an-spi-like-the-marker": (ike(bytes(4) + b"spi_"), DatagramKind.IKE, ike(bytes(4) + b"spi_")),
    "bare-with-an-spi-like-the-marker-wrong-length": (
        ike(bytes(4) + b"spi_", stated=7),
        DatagramKind.MARKED_IKE,
        ike(bytes(4) + b"spi_", stated=7)[4:],
    ),
    "bare-new": (ike(), DatagramKind.IKE, ike()),
    "bare-known-spi": (ike(OUR_SPI), DatagramKind.IKE, ike(OUR_SPI)),
    "bare-known-spi-wrong-length": (ike(OUR_SPI, stated=1), DatagramKind.IKE, ike(OUR_SPI, stated=1)),
    "bare-known-spi-cut": (OUR_SPI + b"\0", DatagramKind.IKE, OUR_SPI + b"\0"),
    "bare-known-spi-alone": (OUR_SPI, DatagramKind.IKE, OUR_SPI),
    "bare-header-alone": (ike(stated=28)[:28], DatagramKind.IKE, ike(stated=28)[:28]),
    "bare-major-version-3": (ike(version=0x30), DatagramKind.IKE, ike(version=0x30)),
    "bare-later-exchange": (ike(exchange=43), DatagramKind.IKE, ike(exchange=43)),
    "esp": (OUR_ESP + bytes(60), DatagramKind.ESP, OUR_ESP + bytes(60)),
    "esp-cut": (OUR_ESP, DatagramKind.ESP, OUR_ESP),
    # bare IKE is looked for first: an ESP packet with this content is as good as impossible
    "esp-that-reads-as-ike": (ike(OUR_ESP * 2), DatagramKind.IKE, ike(OUR_ESP * 2)),
    "esp-spi-unknown": (b"\xe6" * 4 + bytes(60), DatagramKind.JUNK, b"\xe6" * 4 + bytes(60)),
    "ikev1": (ike(version=0x10), DatagramKind.JUNK, ike(version=0x10)),
    "ikev1-exchange": (ike(exchange=2), DatagramKind.JUNK, ike(exchange=2)),
    "wrong-length": (ike(stated=41), DatagramKind.JUNK, ike(stated=41)),
    "cut-before-its-length": (ike()[:27], DatagramKind.JUNK, ike()[:27]),
    "empty": (b"", DatagramKind.JUNK, b""),
    "two-keepalives": (b"\xff\xff", DatagramKind.JUNK, b"\xff\xff"),
    "another-octet": (b"\xfe", DatagramKind.JUNK, b"\xfe"),
    "half-a-marker": (bytes(3), DatagramKind.JUNK, bytes(3)),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("known", [KNOWN, list(KNOWN), dict.fromkeys(KNOWN), KNOWN.__contains__], ids=type)
def test_the_table(name: str, known: Collection[bytes]) -> None:
    octets, kind, payload = TABLE[name]
    assert classify(octets, known) == (kind, payload)


@pytest.mark.parametrize("name", [name for name in TABLE if TABLE[name][1] is not DatagramKind.ESP])
def test_without_any_sa_only_plausible_ike_is_ike(name: str) -> None:
    octets, kind, payload = TABLE[name]
    by_spi_alone = name in ("bare-known-spi-wrong-length", "bare-known-spi-cut", "bare-known-spi-alone")
    assert classify(octets) == ((DatagramKind.JUNK, octets) if by_spi_alone else (kind, payload))


def test_an_esp_spi_is_never_taken_for_an_initiator_spi() -> None:
    assert classify(OUR_ESP, {OUR_ESP})[0] is DatagramKind.ESP
    assert classify(OUR_SPI[:4] + bytes(60), {OUR_SPI})[0] is DatagramKind.JUNK
