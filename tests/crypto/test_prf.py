"""PRFs and prf+ against RFC 2202, RFC 4231 and NIST SP 800-135."""

from pathlib import Path

import pytest

from ikesim.crypto.prf import prf
from ikesim.errors import CryptoError, UnsupportedAlgorithmError
from ikesim.wire.registry import PrfId
from tests.crypto.vectors import load, nist


@pytest.mark.parametrize(
    ("id", "file"),
    [
        (PrfId.HMAC_SHA1, "rfc-2202-sha1.txt"),
        (PrfId.HMAC_SHA2_256, "rfc-4231-sha256.txt"),
        (PrfId.HMAC_SHA2_384, "rfc-4231-sha384.txt"),
        (PrfId.HMAC_SHA2_512, "rfc-4231-sha512.txt"),
    ],
)
def test_prf_gives_the_answers_of_the_hmac_rfcs(id: int, file: str) -> None:
    records = [record for _, record in nist("HMAC", file) if "MD" in record]
    assert len(records) >= 6
    for record in records:
        expected = bytes.fromhex(record["MD"])
        result = prf(id).prf(bytes.fromhex(record["Key"]), bytes.fromhex(record["Msg"]))
        assert result[: len(expected)] == expected
        assert len(result) == prf(id).output_length == prf(id).key_length


def test_prf_plus_gives_the_key_material_of_sp_800_135(shared_vectors: Path) -> None:
    compared = 0
    for vector in load(shared_vectors / "kdf" / "ikev2.json")["vectors"]:
        if not vector["DKM"]:
            continue
        function = prf(PrfId[vector["prf"].removeprefix("PRF_")])
        seed = bytes.fromhex(vector["Ni"] + vector["Nr"] + vector["SPIi"] + vector["SPIr"])
        length = len(vector["DKM"]) // 2
        assert function.plus(bytes.fromhex(vector["SKEYSEED"]), seed, length).hex() == vector["DKM"], vector["id"]
        compared += 1
    assert compared == 8


def test_prf_plus_is_a_prefix_of_any_longer_output() -> None:
    whole = prf(PrfId.HMAC_SHA2_256).plus(b"key", b"seed", 255 * 32)
    assert len(whole) == 8160
    for length in (0, 1, 31, 32, 33, 8159):
        assert prf(PrfId.HMAC_SHA2_256).plus(b"key", b"seed", length) == whole[:length]


def test_prf_plus_ends_where_its_counter_ends() -> None:
    with pytest.raises(CryptoError, match="at most 8160 octets"):
        prf(PrfId.HMAC_SHA2_256).plus(b"key", b"seed", 255 * 32 + 1)


@pytest.mark.parametrize(("id", "shown"), [(PrfId.AES128_XCBC, "AES128_XCBC"), (4711, "4711")])
def test_a_prf_that_is_not_there_is_named(id: int, shown: str) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match=shown):
        prf(id)
