"""NIST PKITS: all 249 rows, through `decide` like any peer, inputs in any order, with cold and warm caches."""

import json
import random
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from ikesim.pki import Evidence, TrustDecision, TrustPolicy, TrustRequest, clear_caches, decide
from tests.conftest import VECTORS

CATEGORIES = {
    "signature-invalid": {"cert-bad-signature"},
    "not-yet-valid": {"cert-not-yet-valid"},
    "expired": {"cert-expired"},
    "name-chaining": {"cert-no-issuer"},
    "revoked": {"cert-revoked", "cert-on-hold"},
    "not-a-ca": {"cert-not-ca"},
    "path-length": {"cert-path-length"},
    "key-usage": {"cert-not-ca", "crl-signer-usage"},
    "policy": {"cert-policy"},
    "policy-mapping-any": {"cert-policy"},
    "name-constraints": {"cert-name-constraint"},
    "unknown-critical-extension": {"cert-critical-ext"},
}
"""The reasons that say what a category of the suite says; "status-unknown" is any `crl-*`."""

DSA = {"4.1.4": "cert-signature-weak", "4.1.5": "cert-signature-weak"}
"""Valid rows that are signed with DSA and SHA-1, which no policy of IKE peers allows."""

ROWS = 249


@lru_cache
def suite() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((VECTORS / "pkits" / "expectations.json").read_text())
    return found


@lru_cache
def read(folder: str, name: str) -> bytes:
    return (VECTORS / "pkits" / folder / name).read_bytes()


def identifiers() -> list[str]:
    """The rows' ids; where the suite is not there, one that the fixture skips with a sentence."""
    return [row["id"] for row in suite()["tests"]] if VECTORS.is_dir() else ["absent"]


def judge(row: dict[str, Any], seed: int) -> TrustDecision:
    settings = row["settings"]
    order = random.Random(seed)
    others = [read("certs", name) for name in row["path"][1:-1] + row["other_certs"]]
    crls = [read("crls", name) for name in row["crls"]]
    order.shuffle(others)
    order.shuffle(crls)
    held = [certificate for certificate in others if order.random() < 0.3]
    sent = [certificate for certificate in others if certificate not in held]
    return decide(
        TrustRequest(
            certificates=[read("certs", row["target"]), *sent],
            policy=TrustPolicy(
                anchors=[read("certs", row["path"][0])],
                policies=settings["initial_policy_set"],
                explicit_policy=settings["initial_explicit_policy"],
                inhibit_any_policy=settings["initial_inhibit_any_policy"],
                inhibit_policy_mapping=settings["initial_policy_mapping_inhibit"],
            ),
            at=datetime.fromisoformat(suite()["validation_time"]),
        ),
        Evidence(intermediates=held, crls=crls),
    )


@pytest.mark.parametrize("identifier", identifiers())
def test_row(identifier: str, shared_vectors: Path) -> None:
    row = next(row for row in suite()["tests"] if row["id"] == identifier)
    clear_caches()
    cold = judge(row, seed=1)
    warm = judge(row, seed=1)
    assert warm.to_json() == cold.to_json()
    shuffled = judge(row, seed=2)
    assert (shuffled.accepted, shuffled.reason, shuffled.policies) == (cold.accepted, cold.reason, cold.policies)
    if identifier in DSA:
        assert row["valid"] and "dsa" in row["needs"]
        assert cold.reason == DSA[identifier], cold.summary
        return
    assert cold.accepted == row["valid"], cold.summary
    if row["valid"]:
        wanted = row["user_constrained_policy_set"]
        assert wanted is None or cold.policies == frozenset(wanted)
        return
    categories = {category for category in (row["reason"], *row["also_acceptable_reasons"]) if category}
    accepted = set().union(*(CATEGORIES.get(category, set()) for category in categories))
    assert cold.reason is not None
    fits = cold.reason.value in accepted or ("status-unknown" in categories and cold.reason.value.startswith("crl-"))
    assert fits, f"{cold.reason} is none of {sorted(categories)}: {cold.summary}"


def test_the_whole_suite_ran(shared_vectors: Path) -> None:
    assert len(identifiers()) == len(set(identifiers())) == ROWS
    assert sum(row["valid"] for row in suite()["tests"]) == 114


def test_authorities_constrained_set_where_the_document_names_one(shared_vectors: Path) -> None:
    """With any-policy as the user's set, both sets are the same (RFC 5280 6.1.5 (g))."""
    compared = 0
    for row in suite()["tests"]:
        any_policy = row["settings"]["initial_policy_set"] == ["2.5.29.32.0"]
        wanted = row["authorities_constrained_policy_set"]
        if row["valid"] and any_policy and wanted is not None and row["id"] not in DSA:
            assert judge(row, seed=3).policies == frozenset(wanted), row["id"]
            compared += 1
    assert compared > 10
