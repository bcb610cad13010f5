"""AUTH signatures against Wycheproof, RFC 4055, RFC 4754, RFC 7427 appendix A and RFC 8420."""

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from ikesim.crypto.signatures import (
    SignatureScheme,
    Signing,
    algorithm_identifier,
    choose_signing,
    encode_auth,
    sign,
    verify_auth,
)
from ikesim.errors import AuthError, CryptoError
from ikesim.reasons import Reason
from ikesim.wire.registry import AuthMethod, HashAlgorithm
from tests.crypto.vectors import load

EVERY_HASH = frozenset(HashAlgorithm)
EVERY_SCHEME = tuple(SignatureScheme)
DIGITAL_SIGNATURE = AuthMethod.DIGITAL_SIGNATURE
OCTETS = b"the octets of RFC 7296 2.15"

RSA = rsa.generate_private_key(65537, 2048)
P256, P384, P521 = (ec.generate_private_key(curve) for curve in (ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()))
BRAINPOOL = ec.generate_private_key(ec.BrainpoolP256R1())
ED25519, ED448 = ed25519.Ed25519PrivateKey.generate(), ed448.Ed448PrivateKey.generate()
KEYS: dict[SignatureScheme, Any] = {
    scheme: {"ed25": ED25519, "ed44": ED448, "ecds": P256, "rsa-": RSA}[scheme[:4]] for scheme in SignatureScheme
}

# RFC 7427 appendix A; PSS in DER and with the default trailer field spelled out, as its examples have it
APPENDIX_A = {
    SignatureScheme.RSA_PKCS1_SHA1: "300d 0609 2a86 4886 f70d 0101 0505 00",
    SignatureScheme.RSA_PKCS1_SHA256: "300d 0609 2a86 4886 f70d 0101 0b05 00",
    SignatureScheme.RSA_PKCS1_SHA384: "300d 0609 2a86 4886 f70d 0101 0c05 00",
    SignatureScheme.RSA_PKCS1_SHA512: "300d 0609 2a86 4886 f70d 0101 0d05 00",
    SignatureScheme.ECDSA_SHA256: "300a 0608 2a86 48ce 3d04 0302",
    SignatureScheme.ECDSA_SHA384: "300a 0608 2a86 48ce 3d04 0303",
    SignatureScheme.ECDSA_SHA512: "300a 0608 2a86 48ce 3d04 0304",
    SignatureScheme.ED25519: "3005 0603 2b65 70",  # RFC 8420 3
    SignatureScheme.ED448: "3005 0603 2b65 71",
}
PSS_SHA256 = (
    "3041 0609 2a86 4886 f70d 0101 0a30 34a0 0f30 0d06 0960 8648 0165 0304 0201 0500 a11c 301a 0609 2a86 4886 f70d "
    "0101 0830 0d06 0960 8648 0165 0304 0201 0500 a203 0201 20"
)
PSS_SHA256_WITH_TRAILER = (
    "3046 0609 2a86 4886 f70d 0101 0a30 39a0 0f30 0d06 0960 8648 0165 0304 0201 0500 a11c 301a 0609 2a86 4886 f70d "
    "0101 0830 0d06 0960 8648 0165 0304 0201 0500 a203 0201 20a3 0302 0101"
)
PSS_WITHOUT_NULLS = (
    "303d 0609 2a86 4886 f70d 0101 0a30 30a0 0d30 0b06 0960 8648 0165 0304 0201 a11a 3018 0609 2a86 4886 f70d "
    "0101 0830 0b06 0960 8648 0165 0304 0201 a203 0201 20"
)


def method_14(identifier: str | bytes, signature: bytes) -> bytes:
    octets = bytes.fromhex(identifier) if isinstance(identifier, str) else identifier
    return bytes((len(octets),)) + octets + signature


def refusal(
    method: int,
    data: bytes,
    key: Any,
    *,
    octets: bytes = OCTETS,
    allowed: tuple[SignatureScheme, ...] = EVERY_SCHEME,
    hashes: frozenset[int] = EVERY_HASH,
) -> AuthError:
    with pytest.raises(AuthError) as caught:
        verify_auth(method, data, octets, key, allowed=allowed, announced_hashes=hashes)
    assert caught.value.evidence
    assert str(caught.value)
    return caught.value


# Wycheproof ---------------------------------------------------------------------------------------------------------

WYCHEPROOF = {
    "ecdsa_secp256r1_sha256.json": (DIGITAL_SIGNATURE, SignatureScheme.ECDSA_SHA256, 484),
    "ecdsa_secp384r1_sha384.json": (DIGITAL_SIGNATURE, SignatureScheme.ECDSA_SHA384, 504),
    "ecdsa_secp521r1_sha512.json": (DIGITAL_SIGNATURE, SignatureScheme.ECDSA_SHA512, 542),
    "ecdsa_secp256r1_sha256_p1363.json": (AuthMethod.ECDSA_SHA2_256_P256, SignatureScheme.ECDSA_SHA256, 262),
    "ecdsa_secp384r1_sha384_p1363.json": (AuthMethod.ECDSA_SHA2_384_P384, SignatureScheme.ECDSA_SHA384, 280),
    "ecdsa_secp521r1_sha512_p1363.json": (AuthMethod.ECDSA_SHA2_512_P521, SignatureScheme.ECDSA_SHA512, 318),
    "ed25519.json": (DIGITAL_SIGNATURE, SignatureScheme.ED25519, 151),
    "ed448.json": (DIGITAL_SIGNATURE, SignatureScheme.ED448, 87),
    "rsa_signature_2048_sha256.json": (DIGITAL_SIGNATURE, SignatureScheme.RSA_PKCS1_SHA256, 259),
    "rsa_signature_2048_sha384.json": (DIGITAL_SIGNATURE, SignatureScheme.RSA_PKCS1_SHA384, 258),
    "rsa_signature_2048_sha512.json": (DIGITAL_SIGNATURE, SignatureScheme.RSA_PKCS1_SHA512, 259),
    "rsa_signature_4096_sha512.json": (DIGITAL_SIGNATURE, SignatureScheme.RSA_PKCS1_SHA512, 259),
    "rsa_pss_2048_sha256_mgf1_32.json": (DIGITAL_SIGNATURE, SignatureScheme.RSA_PSS_SHA256, 108),
    "rsa_pss_2048_sha384_mgf1_48.json": (DIGITAL_SIGNATURE, SignatureScheme.RSA_PSS_SHA384, 141),
    "rsa_pss_4096_sha512_mgf1_64.json": (DIGITAL_SIGNATURE, SignatureScheme.RSA_PSS_SHA512, 179),
}


@pytest.mark.parametrize("file", WYCHEPROOF)
def test_wycheproof_as_auth_data(shared_vectors: Path, file: str) -> None:
    method, scheme, cases = WYCHEPROOF[file]
    wrong = []
    seen = 0
    for group in load(shared_vectors / "signatures" / file)["groups"]:
        key: Any = load_der_public_key(bytes.fromhex(group["public_key_der"]))
        for case in group["tests"]:
            seen += 1
            signature = bytes.fromhex(case["sig"])
            data = method_14(algorithm_identifier(scheme), signature) if method == DIGITAL_SIGNATURE else signature
            try:
                proved = verify_auth(
                    method, data, bytes.fromhex(case["msg"]), key, allowed=(scheme,), announced_hashes=EVERY_HASH
                )
                result = "valid" if proved is scheme else f"proved by {proved}"
            except AuthError as error:
                expected = (Reason.AUTH_BAD_SIGNATURE, Reason.AUTH_BAD_ENCODING)
                result = "invalid" if error.reason in expected else f"{error.reason}"
            if result != case["result"] and case["result"] != "acceptable":
                wrong.append((case["id"], case["result"], result, case["flags"]))
    assert wrong == []
    assert seen == cases


# Encodings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "octets"), APPENDIX_A.items())
def test_identifiers_are_those_of_rfc_7427_appendix_a(scheme: SignatureScheme, octets: str) -> None:
    assert algorithm_identifier(scheme) == bytes.fromhex(octets)


def test_pss_identifiers_omit_the_default_trailer_as_rfc_4055_demands() -> None:
    assert algorithm_identifier(SignatureScheme.RSA_PSS_SHA256) == bytes.fromhex(PSS_SHA256)
    for scheme, hash_arc, salt in ((SignatureScheme.RSA_PSS_SHA384, 2, 48), (SignatureScheme.RSA_PSS_SHA512, 3, 64)):
        expected = PSS_SHA256.replace("0304 0201", f"0304 02{hash_arc:02x}")[:-2] + f"{salt:02x}"
        assert algorithm_identifier(scheme) == bytes.fromhex(expected)


@pytest.mark.parametrize("identifier", [PSS_SHA256, PSS_SHA256_WITH_TRAILER, PSS_WITHOUT_NULLS])
def test_pss_is_understood_in_each_encoding(identifier: str) -> None:
    signature = sign(RSA, SignatureScheme.RSA_PSS_SHA256, OCTETS)
    data = method_14(identifier, signature)
    scheme = verify_auth(14, data, OCTETS, RSA.public_key(), allowed=EVERY_SCHEME, announced_hashes=EVERY_HASH)
    assert scheme is SignatureScheme.RSA_PSS_SHA256
    assert refusal(14, data, RSA.public_key(), octets=b"other").reason is Reason.AUTH_BAD_SIGNATURE


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return bytes((tag, len(body)) if len(body) < 128 else (tag, 0x81, len(body))) + body


SHA1_OID, SHA256_OID, SHA384_OID = "2b0e03021a", "608648016503040201", "608648016503040202"
MGF1_OID = "2a864886f70d010108"


def hash_identifier(oid: str, parameters: bytes = b"\x05\x00") -> bytes:
    return der(0x30, der(6, bytes.fromhex(oid)), parameters)


def pss(
    hash: str | None = SHA256_OID,
    mgf_hash: str | None = SHA256_OID,
    salt: bytes | None = b"\x20",
    *more: bytes,
    mgf: str = MGF1_OID,
) -> bytes:
    """RSASSA-PSS as RFC 4055 3.1 has it; None leaves a field to its default; `more` follows."""
    fields = [
        b"" if hash is None else der(0xA0, hash_identifier(hash)),
        b"" if mgf_hash is None else der(0xA1, der(0x30, der(6, bytes.fromhex(mgf)), hash_identifier(mgf_hash))),
        b"" if salt is None else der(0xA2, der(2, salt)),
        *more,
    ]
    return der(0x30, der(6, bytes.fromhex("2a864886f70d01010a")), der(0x30, *fields))


def test_the_builder_of_these_tests_builds_what_the_rfc_prints() -> None:
    assert pss() == bytes.fromhex(PSS_SHA256)
    assert pss(SHA256_OID, SHA256_OID, b"\x20", der(0xA3, der(2, b"\1"))) == bytes.fromhex(PSS_SHA256_WITH_TRAILER)


@pytest.mark.parametrize(
    ("salt", "field"), [(0, b"\0"), (20, None), (127, b"\x7f"), (128, b"\0\x80"), (222, b"\0\xde")]
)
def test_pss_with_another_salt_verifies_with_the_length_it_states(salt: int, field: bytes | None) -> None:
    signature = RSA.sign(OCTETS, padding.PSS(padding.MGF1(hashes.SHA256()), salt), hashes.SHA256())
    data, key = method_14(pss(salt=field), signature), RSA.public_key()
    scheme = verify_auth(14, data, OCTETS, key, allowed=EVERY_SCHEME, announced_hashes=EVERY_HASH)
    assert scheme is SignatureScheme.RSA_PSS_SHA256
    lying = refusal(14, method_14(pss(salt=b"\x21"), signature), key)
    assert (lying.reason, lying.evidence["salt_length"]) == (Reason.AUTH_BAD_SIGNATURE, 33)


def test_a_salt_that_cannot_fit_is_refused_before_any_arithmetic() -> None:
    error = refusal(14, method_14(pss(salt=b"\0\xdf"), bytes(256)), RSA.public_key())  # CVE-2021-41990
    assert error.reason is Reason.AUTH_BAD_ENCODING
    assert (error.evidence["salt_length"], error.evidence["salt_length_at_most"]) == (223, 222)


SIGNATURE = bytes(256)
BAD_ENCODINGS = {
    "nothing at all": b"",
    "length octet only": b"\x0d",
    "no signature": method_14(algorithm_identifier(SignatureScheme.RSA_PSS_SHA256), b""),
    "length octet too large": b"\xff" + algorithm_identifier(SignatureScheme.RSA_PSS_SHA256) + bytes(32),
    "length octet one too small": b"\x0e" + algorithm_identifier(SignatureScheme.RSA_PKCS1_SHA256) + SIGNATURE,
    "length octet one too large": b"\x10" + algorithm_identifier(SignatureScheme.RSA_PKCS1_SHA256) + SIGNATURE,
    "length octet zero": b"\0" + SIGNATURE,
    "NULL missing": method_14("300b06092a864886f70d01010b", SIGNATURE),
    "NULL too much (ECDSA)": method_14("300c06082a8648ce3d0403020500", SIGNATURE),
    "NULL too much (Ed25519)": method_14("300706032b65700500", SIGNATURE),
    "parameters of PKCS #1 that are no NULL": method_14("300f06092a864886f70d01010b02020102", SIGNATURE),
    "octets behind the sequence": method_14("300506032b657000", SIGNATURE),
    "indefinite length": method_14("308006032b65700000", SIGNATURE),
    "long form of a short length": method_14("30810506032b6570", SIGNATURE),
    "length of two octets": method_14("3082000506032b6570", SIGNATURE),
    "sequence longer than what is there": method_14("300606032b6570", SIGNATURE),
    "no OID inside": method_14("30020500", SIGNATURE),
    "OID empty": method_14("30020600", SIGNATURE),
    "OID cut off": method_14("300506032b65f0", SIGNATURE),
    "OID with leading zeros": method_14("300606042b806570", SIGNATURE),
    "not a sequence": method_14("310506032b6570", SIGNATURE),
    "PSS without parameters": method_14("300b06092a864886f70d01010a", SIGNATURE),
    "PSS with NULL": method_14("300d06092a864886f70d01010a0500", SIGNATURE),
    "PSS with octets behind the parameters": method_14(
        der(0x30, der(6, bytes.fromhex("2a864886f70d01010a")), der(0x30), b"\x05\x00"), SIGNATURE
    ),
    "PSS with different hashes": method_14(pss(SHA256_OID, SHA384_OID), SIGNATURE),
    "PSS with the default mask hash": method_14(pss(SHA256_OID, None), SIGNATURE),
    "PSS with another mask function": method_14(pss(mgf="2a864886f70d010109"), SIGNATURE),
    "PSS with a negative salt": method_14(pss(salt=b"\xff"), SIGNATURE),
    "PSS with a padded salt": method_14(pss(salt=b"\0\x20"), SIGNATURE),
    "PSS with an empty salt": method_14(pss(salt=b""), SIGNATURE),
    "PSS with a huge salt": method_14(pss(salt=b"\x7f\xff\xff\xff"), SIGNATURE),
    "PSS with a salt beyond 32 bits": method_14(pss(salt=b"\1\0\0\0\0"), SIGNATURE),
    "PSS with trailer 2": method_14(pss(SHA256_OID, SHA256_OID, b"\x20", der(0xA3, der(2, b"\2"))), SIGNATURE),
    "PSS with a field 4": method_14(pss(SHA256_OID, SHA256_OID, b"\x20", der(0xA4, der(2, b"\1"))), SIGNATURE),
    "PSS with fields out of order": method_14(pss(None, SHA256_OID, b"\x20", der(0xA0)), SIGNATURE),
    "PSS whose hash has parameters": method_14(
        pss(None, None, None, der(0xA0, hash_identifier(SHA256_OID, b"\x02\x01\x01"))), SIGNATURE
    ),
}


@pytest.mark.parametrize("data", BAD_ENCODINGS.values(), ids=BAD_ENCODINGS)
def test_auth_data_that_does_not_parse(data: bytes) -> None:
    assert refusal(14, data, RSA.public_key()).reason is Reason.AUTH_BAD_ENCODING


@pytest.mark.parametrize("scheme", SignatureScheme)
def test_auth_data_cut_anywhere_never_verifies_and_is_always_refused_with_a_reason(scheme: SignatureScheme) -> None:
    key = KEYS[scheme].public_key()
    data = encode_auth(Signing(14, scheme), key, sign(KEYS[scheme], scheme, OCTETS))
    verify_auth(14, data, OCTETS, key, allowed=[scheme], announced_hashes=EVERY_HASH)
    for length in range(len(data)):
        assert refusal(14, data[:length], key).reason in (Reason.AUTH_BAD_ENCODING, Reason.AUTH_BAD_SIGNATURE)
    assert refusal(14, data + b"\0", key).reason is Reason.AUTH_BAD_SIGNATURE


# What is allowed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SignatureScheme)
def test_a_scheme_verifies_where_allowed_and_announced_and_nowhere_else(scheme: SignatureScheme) -> None:
    key = KEYS[scheme].public_key()
    data = encode_auth(Signing(14, scheme), key, sign(KEYS[scheme], scheme, OCTETS))
    needed = scheme.hash_algorithm
    others = tuple(other for other in SignatureScheme if other is not scheme)
    assert verify_auth(14, data, OCTETS, key, allowed=[scheme], announced_hashes=frozenset({needed})) is scheme
    unannounced = refusal(14, data, key, allowed=(scheme,), hashes=EVERY_HASH - {needed})
    assert unannounced.reason is Reason.AUTH_HASH_NOT_ALLOWED
    assert unannounced.evidence["hash"] == needed.name
    forbidden = refusal(14, data, key, allowed=others)
    assert forbidden.reason is Reason.AUTH_METHOD_NOT_ALLOWED
    assert forbidden.evidence["scheme"] == scheme.value
    for other in (RSA, P256, ED25519, ED448):
        if other is not KEYS[scheme]:
            mismatch = refusal(14, data, other.public_key())
            assert mismatch.reason is Reason.AUTH_KEY_MISMATCH
            assert mismatch.evidence["scheme"] == scheme.value
    assert refusal(14, data, key, octets=b"others").reason is Reason.AUTH_BAD_SIGNATURE


@pytest.mark.parametrize(
    ("identifier", "reason", "shown"),
    [
        ("3009 0607 2a86 48ce 3d04 01", Reason.AUTH_HASH_NOT_ALLOWED, "1.2.840.10045.4.1"),  # ecdsa-with-SHA1, A.3.1
        ("300d 0609 2a86 4886 f70d 0101 0a30 00", Reason.AUTH_HASH_NOT_ALLOWED, "sha1"),  # PSS defaults, A.4.1
        ("3009 0607 2a86 48ce 3804 03", Reason.AUTH_METHOD_NOT_ALLOWED, "1.2.840.10040.4.3"),  # dsa-with-SHA1, A.2.1
        ("300b 0609 6086 4801 6503 0403 11", Reason.AUTH_METHOD_NOT_ALLOWED, "2.16.840.1.101.3.4.3.17"),  # ML-DSA-44
        ("300d 0609 2a86 4886 f70d 0101 0e05 00", Reason.AUTH_METHOD_NOT_ALLOWED, "1.2.840.113549.1.1.14"),  # sha224
    ],
)
def test_algorithms_that_nobody_offers_are_named(identifier: str, reason: Reason, shown: str) -> None:
    error = refusal(14, method_14(identifier, bytes(64)), P256.public_key())
    assert error.reason is reason
    assert shown in str(error)


@pytest.mark.parametrize("method", [0, 2, 3, 12, 13, 15, 255])
def test_other_auth_methods_are_not_allowed(method: int) -> None:
    assert refusal(method, bytes(64), P256.public_key()).reason is Reason.AUTH_METHOD_NOT_ALLOWED


OLD_ECDSA = {
    AuthMethod.ECDSA_SHA2_256_P256: (P256, SignatureScheme.ECDSA_SHA256, 64),
    AuthMethod.ECDSA_SHA2_384_P384: (P384, SignatureScheme.ECDSA_SHA384, 96),
    AuthMethod.ECDSA_SHA2_512_P521: (P521, SignatureScheme.ECDSA_SHA512, 132),
}


@pytest.mark.parametrize("method", OLD_ECDSA)
def test_rfc_4754_methods_fix_curve_hash_and_width(method: AuthMethod) -> None:
    private, scheme, width = OLD_ECDSA[method]
    key = private.public_key()
    data = encode_auth(Signing(method, scheme), key, sign(private, scheme, OCTETS))
    assert len(data) == width
    nothing_announced: frozenset[int] = frozenset()
    assert verify_auth(method, data, OCTETS, key, allowed=[scheme], announced_hashes=nothing_announced) is scheme
    assert refusal(method, data, key, octets=b"other").reason is Reason.AUTH_BAD_SIGNATURE
    others = tuple(other for other in SignatureScheme if other is not scheme)
    assert refusal(method, data, key, allowed=others).reason is Reason.AUTH_METHOD_NOT_ALLOWED
    for wrong in (b"", data[:-1], data + b"\0", data[: width // 2]):
        assert refusal(method, wrong, key).reason is Reason.AUTH_BAD_ENCODING
    for other in (BRAINPOOL, RSA, *(other for other, _, _ in OLD_ECDSA.values() if other is not private)):
        assert refusal(method, data, other.public_key()).reason is Reason.AUTH_KEY_MISMATCH
    assert refusal(method, bytes(width), key).reason is Reason.AUTH_BAD_SIGNATURE  # CVE-2013-2944: r = s = 0


def test_method_1_is_sha1_and_needs_its_own_permission() -> None:
    key = RSA.public_key()
    data = RSA.sign(OCTETS, padding.PKCS1v15(), hashes.SHA1())
    everything_else = tuple(scheme for scheme in SignatureScheme if scheme is not SignatureScheme.RSA_PKCS1_SHA1)
    assert refusal(1, data, key, allowed=everything_else).reason is Reason.AUTH_METHOD_NOT_ALLOWED
    allowed = [SignatureScheme.RSA_PKCS1_SHA1]
    assert verify_auth(1, data, OCTETS, key, allowed=allowed, announced_hashes=frozenset()) is allowed[0]
    sha256 = RSA.sign(OCTETS, padding.PKCS1v15(), hashes.SHA256())
    assert refusal(1, sha256, key).reason is Reason.AUTH_BAD_SIGNATURE
    assert refusal(1, data, P256.public_key()).reason is Reason.AUTH_KEY_MISMATCH


def test_a_dsa_key_fits_no_scheme() -> None:
    key = dsa.generate_private_key(2048).public_key()
    data = method_14(algorithm_identifier(SignatureScheme.ECDSA_SHA256), bytes(70))
    assert refusal(14, data, key).reason is Reason.AUTH_KEY_MISMATCH
    assert choose_signing(key, EVERY_SCHEME, EVERY_HASH) is None


# How we sign --------------------------------------------------------------------------------------------------------

SHA2 = frozenset({HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512})
DEFAULT = EVERY_SCHEME[:-1]
PREFERENCES = [
    # (our key, allowed, what the peer announced, expected)
    (RSA, DEFAULT, SHA2, (14, "rsa-pss-sha256")),
    (RSA, DEFAULT, frozenset({4}), (14, "rsa-pss-sha512")),
    (RSA, ("rsa-pkcs1-sha256", "rsa-pss-sha384"), SHA2, (14, "rsa-pss-sha384")),
    (RSA, ("rsa-pkcs1-sha384", "rsa-pkcs1-sha256"), SHA2, (14, "rsa-pkcs1-sha384")),
    (RSA, DEFAULT, None, None),
    (RSA, EVERY_SCHEME, None, (1, "rsa-pkcs1-sha1")),
    (RSA, EVERY_SCHEME, frozenset({1}), (14, "rsa-pkcs1-sha1")),
    (RSA, EVERY_SCHEME, frozenset({5}), (1, "rsa-pkcs1-sha1")),
    (RSA, ("ecdsa-sha256", "ed25519"), SHA2, None),
    (P256, DEFAULT, SHA2, (14, "ecdsa-sha256")),
    (P384, DEFAULT, SHA2, (14, "ecdsa-sha384")),
    (P521, DEFAULT, SHA2, (14, "ecdsa-sha512")),
    (P384, ("ecdsa-sha512", "ecdsa-sha256"), SHA2, (14, "ecdsa-sha512")),
    (P384, DEFAULT, frozenset({2}), (14, "ecdsa-sha256")),
    (P256, ("ecdsa-sha512", "ecdsa-sha256"), SHA2, (14, "ecdsa-sha256")),
    (P256, DEFAULT, None, (9, "ecdsa-sha256")),
    (P384, DEFAULT, None, (10, "ecdsa-sha384")),
    (P521, DEFAULT, None, (11, "ecdsa-sha512")),
    (P521, ("ecdsa-sha256",), None, None),
    (P256, DEFAULT, frozenset({5}), (9, "ecdsa-sha256")),
    (BRAINPOOL, DEFAULT, SHA2, (14, "ecdsa-sha256")),
    (BRAINPOOL, DEFAULT, None, None),
    (ED25519, DEFAULT, EVERY_HASH, (14, "ed25519")),
    (ED448, DEFAULT, EVERY_HASH, (14, "ed448")),
    (ED25519, DEFAULT, SHA2, None),
    (ED25519, DEFAULT, None, None),
]


@pytest.mark.parametrize(("private", "allowed", "hashes", "expected"), PREFERENCES)
def test_what_we_sign_with(
    private: Any, allowed: tuple[str, ...], hashes: frozenset[int] | None, expected: tuple[int, str] | None
) -> None:
    schemes = [SignatureScheme(name) for name in allowed]
    chosen = choose_signing(private.public_key(), schemes, hashes)
    assert chosen == (Signing(expected[0], SignatureScheme(expected[1])) if expected else None)
    if chosen:  # and the peer can verify it
        data = encode_auth(chosen, private.public_key(), sign(private, chosen.scheme, OCTETS))
        announced = hashes or frozenset()
        verified = verify_auth(
            chosen.method, data, OCTETS, private.public_key(), allowed=schemes, announced_hashes=announced
        )
        assert verified is chosen.scheme


def test_a_short_rsa_key_signs_with_a_hash_that_leaves_room() -> None:
    short = rsa.generate_private_key(65537, 1024)
    schemes = [SignatureScheme.RSA_PSS_SHA512, SignatureScheme.RSA_PSS_SHA384]
    chosen = choose_signing(short.public_key(), schemes, SHA2)
    assert chosen == Signing(14, SignatureScheme.RSA_PSS_SHA384)
    sign(short, SignatureScheme.RSA_PSS_SHA384, OCTETS)
    with pytest.raises(CryptoError, match="1024 bits cannot sign with rsa-pss-sha512"):
        sign(short, SignatureScheme.RSA_PSS_SHA512, OCTETS)


def test_our_pss_salt_is_as_long_as_the_hash() -> None:
    for scheme, digest in (("rsa-pss-sha256", hashes.SHA256()), ("rsa-pss-sha512", hashes.SHA512())):
        signature = sign(RSA, SignatureScheme(scheme), OCTETS)
        exact = padding.PSS(padding.MGF1(digest), digest.digest_size)
        RSA.public_key().verify(signature, OCTETS, exact, digest)


def test_ecdsa_signs_deterministically_as_rfc_6979_prints_it() -> None:
    # RFC 6979 A.2.5, P-256, message "sample"
    key = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
    data = encode_auth(
        Signing(AuthMethod.ECDSA_SHA2_256_P256, SignatureScheme.ECDSA_SHA256),
        key.public_key(),
        sign(key, SignatureScheme.ECDSA_SHA256, b"sample"),
    )
    assert data.hex().upper() == (
        "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
        "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8"
    )


@pytest.mark.parametrize("scheme", SignatureScheme)
def test_a_key_of_another_kind_does_not_sign(scheme: SignatureScheme) -> None:
    for key in (RSA, P256, ED25519, ED448):
        if key is not KEYS[scheme]:
            with pytest.raises(CryptoError, match=scheme.value):
                sign(key, scheme, OCTETS)


def test_schemes_stand_in_the_order_of_the_default_list() -> None:
    assert list(SignatureScheme) == [
        *("ed25519", "ed448", "ecdsa-sha256", "ecdsa-sha384", "ecdsa-sha512"),
        *("rsa-pss-sha256", "rsa-pss-sha384", "rsa-pss-sha512"),
        *("rsa-pkcs1-sha256", "rsa-pkcs1-sha384", "rsa-pkcs1-sha512", "rsa-pkcs1-sha1"),
    ]
    assert {scheme.hash_algorithm for scheme in SignatureScheme if scheme.startswith("ed")} == {
        HashAlgorithm.IDENTITY
    }
