"""Every rule of path validation has a pair of hierarchies that differ in one fact and flip that one check."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from ikesim.pki import CheckOutcome, MinimumStrength, RuleProfile
from ikesim.pki.authority import Extension
from ikesim.pki.authority.signing import algorithm_of
from ikesim.pki.der_writer import explicit, integer, null, octet_string, oid, sequence, set_of, utf8
from tests.pki.trust_world import DAY, NOW, Hierarchy, failed, key, outcomes

SUB, BOB, ROOT = "CN=sub", "CN=bob", "CN=root"
OTHER_KEY = key("somebody else")
SHA384 = algorithm_of(key("sub"), "sha384", "pkcs1")
DUPLICATE = Extension("2.5.29.19", False, sequence())
P1, P2 = "1.3.6.1.4.1.99999.1", "1.3.6.1.4.1.99999.2"
BOUND = Extension("2.5.29.19", True, b"\x30\x03\x01\x01")


def spki(bits: int) -> bytes:
    public = rsa.RSAPublicNumbers(65537, (1 << bits) - 1 if bits % 2 else (1 << bits - 1) + 1).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def p224() -> bytes:
    public = ec.derive_private_key(7, ec.SECP224R1()).public_key()
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


# rule, subject, reason, what differs from a hierarchy that is accepted (root, sub, leaf knobs)
PAIRS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("RFC 5280 4.1.1.2", BOB, "cert-malformed", {"leaf": {"outer_algorithm": SHA384}}),
    ("RFC 5280 4.1.1.2", SUB, "cert-malformed", {"sub": {"outer_algorithm": SHA384}}),
    ("RFC 5280 4.2", BOB, "cert-malformed", {"leaf": {"extra": (DUPLICATE,)}}),
    ("RFC 5280 4.1.2.1", BOB, "cert-malformed", {"leaf": {"version": 4}}),
    ("RFC 5280 6.1.3 (a)(2)", BOB, "cert-not-yet-valid", {"leaf": {"not_before": NOW + DAY, "not_after": NOW - DAY}}),
    ("RFC 5280 4.2.1.9", BOB, "cert-malformed", {"leaf": {"without": ("2.5.29.19",), "extra": (BOUND,)}}),
    ("RFC 5280 6.1.3 (a)(1)", BOB, "cert-bad-signature", {"leaf": {"tamper": True}}),
    ("RFC 5280 6.1.3 (a)(1)", BOB, "cert-bad-signature", {"leaf": {"signing_key": OTHER_KEY}}),
    ("RFC 5280 6.1.3 (a)(1)", SUB, "cert-bad-signature", {"sub": {"signing_key": OTHER_KEY}}),
    ("RFC 5280 6.1.3 (a)(2)", BOB, "cert-expired", {"leaf": {"not_after": NOW - DAY}}),
    ("RFC 5280 6.1.3 (a)(2)", BOB, "cert-not-yet-valid", {"leaf": {"not_before": NOW + DAY}}),
    ("RFC 5280 6.1.3 (a)(2)", SUB, "cert-expired", {"sub": {"not_after": NOW - DAY}}),
    ("RFC 5280 6.1.3 (a)(2)", SUB, "cert-not-yet-valid", {"sub": {"not_before": NOW + DAY}}),
    ("RFC 5280 6.1.3 (a)(2)", ROOT, "cert-expired", {"root": {"not_after": NOW - DAY}}),
    ("policy: signature schemes", BOB, "cert-signature-weak", {"leaf": {"digest": "sha1"}}),
    ("policy: signature schemes", SUB, "cert-signature-weak", {"sub": {"digest": "sha1"}}),
    ("policy: minimum strength", BOB, "key-weak", {"leaf": {"public_key_info": spki(1024)}}),
    ("policy: minimum strength", BOB, "key-weak", {"leaf": {"public_key_info": spki(2047)}}),
    ("policy: minimum strength", BOB, "key-weak", {"leaf": {"public_key_info": p224()}}),
    ("RFC 5280 6.1.4 (k)", SUB, "cert-not-ca", {"sub": {"without": ("2.5.29.19",)}}),
    ("RFC 5280 6.1.4 (k)", ROOT, "cert-not-ca", {"root": {"without": ("2.5.29.19",)}}),
    ("RFC 5280 6.1.4 (n)", SUB, "cert-not-ca", {"sub": {"key_usage": ("digitalSignature", "cRLSign")}}),
    ("RFC 5280 6.1.4 (n)", ROOT, "cert-not-ca", {"root": {"key_usage": ("cRLSign",)}}),
    ("RFC 5280 6.1.4 (l)", SUB, "cert-path-length", {"root": {"path_length": 0}}),
    ("RFC 5280 6.1.4 (o)", SUB, "cert-critical-ext", {"sub": {"critical": "1.3.6.1.4.1.99999.9"}}),
    ("RFC 5280 6.1.5 (f)", BOB, "cert-critical-ext", {"leaf": {"critical": "1.3.6.1.4.1.99999.9"}}),
    ("RFC 5937 3.2", ROOT, "cert-critical-ext", {"root": {"critical": "1.3.6.1.4.1.99999.9"}}),
    ("RFC 4945 5.1.3.2", BOB, "cert-key-usage", {"leaf": {"key_usage": ("keyEncipherment",)}}),
    ("RFC 4945 5.1.3.2", BOB, "cert-key-usage", {"leaf": {"key_usage": ("keyCertSign",)}}),
    ("RFC 4945 3.1.2", BOB, "id-mismatch", {"leaf": {"sans": ("fqdn:alice.example",)}}),
]


def build(differing: dict[str, Any]) -> Hierarchy:
    return Hierarchy(
        root_knobs=dict(differing.get("root", {})),
        sub_knobs=dict(differing.get("sub", {})),
        leaf_knobs=dict(differing.get("leaf", {})),
    )


@pytest.mark.parametrize(("rule", "subject", "reason", "differing"), PAIRS)
def test_one_fact_flips_one_check(rule: str, subject: str, reason: str, differing: dict[str, Any]) -> None:
    good = Hierarchy().decide()
    bad = build(differing).decide()
    assert good.accepted and good.reason is None
    assert not bad.accepted and bad.reason == reason, bad.summary
    check = failed(bad)
    assert (check.rule, check.subject, check.reason) == (rule, subject, reason)
    before, after = outcomes(good), outcomes(bad)
    flipped = {place for place in before.keys() & after.keys() if before[place] is not after[place]}
    assert flipped <= {(rule, subject)}
    failures = [place for place, outcome in after.items() if outcome is CheckOutcome.FAIL]
    assert failures == [(rule, subject)]
    assert subject in bad.summary and reason in bad.summary


EKU = {
    "absent": (),
    "ipsecIKE": ("1.3.6.1.5.5.7.3.17",),
    "any": ("2.5.29.37.0",),
    "iKEIntermediate": ("1.3.6.1.5.5.8.2.2",),
    "serverAuth": ("1.3.6.1.5.5.7.3.1",),
    "clientAuth": ("1.3.6.1.5.5.7.3.2",),
    "codeSigning": ("1.3.6.1.5.5.7.3.3",),
    "codeSigning and ipsecIKE": ("1.3.6.1.5.5.7.3.3", "1.3.6.1.5.5.7.3.17"),
}
EKU_ACCEPTED = {
    # B19: libreswan's NSS usage takes absent, ipsecIKE, any, serverAuth, clientAuth; the others do not look
    "rfc": {"absent", "ipsecIKE", "any", "iKEIntermediate", "codeSigning and ipsecIKE"},
    "strongswan": set(EKU),
    "libreswan": set(EKU) - {"codeSigning"},
    "openiked": set(EKU),
}


@pytest.mark.parametrize("profile", EKU_ACCEPTED)
@pytest.mark.parametrize("purposes", EKU)
def test_extended_key_usage_by_profile(profile: str, purposes: str) -> None:
    hierarchy = Hierarchy(leaf_knobs={"extended_key_usage": EKU[purposes]} if EKU[purposes] else {})
    decision = hierarchy.decide(profile=RuleProfile.named(profile))
    if purposes in EKU_ACCEPTED[profile]:
        assert decision.accepted, decision.summary
    else:
        assert decision.reason == "cert-eku"
        assert (failed(decision).rule, failed(decision).subject) == ("RFC 4945 5.1.3.12", BOB)


@pytest.mark.parametrize(
    ("profile", "reason"), [("rfc", None), ("strongswan", None), ("libreswan", "cert-end-is-ca"), ("openiked", None)]
)
def test_end_certificate_that_is_a_ca_by_profile(profile: str, reason: str | None) -> None:
    """B13: libreswan refuses it, the RFC lets it pass (its key usage must still allow signing)."""
    knobs = {"ca": True, "key_usage": ("digitalSignature", "keyCertSign")}
    decision = Hierarchy(leaf_knobs=knobs).decide(profile=RuleProfile.named(profile))
    assert decision.reason == reason
    if reason is not None:
        assert failed(decision).rule == "RFC 4945 5.1.3.9"


@pytest.mark.parametrize("profile", ["rfc", "strongswan", "libreswan", "openiked"])
def test_key_usage_by_profile(profile: str) -> None:
    """B18: only OpenIKED does not look at the end certificate's key usage."""
    decision = Hierarchy(leaf_knobs={"key_usage": ("keyAgreement",)}).decide(profile=RuleProfile.named(profile))
    assert decision.reason == (None if profile == "openiked" else "cert-key-usage")


def test_non_repudiation_alone_may_sign() -> None:
    assert Hierarchy(leaf_knobs={"key_usage": ("nonRepudiation",)}).decide().accepted


def test_minimum_strength_is_a_setting() -> None:
    hierarchy = Hierarchy(leaf_knobs={"public_key_info": spki(1024)})
    assert hierarchy.decide(minimum_strength=MinimumStrength(rsa=1024)).accepted
    assert hierarchy.decide(minimum_strength={"rsa": 1024}).accepted
    assert Hierarchy().decide(minimum_strength={"ecdsa": 384}).reason == "key-weak"


def test_schemes_are_a_setting() -> None:
    assert Hierarchy(leaf_knobs={"digest": "sha1"}).decide(schemes=("ecdsa-sha1", "ecdsa-sha256")).accepted
    decision = Hierarchy().decide(schemes=("ecdsa-sha384",))
    assert decision.reason == "cert-signature-weak"
    assert failed(decision).evidence["algorithm"] == "ecdsa-sha256"


@pytest.mark.parametrize(("limit", "accepted"), [(0, False), (1, True), (2, True), (None, True)])
def test_path_length_off_by_one(limit: int | None, accepted: bool) -> None:
    decision = Hierarchy(root_knobs={"path_length": limit}).decide()
    assert decision.accepted is accepted
    if not accepted:
        assert failed(decision).evidence == {"max_path_length": 0, "set_by": ROOT}


@pytest.mark.parametrize(("depth", "reason"), [(1, "cert-path-length"), (2, None), (3, None)])
def test_depth_limit_counts_the_cas_above_the_end_certificate(depth: int, reason: str | None) -> None:
    decision = Hierarchy().decide(max_depth=depth)
    assert decision.reason == reason
    if reason:
        assert failed(decision).rule == "local limit: chain depth"


def explicit_parameters() -> bytes:
    """A SubjectPublicKeyInfo whose curve is P-256 spelled out (ECParameters, RFC 3279 2.3.5)."""
    numbers = key("leaf CN=bob").public_key().public_numbers()
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    n = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    gx = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    gy = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
    point = b"\x04" + gx.to_bytes(32, "big") + gy.to_bytes(32, "big")
    curve = sequence(octet_string((p - 3).to_bytes(32, "big")), octet_string(b.to_bytes(32, "big")))
    field = sequence(oid("1.2.840.10045.1.1"), integer(p))
    parameters = sequence(integer(1), field, curve, octet_string(point), integer(n), integer(1))
    public = b"\x00\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
    return sequence(sequence(oid("1.2.840.10045.2.1"), parameters), b"\x03" + bytes((len(public),)) + public)


def ec_point(x: int, y: int) -> bytes:
    public = b"\x00\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big")
    algorithm = sequence(oid("1.2.840.10045.2.1"), oid("1.2.840.10045.3.1.7"))
    return sequence(algorithm, b"\x03" + bytes((len(public),)) + public)


def rsa_key(modulus: int, exponent: int) -> bytes:
    inner = b"\x00" + sequence(integer(modulus), integer(exponent))
    bits = b"\x03\x82" + len(inner).to_bytes(2, "big") + inner
    return sequence(sequence(oid("1.2.840.113549.1.1.1"), null()), bits)


def edwards(curve: str, public: bytes) -> bytes:
    return sequence(sequence(oid(curve)), b"\x03" + bytes((len(public) + 1, 0)) + public)


MODULUS = (1 << 2047) + 1
IMPOSSIBLE = {
    "RSA exponent 0": rsa_key(MODULUS, 0),
    "RSA exponent 1": rsa_key(MODULUS, 1),
    "RSA exponent even": rsa_key(MODULUS, 65536),
    "RSA exponent negative": rsa_key(MODULUS, -65537),
    "RSA exponent of 2000 bits": rsa_key(MODULUS, (1 << 2000) + 1),
    "RSA modulus even": rsa_key(1 << 2047, 65537),
    "RSA modulus 0": rsa_key(0, 65537),
    "RSA modulus negative": rsa_key(-MODULUS, 65537),
    "RSA modulus of 20000 bits": rsa_key((1 << 19999) + 1, 65537),
    "RSA key that is no sequence": sequence(sequence(oid("1.2.840.113549.1.1.1"), null()), b"\x03\x02\x00\x00"),
    "EC point off the curve": ec_point(1, 1),
    "EC explicit parameters": explicit_parameters(),
    "EC curve unknown": sequence(sequence(oid("1.2.840.10045.2.1"), oid("1.3.132.0.99")), b"\x03\x02\x00\x04"),
    "EC without parameters": sequence(sequence(oid("1.2.840.10045.2.1")), b"\x03\x02\x00\x04"),
    "Ed25519 identity": edwards("1.3.101.112", b"\x01" + bytes(31)),
    "Ed25519 order 2": edwards("1.3.101.112", b"\xec" + b"\xff" * 30 + b"\x7f"),
    "Ed25519 order 4": edwards("1.3.101.112", bytes(32)),
    "Ed25519 order 8": edwards(
        "1.3.101.112", bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
    ),
    "Ed25519 not canonical": edwards("1.3.101.112", b"\xee" + b"\xff" * 30 + b"\x7f"),
    "Ed25519 short": edwards("1.3.101.112", bytes(31)),
    "Ed448 identity": edwards("1.3.101.113", b"\x01" + bytes(56)),
    "X25519, which signs nothing": edwards("1.3.101.110", b"\x09" + bytes(31)),
    "an algorithm that nobody knows": sequence(sequence(oid("1.3.6.1.4.1.99999.5")), b"\x03\x02\x00\x04"),
}


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_impossible_key_in_the_end_certificate(fault: str) -> None:
    decision = Hierarchy(leaf_knobs={"public_key_info": IMPOSSIBLE[fault]}).decide()
    assert decision.reason == "key-invalid", decision.summary
    assert (failed(decision).rule, failed(decision).subject) == ("RFC 5280 4.1.2.7", BOB)


@pytest.mark.parametrize("fault", IMPOSSIBLE)
def test_impossible_key_in_an_intermediate(fault: str) -> None:
    decision = Hierarchy(sub_knobs={"public_key_info": IMPOSSIBLE[fault]}).decide()
    assert decision.reason == "key-invalid", decision.summary
    assert (failed(decision).rule, failed(decision).subject) == ("RFC 5280 4.1.2.7", SUB)


NAMES: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    # what, knobs of the intermediate, knobs of the leaf, accepted (RFC 5280 4.2.1.10)
    ("dNSName within", {"permitted": ("fqdn:example",)}, {}, True),
    ("dNSName within, other case", {"permitted": ("fqdn:EXAMPLE",)}, {}, True),
    ("dNSName equal", {"permitted": ("fqdn:bob.example",)}, {}, True),
    ("dNSName outside", {"permitted": ("fqdn:example.net",)}, {}, False),
    ("dNSName that only ends like it", {"permitted": ("fqdn:ob.example",)}, {}, False),
    ("dNSName excluded", {"excluded": ("fqdn:bob.example",)}, {}, False),
    ("dNSName excluded, other case", {"excluded": ("fqdn:BOB.Example",)}, {}, False),
    ("dNSName below an excluded one", {"excluded": ("fqdn:example",)}, {}, False),
    ("dNSName excluded elsewhere", {"excluded": ("fqdn:alice.example",)}, {}, True),
    ("leading dot, below", {"permitted": ("fqdn:.example",)}, {}, True),
    ("leading dot, the domain itself", {"permitted": ("fqdn:.bob.example",)}, {}, False),
    ("empty dNSName permits all", {"permitted": ("fqdn:",)}, {}, True),
    ("empty dNSName excludes all", {"excluded": ("fqdn:",)}, {}, False),
    (
        "permitted and excluded below it",
        {"permitted": ("fqdn:example",), "excluded": ("fqdn:bob.example",)},
        {},
        False,
    ),
    ("other form does not matter", {"permitted": ("rfc822:example",)}, {}, True),
    (
        "excluded wildcard",
        {"excluded": ("fqdn:www.example",)},
        {"sans": ("fqdn:bob.example", "fqdn:*.example")},
        False,
    ),
    ("a second name outside", {"permitted": ("fqdn:example",)}, {"sans": ("fqdn:bob.example", "fqdn:x.net")}, False),
    (
        "mailbox at the host",
        {"permitted": ("rfc822:example",)},
        {"sans": ("fqdn:bob.example", "rfc822:b@example")},
        True,
    ),
    (
        "mailbox below",
        {"permitted": ("rfc822:example",)},
        {"sans": ("fqdn:bob.example", "rfc822:b@x.example")},
        False,
    ),
    (
        "mailbox by domain",
        {"permitted": ("rfc822:.example",)},
        {"sans": ("fqdn:bob.example", "rfc822:b@x.Example")},
        True,
    ),
    ("mailbox exactly", {"permitted": ("rfc822:b@x",)}, {"sans": ("fqdn:bob.example", "rfc822:b@X")}, True),
    ("mailbox, local part case", {"permitted": ("rfc822:b@x",)}, {"sans": ("fqdn:bob.example", "rfc822:B@x")}, False),
    ("mailbox without @", {"permitted": ("rfc822:x",)}, {"sans": ("fqdn:bob.example", "rfc822:bx")}, False),
    ("emailAddress in the subject", {"permitted": ("rfc822:x",)}, {"subject": "CN=bob, E=b@y"}, False),
    (
        "URI by host",
        {"permitted": ("uri:h.example",)},
        {"sans": ("fqdn:bob.example", "uri:http://H.example:8/x")},
        True,
    ),
    (
        "URI by domain",
        {"permitted": ("uri:.example",)},
        {"sans": ("fqdn:bob.example", "uri:http://h.example/")},
        True,
    ),
    ("URI elsewhere", {"permitted": ("uri:.example",)}, {"sans": ("fqdn:bob.example", "uri:http://h.net/")}, False),
    (
        "URI with user part",
        {"excluded": ("uri:h.net",)},
        {"sans": ("fqdn:bob.example", "uri:http://a@h.net/")},
        False,
    ),
    (
        "URI with an address",
        {"permitted": ("uri:.example",)},
        {"sans": ("fqdn:bob.example", "uri:http://1.2.3.4/")},
        False,
    ),
    ("URI without a host", {"permitted": ("uri:.example",)}, {"sans": ("fqdn:bob.example", "uri:urn:x")}, False),
    ("DN below", {"permitted": ("dn:O=org",)}, {"subject": "O=Org, CN=bob"}, True),
    ("DN outside", {"permitted": ("dn:O=org",)}, {"subject": "O=Other, CN=bob"}, False),
    ("DN excluded", {"excluded": ("dn:O=org",)}, {"subject": "O=ORG, CN=bob"}, False),
    ("DN excluded, not as the first RDN", {"excluded": ("dn:CN=bob",)}, {"subject": "O=org, CN=bob"}, True),
    ("DN of a SAN", {"permitted": ("dn:CN=bob",)}, {"sans": ("fqdn:bob.example", "dn:O=other")}, False),
]


@pytest.mark.parametrize(("what", "sub", "leaf", "accepted"), NAMES, ids=[row[0] for row in NAMES])
def test_name_constraints(what: str, sub: dict[str, Any], leaf: dict[str, Any], accepted: bool) -> None:
    decision = Hierarchy(sub_knobs=sub, leaf_knobs=leaf).decide()
    assert decision.accepted is accepted, decision.summary
    if not accepted:
        assert decision.reason == "cert-name-constraint"
        check = failed(decision)
        assert check.rule == "RFC 5280 6.1.3 (b)(c)" and "CN=bob" in check.subject
        assert check.evidence["constrained_by"] == SUB


def subtree(base: bytes) -> Extension:
    permitted = sequence(sequence(b"\x87" + bytes((len(base),)) + base))
    return Extension("2.5.29.30", True, sequence(b"\xa0" + permitted[1:]))


ADDRESSES = [
    ("10.1.2.3/255.255.0.0 holds 10.1.9.9", bytes((10, 1, 2, 3, 255, 255, 0, 0)), "ipv4:10.1.9.9", True),
    ("10.1.0.0/255.255.0.0 lacks 10.2.0.1", bytes((10, 1, 0, 0, 255, 255, 0, 0)), "ipv4:10.2.0.1", False),
    ("a mask with a hole", bytes((10, 1, 0, 0, 255, 0, 255, 0)), "ipv4:10.1.0.1", False),
    ("four octets are no range", bytes((10, 1, 0, 1)), "ipv4:10.1.0.1", False),
    ("IPv6 within", bytes.fromhex("20010db8" + "00" * 12 + "ffffffff" + "00" * 12), "ipv6:2001:db8::1", True),
    ("IPv6 outside", bytes.fromhex("20010db8" + "00" * 12 + "ffffffff" + "00" * 12), "ipv6:2001:db9::1", False),
    ("IPv4 in an IPv6 range", bytes(32), "ipv4:10.1.0.1", False),
]


@pytest.mark.parametrize(("what", "base", "name", "accepted"), ADDRESSES, ids=[row[0] for row in ADDRESSES])
def test_address_constraints(what: str, base: bytes, name: str, accepted: bool) -> None:
    hierarchy = Hierarchy(sub_knobs={"extra": (subtree(base),)}, leaf_knobs={"sans": ("fqdn:bob.example", name)})
    decision = hierarchy.decide()
    assert decision.reason == (None if accepted else "cert-name-constraint"), decision.summary


def test_levels_of_constraints_intersect() -> None:
    """Permitted by the intermediate, but not by the root above it."""
    hierarchy = Hierarchy(root_knobs={"permitted": ("fqdn:net",)}, sub_knobs={"permitted": ("fqdn:example",)})
    decision = hierarchy.decide()
    assert decision.reason == "cert-name-constraint"
    assert failed(decision).evidence["constrained_by"] == ROOT


def test_constraints_of_the_anchor_apply_and_its_policies_do_not() -> None:
    """RFC 5937: an anchor's own certificate constrains names; RFC 5280 6.1.2 starts policies afresh."""
    assert Hierarchy(root_knobs={"excluded": ("fqdn:bob.example",)}).decide().reason == "cert-name-constraint"
    policies = {"policies": (P1,)}
    hierarchy = Hierarchy(root_knobs={"policies": (P2,)}, sub_knobs=policies, leaf_knobs=policies)
    assert hierarchy.decide(policies=(P1,), explicit_policy=True).accepted
    assert Hierarchy(root_knobs={"require_explicit": 0}).decide().accepted


POLICIES: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], set[str] | None]] = [
    # what, sub, leaf, policy inputs, the user-constrained set or None for a refusal
    ("same", {"policies": (P1,)}, {"policies": (P1,)}, {"explicit_policy": True}, {P1}),
    ("none at all, not required", {}, {}, {}, set()),
    ("none at all, required", {}, {}, {"explicit_policy": True}, None),
    ("different, not required", {"policies": (P1,)}, {"policies": (P2,)}, {}, set()),
    ("different, required by the CA", {"policies": (P1,), "require_explicit": 0}, {"policies": (P2,)}, {}, None),
    ("wanted", {"policies": (P1, P2)}, {"policies": (P1, P2)}, {"policies": (P2,)}, {P2}),
    ("not wanted", {"policies": (P1,)}, {"policies": (P1,)}, {"policies": (P2,), "explicit_policy": True}, None),
    ("any in the CA", {"policies": ("2.5.29.32.0",)}, {"policies": (P1,)}, {"explicit_policy": True}, {P1}),
    (
        "any in the CA, inhibited",
        {"policies": ("2.5.29.32.0",)},
        {"policies": (P1,)},
        {"explicit_policy": True, "inhibit_any_policy": True},
        None,
    ),
    (
        "mapped",
        {"policies": (P1,), "policy_mappings": ((P1, P2),)},
        {"policies": (P2,)},
        {"explicit_policy": True},
        {P1},
    ),
    (
        "mapped, but inhibited",
        {"policies": (P1,), "policy_mappings": ((P1, P2),)},
        {"policies": (P2,)},
        {"explicit_policy": True, "inhibit_policy_mapping": True},
        None,
    ),
    (
        "mapped to any",
        {"policies": (P1,), "policy_mappings": ((P1, "2.5.29.32.0"),)},
        {"policies": (P2,)},
        {},
        None,
    ),
]


@pytest.mark.parametrize(("what", "sub", "leaf", "inputs", "user"), POLICIES, ids=[row[0] for row in POLICIES])
def test_policies(
    what: str, sub: dict[str, Any], leaf: dict[str, Any], inputs: dict[str, Any], user: set[str] | None
) -> None:
    decision = Hierarchy(sub_knobs=sub, leaf_knobs=leaf).decide(**inputs)
    if user is None:
        assert decision.reason == "cert-policy"
        assert failed(decision).rule in ("RFC 5280 6.1.3 (f)", "RFC 5280 6.1.4 (a)", "RFC 5280 6.1.5 (g)")
    else:
        assert decision.accepted, decision.summary
        assert decision.policies == user


def test_names_that_differ_in_case_and_white_space_chain() -> None:
    """RFC 5280 7.1: the leaf names its issuer in another spelling."""
    spelled = sequence(set_of((sequence(oid("2.5.4.3"), utf8("  SuB ")),)))
    assert Hierarchy(leaf_knobs={"issuer_name": spelled}).decide().accepted


def test_unknown_field_in_a_certificate_is_named() -> None:
    hierarchy = Hierarchy(leaf_knobs={"extra": (Extension("2.5.29.17", False, explicit(9, null())),), "sans": ()})
    decision = hierarchy.decide()
    assert decision.reason == "cert-malformed"
    assert failed(decision).rule == "RFC 5280 4.2.1.6"
