"""Whatever comes as CRL or OCSP response ends in a result with a named reason, and costs a bounded amount of work."""

from datetime import timedelta
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ikesim.pki.authority import Authority, Extension, Revocation
from ikesim.pki.budget import Budget, BudgetExceeded
from ikesim.pki.certificates import Certificate, parse
from ikesim.pki.crl import CRL_CACHE
from ikesim.pki.crl_candidates import MAX_SIGNERS
from ikesim.pki.decision import CheckOutcome, RevocationOutcome
from ikesim.pki.der_writer import explicit, implicit, oid, sequence, set_of, utf8
from ikesim.pki.profiles import RevocationMethod, RevocationSettings
from ikesim.pki.revocation import RevocationContext, SignerVerdict, check_revocation
from ikesim.pki.revocation_case import MAX_URLS
from ikesim.reasons import Reason
from tests.pki.revocation_world import AIA, CDP, CRL, HOUR, NOW, OCSP_THEN_CRL, World, answer, serve

WORLD = World(crl_at=(CDP,), ocsp_at=(AIA,))
GOOD_CRL = WORLD.root.crl(NOW - HOUR, entries=[(5, Revocation(NOW, "superseded"))], urls=(CDP,), only_user=True)
GOOD_OCSP = WORLD.root.ocsp(WORLD.leaf.der, NOW - HOUR, responder=WORLD.root.responder(NOW))


def judge(*octets: bytes) -> Reason | None:
    """Judge by the octets as CRL and as response, at hand and fetched; every ending is consistent in itself."""
    result = WORLD.check(OCSP_THEN_CRL, *octets, ocsp=octets)
    assert result.accepted is (result.outcome is RevocationOutcome.GOOD)
    assert result.accepted is (result.reason is None)
    assert (result.checks[-1].outcome is CheckOutcome.FAIL) is (not result.accepted)
    for check in result.checks:
        check.to_json()
    fetched = {}
    while wanted := WORLD.check(OCSP_THEN_CRL, fetch=True, fetched=fetched).wanted:
        fetched |= {request: answer(octets[0]) for request in wanted}
    assert len(fetched) == 2
    return result.reason


def mutate(octets: bytes, position: int, change: int) -> bytes:
    broken = bytearray(octets)
    broken[position % len(broken)] ^= change
    return bytes(broken)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200))
@example(b"\x30\x80\x00\x00")
@example(b"\x30\x84\xff\xff\xff\xff")
@example(b"\x1f")
@example(b"\x3f\x3f")
def test_any_octets(octets: bytes) -> None:
    assert judge(octets) in (Reason.CRL_MALFORMED, Reason.OCSP_MALFORMED, Reason.OCSP_ERROR_STATUS)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([GOOD_CRL, GOOD_OCSP]), st.integers(0, 4000), st.integers(1, 255))
def test_one_octet_changed_never_makes_it_good(octets: bytes, position: int, change: int) -> None:
    assert judge(octets) is None
    assert judge(mutate(octets, position, change)) is not None


def test_no_octet_of_a_crl_can_change_unnoticed() -> None:
    for position in range(len(GOOD_CRL)):
        assert judge(mutate(GOOD_CRL, position, 1)) is not None


@pytest.mark.parametrize("method", list(RevocationMethod))
def test_nothing_of_it_raises_under_any_method(method: RevocationMethod) -> None:
    junk = (b"", b"\x30\x03\x0a\x01\x00", GOOD_CRL[:40], GOOD_OCSP[:60], b"\xff" * 64)
    for fetch in (False, True):
        WORLD.check(RevocationSettings(method=method), *junk, ocsp=junk, fetch=fetch)


@pytest.mark.parametrize("extension", ["2.5.29.31", "2.5.29.46", "1.3.6.1.5.5.7.1.1"])
def test_unreadable_pointers_in_the_certificate_are_noted_and_ignored(extension: str) -> None:
    world = World(knobs={"extra": (Extension(extension, False, b"\x04\x00"),)})
    settings_ = RevocationSettings(method=RevocationMethod.OCSP_THEN_CRL)
    result = world.check(settings_, world.root.crl(NOW - HOUR), fetch=True)
    assert result.accepted
    assert any("cannot be read" in str(check.evidence.get("cause")) for check in result.checks)


def test_urls_of_a_certificate_are_tried_up_to_a_limit() -> None:
    world = World(crl_at=tuple(f"{CDP}{n}" for n in range(30)), ocsp_at=tuple(f"{AIA}/{n}" for n in range(30)))
    result, asked = serve(world, OCSP_THEN_CRL, {})
    assert not result.accepted
    assert len(asked) == 2 * MAX_URLS


def test_crls_by_a_crowd_of_signers_cost_a_bounded_number_of_signatures() -> None:
    world = World()
    twins = [Authority.create("north", now=NOW - HOUR).certificate for _ in range(20)]
    crls = [world.root.crl(NOW - HOUR, tamper=True) for _ in range(50)]
    CRL_CACHE.clear()
    budget = Budget(signatures=100)
    result = world.check(CRL, *crls, signers=tuple(twins), budget=budget)
    assert result.reason is Reason.CERT_PATH_BUDGET
    assert CRL_CACHE.signatures <= 100
    CRL_CACHE.clear()
    world.check(CRL, crls[0], signers=tuple(twins))
    assert CRL_CACHE.signatures == MAX_SIGNERS


def test_budget_spent_inside_a_callback_is_contained() -> None:
    world = World()
    signer = Authority.create("north", now=NOW - HOUR, issuer=world.root)

    def exhausted(certificate: Certificate, context: RevocationContext) -> SignerVerdict:
        raise BudgetExceeded("links", 1)

    context = RevocationContext(
        NOW, exhausted, Budget(), crls=(signer.crl(NOW),), signers=(parse(signer.certificate),)
    )
    assert check_revocation(world.leaf, world.issuer, CRL, context).reason is Reason.CERT_PATH_BUDGET


def test_two_signers_that_vouch_for_each_other_end() -> None:
    world = World()
    knobs: dict[str, Any] = {"ca": False, "key_usage": ("cRLSign",), "issuer": world.root}
    one, other = (Authority.create("s", now=NOW - HOUR, subject=world.root.subject, **knobs) for _ in range(2))
    crls = (one.crl(NOW - HOUR, entries=[]), other.crl(NOW - HOUR, entries=[]))
    assert world.check(CRL, *crls, signers=(one.certificate, other.certificate)).accepted
    listed = [(parse(one.certificate).serial, Revocation(NOW - HOUR))]
    revoking = other.crl(NOW - HOUR, number=2, entries=listed)
    result = world.check(CRL, crls[0], revoking, signers=(one.certificate, other.certificate))
    lines = [check for check in result.checks if check.reason is Reason.CRL_SIGNER_USAGE]
    assert len(lines) == 1
    assert "cert-revoked" in str(lines[0].evidence["cause"])


def test_names_that_grow_too_long_together_and_keys_that_are_none() -> None:
    attribute = sequence(oid("2.5.4.3"), utf8("x"))
    relative = sequence(explicit(0, implicit(1, attribute * 200, constructed=True)))
    point = Extension("2.5.29.31", False, sequence(relative))
    idp = Extension("2.5.29.28", True, relative)
    subject = sequence(*[set_of([attribute])] * 200)
    root = Authority.create("long", now=NOW - HOUR, subject=subject)
    leaf = parse(root.leaf("CN=bob", (), NOW, extra=(point,)).certificate)
    world = World()
    context = world.context(crls=(root.crl(NOW - HOUR, extra=(idp,)),))
    assert check_revocation(leaf, parse(root.certificate), CRL, context).reason is Reason.CRL_SCOPE
    keyless = parse(world.root.certificate.replace(b"\x03\x42\x00\x04", b"\x0c\x42\x00\x04"))  # no BIT STRING
    assert keyless != world.issuer
    context = world.context(crls=(GOOD_CRL,), ocsp=(GOOD_OCSP,), fetch=True)
    assert not check_revocation(world.leaf, keyless, OCSP_THEN_CRL, context).accepted


def test_cold_and_warm_say_the_same_in_every_detail() -> None:
    world = World(crl_at=(CDP,))
    crls = (
        world.root.crl(NOW - HOUR, number=3),
        world.root.crl(NOW - HOUR, number=2, tamper=True),
        world.root.crl(NOW - HOUR, number=4, delta_base=3, entries=[(world.leaf.serial, Revocation(NOW))]),
    )
    ocsp = (world.root.ocsp(world.leaf.der, NOW - timedelta(hours=2), status="unknown"),)
    CRL_CACHE.clear()
    cold = world.check(OCSP_THEN_CRL, *crls, ocsp=ocsp)
    assert world.check(OCSP_THEN_CRL, *crls, ocsp=ocsp) == cold
    assert (
        sha256(repr(cold).encode()).digest()
        == sha256(repr(world.check(OCSP_THEN_CRL, *crls, ocsp=ocsp)).encode()).digest()
    )
