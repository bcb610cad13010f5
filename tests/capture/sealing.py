"""IKE messages and ESP packets under any suite, for tools that are asked to open them."""

from ikesim.crypto.ciphers import CipherSuite
from ikesim.crypto.schedule import ChildKeys, IkeKeys
from ikesim.ike.sa import InstalledChild, InstalledIke
from ikesim.wire.address import Path

SPI_R = bytes.fromhex("8899aabbccddeeff")
# N(INITIAL_CONTACT), D(IKE): two payloads that nothing but a right decryption shows.
INNER = bytes.fromhex("2a000008" + "00004000" + "00000008" + "01000000")
INNER_KINDS = (41, 42)
# An ICMP echo request 10.1.0.1 -> 10.2.0.1, checksums right.
ECHO = bytes.fromhex("4500001c00010000400166dc0a0100010a020001" + "0800f7fd00010001")


def octets(length: int, seed: int) -> bytes:
    """Octets that differ for each seed."""
    return bytes((seed * 37 + i * 11 + 5) % 256 for i in range(length))


def ike_sa(suite: CipherSuite, number: int, path: Path) -> InstalledIke:
    length, integrity = suite.key_length, suite.integrity_key_length
    keys = IkeKeys(
        d=octets(32, 1),
        ai=octets(integrity, 2 + number),
        ar=octets(integrity, 3 + number),
        ei=octets(length, 4 + number),
        er=octets(length, 5 + number),
        pi=octets(32, 6),
        pr=octets(32, 7),
    )
    return InstalledIke(spi_i=(0xA1 << 56 | number).to_bytes(8), spi_r=SPI_R, suite=suite, keys=keys, path=path)


def ike_message(sa: InstalledIke, *, from_initiator: bool = True) -> bytes:
    """An INFORMATIONAL request whose SK payload holds INNER."""
    suite = sa.suite
    padding = -(len(INNER) + 1) % suite.block_length
    plaintext = INNER + bytes(padding) + bytes([padding])
    length = 28 + 4 + suite.iv_length + len(plaintext) + suite.icv_length
    prefix = sa.spi_i + sa.spi_r + bytes([46, 0x20, 37, 0x08 if from_initiator else 0]) + (2).to_bytes(4)
    prefix += length.to_bytes(4) + bytes([41, 0]) + (length - 28).to_bytes(2)
    key, integrity_key = (sa.keys.ei, sa.keys.ai) if from_initiator else (sa.keys.er, sa.keys.ar)
    iv = suite.make_iv(1, lambda count: octets(count, 9))
    return prefix + suite.seal(key, integrity_key, iv=iv, aad=prefix, plaintext=plaintext)


def child_sa(
    suite: CipherSuite, number: int, path: Path, *, esn: bool = False, initiator: bool = True
) -> InstalledChild:
    length, integrity = suite.key_length, suite.integrity_key_length
    keys = ChildKeys(
        ei=octets(length, 10 + number),
        ai=octets(integrity, 11 + number),
        er=octets(length, 12 + number),
        ar=octets(integrity, 13 + number),
    )
    spi_in, spi_out = (0xC1000000 | number).to_bytes(4), (0xC2000000 | number).to_bytes(4)
    return InstalledChild(
        spi_in=spi_in, spi_out=spi_out, suite=suite, keys=keys, initiator=initiator, path=path, esn=esn
    )


def esp_packet(sa: InstalledChild, *, outbound: bool = True) -> bytes:
    """ECHO as the first ESP packet of one direction (RFC 4303 2: padded to 4 octets, pad length, next header 4)."""
    suite = sa.suite
    spi = sa.spi_out if outbound else sa.spi_in
    ours = (sa.keys.ei, sa.keys.ai) if sa.initiator else (sa.keys.er, sa.keys.ar)
    theirs = (sa.keys.er, sa.keys.ar) if sa.initiator else (sa.keys.ei, sa.keys.ai)
    key, integrity_key = ours if outbound else theirs
    align = max(4, suite.block_length)
    padding = -(len(ECHO) + 2) % align
    plaintext = ECHO + bytes(range(1, padding + 1)) + bytes([padding, 4])
    header, high = spi + (1).to_bytes(4), bytes(4) if sa.esn else b""
    aad = spi + high + (1).to_bytes(4) if suite.aead else header
    tail = b"" if suite.aead else high
    iv = suite.make_iv(1, lambda count: octets(count, 9))
    return header + suite.seal(key, integrity_key, iv=iv, aad=aad, plaintext=plaintext, tail=tail)
