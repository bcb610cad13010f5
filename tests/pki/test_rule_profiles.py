"""What each rule profile decides about the peers of `tests/interop/profile_cases.py`.

That strongSwan and OpenIKED decide so too is shown by `tests/interop/test_profiles.py`.
"""

from dataclasses import fields, replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from ikesim.errors import UsageError
from ikesim.pki import RuleProfile
from ikesim.pki.request import PROFILES
from tests.documents import holds, table
from tests.interop.profile_cases import CASES, ProfileCase, Stage


@pytest.fixture(scope="module")
def stage() -> Stage:
    key = ec.generate_private_key(ec.SECP256R1())
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    return Stage.of(request.public_bytes(Encoding.DER))


def _reason(case: ProfileCase, stage: Stage, profile: RuleProfile) -> str | None:
    reason = stage.decide(case, profile, crls=profile.name != "openiked" or case.held_crls).reason
    return None if reason is None else reason.value


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_profile_decides(case: ProfileCase, name: str, stage: Stage) -> None:
    assert _reason(case, stage, PROFILES[name]) == getattr(case, name)


TURNED = {
    "eku": ("code-signing", "ignore"),
    "key_usage": ("no-signature-usage", "ignore"),
    "end_ca": ("end-is-ca", "refuse"),
    "issuer_usage": ("issuer-no-cert-sign", "ignore"),
    "policy_constraints": ("explicit-policy", "ignore"),
    "wildcard_san": ("wildcard", "expand"),
    "revocation": ("stale", "relaxed"),
    "revocation_levels": ("sub-ca-revoked", "end"),
}
"""Field -> a case whose verdict it turns, and the value that does it."""


@pytest.mark.parametrize("rule", TURNED)
def test_one_field_turns_one_verdict(rule: str, stage: Stage) -> None:
    name, value = TURNED[rule]
    case = next(item for item in CASES if item.name == name)
    # what a missing CRL says would cover what the field turns
    rfc = RuleProfile.RFC if rule.startswith("revocation") else replace(RuleProfile.RFC, revocation="relaxed")
    before = stage.decide(case, rfc)
    after = stage.decide(case, replace(rfc, **{rule: value}))
    assert before.accepted is not after.accepted
    other = next(item for item in CASES if item.name == "good-by-crl")
    assert stage.decide(other, replace(rfc, **{rule: value})).accepted


def test_every_field_is_tested() -> None:
    # whether an anchor may be partial is a matter of its CA profile too: tests/pki/test_trust.py
    assert {field.name for field in fields(RuleProfile)} == {"name", "partial_chain", *TURNED}


@pytest.mark.parametrize("rule", [*TURNED, "partial_chain"])
def test_a_rule_that_does_not_exist_is_refused(rule: str) -> None:
    with pytest.raises(UsageError, match=f"rule {rule} of a profile is one of .*, not 'maybe'"):
        replace(RuleProfile.RFC, **{rule: "maybe"})


def test_the_document_has_the_fields_of_every_profile() -> None:
    names = [field.name for field in fields(RuleProfile) if field.name != "name"]
    rows = [(name, *(f"`{getattr(profile, name)}`" for profile in PROFILES.values())) for name in names]
    holds("rule-profiles.md", "fields", table(("field", *PROFILES), *rows))


def test_the_document_has_every_case() -> None:
    def confirmed(case: ProfileCase, daemon: str) -> str:
        return f"no: {case.differs[daemon]}" if daemon in case.differs else "yes"

    rows = [
        (
            case.name,
            case.row,
            *(getattr(case, name) or "accepted" for name in PROFILES),
            confirmed(case, "charon"),
            confirmed(case, "iked"),
        )
        for case in CASES
    ]
    head = ("peer", "row", *PROFILES, "strongSwan 5.9.8 does so", "OpenIKED 7.2 does so")
    holds("rule-profiles.md", "cases", table(head, *rows))
