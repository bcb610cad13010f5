"""What the lab's authority makes is valid by default, by the judgement of OpenSSL; a knob changes that one fact."""

from datetime import UTC, datetime, timedelta
from hashlib import shake_256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp

from ikesim.errors import NotFoundError, UsageError
from ikesim.pki.authority import Authority, Extension, Revocation
from ikesim.pki.vault import Vault
from tests.pki.openssl import openssl, pem, text, verify

NOW = datetime(2030, 5, 17, 12, tzinfo=UTC)
DAY = timedelta(days=1)
AT = ("-attime", str(int(NOW.timestamp())))
KEY_TYPES = ["ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048", "ed25519", "ed448"]


class Stream:
    """Repeatable octets."""

    def __init__(self, seed: bytes) -> None:
        self.seed, self.position = seed, 0

    def __call__(self, count: int) -> bytes:
        self.position += count
        return shake_256(self.seed).digest(self.position)[-count:]


@pytest.fixture
def root() -> Authority:
    return Authority.create("root", now=NOW - DAY)


def bob(authority: Authority, **knobs: Any) -> bytes:
    """A certificate of bob, with one thing different."""
    return authority.leaf("CN=bob", ["fqdn:bob.example"], NOW - DAY, **knobs).certificate


# valid by default


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_tg_01_a_chain_of_three_is_valid_by_default_under_strict_rules(key_type: str, tmp_path: Path) -> None:
    root = Authority.create("root", now=NOW - DAY, key_type=key_type, path_length=1)
    sub = Authority.create("sub", issuer=root, now=NOW - DAY, key_type=key_type, path_length=0)
    leaf = sub.leaf("CN=bob", ["fqdn:bob.example"], NOW - DAY, key_type=key_type)
    assert verify(tmp_path, leaf.certificate, [root.certificate], [sub.certificate], *AT) == "OK"
    assert sub.chain == (sub.certificate,)
    assert root.chain == ()


@pytest.mark.parametrize("key_type", KEY_TYPES)
def test_tg_01_openssl_verifies_a_full_crl_and_refuses_the_revoked(key_type: str, tmp_path: Path) -> None:
    root = Authority.create("root", now=NOW - DAY, key_type=key_type)
    good, bad = bob(root), bob(root)
    root.revoke(bad, "key-compromise", at=NOW - timedelta(hours=1))
    crl = root.crl(NOW)
    (tmp_path / "root.pem").write_bytes(pem(root.certificate))
    done = openssl("crl", "-inform", "DER", "-noout", "-CAfile", tmp_path / "root.pem", octets=crl)
    assert b"verify OK" in done.stderr
    (tmp_path / "crl.pem").write_bytes(openssl("crl", "-inform", "DER", octets=crl).stdout)
    options = (*AT, "-crl_check", "-CRLfile", str(tmp_path / "crl.pem"))
    assert verify(tmp_path, good, [root.certificate], [], *options) == "OK"
    assert "certificate revoked" in verify(tmp_path, bad, [root.certificate], [], *options)


def test_a_certificate_for_a_request_carries_what_the_request_asks_for(root: Authority, tmp_path: Path) -> None:
    vault = Vault.open()
    pair = vault.generate("alice", "ed25519")
    request = vault.request("alice", "C=CH, CN=alice", fqdn=["alice.example"], ip=["192.0.2.1"])
    certificate = root.issue(request, None, None, NOW - DAY)
    assert verify(tmp_path, certificate, [root.certificate], [], *AT) == "OK"
    shown = text("x509", certificate)
    assert "Subject: C = CH, CN = alice\n" in shown
    assert "DNS:alice.example, IP Address:192.0.2.1" in shown
    parsed = x509.load_der_x509_certificate(certificate)
    assert parsed.public_key().public_bytes(*SPKI) == pair.public
    with pytest.raises(UsageError, match="not signed by the key it holds"):
        root.issue(request[:-1] + bytes((request[-1] ^ 1,)), None, None, NOW)
    with pytest.raises(UsageError, match="not a PKCS#10 request"):
        root.issue(b"\x30\x00", None, None, NOW)


SPKI = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_serials_are_positive_long_and_unique(root: Authority) -> None:
    serials = [x509.load_der_x509_certificate(bob(root)).serial_number for _ in range(50)]
    assert len(set(serials)) == 50
    assert all(0 < serial < 1 << 159 and serial.bit_length() > 64 for serial in serials)


def test_everything_is_a_function_of_the_entropy_and_the_time_handed_in() -> None:
    def make(seed: bytes) -> tuple[bytes, ...]:
        root = Authority.create("root", now=NOW, entropy=Stream(seed))
        sub = Authority.create("sub", issuer=root, now=NOW, key_type="ed25519")
        leaf = sub.leaf("CN=bob", (), NOW)
        sub.revoke(leaf.certificate, at=NOW)
        return root.certificate, sub.certificate, leaf.certificate, sub.crl(NOW), sub.ocsp(leaf.certificate, NOW)

    assert make(b"one") == make(b"one") != make(b"two")


def test_the_authority_reads_no_clock(tmp_path: Path) -> None:
    """Everything about the year 2051, made today: valid then, and dates beyond 2049 are GeneralizedTime."""
    then = datetime(2051, 3, 1, tzinfo=UTC)
    root = Authority.create("root", now=then - DAY)
    leaf = root.leaf("CN=bob", (), then - DAY).certificate
    assert verify(tmp_path, leaf, [root.certificate], [], "-attime", str(int(then.timestamp()))) == "OK"
    assert b"\x18\x0f20510227230000Z" in leaf
    assert b"\x17\x0d" not in leaf
    assert b"\x18\x0f20510301000000Z" in root.crl(then)


def test_what_it_publishes_is_named_in_what_it_issues(root: Authority) -> None:
    sub = Authority.create(
        "sub", issuer=root, now=NOW, crl_at=["http://crl.example/sub.crl"], ocsp_at=["http://ocsp.example"]
    )
    assert "CRL Distribution" not in text("x509", sub.certificate)
    shown = text("x509", bob(sub))
    assert "URI:http://crl.example/sub.crl" in shown
    assert "OCSP - URI:http://ocsp.example" in shown
    below = Authority.create("below", issuer=sub, now=NOW)
    assert "URI:http://crl.example/sub.crl" in text("x509", below.certificate)
    assert "CRL Distribution" not in text("x509", bob(sub, crl_urls=()))


# cross signatures and generations


def test_a_cross_certificate_joins_two_hierarchies(tmp_path: Path) -> None:
    north, south = Authority.create("north", now=NOW - DAY), Authority.create("south", now=NOW - DAY)
    cross = south.cross_sign(north, NOW - DAY)
    assert verify(tmp_path, bob(north), [south.certificate], [cross], *AT) == "OK"
    assert "unable to get" in verify(tmp_path, bob(north), [south.certificate], [], *AT)


def test_two_generations_share_a_name_and_not_a_key(tmp_path: Path) -> None:
    old = Authority.create("old", now=NOW - DAY, subject="CN=root")
    new = Authority.create("new", now=NOW - DAY, subject="CN=root")
    assert verify(tmp_path, bob(new), [old.certificate, new.certificate], [], *AT) == "OK"
    assert verify(tmp_path, bob(new), [old.certificate], [], *AT) != "OK"


# deviations, each by one knob


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"not_before": NOW + DAY, "not_after": NOW + 2 * DAY}, "certificate is not yet valid"),
        ({"not_before": NOW - 9 * DAY, "not_after": NOW - DAY}, "certificate has expired"),
        ({"critical": "1.2.3.4"}, "unhandled critical extension"),
        ({"tamper": True}, "certificate signature failure"),
        ({"issuer_name": "CN=stranger"}, "unable to get local issuer certificate"),
        ({"digest": "sha1"}, "CA signature digest algorithm too weak"),
        ({"authority_key_id": b"\1" * 20}, "unable to get local issuer certificate"),
        ({"outer_algorithm": bytes.fromhex("300a06082a8648ce3d040303")}, "certificate signature failure"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_leaf_deviates_in_one_fact(root: Authority, tmp_path: Path, knobs: dict[str, Any], words: str) -> None:
    options = (*AT, "-auth_level", "1") if "digest" in knobs else AT
    assert verify(tmp_path, bob(root), [root.certificate], [], *options) == "OK"
    assert words in verify(tmp_path, bob(root, **knobs), [root.certificate], [], *options)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"ca": False}, "invalid CA certificate"),
        ({"key_usage": ["cRLSign"]}, "invalid CA certificate"),
        ({"without": ["2.5.29.19"]}, "invalid CA certificate"),
        ({"permitted": ["fqdn:other.example"]}, "permitted subtree violation"),
        ({"excluded": ["fqdn:example"]}, "excluded subtree violation"),
        ({"permitted": ["ip:10.0.0.0/8"]}, "OK"),
        ({"require_explicit": 0}, "no explicit policy"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_an_intermediate_deviates_in_one_fact(
    root: Authority, tmp_path: Path, knobs: dict[str, Any], words: str
) -> None:
    sub = Authority.create("sub", issuer=root, now=NOW - DAY, **knobs)
    options = (*AT, "-policy_check") if "require_explicit" in knobs else AT
    assert words in verify(tmp_path, bob(sub), [root.certificate], [sub.certificate], *options)


def test_path_length_counts_the_cas_below(root: Authority, tmp_path: Path) -> None:
    top = Authority.create("top", issuer=root, now=NOW - DAY, path_length=0)
    below = Authority.create("below", issuer=top, now=NOW - DAY)
    assert verify(tmp_path, bob(top), [root.certificate], [top.certificate], *AT) == "OK"
    said = verify(tmp_path, bob(below), [root.certificate], [top.certificate, below.certificate], *AT)
    assert "path length constraint exceeded" in said


@pytest.mark.parametrize("rsa_padding", ["pkcs1", "pss"])
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_rsa_signs_with_both_paddings(rsa_padding: str, digest: str, tmp_path: Path) -> None:
    root = Authority.create("root", now=NOW - DAY, key_type="rsa-2048")
    leaf = bob(root, rsa_padding=rsa_padding, digest=digest)
    assert verify(tmp_path, leaf, [root.certificate], [], *AT) == "OK"
    assert ("rsassaPss" in text("x509", leaf)) == (rsa_padding == "pss")


@pytest.mark.parametrize(("key_type", "digest"), [("rsa-2048", "md5"), ("rsa-2048", "sha1"), ("ecdsa-p256", "sha1")])
def test_digests_of_the_past_can_be_made(key_type: str, digest: str) -> None:
    root = Authority.create("root", now=NOW - DAY, key_type=key_type, digest=digest)
    assert {"md5": "md5With", "sha1": "SHA1"}[digest] in text("x509", root.certificate).replace("sha1With", "SHA1")
    with pytest.raises(UsageError, match="digest 'md4' is not one of"):
        bob(root, digest="md4")


KNOBS: list[tuple[dict[str, Any], str]] = [
    (
        {"extended_key_usage": ["serverAuth", "ipsecIKE"]},
        "TLS Web Server Authentication, ipsec Internet Key Exchange",
    ),
    ({"extended_key_usage": ["any"], "extended_key_usage_critical": True}, "Extended Key Usage: critical"),
    ({"key_usage": ["digitalSignature", "decipherOnly"]}, "Digital Signature, Decipher Only"),
    ({"policies": ["1.2.3", "1.2.4"], "cps": "http://cps.example", "notice": "hi"}, "Explicit Text: hi"),
    ({"policies": ["2.5.29.32.0"]}, "X509v3 Any Policy"),
    ({"ca": True, "policy_mappings": [("1.2.3", "1.2.4")]}, "1.2.3:1.2.4"),
    (
        {"ca": True, "require_explicit": 2, "inhibit_mapping": 1},
        "Require Explicit Policy:2, Inhibit Policy Mapping:1",
    ),
    ({"ca": True, "inhibit_any": 3}, "X509v3 Inhibit Any Policy: critical\n                3"),
    ({"ca": True, "permitted": ["ip:10.0.0.0/8", "rfc822:example"]}, "IP:10.0.0.0/255.0.0.0"),
    ({"ca": True, "excluded": ["dn:O=Evil", "uri:.example"]}, "DirName:O = Evil"),
    ({"crl_urls": ["http://a.example/1", "http://b.example/2"]}, "URI:http://b.example/2"),
    ({"crl_urls": ["http://a.example/1"], "crl_issuer": "CN=Indirect"}, "CN = Indirect"),
    ({"crl_urls": ["http://a.example/1"], "crl_reasons": [1]}, "Key Compromise"),
    ({"freshest_crl_urls": ["http://a.example/d"]}, "X509v3 Freshest CRL"),
    ({"issuer_urls": ["http://a.example/ca.der"]}, "CA Issuers - URI:http://a.example/ca.der"),
    ({"ocsp_urls": ["http://a.example/o"]}, "OCSP - URI:http://a.example/o"),
    ({"address_blocks": ["10.1.0.0/20", "192.0.2.128/25"]}, "10.1.0.0/20\n                  192.0.2.128/25"),
    ({"address_blocks": ["2001:db8::/33"]}, "2001:db8::/33"),
    ({"nocheck": True}, "OCSP No Check"),
    ({"subject_key_id": b"\xab\xcd"}, "AB:CD"),
    ({"serial": -5}, "Serial Number: -5 (-0x5)"),
    ({"serial": 0}, "Serial Number: 0 (0x0)"),
    ({"version": 1}, "Version: 1 (0x0)"),
    ({"extra": [Extension("1.2.3.4", False, b"\x05\x00")]}, "1.2.3.4"),
    ({"san_critical": True}, "X509v3 Subject Alternative Name: critical"),
    ({"not_after": b"\x18\x0f99991231235959Z"}, "Not After : Dec 31 23:59:59 9999 GMT"),
]


@pytest.mark.parametrize(("knobs", "shown"), KNOBS, ids=[next(iter(knobs)) for knobs, _ in KNOBS])
def test_every_knob_is_what_openssl_shows(root: Authority, knobs: dict[str, Any], shown: str) -> None:
    assert shown not in text("x509", bob(root))
    assert shown in text("x509", bob(root, **knobs))


def test_extensions_can_be_left_out_one_by_one(root: Authority) -> None:
    whole = x509.load_der_x509_certificate(bob(root)).extensions
    assert len(whole) == 5
    for extension in whole:
        rest = x509.load_der_x509_certificate(bob(root, without=[extension.oid.dotted_string])).extensions
        assert [one.oid for one in rest] == [one.oid for one in whole if one.oid != extension.oid]
    assert "Key Usage" not in text("x509", bob(root, key_usage=None))
    assert "Subject Key Identifier" not in text("x509", bob(root, subject_key_id=None))
    assert "Authority Key Identifier" not in text("x509", bob(root, authority_key_id=None))


def test_names_that_a_library_refuses_are_written_octet_by_octet(root: Authority) -> None:
    certificate = root.leaf("CN=bob", ["fqdn:bob.example\0.evil", b"\x82\x03\xff\xfe\xfd"], NOW).certificate
    assert b"bob.example\0.evil" in certificate
    assert b"\x82\x03\xff\xfe\xfd" in certificate
    with pytest.raises(UsageError, match="is not a name: write fqdn:"):
        root.leaf("CN=bob", ["bob.example"], NOW)
    with pytest.raises(UsageError, match="is not a value of type ipv4"):
        root.leaf("CN=bob", ["ipv4:300.1.1.1"], NOW)


def test_a_look_alike_signs_under_the_name_of_another(root: Authority, tmp_path: Path) -> None:
    fake = Authority.create("fake", now=NOW - DAY, subject="CN=root")
    forged = bob(root, signing_key=fake.key)
    assert "signature failure" in verify(tmp_path, forged, [root.certificate], [], *AT)


# CRLs


def test_crl_numbers_go_up_by_one_and_reasons_and_dates_are_shown(root: Authority) -> None:
    serial = root.revoke(bob(root), "key-compromise", at=NOW - DAY, invalidity_date=NOW - 2 * DAY)
    crls = [root.crl(NOW) for _ in range(3)]
    numbers = [x509.load_der_x509_crl(crl).extensions.get_extension_for_class(x509.CRLNumber) for crl in crls]
    assert all(later.value.crl_number == one.value.crl_number + 1 for one, later in pairwise(numbers))
    shown = text("crl", crls[0])
    for words in (f"{serial:X}", "Key Compromise", "Invalidity Date", "May 16 12:00:00 2030 GMT"):
        assert words in shown
    assert "Next Update: May 24 12:00:00 2030 GMT" in shown
    assert root.crl_number == 3


def test_on_hold_is_taken_back_and_nothing_else_is_known_to_unrevoke(root: Authority) -> None:
    certificate = bob(root)
    root.revoke(certificate, "certificate-hold", at=NOW)
    assert "Certificate Hold" in text("crl", root.crl(NOW))
    root.unrevoke(certificate)
    assert "No Revoked Certificates" in text("crl", root.crl(NOW))
    with pytest.raises(NotFoundError, match="is not revoked by root"):
        root.unrevoke(certificate)
    with pytest.raises(UsageError, match="reason 'whim' is not one of"):
        root.revoke(certificate, "whim", at=NOW)


def test_a_delta_crl_holds_what_changed_since_its_base(root: Authority) -> None:
    stays, held, late = (bob(root) for _ in range(3))
    root.revoke(stays, at=NOW - 3 * DAY)
    root.revoke(held, "certificate-hold", at=NOW - 3 * DAY)
    base = x509.load_der_x509_crl(root.crl(NOW - 2 * DAY))
    root.unrevoke(held)
    root.revoke(late, "superseded", at=NOW - DAY)
    delta = x509.load_der_x509_crl(root.crl(NOW, delta_base=root.crl_number))
    assert {entry.serial_number for entry in base} == {_serial(stays), _serial(held)}
    reasons = {
        entry.serial_number: entry.extensions.get_extension_for_class(x509.CRLReason).value.reason for entry in delta
    }
    assert reasons == {_serial(held): x509.ReasonFlags.remove_from_crl, _serial(late): x509.ReasonFlags.superseded}
    indicator = delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert (indicator.value.crl_number, indicator.critical) == (1, True)
    with pytest.raises(NotFoundError, match="never made a full CRL with number 99"):
        root.crl(NOW, delta_base=99)


def test_an_indirect_crl_names_the_issuer_of_each_foreign_certificate(root: Authority, tmp_path: Path) -> None:
    other = Authority.create("other", now=NOW - DAY)
    mine, foreign = bob(root), bob(other)
    root.revoke(mine, at=NOW)
    other.revoke(foreign, at=NOW)
    crl = root.crl(NOW, others=[other])
    parsed = x509.load_der_x509_crl(crl)
    idp = parsed.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
    assert (idp.value.indirect_crl, idp.critical) == (True, True)
    first, second = parsed
    assert first.serial_number == _serial(mine)
    assert len(first.extensions) == 0
    issuer = second.extensions.get_extension_for_class(x509.CertificateIssuer)
    assert [name.value.rfc4514_string() for name in issuer.value] == ["CN=other"]
    assert issuer.critical


@pytest.mark.parametrize(
    ("knobs", "shown"),
    [
        ({"only_user": True}, "Only User Certificates"),
        ({"only_ca": True}, "Only CA Certificates"),
        ({"only_attribute": True}, "Only Attribute Certificates"),
        ({"only_reasons": [1]}, "Key Compromise"),
        ({"urls": ["http://a.example/x.crl"]}, "URI:http://a.example/x.crl"),
        ({"freshest_crl_urls": ["http://a.example/d.crl"]}, "Freshest CRL"),
        ({"next_update": None}, "Next Update: NONE"),
        ({"this_update": NOW + DAY}, "Last Update: May 18 12:00:00 2030 GMT"),
        ({"version": 1}, "Version 1 (0x0)"),
        ({"critical": "1.2.3.4"}, "1.2.3.4: critical"),
        ({"issuer_name": "CN=stranger"}, "Issuer: CN = stranger"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_crl_deviates_in_one_fact(root: Authority, knobs: dict[str, Any], shown: str) -> None:
    assert shown not in text("crl", root.crl(NOW))
    assert shown in text("crl", root.crl(NOW, **knobs))


def test_a_crl_can_be_forged_and_its_entries_given(root: Authority, tmp_path: Path) -> None:
    (tmp_path / "root.pem").write_bytes(pem(root.certificate))
    command = ("crl", "-inform", "DER", "-noout", "-CAfile", tmp_path / "root.pem")
    fake = Authority.create("fake", now=NOW)
    assert b"verify OK" in openssl(*command, octets=root.crl(NOW)).stderr
    for crl in (root.crl(NOW, tamper=True), root.crl(NOW, signing_key=fake.key)):
        assert b"verify failure" in openssl(*command, octets=crl).stderr
    given = root.crl(
        NOW, entries=[(5, Revocation(NOW)), (7, Revocation(NOW, "ca-compromise"))], entry_critical="1.2.3"
    )
    assert [entry.serial_number for entry in x509.load_der_x509_crl(given)] == [5, 7]
    assert text("crl", given).count("1.2.3: critical") == 2


# OCSP


def _request(authority: Authority, certificate: bytes, nonce: bytes | None = None, algorithm: Any = None) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(certificate),
        x509.load_der_x509_certificate(authority.certificate),
        algorithm or hashes.SHA1(),
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def _openssl_ocsp(folder: Path, authority: Authority, certificate: bytes, response: bytes) -> str:
    for name, octets in (("ca", authority.certificate), ("leaf", certificate)):
        (folder / f"{name}.pem").write_bytes(pem(octets))
    (folder / "response").write_bytes(response)
    command = ["ocsp", "-issuer", "ca.pem", "-cert", "leaf.pem", "-respin", "response", "-CAfile", "ca.pem", *AT]
    command += ["-validity_period", "999999999"]  # it compares with the host's clock, whatever -attime says
    done = openssl(*[folder / one if (folder / one).exists() else one for one in command])
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("signer", ["the CA", "a delegate"])
@pytest.mark.parametrize("by_key", [False, True])
@pytest.mark.parametrize("key_type", ["ecdsa-p256", "rsa-2048"])
def test_ocsp_good_and_revoked_are_verified_by_openssl(
    signer: str, by_key: bool, key_type: str, tmp_path: Path
) -> None:
    root = Authority.create("root", now=NOW - DAY, key_type=key_type)
    knobs: dict[str, Any] = {"by_key": by_key}
    if signer == "a delegate":
        knobs["responder"] = root.responder(NOW - DAY)
    certificate = bob(root)
    said = _openssl_ocsp(tmp_path, root, certificate, root.ocsp(certificate, NOW, **knobs))
    assert "Response verify OK" in said
    assert "leaf.pem: good" in said
    root.revoke(certificate, "key-compromise", at=NOW - timedelta(hours=1))
    said = _openssl_ocsp(tmp_path, root, certificate, root.ocsp(certificate, NOW, **knobs))
    assert "Response verify OK" in said
    assert "leaf.pem: revoked" in said
    assert "Reason: keyCompromise" in said


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()], ids=["sha1", "sha256"])
def test_ocsp_answers_a_request_with_its_nonce_and_hash(root: Authority, algorithm: Any) -> None:
    certificate = bob(root)
    request = _request(root, certificate, b"\x5a" * 32, algorithm)
    response = ocsp.load_der_ocsp_response(root.respond(request, NOW))
    asked = ocsp.load_der_ocsp_request(request)
    assert response.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert response.hash_algorithm.name == algorithm.name
    assert (response.issuer_key_hash, response.issuer_name_hash, response.serial_number) == (
        asked.issuer_key_hash,
        asked.issuer_name_hash,
        asked.serial_number,
    )
    assert response.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"\x5a" * 32
    assert response.this_update_utc == NOW
    assert response.next_update_utc == NOW + DAY
    plain = ocsp.load_der_ocsp_response(root.respond(_request(root, certificate), NOW))
    assert len(plain.extensions) == 0


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"responder": "not-ocsp"}, "missing ocspsigning usage"),
        ({"tamper": True}, "signature failure"),
        ({"answer_serial": 4711}, "No Status found"),
        ({"status": "unknown"}, "leaf.pem: unknown"),
        ({"status": "revoked"}, "leaf.pem: revoked"),
        ({"response_status": "try-later"}, "trylater (3)"),
        ({"response_status": "unauthorized"}, "unauthorized (6)"),
        ({"response_status": "sig-required"}, "sigrequired (5)"),
    ],
    ids=str,
)
def test_an_ocsp_response_deviates_in_one_fact(
    root: Authority, tmp_path: Path, knobs: dict[str, Any], words: str
) -> None:
    if knobs.get("responder") == "not-ocsp":
        knobs = {"responder": root.responder(NOW - DAY, extended_key_usage=["serverAuth"])}
    certificate = bob(root)
    assert words not in _openssl_ocsp(tmp_path, root, certificate, root.ocsp(certificate, NOW))
    assert words in _openssl_ocsp(tmp_path, root, certificate, root.ocsp(certificate, NOW, **knobs))


def test_ocsp_does_not_know_what_it_did_not_issue(root: Authority) -> None:
    stranger = bob(Authority.create("other", now=NOW))
    response = ocsp.load_der_ocsp_response(root.respond(_request(root, stranger), NOW))
    assert response.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    garbage = ocsp.load_der_ocsp_response(root.respond(b"garbage", NOW))
    assert garbage.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_ocsp_without_next_update_and_from_other_times(root: Authority) -> None:
    certificate = bob(root)
    response = ocsp.load_der_ocsp_response(root.ocsp(certificate, NOW, next_update=None, produced_at=NOW + DAY))
    assert (response.next_update_utc, response.produced_at_utc) == (None, NOW + DAY)


# records


def test_a_certificate_is_found_by_name_or_serial(root: Authority) -> None:
    certificate = root.issue(root.key.public_key(), "CN=bob", (), NOW, name="bob")
    newer = root.issue(root.key.public_key(), "CN=bob", (), NOW, name="bob")
    assert root.find("bob").certificate == newer
    assert root.find(f"{_serial(certificate):x}").certificate == certificate
    assert root.find(f"{_serial(certificate):X}").certificate == certificate
    with pytest.raises(NotFoundError, match="root issued nothing named carol"):
        root.find("carol")


def test_an_authority_and_its_leaf_do_not_show_their_keys(root: Authority) -> None:
    leaf = root.leaf("CN=bob", (), NOW)
    value = leaf.key.private_numbers().private_value  # type: ignore[union-attr] # an EC key
    assert str(value) not in repr(leaf)
    assert "key" not in repr(leaf)
    assert repr(root) == "<Authority root>"


def _serial(certificate: bytes) -> int:
    return x509.load_der_x509_certificate(certificate).serial_number
