"""ML-KEM against the known answers that come with cryptography (the NIST submission's format, FIPS 203 values)."""

import copy
import itertools
import random

import pytest

from ikesim.crypto import exchange
from ikesim.errors import KeyExchangeError, UnsupportedAlgorithmError
from ikesim.pki.keys import encapsulate
from ikesim.wire.registry import KeyExchangeId
from tests.crypto.vectors import nist

KEM = {KeyExchangeId.ML_KEM_768: "768", KeyExchangeId.ML_KEM_1024: "1024"}
# FIPS 203 table 3
SIZES = {KeyExchangeId.ML_KEM_768: (1184, 1088), KeyExchangeId.ML_KEM_1024: (1568, 1568)}


def records(method: KeyExchangeId, count: int) -> list[dict[str, str]]:
    found = nist("asymmetric", "MLKEM", f"kat_MLKEM_{KEM[method]}.rsp")
    return [record for _, record in itertools.islice(found, count)]


@pytest.mark.parametrize("method", KEM)
def test_known_answers(method: KeyExchangeId) -> None:
    for record in records(method, 40):
        pair = exchange.generate(method, lambda count, r=record: bytes.fromhex(r["d"] + r["z"])[:count])
        assert pair.public.hex() == record["pk"]
        assert exchange.agree(pair, bytes.fromhex(record["ct"])).hex() == record["ss"]


@pytest.mark.parametrize("method", KEM)
def test_a_ciphertext_that_was_not_made_for_the_key_is_rejected_implicitly(method: KeyExchangeId) -> None:
    # FIPS 203 6.3: a secret that follows from z and the ciphertext, not an error
    (record,) = records(method, 1)
    pair = exchange.generate(method, lambda count: bytes.fromhex(record["d"] + record["z"]))
    assert exchange.agree(pair, bytes.fromhex(record["ct_n"])).hex() == record["ss_n"]
    ciphertext = bytearray.fromhex(record["ct"])
    ciphertext[0] ^= 1
    secret = exchange.agree(pair, bytes(ciphertext))
    assert len(secret) == 32
    assert secret.hex() != record["ss"]
    assert secret == exchange.agree(pair, bytes(ciphertext))


@pytest.mark.parametrize("method", KEM)
def test_both_halves_agree_and_have_the_sizes_of_the_standard(method: KeyExchangeId) -> None:
    key, ciphertext = SIZES[method]
    pair = exchange.generate(method, random.Random(1).randbytes)
    answer, secret = exchange.answer(method, pair.public, random.Random(2).randbytes, encapsulate)
    assert (len(pair.private), len(pair.public), len(answer), len(secret)) == (64, key, ciphertext, 32)
    assert (exchange.public_length(method), exchange.answer_length(method)) == (key, ciphertext)
    assert exchange.agree(copy.deepcopy(pair), answer) == secret
    assert pair.private.hex() not in repr(pair)


@pytest.mark.parametrize("method", KEM)
def test_octets_of_another_length_are_refused_on_both_sides(method: KeyExchangeId) -> None:
    pair = exchange.generate(method, random.Random(3).randbytes)
    for wrong in (b"", pair.public[:-1], pair.public + b"\0"):
        with pytest.raises(KeyExchangeError, match=f"{exchange.public_length(method)} octets"):
            exchange.answer(method, wrong, random.Random(4).randbytes, encapsulate)
    with pytest.raises(KeyExchangeError, match=f"{exchange.answer_length(method)} octets"):
        exchange.agree(pair, bytes(exchange.answer_length(method) - 1))


@pytest.mark.parametrize("method", KEM)
def test_a_key_with_coefficients_beyond_the_modulus_is_refused(method: KeyExchangeId) -> None:
    # FIPS 203 7.2, the modulus check
    with pytest.raises(KeyExchangeError, match="ML-KEM"):
        exchange.answer(method, b"\xff" * exchange.public_length(method), random.Random(5).randbytes, encapsulate)


def test_other_methods_answer_as_they_agree() -> None:
    pair = exchange.generate(KeyExchangeId.CURVE25519, random.Random(6).randbytes)
    answer, secret = exchange.answer(KeyExchangeId.CURVE25519, pair.public, random.Random(7).randbytes, encapsulate)
    assert exchange.agree(pair, answer) == secret


@pytest.mark.parametrize("method", [KeyExchangeId.CURVE25519, KeyExchangeId.ML_KEM_512, 4711])
def test_nothing_else_encapsulates(method: int) -> None:
    with pytest.raises(UnsupportedAlgorithmError):
        encapsulate(method, bytes(32))
