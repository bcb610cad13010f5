"""The self-tests' answers are those of others, and no fault of an algorithm gets past them."""

import re
from pathlib import Path

import cryptography_vectors
import pytest

from ikesim.crypto import exchange, selftest
from ikesim.crypto.known_answers import PUBLISHED, Published
from ikesim.crypto.signatures import SignatureScheme
from ikesim.errors import UsageError
from ikesim.wire.registry import KeyExchangeId
from tests.crypto.test_exchange import RFC_5903
from tests.crypto.vectors import nist

VECTORS = Path(cryptography_vectors.__file__).parent
FILES = {
    "prf": (
        "HMAC/rfc-2202-sha1.txt",
        "HMAC/rfc-4231-sha256.txt",
        "HMAC/rfc-4231-sha384.txt",
        "HMAC/rfc-4231-sha512.txt",
    ),
    "aes-cbc": ("ciphers/AES/CBC/CBCMMT256.rsp",),
    "aes-ctr": ("ciphers/AES/CTR/aes-128-ctr.txt", "ciphers/AES/CTR/aes-256-ctr.txt"),
    "brainpool": ("asymmetric/ECDH/brainpool.txt",),
    "curve25519": ("asymmetric/X25519/rfc7748.txt",),
    "curve448": ("asymmetric/X448/rfc7748.txt",),
    "ml-kem": ("asymmetric/MLKEM/kat_MLKEM_768.rsp", "asymmetric/MLKEM/kat_MLKEM_1024.rsp"),
    "ecdsa": ("asymmetric/ECDSA/RFC6979/evppkey_ecdsa_rfc6979.txt",),
    "ed25519": ("asymmetric/Ed25519/sign.input",),
    "ed448": ("asymmetric/Ed448/rfc8032.txt",),
    "rsa-pkcs1": ("asymmetric/RSA/pkcs1v15sign-vectors.txt", "asymmetric/RSA/FIPS_186-2/SigGen15_186-3.rsp"),
}
SHARED = {
    "key-schedule": ("kdf/ikev2.json",),
    "aes-gcm": ("kdf/aead.json",),
    "aes-ccm": ("kdf/aead.json",),
    "chacha20-poly1305": ("kdf/aead.json",),
    "rsa-pss": ("signatures/rsa_pss_2048_sha256_mgf1_32.json",),
}


def published(family: str) -> list[Published]:
    return [item for item in PUBLISHED if item.family == family]


def octets_of(item: Published) -> str:
    """The part of the answer that a file of vectors holds."""
    answer = str(item.values["answer"]).lower()
    if item.kind == "cipher":
        return answer[len(str(item.values["iv"])) :][: len(str(item.values["data"]))]
    return answer


@pytest.mark.parametrize("family", FILES)
def test_answers_are_those_that_come_with_cryptography(family: str) -> None:
    text = "".join(re.sub(r"\s", "", (VECTORS / file).read_text()).lower() for file in FILES[family])
    for item in published(family):
        if item.origin.startswith("RFC 3602"):
            continue  # tests/crypto/test_ciphers.py has it from the RFC
        assert octets_of(item) in text, item.name


@pytest.mark.parametrize("family", SHARED)
def test_answers_are_those_of_the_shared_vectors(family: str, shared_vectors: Path) -> None:
    text = "".join((shared_vectors / file).read_text() for file in SHARED[family])
    for item in published(family):
        assert octets_of(item) in text, item.name


def test_answers_of_rfc_5903_and_3526() -> None:
    for item in published("ecp"):
        assert str(item.values["answer"]) == RFC_5903[KeyExchangeId[str(item.values["method"])]][4].lower()
    primes = {len(record["P"]) * 4: int(record["P"], 16) for _, record in nist("asymmetric", "DH", "rfc3526.txt")}
    for item in published("modp"):
        prime = primes[int(item.name.removeprefix("modp-"))]
        one, other = (int(str(item.values[name]), 16) for name in ("private", "peer_private"))
        public, secret = pow(2, one, prime), pow(2, one * other, prime)
        hashed = (
            selftest.hashlib.sha256(value.to_bytes((prime.bit_length() + 7) // 8)).hexdigest()
            for value in (public, secret)
        )
        assert "".join(hashed) == item.values["answer"]


def test_every_algorithm_that_is_offered_has_a_test() -> None:
    tested = {str(item.values.get("scheme")) for item in PUBLISHED}
    families = {item.family for item in PUBLISHED}
    for scheme in SignatureScheme:
        assert str(scheme) in tested or str(scheme).rsplit("-", 1)[0] in families | {"ecdsa"}, scheme
    for method in KeyExchangeId:
        if exchange.supported(method):
            family = method.name.lower().partition("_")[0].replace("ml", "ml-kem")
            assert family in families, method


def test_all_pass_in_their_order_and_a_subset_runs_exactly_what_it_names() -> None:
    outcomes = selftest.run()
    assert [outcome.name for outcome in outcomes] == list(selftest.TESTS)
    assert all(outcome.passed for outcome in outcomes), [item for item in outcomes if not item.passed]
    assert [item.name for item in selftest.run(["ed25519", "aes-gcm", "modp-2048"])] == [
        "aes-gcm-128", "aes-gcm-256", "modp-2048", "ed25519",
    ]  # fmt: skip
    with pytest.raises(UsageError, match="there is no self-test 'md5'; the families are hash, prf, "):
        selftest.run(["md5"])


@pytest.mark.parametrize("name", selftest.TESTS)
def test_one_wrong_bit_of_what_is_computed_fails_exactly_that_test(name: str) -> None:
    def flip(test: str, computed: bytes) -> bytes | None:
        return bytes([computed[0] ^ 1]) + computed[1:] if test == name else None

    (outcome,) = selftest.run([name], flip)
    assert not outcome.passed
    assert outcome.detail.startswith("does not give the answer of ")


@pytest.mark.parametrize(
    ("target", "replacement", "families"),
    [
        ("ikesim.crypto.prf.Prf.prf", lambda self, key, data: bytes(self.output_length), {"prf", "key-schedule"}),
        (
            "ikesim.crypto.ciphers.CipherSuite.open",
            lambda self, key, integrity_key, *, aad, sealed, tail=b"": b"",
            {"aes-gcm", "aes-ccm", "chacha20-poly1305", "aes-cbc", "aes-ctr", "integrity"},
        ),
        (
            "ikesim.crypto.exchange.agree",
            lambda pair, peer: bytes(32),
            {"ecp", "brainpool", "curve25519", "curve448", "ml-kem", "modp"},
        ),
        (
            "ikesim.crypto.selftest.verify_auth",
            lambda *arguments, **named: SignatureScheme.ED25519,
            {"ecdsa", "ed25519", "ed448", "rsa-pkcs1", "rsa-pss"},
        ),
    ],
    ids=["a PRF of zeros", "an ICV never checked", "a secret of zeros", "any signature verifies"],
)
def test_a_broken_primitive_is_found_by_its_families_only(
    monkeypatch: pytest.MonkeyPatch, target: str, replacement: object, families: set[str]
) -> None:
    monkeypatch.setattr(target, replacement)
    assert {outcome.family for outcome in selftest.run() if not outcome.passed} == families
