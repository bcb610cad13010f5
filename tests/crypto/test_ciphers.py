"""Cipher suites against RFC 3602, 3686, 4868, 5282, 7634, NIST CAVS, Wycheproof and packets of others."""

from pathlib import Path
from typing import Any

import pytest

from ikesim.crypto.ciphers import CipherSuite, cipher_suite
from ikesim.errors import IntegrityError, UnsupportedAlgorithmError
from ikesim.wire.registry import EncryptionId, IntegrityId
from tests.crypto.vectors import chains, load, nist, protected

ALL_SUITES = [
    *((aead, bits, None) for aead in (14, 15, 16, 18, 19, 20) for bits in (128, 192, 256)),
    (EncryptionId.CHACHA20_POLY1305, None, None),
    *((cipher, bits, mac) for cipher in (12, 13) for bits in (128, 192, 256) for mac in (2, 12, 13, 14)),
    *((EncryptionId.NULL, None, mac) for mac in (2, 12, 13, 14)),
]


def no_entropy(count: int) -> bytes:
    raise AssertionError(f"{count} octets of entropy asked for")


def suite_of(row: Any) -> CipherSuite:
    transform = EncryptionId[row["transform"].removeprefix("ENCR_")]
    chacha = transform is EncryptionId.CHACHA20_POLY1305
    icv = len(row["icv"]) // 2
    if transform in (EncryptionId.AES_CCM_8, EncryptionId.AES_CCM_12, EncryptionId.AES_CCM_16):
        transform = {8: EncryptionId.AES_CCM_8, 12: EncryptionId.AES_CCM_12, 16: EncryptionId.AES_CCM_16}[icv]
    return cipher_suite(transform, None if chacha else 4 * len(row["key"]), None)


def test_every_aead_vector(shared_vectors: Path) -> None:
    rows = load(shared_vectors / "kdf" / "aead.json")["aead"]
    refused = 0
    for row in rows:
        suite = suite_of(row)
        key = bytes.fromhex(row["key"] + row["salt"])
        aad, sealed = bytes.fromhex(row["aad"]), bytes.fromhex(row["iv"] + row["ciphertext"] + row["icv"])
        assert len(key) == suite.key_length
        if row["valid"]:
            plaintext = bytes.fromhex(row["plaintext"])
            assert suite.open(key, b"", aad=aad, sealed=sealed) == plaintext, row["id"]
            assert suite.open(key, b"", aad=aad, sealed=memoryview(sealed)) == plaintext, row["id"]
            assert suite.seal(key, b"", iv=bytes.fromhex(row["iv"]), aad=aad, plaintext=plaintext) == sealed, row[
                "id"
            ]
        else:
            refused += 1
            with pytest.raises(IntegrityError):
                suite.open(key, b"", aad=aad, sealed=sealed)
    assert (len(rows), refused > 50) == (354, True)


def test_whole_packets_of_rfc_7634_and_of_the_gcm_draft(shared_vectors: Path) -> None:
    packets = load(shared_vectors / "kdf" / "aead.json")["packets"]
    for packet in packets:
        suite, key = suite_of(packet), bytes.fromhex(packet["key"] + packet["salt"])
        aad, iv = bytes.fromhex(packet["aad"]), bytes.fromhex(packet["iv"])
        sealed = suite.seal(key, b"", iv=iv, aad=aad, plaintext=bytes.fromhex(packet["plaintext"]))
        assert (aad + sealed).hex() == packet["packet"]
    assert len(packets) == 3


@pytest.mark.parametrize(("transform", "tag"), [(EncryptionId.AES_GCM_8, "64"), (EncryptionId.AES_GCM_12, "96")])
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_short_gcm_icvs_give_the_answers_of_nist(transform: int, tag: str, bits: int) -> None:
    suite = cipher_suite(transform, bits, None)
    opened = refused = 0
    for settings, record in nist("ciphers", "AES", "GCM", f"gcmDecrypt{bits}.rsp"):
        if settings.get("Taglen") != tag or settings.get("IVlen") != "96" or "Key" not in record:
            continue
        iv = bytes.fromhex(record["IV"])
        key, aad = bytes.fromhex(record["Key"]) + iv[:4], bytes.fromhex(record["AAD"])
        sealed = iv[4:] + bytes.fromhex(record["CT"] + record["Tag"])
        if "PT" in record:
            plaintext = bytes.fromhex(record["PT"])
            assert suite.open(key, b"", aad=aad, sealed=memoryview(sealed)) == plaintext
            assert suite.seal(key, b"", iv=iv[4:], aad=aad, plaintext=plaintext) == sealed
            opened += 1
        else:
            with pytest.raises(IntegrityError):
                suite.open(key, b"", aad=aad, sealed=sealed)
            refused += 1
    assert opened > 100
    assert refused > 100


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_cbc_gives_the_answers_of_nist(bits: int) -> None:
    suite = cipher_suite(EncryptionId.AES_CBC, bits, IntegrityId.HMAC_SHA2_256_128)
    compared = 0
    for _, record in nist("ciphers", "AES", "CBC", f"CBCMMT{bits}.rsp"):
        if "KEY" not in record:
            continue
        key, iv, text = (bytes.fromhex(record[name]) for name in ("KEY", "IV", "PLAINTEXT"))
        sealed = suite.seal(key, bytes(32), iv=iv, aad=b"header", plaintext=text)
        assert sealed[:-16] == iv + bytes.fromhex(record["CIPHERTEXT"])
        assert suite.open(key, bytes(32), aad=b"header", sealed=sealed) == text
        compared += 1
    assert compared == 20


def test_cbc_gives_the_answer_of_rfc_3602() -> None:
    suite = cipher_suite(EncryptionId.AES_CBC, 128, IntegrityId.HMAC_SHA1_96)
    iv = bytes.fromhex("3dafba429d9eb430b422da802c9fac41")
    key = bytes.fromhex("06a9214036b8a15b512e03d534120006")
    sealed = suite.seal(key, bytes(20), iv=iv, aad=b"", plaintext=b"Single block msg")
    assert sealed[:-12] == iv + bytes.fromhex("e353779c1079aeb82708942dbe77181a")


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_ctr_gives_the_answers_of_rfc_3686(bits: int) -> None:
    suite = cipher_suite(EncryptionId.AES_CTR, bits, IntegrityId.HMAC_SHA2_256_128)
    compared = 0
    for _, record in nist("ciphers", "AES", "CTR", f"aes-{bits}-ctr.txt"):
        if "KEY" not in record:
            continue
        block = bytes.fromhex(record["IV"])  # nonce, IV, counter
        key, text = bytes.fromhex(record["KEY"]) + block[:4], bytes.fromhex(record["PLAINTEXT"])
        sealed = suite.seal(key, bytes(32), iv=block[4:12], aad=b"", plaintext=text)
        assert sealed[:-16] == block[4:12] + bytes.fromhex(record["CIPHERTEXT"])
        assert suite.open(key, bytes(32), aad=b"", sealed=sealed) == text
        compared += 1
    assert compared == 3


@pytest.mark.parametrize(
    ("integrity", "key_length", "icv"),
    [
        (IntegrityId.HMAC_SHA1_96, 20, "b617318655057264e28bc0b6"),  # RFC 2202
        (IntegrityId.HMAC_SHA2_256_128, 32, "198a607eb44bfbc69903a0f1cf2bbdc5"),  # RFC 4868 2.7.2.1
        (IntegrityId.HMAC_SHA2_384_192, 48, "b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973"),  # 2.7.2.2
        (
            IntegrityId.HMAC_SHA2_512_256,
            64,
            "637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8",
        ),  # 2.7.2.3
    ],
)
def test_truncated_macs_over_everything_give_the_answers_of_rfc_4868(
    integrity: int, key_length: int, icv: str
) -> None:
    suite = cipher_suite(EncryptionId.NULL, None, integrity)
    key = b"\x0b" * key_length
    assert (suite.integrity_key_length, suite.icv_length) == (key_length, len(icv) // 2)
    sealed = suite.seal(b"", key, iv=b"", aad=b"Hi", plaintext=b" The", tail=b"re")
    assert sealed == b" The" + bytes.fromhex(icv)
    assert suite.open(b"", key, aad=b"Hi", sealed=sealed, tail=b"re") == b" The"
    for aad, tail in ((b"HI", b"re"), (b"Hi", b"rE"), (b"Hi", b"")):
        with pytest.raises(IntegrityError):
            suite.open(b"", key, aad=aad, sealed=sealed, tail=tail)


@pytest.mark.parametrize("ids", ALL_SUITES, ids=str)
def test_one_flipped_bit_anywhere_is_noticed(ids: tuple[int, int | None, int | None]) -> None:
    suite = cipher_suite(*ids)
    key, integrity_key = bytes(range(suite.key_length)), bytes(range(suite.integrity_key_length))
    plaintext = bytes(32)
    sealed = suite.seal(key, integrity_key, iv=bytes(suite.iv_length), aad=b"header", plaintext=plaintext)
    assert len(sealed) == suite.iv_length + 32 + suite.icv_length
    assert suite.open(key, integrity_key, aad=b"header", sealed=sealed) == plaintext
    for place in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[place] ^= 0x40
        with pytest.raises(IntegrityError):
            suite.open(key, integrity_key, aad=b"header", sealed=bytes(flipped))
    for length in range(len(sealed)):
        with pytest.raises(IntegrityError):
            suite.open(key, integrity_key, aad=b"header", sealed=sealed[:length])
    with pytest.raises(IntegrityError):
        suite.open(key, integrity_key, aad=b"Header", sealed=sealed)


def test_a_ciphertext_that_is_no_whole_block_is_refused_even_with_a_right_mac() -> None:
    suite = cipher_suite(EncryptionId.AES_CBC, 128, IntegrityId.HMAC_SHA2_256_128)
    null = cipher_suite(EncryptionId.NULL, None, IntegrityId.HMAC_SHA2_256_128)
    crafted = null.seal(b"", bytes(32), iv=b"", aad=b"", plaintext=bytes(16 + 15))
    with pytest.raises(IntegrityError, match="15 octets"):
        suite.open(bytes(16), bytes(32), aad=b"", sealed=crafted)


def test_key_lengths_are_those_of_the_rfcs() -> None:
    lengths = {ids: cipher_suite(*ids).key_length for ids in ((20, 128, None), (16, 256, None), (28, None, None))}
    assert lengths == {(20, 128, None): 20, (16, 256, None): 35, (28, None, None): 36}  # RFC 4106 8.1, 5282, 7634
    assert cipher_suite(13, 256, 12).key_length == 36  # RFC 5930 3
    assert [cipher_suite(*ids).block_length for ids in ((12, 128, 2), (13, 128, 2), (20, 128, None))] == [16, 1, 1]


def test_ivs_count_except_for_cbc_whose_are_unpredictable() -> None:
    for ids in ALL_SUITES:
        suite = cipher_suite(*ids)
        if suite.encryption == EncryptionId.AES_CBC:
            assert suite.make_iv(7, lambda count: b"\xaa" * count) == b"\xaa" * 16
        elif suite.encryption == EncryptionId.NULL:
            assert suite.make_iv(7, no_entropy) == b""
        else:
            assert suite.make_iv(7, no_entropy) == bytes(7) + b"\x07"


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        ((3, None, 2), "TRIPLE_DES is not implemented"),
        ((4711, None, None), "4711"),
        ((20, None, None), "AES_GCM_16 takes a key of 128, 192, 256 bits, not None"),
        ((20, 129, None), "not 129"),
        ((28, 256, None), "CHACHA20_POLY1305 takes no key length"),
        ((20, 128, 12), "takes no integrity transform"),
        ((12, 128, None), "integrity transform NONE"),
        ((12, 128, 1), "HMAC_MD5_96"),
    ],
)
def test_a_suite_that_is_not_there_is_named(ids: tuple[int, int | None, int | None], said: str) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match=said):
        cipher_suite(*ids)


def test_integrity_none_beside_an_aead_is_the_same_suite() -> None:
    assert cipher_suite(20, 128, IntegrityId.NONE) == cipher_suite(20, 128, None)


KEYED_CAPTURES = {
    "openswan-parent.pcap": 2,
    "strongswan-auth-failed.pcap": 2,
    "strongswan-cbc-rsa.pcap": 6,
    "strongswan-cookie-invalid-ke.pcap": 4,
    "strongswan-eap-md5.pcap": 12,
    "strongswan-gcm16-ecdsa.pcap": 6,
}


@pytest.mark.parametrize(("file", "at_least"), KEYED_CAPTURES.items())
def test_sk_payloads_of_other_implementations_open(shared_vectors: Path, file: str, at_least: int) -> None:
    opened = 0
    for item in protected(shared_vectors, file):
        plaintext = item.open()
        octets, start, suite = item.octets, item.start, item.suite
        assert octets[start:].startswith(bytes.fromhex(item.payload["iv"]))
        assert octets.endswith(bytes.fromhex(item.payload["icv"]))
        iv = octets[start : start + suite.iv_length]
        sealed = suite.seal(item.key, item.mac_key, iv=iv, aad=octets[:start], plaintext=plaintext)
        assert octets[:start] + sealed == octets
        opened += 1
    assert opened >= at_least


@pytest.mark.parametrize("file", KEYED_CAPTURES)
def test_what_they_hold_has_the_payloads_that_another_decoder_found(shared_vectors: Path, file: str) -> None:
    for _, payloads, chain in chains(shared_vectors, file):
        assert len(chain) == sum(inner["length"] for inner in payloads)


def test_the_wrong_integrity_check_value_of_tcpdumps_capture_is_noticed(shared_vectors: Path) -> None:
    wrong = [item for item in protected(shared_vectors, "tcpdump-ikev2pI2.pcap") if not item.payload["icv_ok"]]
    for item in wrong:
        with pytest.raises(IntegrityError):
            item.open()
    assert len(wrong) == 1
