"""A decision on a terminal: within its width, without colour, the cause last."""

import json
from typing import Any

import pytest

from ikesim.cli.render import render_decision
from ikesim.pki import Evidence
from ikesim.reasons import TRUST_REASONS
from tests.pki.trust_world import DAY, NOW, Hierarchy, leaf, root

LONG = "C=CH, O=An organisation with a rather long name, OU=" + "x" * 60 + ", CN=bob"


def revoked() -> tuple[Hierarchy, dict[str, Any]]:
    hierarchy = Hierarchy(leaf_knobs={"subject": LONG})
    hierarchy.sub.revoke(hierarchy.leaf.certificate, "key-compromise", at=NOW - 2 * DAY)
    return hierarchy, {"revocation": "strict", "evidence": Evidence(crls=hierarchy.crls())}


@pytest.mark.parametrize("width", [40, 72, 100])
@pytest.mark.parametrize("verbose", [False, True])
def test_fits_its_width_and_has_no_colour(width: int, verbose: bool) -> None:
    hierarchy, policy = revoked()
    text = render_decision(hierarchy.decide(**policy), width, verbose=verbose)
    assert max(map(len, text.splitlines())) <= width
    assert "\x1b" not in text


def test_the_cause_stands_last_with_its_evidence_and_what_would_help() -> None:
    hierarchy, policy = revoked()
    lines = render_decision(hierarchy.decide(**policy)).splitlines()
    cause = next(number for number, line in enumerate(lines) if "FAIL" in line)
    assert not any("pass CN=" in line for line in lines[cause:])
    rest = "\n".join(lines[cause:])
    assert "keyCompromise" in rest and "2026-02-27T12:00:00Z" in rest
    assert lines[-1].startswith("to pass") and "new certificate" in lines[-1]
    assert lines[0].startswith("Refused (cert-revoked)")


def test_the_first_cause_stands_below_the_later_ones() -> None:
    hierarchy = Hierarchy(leaf_knobs={"not_after": NOW - DAY})
    text = render_decision(hierarchy.decide(identity="fqdn:alice.example"))
    assert text.index("RFC 4945 3.1.2") < text.index("FAIL CN=bob: RFC 5280 6.1.3 (a)(2)")


def test_the_path_that_decided_stands_last() -> None:
    expired = root("north", not_after=NOW - DAY)
    fake = root("north", subject="CN=north", private_key=None)
    end = leaf(expired).certificate
    decision = Hierarchy().decide(certificates=[end, fake.certificate], anchors=[expired.certificate])
    text = render_decision(decision)
    assert text.index("refused: cert-bad-signature") < text.index("refused: cert-expired")
    assert "path 2 of 2" in text


def test_the_json_form_is_shown_the_same() -> None:
    hierarchy, policy = revoked()
    decision = hierarchy.decide(**policy)
    assert render_decision(json.loads(json.dumps(decision.to_json()))) == render_decision(decision)


def test_verbose_shows_what_every_check_compared() -> None:
    decision = Hierarchy().decide()
    assert "max path length" not in render_decision(decision)
    assert "max path length" in render_decision(decision, verbose=True)
    assert "Accepted" in render_decision(decision)


def test_every_refusal_says_what_would_help() -> None:
    document = Hierarchy(leaf_knobs={"tamper": True}).decide().to_json()
    silent = []
    for reason in TRUST_REASONS:
        text = render_decision({**document, "reason": reason.value})
        if "to pass" not in text:
            silent.append(reason.value)
    assert silent == []
