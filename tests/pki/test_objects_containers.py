"""What a file holds is found out by its content; whatever carries a private key is refused and leaves no trace."""

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PrivateFormat, pkcs7, pkcs12
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikesim.errors import ForbiddenError, UsageError
from ikesim.pki.containers import recognise
from ikesim.pki.keys import make_key
from tests.pki.openssl import openssl, pem, strongswan_pki
from tests.pki.store_world import NOW, World

PLAIN = serialization.NoEncryption()
SEALED = serialization.BestAvailableEncryption(b"secret")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def ec_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def rsa_key() -> rsa.RSAPrivateKey:
    key = make_key("rsa")
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


Keys = tuple[ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey, bytes]


def _pfx(keys: Keys) -> bytes:
    return pkcs12.serialize_key_and_certificates(
        b"alice", keys[0], x509.load_der_x509_certificate(keys[2]), None, SEALED
    )


def _indefinite(der: bytes) -> bytes:
    """The outer element with an indefinite length, as other tools write PKCS#12 (BER)."""
    start = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[:1] + b"\x80" + der[start:] + b"\0\0"


CONTAINERS: dict[str, tuple[Callable[[Keys], bytes], str]] = {
    "pkcs12": (_pfx, "a PKCS#12 file"),
    "pkcs12-indefinite-length": (lambda keys: _indefinite(_pfx(keys)), "a PKCS#12 file"),
    "pkcs12-base64": (lambda keys: base64.encodebytes(_pfx(keys)), "a PKCS#12 file"),
    "pkcs12-in-pem": (
        lambda keys: b"-----BEGIN PKCS12-----\n" + base64.encodebytes(_pfx(keys)) + b"-----END PKCS12-----\n",
        "a PKCS#12 file",
    ),
    "pkcs8": (lambda keys: keys[0].private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN), "PKCS#8"),
    "pkcs8-rsa": (lambda keys: keys[1].private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN), "PKCS#8"),
    "pkcs8-pem": (lambda keys: keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN), "PRIVATE KEY"),
    "pkcs8-encrypted": (
        lambda keys: keys[0].private_bytes(Encoding.DER, PrivateFormat.PKCS8, SEALED),
        "an encrypted private key",
    ),
    "pkcs8-encrypted-pem": (
        lambda keys: keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, SEALED),
        "ENCRYPTED PRIVATE KEY",
    ),
    "pkcs8-base64": (
        lambda keys: base64.encodebytes(keys[0].private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN)),
        "PKCS#8",
    ),
    "pkcs1": (lambda keys: keys[1].private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, PLAIN), "PKCS#1"),
    "pkcs1-pem": (
        lambda keys: keys[1].private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, PLAIN),
        "RSA PRIVATE KEY",
    ),
    "sec1": (lambda keys: keys[0].private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, PLAIN), "SEC 1"),
    "openssh": (
        lambda keys: keys[0].private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, PLAIN),
        "OPENSSH PRIVATE KEY",
    ),
    "certificate-and-key-pem": (
        lambda keys: pem(keys[2]) + keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN),
        "a file with a private key in it",
    ),
    "key-pem-in-utf-16": (
        lambda keys: keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN).decode().encode("utf-16"),
        "a file with a private key in it",
    ),
    "key-behind-another-label": (
        lambda keys: (
            b"-----BEGIN PUBLIC STUFF-----\n"
            + base64.encodebytes(keys[0].private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN))
            + b"-----END PUBLIC STUFF-----\n"
        ),
        "PKCS#8",
    ),
    "key-without-its-end-line": (
        lambda keys: keys[0].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN).split(b"-----END")[0],
        "a file with a private key in it",
    ),
    "ed25519": (
        lambda keys: ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN),
        "PKCS#8",
    ),
    "ed448": (
        lambda keys: ed448.Ed448PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN),
        "PKCS#8",
    ),
    "x25519": (
        lambda keys: x25519.X25519PrivateKey.generate().private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN),
        "PKCS#8",
    ),
    "dsa-traditional": (
        lambda keys: dsa.generate_private_key(1024).private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, PLAIN
        ),
        "PKCS#1",
    ),
    "jks": (lambda keys: bytes.fromhex("feedfeed0000000200000001") + bytes(40), "Java key store (JKS)"),
    "jceks": (lambda keys: bytes.fromhex("cececece0000000200000001") + bytes(40), "Java key store (JCEKS)"),
    "putty": (lambda keys: b"PuTTY-User-Key-File-3: ecdsa-sha2-nistp256\r\n", "a PuTTY private key"),
    "jwk": (
        lambda keys: json.dumps({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "d": "AA"}).encode(),
        "a JSON web key",
    ),
    "jwk-set": (lambda keys: json.dumps({"keys": [{"kty": "OKP", "x": "AA", "d": "AA"}]}).encode(), "a JSON web key"),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_cp_02_cp_03_a_container_with_a_private_key_is_refused_by_content(
    container: str, tmp_path: Path, ec_key: ec.EllipticCurvePrivateKey, rsa_key: rsa.RSAPrivateKey
) -> None:
    """Under an innocent name, with and without a flag, while a request waits for exactly that key's certificate."""
    world = World(tmp_path)
    world.request()
    certificate = world.north.issue(ec_key.public_key(), "CN=alice", (), NOW)
    make, what = CONTAINERS[container]
    file = tmp_path / "alice.pem"
    file.write_bytes(make((ec_key, rsa_key, certificate)))
    before = _files(tmp_path / "state")
    for flags in ({}, {"as_id": "alice"}, {"ca": "north"}, {"crl": "north"}):
        with pytest.raises(ForbiddenError) as caught:
            world.store.load(file, **flags)
        words = str(caught.value)
        assert words.startswith("alice.pem is ")
        assert what in words
        assert words.endswith(
            "ikesim, like Junos, never imports a private key: create the key here (ikesim pki key generate ID), "
            "send its request to the CA, load the certificate it returns. Nothing was stored."
        )
        assert caught.value.exit_code == 4
    assert _files(tmp_path / "state") == before


def test_cp_02_the_sentence_is_the_one_that_was_promised(tmp_path: Path, ec_key: ec.EllipticCurvePrivateKey) -> None:
    world = World(tmp_path)
    certificate = world.north.issue(ec_key.public_key(), "CN=alice", (), NOW)
    file = tmp_path / "alice.p12"
    file.write_bytes(
        pkcs12.serialize_key_and_certificates(b"a", ec_key, x509.load_der_x509_certificate(certificate), None, SEALED)
    )
    with pytest.raises(ForbiddenError) as caught:
        world.store.load(file)
    assert str(caught.value) == (
        "alice.p12 is a PKCS#12 file (certificate and private key). ikesim, like Junos, never imports a private key: "
        "create the key here (ikesim pki key generate ID), send its request to the CA, load the certificate it "
        "returns. Nothing was stored."
    )


def test_cp_02_a_pkcs12_file_by_openssl_and_keys_by_strongswan_are_refused(tmp_path: Path, world: World) -> None:
    for kind in ("rsa", "ecdsa", "ed25519"):
        key = strongswan_pki("--gen", "--type", kind, *(("--size", "2048") if kind == "rsa" else ()))
        with pytest.raises(ForbiddenError):
            recognise(key, "key")
    leaf = world.north.leaf("CN=bob", (), NOW)
    (tmp_path / "cert.pem").write_bytes(pem(leaf.certificate))
    (tmp_path / "key.pem").write_bytes(leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, PLAIN))
    command = ["openssl", "pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem", "-passout", "pass:x"]
    for options in ([], ["-legacy"], ["-keypbe", "NONE", "-certpbe", "NONE", "-nomac"]):
        done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, check=True)
        with pytest.raises(ForbiddenError, match="PKCS#12"):
            recognise(done.stdout, "file")


def test_certificates_in_every_public_form_are_read(world: World) -> None:
    one, other = world.north.certificate, world.south.certificate
    assert recognise(one, "f").certificates == (one,)
    assert recognise(pem(one) + b"\r\nsome text\r\n" + pem(other), "f").certificates == (one, other)
    assert recognise(pem(one).replace(b"\n", b"\r\n"), "f").certificates == (one,)
    assert recognise(base64.encodebytes(one), "f").certificates == (one,)
    assert recognise(openssl("x509", "-inform", "DER", "-text", octets=one).stdout, "f").certificates == (one,)
    parsed = [x509.load_der_x509_certificate(der) for der in (one, other)]
    for encoding in (Encoding.DER, Encoding.PEM):
        bundle = pkcs7.serialize_certificates(parsed, encoding)
        assert set(recognise(bundle, "f").certificates) == {one, other}


def test_crls_in_every_form_are_read(world: World) -> None:
    crl = world.north.crl(NOW)
    in_pem = openssl("crl", "-inform", "DER", octets=crl).stdout
    for octets in (crl, in_pem, base64.encodebytes(crl)):
        assert recognise(octets, "f").crls == (crl,)


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (b"", "neither a certificate nor a CRL"),
        (b"hello", "neither a certificate nor a CRL"),
        (b"\x30\x03\x02\x01\x00", "neither a certificate nor a CRL"),
        (b"\x30\x84\xff\xff\xff\xff", "neither a certificate nor a CRL"),
        (b"{}", "neither a certificate nor a CRL"),
        (b"[" * 100_000, "neither a certificate nor a CRL"),
        (b'{"a":' * 100_000, "neither a certificate nor a CRL"),
        (b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "damaged"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "PEM block CERTIFICATE"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "PEM block PUBLIC KEY"),
    ],
)
def test_anything_else_is_one_clear_sentence(octets: bytes, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        recognise(octets, "file")


def test_a_request_is_not_a_certificate(world: World) -> None:
    request = openssl("req", "-inform", "DER", octets=world.request()).stdout
    with pytest.raises(UsageError, match="is a certificate request: give it to a CA"):
        recognise(request, "alice.csr")


def test_a_certificate_whose_name_says_private_key_is_still_a_certificate(world: World) -> None:
    certificate = world.north.leaf("CN=RSA PRIVATE KEY, O=BEGIN PRIVATE KEY", (), NOW).certificate
    assert recognise(certificate, "f").certificates == (certificate,)


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_bundle_in_ber_is_read_without_a_warning(world: World) -> None:
    """Indefinite length, as some CAs write PKCS#7: X.690 8.1.3.6."""
    certificate = world.north.certificate
    der = pkcs7.serialize_certificates([x509.load_der_x509_certificate(certificate)], Encoding.DER)
    assert der[:2] == b"\x30\x82"
    assert recognise(b"\x30\x80" + der[4:] + bytes(2), "f").certificates == (certificate,)


SAMPLES = st.sampled_from(["certificate", "crl", "request", "pkcs8", "pkcs12", "pem", "bundle"])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=SAMPLES, data=st.data())
def test_whatever_comes_ends_in_contents_or_one_of_our_errors(
    world: World, ec_key: ec.EllipticCurvePrivateKey, sample: str, data: st.DataObject
) -> None:
    """Cut, flipped and lengthened octets of everything that is known here."""
    certificate = world.north.certificate
    octets = bytearray(
        {
            "certificate": certificate,
            "crl": _held(world, "crl"),
            "request": _held(world, "request"),
            "pkcs8": ec_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, PLAIN),
            "pkcs12": _held(world, "pkcs12"),
            "pem": base64.encodebytes(certificate),
            "bundle": pkcs7.serialize_certificates([x509.load_der_x509_certificate(certificate)], Encoding.DER),
        }[sample]
    )
    for _ in range(data.draw(st.integers(0, 4))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(octets)))
    try:
        found = recognise(bytes(octets[:end]) + data.draw(st.binary(max_size=4)), "file")
    except (ForbiddenError, UsageError):
        return
    assert found.certificates or found.crls


def _held(world: World, name: str) -> bytes:
    """Samples that are made once: the strategies shall not wait for signatures."""
    if name not in _SAMPLES:
        key = make_key("ecdsa")
        _SAMPLES.update(
            crl=world.north.crl(NOW),
            request=world.request("sample"),
            pkcs12=pkcs12.serialize_key_and_certificates(b"a", key, None, None, PLAIN),  # type: ignore[arg-type]
        )
    return _SAMPLES[name]


_SAMPLES: dict[str, bytes] = {}
