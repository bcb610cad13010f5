"""OCSP messages, against the encoder and the parser of `cryptography`."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from ikesim.pki.authority import Authority, Revocation
from ikesim.pki.certificates import parse
from ikesim.pki.der import DerError
from ikesim.pki.ocsp import (
    MAX_GET,
    derive_nonce,
    encode_cert_id,
    encode_request,
    fetch_request,
    read_response,
    request_nonce,
)
from tests.pki.revocation_world import AIA, HOUR, NOW, World


@pytest.fixture(scope="module")
def world() -> World:
    return World(ocsp_at=(AIA,))


def load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


@pytest.mark.parametrize("nonce", [None, b"\x07" * 32, b"\x01"])
def test_request_is_octet_by_octet_what_cryptography_builds(world: World, nonce: bytes | None) -> None:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        load(world.leaf.der), load(world.root.certificate), hashes.SHA1()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    theirs = builder.build().public_bytes(_der())
    cert_id = encode_cert_id(world.leaf, world.issuer)
    assert encode_request(cert_id, nonce) == theirs
    assert request_nonce(theirs, cert_id) == nonce


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


def test_openssl_reads_the_request(world: World, tmp_path: Path) -> None:
    file = tmp_path / "request.der"
    file.write_bytes(encode_request(encode_cert_id(world.leaf, world.issuer), b"\xab" * 32))
    shown = subprocess.run(
        ["openssl", "ocsp", "-reqin", str(file), "-req_text", "-noverify"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    assert f"Serial Number: {world.leaf.serial:X}" in shown
    assert "AB" * 16 in shown


def test_nonce_of_another_request_is_not_ours(world: World) -> None:
    other = parse(world.root.leaf("CN=carol", (), NOW).certificate)
    body = encode_request(encode_cert_id(other, world.issuer), b"\x07" * 32)
    assert request_nonce(body, encode_cert_id(world.leaf, world.issuer)) is None
    assert request_nonce(b"", encode_cert_id(world.leaf, world.issuer)) is None


def test_derived_nonces_differ_by_certificate_and_moment(world: World) -> None:
    ours = encode_cert_id(world.leaf, world.issuer)
    other = encode_cert_id(parse(world.root.leaf("CN=carol", (), NOW).certificate), world.issuer)
    nonces = {derive_nonce(ours, NOW), derive_nonce(ours, NOW + HOUR), derive_nonce(other, NOW)}
    assert {len(nonce) for nonce in nonces} == {32}
    assert len(nonces) == 3


@pytest.mark.parametrize(
    ("url", "method"),
    [(AIA, "GET"), (f"{AIA}/", "GET"), (f"{AIA}/{'x' * 200}", "POST"), (f"{AIA}/?ca=north", "POST")],
)
def test_get_only_while_it_is_short(world: World, url: str, method: str) -> None:
    body = encode_request(encode_cert_id(world.leaf, world.issuer))
    request = fetch_request(url, body, get=True, timeout=5, operator=False)
    assert request.method == method
    if method == "GET":
        from base64 import b64decode
        from urllib.parse import unquote

        assert len(request.url) <= MAX_GET
        assert b64decode(unquote(request.url.removeprefix(AIA).removeprefix("/"))) == body
        assert "/" not in request.url.removeprefix(f"{AIA}/")
    else:
        assert (request.body, request.content_type) == (body, "application/ocsp-request")


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("status", ["good", "revoked", "unknown"])
def test_response_reads_as_cryptography_reads_it(world: World, status: str, digest: str) -> None:
    root = Authority.create("south", now=NOW)
    leaf = root.leaf("CN=bob", (), NOW)
    if status == "revoked":
        root.revoke(leaf.certificate, "superseded", at=NOW - HOUR)
    der = root.ocsp(leaf.certificate, NOW, status=status, hash=digest, nonce=b"n" * 16)
    theirs = ocsp.load_der_ocsp_response(der)
    ours = read_response(der)
    (single,) = ours.singles
    assert ours.produced_at == theirs.produced_at_utc
    assert ours.nonce == b"n" * 16
    assert ours.to_be_signed == theirs.tbs_response_bytes
    assert ours.signature == theirs.signature
    assert single.cert_id.serial == theirs.serial_number
    assert single.cert_id.key_hash == theirs.issuer_key_hash
    assert (single.this_update, single.next_update) == (theirs.this_update_utc, theirs.next_update_utc)
    assert single.status == status
    assert single.revoked_at == theirs.revocation_time_utc
    assert single.reason == (theirs.revocation_reason.value if theirs.revocation_reason else None)
    assert single.cert_id.same_issuer(parse(leaf.certificate), parse(root.certificate))
    assert not single.cert_id.same_issuer(world.leaf, world.issuer)


@pytest.mark.parametrize(
    ("name", "number"),
    [("malformed-request", 1), ("internal-error", 2), ("try-later", 3), ("sig-required", 5), ("unauthorized", 6)],
)
def test_error_statuses_have_no_body(world: World, name: str, number: int) -> None:
    assert read_response(world.root.ocsp(world.leaf.der, NOW, response_status=name)).status == number


def test_response_cut_anywhere_is_a_named_error(world: World) -> None:
    world.root.revoked.clear()
    der = world.root.ocsp(world.leaf.der, NOW, nonce=b"n" * 8, responder=world.root.responder(NOW))
    for length in range(len(der)):
        with pytest.raises(DerError):
            read_response(der[:length])
    with pytest.raises(DerError):
        read_response(der + b"\x00")


def test_response_with_a_bit_flipped_is_read_or_a_named_error(world: World) -> None:
    der = world.root.ocsp(world.leaf.der, NOW, nonce=b"n" * 8, status="revoked")
    read = 0
    for position in range(len(der)):
        broken = bytearray(der)
        broken[position] ^= 0x80
        try:
            read_response(bytes(broken))
            read += 1
        except DerError:
            pass
    assert 0 < read < len(der)


def test_revocation_is_made_from_the_authority(world: World) -> None:
    entry = Revocation(NOW, "key-compromise")
    root = Authority.create("south", now=NOW)
    root.revoked[5] = entry
    (single,) = read_response(root.ocsp(5, NOW)).singles
    assert (single.status, single.reason, single.revoked_at) == ("revoked", "keyCompromise", NOW)
