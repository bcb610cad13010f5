"""The key schedule against NIST SP 800-135, libreswan, and the keys of strongSwan captures."""

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ikesim.crypto.ciphers import cipher_suite
from ikesim.crypto.prf import Prf, prf
from ikesim.crypto.schedule import auth_octets, child_keys, ike_keys, skeyseed
from ikesim.crypto.signatures import SignatureScheme, verify_auth
from ikesim.errors import AuthError
from ikesim.reasons import Reason
from ikesim.wire.registry import PrfId
from tests.crypto.vectors import chains, entry, ike_octets, load

STRONGSWAN = [
    "strongswan-gcm16-ecdsa.pcap",
    "strongswan-cbc-rsa.pcap",
    "strongswan-auth-failed.pcap",
    "strongswan-cookie-invalid-ke.pcap",
    "strongswan-eap-md5.pcap",
]
AES_256_CBC = cipher_suite(12, 256, 14)


def vectors(shared_vectors: Path) -> list[tuple[str, Prf, dict[str, bytes | None]]]:
    rows = load(shared_vectors / "kdf" / "ikev2.json")["vectors"]
    texts = ("id", "source", "prf", "hash")
    return [
        (
            row["id"],
            prf(PrfId[row["prf"].removeprefix("PRF_")]),
            {key: bytes.fromhex(value) if value else None for key, value in row.items() if key not in texts},
        )
        for row in rows
    ]


def test_every_published_derivation(shared_vectors: Path) -> None:
    outputs = 0
    for id, function, row in vectors(shared_vectors):
        ni, nr, shared = row["Ni"] or b"", row["Nr"] or b"", row["g_ir"] or b""
        if row["SKEYSEED"] and row["g_ir"]:
            assert skeyseed(function, ni=ni, nr=nr, shared=shared) == row["SKEYSEED"], id
            outputs += 1
        if not row["DKM"]:
            continue
        keys = ike_keys(
            function, AES_256_CBC, ni=ni, nr=nr, spi_i=row["SPIi"] or b"", spi_r=row["SPIr"] or b"", shared=shared
        )
        parts = keys.d + keys.ai + keys.ar + keys.ei + keys.er + keys.pi + keys.pr
        common = min(len(parts), len(row["DKM"]))
        assert common > 128
        assert parts[:common] == row["DKM"][:common], id
        outputs += 1
        for name, fresh in (("DKM_child", b""), ("DKM_child_dh", row["g_ir_new"] or b"")):
            expected = row[name]
            if expected:
                child = child_keys(function, keys.d, AES_256_CBC, ni=ni, nr=nr, shared=fresh)
                material = child.ei + child.ai + child.er + child.ar
                common = min(len(material), len(expected))
                assert common > 64
                assert material[:common] == expected[:common], (id, name)
                outputs += 1
        if row["SKEYSEED_rekey"]:
            fresh = row["g_ir_new"] or b""
            assert skeyseed(function, ni=ni, nr=nr, shared=fresh, sk_d=keys.d) == row["SKEYSEED_rekey"], id
            outputs += 1
    assert outputs == 22


def test_a_rekeyed_sa_is_seeded_by_the_old_prf_and_expanded_by_the_new(shared_vectors: Path) -> None:
    id, old, row = next(item for item in vectors(shared_vectors) if item[2]["SKEYSEED_rekey"])
    new = prf(PrfId.HMAC_SHA2_512)
    ni, nr, fresh = row["Ni"] or b"", row["Nr"] or b"", row["g_ir_new"] or b""
    sk_d = (row["DKM"] or b"")[: old.output_length]
    keys = ike_keys(
        new, AES_256_CBC, ni=ni, nr=nr, spi_i=b"a" * 8, spi_r=b"b" * 8, shared=fresh, sk_d=sk_d, old_prf=old
    )
    expanded = new.plus(row["SKEYSEED_rekey"] or b"", ni + nr + b"a" * 8 + b"b" * 8, 64)
    assert keys.d == expanded, id
    assert len(keys.d) == len(keys.pi) == len(keys.pr) == 64


def final_init(expected: Any) -> tuple[Any, Any]:
    """The IKE_SA_INIT request and response that count: the last of each in the SA that has keys."""
    spi = expected["keys"][0]["initiator_spi"]
    inits = [
        message for message in expected["messages"] if message["exchange"] == 34 and message["initiator_spi"] == spi
    ]
    return tuple(
        [message for message in inits if bool(message["flags"] & 32) == response][-1] for response in (False, True)
    )


def payload(message: Any, kind: int) -> Any:
    return next(payload for payload in message["payloads"] if payload["type"] == kind)


def derive(expected: Any) -> tuple[Prf, Any, bytes, bytes]:
    keys = expected["keys"][0]
    request, response = final_init(expected)
    ni, nr = (bytes.fromhex(payload(message, 40)["data"]) for message in (request, response))
    transforms = {item["type"]: item["id"] for item in payload(response, 33)["proposals"][0]["transforms"]}
    function = prf(transforms[2])
    derived = ike_keys(
        function,
        cipher_suite(keys["encr"], keys["key_length"], keys["integ"]),
        ni=ni,
        nr=nr,
        spi_i=bytes.fromhex(keys["initiator_spi"]),
        spi_r=bytes.fromhex(keys["responder_spi"]),
        shared=bytes.fromhex(keys["g_ir"]),
    )
    assert skeyseed(function, ni=ni, nr=nr, shared=bytes.fromhex(keys["g_ir"])).hex() == keys["SKEYSEED"]
    return function, derived, ni, nr


@pytest.mark.parametrize("file", STRONGSWAN)
def test_keys_are_those_that_strongswan_used(shared_vectors: Path, file: str) -> None:
    expected = entry(shared_vectors, file)
    _, derived, _, _ = derive(expected)
    shown = {name: getattr(derived, name[3:]).hex() for name in expected["keys"][0] if name.startswith("SK_")}
    assert shown == {name: expected["keys"][0][name] for name in shown}
    assert len(shown) in (5, 7)


@pytest.mark.parametrize("file", ["strongswan-gcm16-ecdsa.pcap", "strongswan-cbc-rsa.pcap"])
def test_child_keys_are_those_that_strongswan_used(shared_vectors: Path, file: str) -> None:
    expected = entry(shared_vectors, file)
    function, derived, ni, nr = derive(expected)
    to_responder, to_initiator = sorted(expected["esp_keys"], key=lambda row: row["src"] != "192.0.2.1")
    suite = cipher_suite(to_responder["encr"], to_responder["key_length"], to_responder["integ"])
    child = child_keys(function, derived.d, suite, ni=ni, nr=nr)
    assert child.ei.hex() == to_responder["encryption_key"]
    assert child.er.hex() == to_initiator["encryption_key"]
    assert child.ai.hex() == (to_responder["integrity_key"] or "")
    assert child.ar.hex() == (to_initiator["integrity_key"] or "")


def authentications(shared_vectors: Path, file: str) -> list[tuple[bytes, bytes, Any]]:
    """(AUTH data, octets, public key) of each digital signature in a capture, with the certificate beside it."""
    expected, capture = entry(shared_vectors, file), shared_vectors / "captures" / file
    function, derived, ni, nr = derive(expected)
    inits = final_init(expected)
    found = []
    for message, payloads, chain in chains(shared_vectors, file):
        if not any(inner["type"] == 39 and inner["method"] == 14 for inner in payloads):
            continue
        bodies: dict[int, bytes] = {}
        position = 0
        for inner in payloads:
            bodies.setdefault(inner["type"], chain[position + 4 : position + inner["length"]])
            position += inner["length"]
        response = bool(message["flags"] & 32)
        signed = auth_octets(
            ike_octets(capture, inits[response]),
            ni if response else nr,
            function,
            derived.pr if response else derived.pi,
            bodies[36 if response else 35],
        )
        leaf = x509.load_der_x509_certificate(bodies[37][1:])
        found.append((bodies[39][4:], signed, leaf.public_key()))
    return found


@pytest.mark.parametrize(
    ("file", "scheme", "count"),
    [
        ("strongswan-gcm16-ecdsa.pcap", SignatureScheme.ECDSA_SHA256, 2),
        ("strongswan-cookie-invalid-ke.pcap", SignatureScheme.ECDSA_SHA256, 2),
        ("strongswan-auth-failed.pcap", SignatureScheme.ECDSA_SHA256, 1),
        ("strongswan-cbc-rsa.pcap", SignatureScheme.RSA_PKCS1_SHA256, 2),
        ("strongswan-eap-md5.pcap", SignatureScheme.RSA_PKCS1_SHA256, 1),
    ],
)
def test_auth_of_strongswan_verifies_and_only_over_these_octets(
    shared_vectors: Path, file: str, scheme: SignatureScheme, count: int
) -> None:
    found = authentications(shared_vectors, file)
    assert len(found) == count
    for data, octets, key in found:
        hashes = frozenset({2, 3, 4, 5})
        schemes = list(SignatureScheme)
        assert verify_auth(14, data, octets, key, allowed=schemes, announced_hashes=hashes) is scheme
        with pytest.raises(AuthError) as refusal:
            verify_auth(14, data, octets + b"\0", key, allowed=schemes, announced_hashes=hashes)
        assert refusal.value.reason is Reason.AUTH_BAD_SIGNATURE


def test_auth_octets_are_message_nonce_mac_and_intermediate() -> None:
    function = prf(PrfId.HMAC_SHA2_256)
    # RFC 4231 test case 1 stands for prf(SK_p, ID body)
    mac = bytes.fromhex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7")
    assert auth_octets(b"init", b"nonce", function, b"\x0b" * 20, b"Hi There") == b"initnonce" + mac
    assert (
        auth_octets(b"init", b"nonce", function, b"\x0b" * 20, b"Hi There", b"more") == b"initnonce" + mac + b"more"
    )
