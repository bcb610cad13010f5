"""A second opinion: `openssl verify -crl_check` and `openssl ocsp -respin` on the same files at the same moment."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from ikesim.pki.authority import Authority, Revocation
from ikesim.pki.authority.extensions import distribution_points
from ikesim.pki.certificates import parse
from ikesim.reasons import Reason
from tests.pki.revocation_world import CDP, CRL, DAY, HOUR, NOW, OCSP, World

UNKNOWN_OID = "1.3.6.1.4.1.99999.1"


def _run(*command: str) -> str:
    found = subprocess.run(["openssl", *command], capture_output=True, text=True, check=False)
    return found.stdout + found.stderr


def _pem(*ders: bytes) -> bytes:
    return b"".join(x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM) for der in ders)


def openssl_verify(folder: Path, world: World, crls: tuple[bytes, ...], *others: bytes) -> str:
    """ "OK", or the text of the first error that is about the end certificate's status."""
    (folder / "root.pem").write_bytes(_pem(world.root.certificate))
    (folder / "leaf.pem").write_bytes(_pem(world.leaf.der))
    bundle = b"".join(x509.load_der_x509_crl(der).public_bytes(Encoding.PEM) for der in crls)
    (folder / "crls.pem").write_bytes(bundle)
    (folder / "others.pem").write_bytes(_pem(*others))
    crl_option = ("-CRLfile", str(folder / "crls.pem")) if crls else ()
    shown = _run(
        "verify", "-crl_check", "-extended_crl", "-use_deltas", "-attime", str(int(NOW.timestamp())),
        *(("-untrusted", str(folder / "others.pem")) if others else ()),
        *crl_option, "-CAfile", str(folder / "root.pem"), str(folder / "leaf.pem"),
    )  # fmt: skip
    if shown.endswith("leaf.pem: OK\n"):
        return "OK"
    return next(
        text.partition("lookup: ")[2].capitalize() for text in shown.splitlines() if text.startswith("error ")
    )


def entries(world: World, reason: str) -> list[tuple[int, Revocation]]:
    return [(world.leaf.serial, Revocation(NOW - DAY, reason))]


CASES: dict[str, tuple[dict[str, Any], Reason | None, str]] = {
    "good": ({}, None, "OK"),
    "revoked": ({"reason": "key-compromise"}, Reason.CERT_REVOKED, "Certificate revoked"),
    "on hold": ({"reason": "certificate-hold"}, Reason.CERT_ON_HOLD, "Certificate revoked"),
    "removeFromCRL": ({"reason": "remove-from-crl"}, None, "OK"),
    "stale": ({"now": NOW - 9 * DAY}, Reason.CRL_STALE, "Crl has expired"),
    "from the future": ({"now": NOW + HOUR}, Reason.CRL_NOT_YET_VALID, "Crl is not yet valid"),
    "bad signature": ({"tamper": True}, Reason.CRL_BAD_SIGNATURE, "Crl signature failure"),
    "critical extension": ({"critical": UNKNOWN_OID}, Reason.CRL_CRITICAL_EXT, "Unhandled critical crl extension"),
    "another issuer": ({"issuer_name": "CN=south"}, Reason.CRL_BAD_ISSUER, "Unable to get certificate crl"),
    "only CA certificates": ({"only_ca": True}, Reason.CRL_SCOPE, "Different crl scope"),
    "only attribute certificates": ({"only_attribute": True}, Reason.CRL_SCOPE, "Different crl scope"),
    "some reasons": ({"only_reasons": (1,)}, Reason.CRL_SCOPE, "Unable to get certificate crl"),
    "another distribution point": ({"urls": ("http://a.example/x",)}, Reason.CRL_SCOPE, "Different crl scope"),
    "its distribution point": ({"urls": (CDP,)}, None, "OK"),
}


@pytest.mark.parametrize("name", CASES)
def test_openssl_verify_says_the_same(tmp_path: Path, name: str) -> None:
    knobs, reason, theirs = CASES[name]
    world = World(crl_at=(CDP,))
    given = dict(knobs)
    listed = entries(world, given.pop("reason")) if "reason" in given else []
    der = world.root.crl(given.pop("now", NOW - HOUR), entries=listed, **given)
    assert openssl_verify(tmp_path, world, (der,)) == theirs
    assert world.check(CRL, der).reason is reason


def test_openssl_says_the_same_of_deltas(tmp_path: Path) -> None:
    # openssl asks for freshestCRL in certificate or CRL before it uses a delta
    world = World(crl_at=(CDP,), knobs={"freshest_crl_urls": (f"{CDP}d",)})
    clean = world.root.crl(NOW - 2 * DAY, number=5)
    held = world.root.crl(NOW - 2 * DAY, number=5, entries=entries(world, "certificate-hold"))
    adds = world.root.crl(NOW - HOUR, number=6, delta_base=5, entries=entries(world, "superseded"))
    takes_back = world.root.crl(NOW - HOUR, number=6, delta_base=5, entries=entries(world, "remove-from-crl"))
    for crls, reason, theirs in (
        ((clean, adds), Reason.CERT_REVOKED, "Certificate revoked"),
        ((held, takes_back), None, "OK"),
        ((held,), Reason.CERT_ON_HOLD, "Certificate revoked"),
        ((takes_back,), Reason.CRL_DELTA_BASE, "Unable to get certificate crl"),
    ):
        assert openssl_verify(tmp_path, world, crls) == theirs
        assert world.check(CRL, *crls).reason is reason


def test_openssl_says_the_same_of_an_indirect_crl(tmp_path: Path) -> None:
    world = World()
    signer = Authority.create(
        "signer", now=NOW - 20 * DAY, issuer=world.root, ca=False, key_usage=("cRLSign",), crl_urls=(f"{CDP}s",)
    )
    point = distribution_points((), signer.subject)
    world.leaf = parse(world.root.leaf("CN=bob", (), NOW - DAY, extra=(point,)).certificate)
    status = world.root.crl(NOW - HOUR, entries=[], urls=(f"{CDP}s",))
    for named, reason, theirs in (
        (world.root.subject, Reason.CERT_REVOKED, "Certificate revoked"),
        (signer.subject, None, "OK"),
    ):
        der = signer.crl(
            NOW - HOUR,
            indirect=True,
            entries=[(world.leaf.serial, Revocation(NOW - DAY, "superseded", issuer=named))],
        )
        assert openssl_verify(tmp_path, world, (status, der), signer.certificate) == theirs
        assert world.check(CRL, status, der, signers=(signer.certificate,)).reason is reason


OCSP_CASES: dict[str, tuple[dict[str, Any], Reason | None, str]] = {
    "good": ({}, None, "good\n\tThis Update"),
    "revoked": ({"status": "revoked"}, Reason.CERT_REVOKED, "revoked\n\tThis Update"),
    "unknown": ({"status": "unknown"}, Reason.OCSP_UNKNOWN, "unknown\n\tThis Update"),
    "bad signature": ({"tamper": True}, Reason.OCSP_BAD_SIGNATURE, "Response Verify Failure"),
    "another serial": ({"answer_serial": 4711}, Reason.OCSP_SERIAL_MISMATCH, "ERROR: No Status found"),
    "tryLater": ({"response_status": "try-later"}, Reason.OCSP_ERROR_STATUS, "Responder Error: trylater (3)"),
    "SHA-256 in the CertID": ({"hash": "sha256"}, None, "good\n\tThis Update"),
}


@pytest.mark.parametrize("name", OCSP_CASES)
def test_openssl_ocsp_says_the_same(tmp_path: Path, name: str) -> None:
    knobs, reason, theirs = OCSP_CASES[name]
    world = World()
    der = world.root.ocsp(world.leaf.der, NOW - HOUR, **knobs)
    assert theirs in openssl_ocsp(tmp_path, world, der, "sha256" if "hash" in knobs else "sha1")
    assert world.check(OCSP, ocsp=(der,)).reason is reason


@pytest.mark.parametrize(
    ("knobs", "reason", "theirs"),
    [
        ({}, None, "Response verify OK"),
        ({"extended_key_usage": ("serverAuth",)}, Reason.OCSP_SIGNER_NOT_AUTHORIZED, "missing ocspsigning usage"),
        ({"not_after": NOW - DAY}, Reason.OCSP_SIGNER_EXPIRED, "certificate has expired"),
        ({"tamper": True}, Reason.OCSP_SIGNER_NOT_AUTHORIZED, "Response Verify Failure"),
    ],
    ids=["delegated", "without OCSPSigning", "expired", "not certified"],
)
def test_openssl_says_the_same_of_delegated_responders(
    tmp_path: Path, knobs: dict[str, Any], reason: Reason | None, theirs: str
) -> None:
    world = World()
    responder = world.root.responder(NOW - 9 * DAY, **knobs)
    der = world.root.ocsp(world.leaf.der, NOW - HOUR, responder=responder)
    assert theirs in openssl_ocsp(tmp_path, world, der, "sha1")
    assert world.check(OCSP, ocsp=(der,)).reason is reason


def openssl_ocsp(folder: Path, world: World, response: bytes, digest: str) -> str:
    """What `openssl ocsp` prints about a response, judging certificates at NOW (statuses are judged by its clock)."""
    (folder / "root.pem").write_bytes(_pem(world.root.certificate))
    (folder / "leaf.pem").write_bytes(_pem(world.leaf.der))
    (folder / "response.der").write_bytes(response)
    return _run(
        "ocsp", "-respin", str(folder / "response.der"), "-CAfile", str(folder / "root.pem"),
        "-issuer", str(folder / "root.pem"), f"-{digest}", "-cert", str(folder / "leaf.pem"), "-no_nonce",
        "-attime", str(int(NOW.timestamp())),
    )  # fmt: skip
