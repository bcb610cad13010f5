"""The schema of decisions says what decisions are: every decision that the other tests of trust make fits it."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from ikesim.configuration.decisions import Decision, decision_schema
from ikesim.ike.events import SaRefused
from ikesim.pki.decision import RevocationOutcome
from ikesim.pki.request import PROFILES
from ikesim.reasons import Reason
from ikesim.testing import Pair, SimPki
from tests.documents import is_whole
from tests.interop.profile_cases import CASES, Stage
from tests.pki.test_rule_profiles import stage as _stage

stage = _stage


def fits(document: dict[str, Any]) -> None:
    assert json.loads(Decision.model_validate_json(json.dumps(document)).model_dump_json()) == document


@pytest.mark.parametrize("name", PROFILES)
def test_decisions_about_files_fit(stage: Stage, name: str) -> None:
    documents = [stage.decide(case, PROFILES[name]).to_json() for case in CASES]
    assert {document["accepted"] for document in documents} == {True, False}
    for document in documents:
        fits(document)


def test_decisions_of_a_handshake_fit(ike_pki: SimPki) -> None:
    pair = Pair.of(ike_pki)
    event = pair.up()
    assert event.decision is not None
    document = event.decision.to_json()
    assert document["attempts"] and document["certificate"] and document["revocation"]
    fits(document)


def test_a_decision_without_certificates_fits(ike_pki: SimPki) -> None:
    pair = Pair.of(ike_pki, alice={"send_certificate": "never"})
    pair.up()
    (event,) = pair.bob.of(SaRefused)
    assert event.decision is not None
    document = event.decision.to_json()
    assert (document["reason"], document["certificate"]) == ("cert-not-sent", None)
    fits(document)


@pytest.mark.parametrize(
    "changed",
    [{"reason": "no-such-reason"}, {"accepted": "yes"}, {"verdict": True}, {"revocation": {"outcome": "fine"}}],
)
def test_what_is_no_decision_does_not_fit(stage: Stage, changed: dict[str, Any]) -> None:
    document = stage.decide(CASES[0], PROFILES["rfc"]).to_json()
    with pytest.raises(ValidationError):
        fits({**document, **changed})
    del document["wanted"]
    with pytest.raises(ValidationError):
        fits(document)


def test_the_document_is_the_schema() -> None:
    schema = decision_schema()
    assert set(schema["required"]) == set(Decision.model_fields)
    assert schema["additionalProperties"] is False
    outcomes = schema["$defs"]["Revocation"]["properties"]["outcome"]["enum"]
    assert outcomes == [outcome.text for outcome in RevocationOutcome]
    assert schema["$defs"]["Reason"]["enum"] == [reason.value for reason in Reason]
    is_whole("decision.schema.json", json.dumps(schema, indent=2) + "\n")
