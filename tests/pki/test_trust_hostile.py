"""Certificates made to cost time or to break a parser: every one ends in a decision, within counted work."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ikesim.pki import CertificateError, Evidence, clear_caches, decide, parse
from ikesim.pki import budget as limits
from ikesim.pki.authority import Extension
from ikesim.pki.budget import Budget
from ikesim.pki.der_writer import (
    bit_string,
    boolean,
    explicit,
    implicit,
    integer,
    null,
    octet_string,
    oid,
    sequence,
    tlv,
)
from ikesim.reasons import TRUST_REASONS
from tests.pki.trust_world import NOW, Hierarchy, failed, key, leaf, root, under

HIERARCHY = Hierarchy()


def counted(monkeypatch: pytest.MonkeyPatch) -> list[Budget]:
    """Every budget that a decision opens from now on, to be looked at afterwards."""
    made: list[Budget] = []

    def make() -> Budget:
        made.append(Budget())
        return made[-1]

    monkeypatch.setattr("ikesim.pki.opening.Budget", make)
    return made


def test_constraints_times_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """CVE-2026-35331's kind: 32 KiB of subtrees above 32 KiB of names would be 7 million comparisons."""
    subtrees = tuple(f"fqdn:a{number:x}.net" for number in range(2500))
    names = ("fqdn:bob.example", *(f"fqdn:b{number:x}.org" for number in range(2500)))
    hierarchy = Hierarchy(sub_knobs={"excluded": subtrees}, leaf_knobs={"sans": names})
    budgets = counted(monkeypatch)
    clear_caches()
    decision = hierarchy.decide()
    assert decision.reason == "cert-path-budget"
    assert "name comparisons" in decision.summary
    assert all(budget.names > -limits.NAMES for budget in budgets)


def test_as_many_constraints_as_a_real_ca_has_are_borne() -> None:
    subtrees = tuple(f"fqdn:a{number:x}.net" for number in range(500))
    names = ("fqdn:bob.example", *(f"fqdn:b{number:x}.org" for number in range(50)))
    assert Hierarchy(sub_knobs={"excluded": subtrees}, leaf_knobs={"sans": names}).decide().accepted


def tower(levels: int, policies: int) -> tuple[list[bytes], bytes]:
    """CAs that map every policy to every other, level on level: the tree would have policies**levels leaves."""
    names = tuple(f"1.3.6.1.4.1.99999.{number}" for number in range(policies))
    pairs = tuple((one, other) for one in names for other in names)
    issuer = top = root()
    chain: list[bytes] = []
    for number in range(levels):
        issuer = under(issuer, f"level {number}", policies=names, policy_mappings=pairs)
        chain.insert(0, issuer.certificate)
    return [leaf(issuer, policies=names).certificate, *chain], top.certificate


def test_policy_mappings_that_would_double_at_every_level() -> None:
    """CVE-2023-0464's kind. Small ones are computed exactly, large ones end by the budget."""
    sent, anchor = tower(levels=5, policies=6)
    decision = HIERARCHY.decide(certificates=sent, anchors=[anchor], explicit_policy=True)
    assert decision.accepted and len(decision.policies) == 6
    sent, anchor = tower(levels=5, policies=40)
    decision = HIERARCHY.decide(certificates=sent, anchors=[anchor], explicit_policy=True)
    assert decision.reason == "cert-path-budget" and "policy" in decision.summary


def test_cas_that_all_signed_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """40 certificates of one name, under 40 keys, each a possible issuer of each: 40 factorial paths."""
    names = [root("same", private_key=key(f"same {number}")) for number in range(40)]
    crossed = [one.cross_sign(other, NOW) for one, other in itertools.pairwise(names)]
    end = leaf(names[-1]).certificate
    budgets = counted(monkeypatch)
    clear_caches()
    decision = HIERARCHY.decide(certificates=[end, *crossed])
    assert decision.reason == "cert-path-budget"
    assert failed(decision).rule == "RFC 5280 6 (local limit)"
    assert all(budget.signatures >= -1 and budget.steps >= -1 for budget in budgets)
    warm = HIERARCHY.decide(certificates=[end, *crossed])
    assert warm.to_json() == decision.to_json()


def test_the_same_key_under_many_names_cannot_multiply_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """One key, one name, 40 certificates: one signature verifies under each, so that only links are many."""
    names = [root("same", private_key=key("same"), serial=number + 1) for number in range(40)]
    end = leaf(names[-1]).certificate
    budgets = counted(monkeypatch)
    decision = HIERARCHY.decide(certificates=[end, *(item.certificate for item in names)])
    assert decision.reason == "cert-path-budget"
    assert len(decision.paths) <= limits.PATHS + 1
    assert all(budget.steps >= -1 for budget in budgets)


def test_a_good_path_is_found_among_many_bad_ones() -> None:
    fakes = [root("root", private_key=key(f"fake {number}")).certificate for number in range(40)]
    top = root("root", private_key=key("real"))
    end = leaf(top).certificate
    for seed in range(3):
        random.Random(seed).shuffle(fakes)
        assert HIERARCHY.decide(certificates=[end, *fakes], anchors=[top.certificate]).accepted


def test_a_chain_deeper_than_allowed_ends_at_the_depth_limit() -> None:
    issuer = root()
    anchor, chain = issuer.certificate, []
    for number in range(20):
        issuer = under(issuer, f"level {number}")
        chain.append(issuer.certificate)
    decision = HIERARCHY.decide(certificates=[leaf(issuer).certificate, *chain], anchors=[anchor])
    assert decision.reason == "cert-path-length"
    assert failed(decision).evidence["max_depth"] == 7


@pytest.mark.parametrize(
    "octets",
    [
        tlv(0x30, b"\x30" * 4000),
        tlv(0x30, tlv(0x30, tlv(0x30, b"\x30\x00" * 20000))),
        b"\x30\x84\xff\xff\xff\xff" + bytes(100),
        b"\x30\x88" + b"\xff" * 8 + bytes(100),
        b"\x30\x80" + bytes(100),
        b"\x3f\xff\xff\xff\x7f\x00",
        bytes(65536),
    ],
    ids=["deep", "wide", "huge length", "longest length", "indefinite", "long tag", "oversize"],
)
def test_octets_that_are_no_certificate(octets: bytes) -> None:
    with pytest.raises(CertificateError):
        parse(octets)
    assert HIERARCHY.decide(certificates=[octets]).reason == "cert-malformed"


def nested(depth: int) -> bytes:
    found = b""
    for _ in range(depth):
        found = sequence(found)
    return found


BROKEN_EXTENSIONS = {
    "subjectAltName empty": ("2.5.29.17", sequence()),
    "subjectAltName nested": ("2.5.29.17", nested(60)),
    "basicConstraints negative": ("2.5.29.19", sequence(boolean(True), integer(-1))),
    "nameConstraints empty": ("2.5.29.30", sequence()),
    "nameConstraints with a minimum": (
        "2.5.29.30",
        sequence(tlv(0xA0, sequence(implicit(2, b"example"), implicit(0, b"\x01")))),
    ),
    "policies twice the same": ("2.5.29.32", sequence(sequence(oid("1.2.3")), sequence(oid("1.2.3")))),
    "policyConstraints negative": ("2.5.29.36", sequence(implicit(0, b"\xff"))),
    "inhibitAnyPolicy negative": ("2.5.29.54", integer(-1)),
    "inhibitAnyPolicy empty": ("2.5.29.54", b""),
    "policyMappings of one": ("2.5.29.33", sequence(sequence(oid("1.2.3")))),
    "extKeyUsage empty": ("2.5.29.37", sequence()),
    "authorityKeyIdentifier of the wrong type": ("2.5.29.35", octet_string(b"x")),
    "subjectKeyIdentifier with something after it": ("2.5.29.14", octet_string(b"x") + b"\x00"),
    "an OID without an end": ("2.5.29.37", sequence(tlv(0x06, b"\x80\x80"))),
}


@pytest.mark.parametrize("fault", BROKEN_EXTENSIONS)
def test_extension_that_cannot_be_read(fault: str) -> None:
    number, value = BROKEN_EXTENSIONS[fault]
    knobs: dict[str, Any] = {"without": (number,), "extra": (Extension(number, False, value),)}
    decision = Hierarchy(leaf_knobs=knobs).decide()
    assert decision.reason == "cert-malformed", decision.summary
    assert failed(decision).rule.startswith("RFC 5280 4.2.1.")
    assert Hierarchy(sub_knobs=knobs).decide().reason == "cert-malformed"


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_changed_octets_end_in_a_decision(data: st.DataObject) -> None:
    """Any octets of the chain replaced, cut or repeated: a decision with a trust reason, never an exception."""
    sent = [bytearray(item) for item in HIERARCHY.sent]
    for _ in range(data.draw(st.integers(1, 4))):
        victim = sent[data.draw(st.integers(0, 1))]
        place = data.draw(st.integers(0, max(0, len(victim) - 1)))
        match data.draw(st.sampled_from(("set", "cut", "repeat", "grow"))):
            case "set" if victim:
                victim[place] = data.draw(st.integers(0, 255))
            case "cut":
                del victim[place:]
            case "repeat":
                victim[place:place] = victim[place : place + 16]
            case _:
                victim += data.draw(st.binary(max_size=8))
    decision = HIERARCHY.decide(certificates=[bytes(item) for item in sent])
    assert decision.accepted or decision.reason in TRUST_REASONS
    decision.to_json()


ALGORITHMS = ["1.2.840.113549.1.1.1", "1.2.840.10045.2.1", "1.3.101.112", "1.3.101.113", "1.2.840.10040.4.1"]


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(ALGORITHMS), st.sampled_from((b"", null(), oid("1.2.840.10045.3.1.7"))), st.binary(max_size=200)
)
def test_any_octets_as_public_key(algorithm: str, parameters: bytes, octets: bytes) -> None:
    """Octets in the place of the key, in a certificate that is otherwise signed and sound."""
    info = sequence(sequence(oid(algorithm), parameters), bit_string(octets))
    decision = Hierarchy(leaf_knobs={"public_key_info": info}).decide()
    assert decision.reason == "key-invalid" or len(octets) in (32, 57)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=4), st.lists(st.binary(max_size=200), max_size=4))
def test_any_octets_as_evidence(crls: list[bytes], ocsp: list[bytes]) -> None:
    decision = HIERARCHY.decide(revocation="strict", evidence=Evidence(intermediates=crls, crls=crls, ocsp=ocsp))
    assert not decision.accepted and decision.reason in TRUST_REASONS


def test_panics_of_the_library_are_contained(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyo3 raises PanicException, which derives from BaseException and has no name that could be imported."""

    class PanicException(BaseException):
        pass

    def panic(octets: bytes) -> None:
        raise PanicException("internal error: entered unreachable code")

    clear_caches()
    monkeypatch.setattr("ikesim.pki.publickeys.load_der_public_key", panic)
    assert Hierarchy().decide().reason == "key-invalid"
    clear_caches()
    monkeypatch.setattr("ikesim.pki.publickeys.load_der_public_key", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Hierarchy().decide()
    clear_caches()


def interrupted(octets: bytes) -> None:
    raise KeyboardInterrupt


def test_names_that_would_deceive_are_shown_escaped() -> None:
    hierarchy = Hierarchy(
        leaf_knobs={
            "subject": "CN=bob\u202egnp.exe\x1b[2J",
            "sans": ("fqdn:bob.example", b"\x82\x0bbob\x00.evil\r\n"),
        }
    )
    decision = hierarchy.decide()
    assert decision.accepted and decision.certificate is not None
    shown = decision.certificate.subject + "".join(decision.certificate.san) + decision.summary
    assert shown.isprintable()
    assert "\\u{202e}" in decision.certificate.subject and "\\u{0}" in decision.certificate.san[1]


def test_thousands_of_names_make_neither_long_sentences_nor_long_work() -> None:
    names = tuple(b"\x82\x0bxn\xfc%06d.a" % number for number in range(4500))
    decision = Hierarchy(leaf_knobs={"sans": names}).decide(identity="fqdn:xn--foo.example")
    assert decision.reason == "id-mismatch" and len(decision.summary) < 1000
    shown = failed(decision).evidence["proves"]
    assert isinstance(shown, tuple) and shown[-1] == "and 4437 more"


def test_explicit_version_and_unknown_fields_are_read_tolerantly() -> None:
    """Unique identifiers (RFC 5280 4.1.2.8) are ignored, an unknown field is refused."""
    parsed = parse(HIERARCHY.leaf.certificate)
    assert parsed.version == 3
    with pytest.raises(CertificateError, match="three"):
        parse(sequence(explicit(0, integer(2))))


def test_decide_takes_no_evidence() -> None:
    from ikesim.pki import TrustPolicy, TrustRequest

    request = TrustRequest(certificates=(), policy=TrustPolicy(anchors=()), at=NOW)
    assert decide(request).reason == "cert-not-sent"
