"""Signatures on certificates and CRLs against Wycheproof, and AlgorithmIdentifiers that are not sound."""

import json
from pathlib import Path
from typing import Any

import pytest

from ikesim.pki.der_writer import explicit, implicit, integer, null, oid, sequence
from ikesim.pki.publickeys import load_public_key
from ikesim.pki.verification import signature_algorithm, verify

SHA256, SHA384, SHA1 = "2.16.840.1.101.3.4.2.1", "2.16.840.1.101.3.4.2.2", "1.3.14.3.2.26"
MGF1, PSS = "1.2.840.113549.1.1.8", "1.2.840.113549.1.1.10"


def pss(
    digest: str = SHA256, mask: str = SHA256, salt: int = 32, trailer: int | None = None, mgf: str = MGF1
) -> bytes:
    parameters = [
        explicit(0, sequence(oid(digest), null())),
        explicit(1, sequence(oid(mgf), sequence(oid(mask), null()))),
        explicit(2, integer(salt)),
    ]
    parameters += [] if trailer is None else [explicit(3, integer(trailer))]
    return sequence(oid(PSS), sequence(*parameters))


HASHES = {"SHA-256": SHA256, "SHA-384": SHA384, "SHA-512": "2.16.840.1.101.3.4.2.3"}


def identifier(file: str, group: dict[str, Any]) -> bytes:
    """The AlgorithmIdentifier that a certificate would have with such a signature."""
    if file.startswith("ecdsa"):
        numbers = {"SHA-256": 2, "SHA-384": 3, "SHA-512": 4}
        return sequence(oid(f"1.2.840.10045.4.3.{numbers[group['hash']]}"))
    if file.startswith("rsa_signature"):
        numbers = {"SHA-256": 11, "SHA-384": 12, "SHA-512": 13}
        return sequence(oid(f"1.2.840.113549.1.1.{numbers[group['hash']]}"), null())
    if file.startswith("rsa_pss"):
        return pss(HASHES[group["hash"]], HASHES[group["mgf_hash"]], group["salt_length"])
    return sequence(oid("1.3.101.112" if file.startswith("ed25519") else "1.3.101.113"))


FILES = {
    "ecdsa_secp256r1_sha256.json": 484,
    "ecdsa_secp384r1_sha384.json": 504,
    "ecdsa_secp521r1_sha512.json": 542,
    "ed25519.json": 151,
    "ed448.json": 87,
    "rsa_pss_2048_sha256_mgf1_32.json": 108,
    "rsa_pss_2048_sha384_mgf1_48.json": 141,
    "rsa_pss_4096_sha512_mgf1_64.json": 179,
    "rsa_signature_2048_sha256.json": 259,
    "rsa_signature_2048_sha384.json": 258,
    "rsa_signature_2048_sha512.json": 259,
    "rsa_signature_4096_sha512.json": 259,
}


@pytest.mark.parametrize("file", FILES)
def test_wycheproof(file: str, shared_vectors: Path) -> None:
    document = json.loads((shared_vectors / "signatures" / file).read_text())
    count = 0
    for group in document["groups"]:
        algorithm = signature_algorithm(identifier(file, group))
        assert algorithm.scheme and not algorithm.irregular
        public_key = load_public_key(bytes.fromhex(group["public_key_der"]))
        for case in group["tests"]:
            count += 1
            verified = verify(public_key, algorithm, bytes.fromhex(case["msg"]), bytes.fromhex(case["sig"]))
            assert case["result"] == "acceptable" or verified is (case["result"] == "valid"), case["id"]
    assert count == FILES[file]


@pytest.mark.parametrize(
    ("octets", "scheme"),
    [
        (pss(), "rsa-pss-sha256"),
        (pss(trailer=1), "rsa-pss-sha256"),
        (pss(SHA384, SHA384, 48), "rsa-pss-sha384"),
        (sequence(oid(PSS), sequence()), "rsa-pss-sha1"),
        (sequence(oid("1.2.840.113549.1.1.11")), "rsa-pkcs1-sha256"),
        (sequence(oid("1.2.840.113549.1.1.4"), null()), "rsa-pkcs1-md5"),
        (sequence(oid("1.2.840.113549.1.1.5"), null()), "rsa-pkcs1-sha1"),
        (sequence(oid("1.3.6.1.4.1.99999.1")), ""),
    ],
)
def test_algorithms_that_are_sound(octets: bytes, scheme: str) -> None:
    found = signature_algorithm(octets)
    assert (found.scheme, found.irregular) == (scheme, "")
    assert found.label


@pytest.mark.parametrize(
    "octets",
    [
        pss(mask=SHA384),
        pss(salt=-1),
        pss(salt=100000),
        pss(trailer=2),
        pss(mgf=SHA256),
        pss(digest="1.2.3"),
        sequence(oid(PSS), null()),
        sequence(oid("1.2.840.10045.4.3.2"), null()),
        sequence(oid("1.3.101.112"), null()),
        sequence(oid("1.2.840.113549.1.1.11"), null(), null()),
        sequence(oid("1.2.840.113549.1.1.11"), implicit(4, bytes(20000))),
        sequence(),
        b"\x30\x05\x06",
        b"",
    ],
)
def test_algorithms_that_are_not(octets: bytes) -> None:
    """DC16 and CVE-2021-41991's kind: parameters that are huge, contradict each other or do not belong there."""
    assert signature_algorithm(octets).irregular
