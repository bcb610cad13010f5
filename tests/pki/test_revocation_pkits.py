"""The rows of PKITS that are about CRLs (4.4, 4.5, 4.14, 4.15), each with the exact reason, in any order of CRLs.

The suite's document says revoked or not; which code an undetermined status ends in follows from what each test's
description makes wrong with the CRL.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ikesim.pki.budget import Budget
from ikesim.pki.certificates import Certificate, parse
from ikesim.pki.crl import CRL_CACHE
from ikesim.pki.revocation import RevocationContext, SignerVerdict, check_revocation
from ikesim.pki.verification import verify
from ikesim.reasons import Reason
from tests.pki.revocation_world import CRL

REVOKED, SCOPE = Reason.CERT_REVOKED, Reason.CRL_SCOPE
REFUSED = {
    "4.4.1": Reason.CRL_MISSING,
    "4.4.2": REVOKED,
    "4.4.3": REVOKED,
    "4.4.4": Reason.CRL_BAD_SIGNATURE,
    "4.4.5": Reason.CRL_BAD_ISSUER,
    "4.4.6": Reason.CRL_MISSING,
    "4.4.8": Reason.CRL_CRITICAL_EXT,
    "4.4.9": Reason.CRL_CRITICAL_EXT,
    "4.4.10": Reason.CRL_CRITICAL_EXT,
    "4.4.11": Reason.CRL_STALE,
    "4.4.12": Reason.CRL_STALE,
    "4.4.15": REVOKED,
    "4.4.18": REVOKED,
    "4.4.20": REVOKED,
    "4.4.21": Reason.CRL_SIGNER_USAGE,
    "4.5.2": REVOKED,
    "4.5.5": REVOKED,
    "4.5.7": REVOKED,
    "4.14.2": REVOKED,
    "4.14.3": SCOPE,
    "4.14.6": REVOKED,
    "4.14.8": SCOPE,
    "4.14.9": SCOPE,
    "4.14.11": SCOPE,
    "4.14.12": SCOPE,
    "4.14.14": SCOPE,
    "4.14.15": REVOKED,
    "4.14.16": Reason.CERT_ON_HOLD,
    "4.14.17": SCOPE,
    "4.14.20": REVOKED,
    "4.14.21": REVOKED,
    "4.14.23": REVOKED,
    "4.14.26": Reason.CRL_MISSING,
    "4.14.27": SCOPE,
    "4.14.31": REVOKED,
    "4.14.32": REVOKED,
    "4.14.34": REVOKED,
    "4.14.35": SCOPE,
    "4.15.1": Reason.CRL_DELTA_BASE,
    "4.15.3": REVOKED,
    "4.15.4": REVOKED,
    "4.15.6": REVOKED,
    "4.15.9": REVOKED,
    "4.15.10": Reason.CRL_STALE,
}
NOT_ABOUT_CRLS = {"4.5.8"}
"""Refused because an issuer is no CA: path validation's own row."""
GROUPS = ("4.4.", "4.5.", "4.14.", "4.15.")


@cache
def _document(folder: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads((folder / "expectations.json").read_text())
    return document


def _reason(folder: Path, test: Mapping[str, Any], *, backwards: bool) -> Reason | None:
    """The first reason along the row's path, from below the anchor to its end."""
    path = [parse((folder / "certs" / name).read_bytes()) for name in test["path"]]
    pool = [*path, *(parse((folder / "certs" / name).read_bytes()) for name in test["other_certs"])]
    crls = [(folder / "crls" / name).read_bytes() for name in test["crls"]]

    def chain(certificate: Certificate, seen: tuple[Certificate, ...] = ()) -> list[Certificate] | None:
        if certificate == path[0]:
            return [certificate]
        for issuer in pool:
            known = issuer in (*seen, certificate) or issuer.subject != certificate.issuer
            if not known and verify(issuer.public_key, certificate.algorithm, certificate.tbs, certificate.signature):
                above = chain(issuer, (*seen, certificate))
                if above is not None:
                    return [certificate, *above]
        return None

    def along(certificates: list[Certificate], context: RevocationContext) -> Reason | None:
        for certificate, issuer in zip(certificates[-2::-1], certificates[:0:-1], strict=True):
            reason = check_revocation(certificate, issuer, CRL, context).reason
            if reason is not None:
                return reason
        return None

    def validate(signer: Certificate, context: RevocationContext) -> SignerVerdict:
        found = chain(signer)
        return SignerVerdict(Reason.CERT_NO_ISSUER if found is None else along(found, context))

    at = datetime.fromisoformat(_document(folder)["validation_time"].replace("Z", "+00:00"))
    order = slice(None, None, -1 if backwards else 1)
    context = RevocationContext(at, validate, Budget(), crls=crls[order], signers=pool[order])
    return along(path[::-1], context)


@pytest.mark.parametrize("backwards", [False, True], ids=["as listed", "reversed"])
def test_crl_rows(shared_vectors: Path, backwards: bool) -> None:
    folder = shared_vectors / "pkits"
    rows = [test for test in _document(folder)["tests"] if test["id"].startswith(GROUPS)]
    assert len(rows) == 74
    found = {}
    CRL_CACHE.clear()
    for _ in ("cold", "warm"):
        for test in rows:
            if test["id"] not in NOT_ABOUT_CRLS:
                found[test["id"]] = _reason(folder, test, backwards=backwards)
        assert {row: reason for row, reason in found.items() if reason is not None} == REFUSED
    invalid = {test["id"] for test in rows if not test["valid"]} - NOT_ABOUT_CRLS
    assert invalid == REFUSED.keys(), "what is refused is what the document calls invalid"
    assert sum(reason is None for reason in found.values()) == sum(test["valid"] for test in rows)


def test_the_suites_own_category_is_met(shared_vectors: Path) -> None:
    for test in _document(shared_vectors / "pkits")["tests"]:
        reason = REFUSED.get(test["id"])
        if reason is not None:
            revoked = reason in (Reason.CERT_REVOKED, Reason.CERT_ON_HOLD)
            category = "revoked" if revoked else "status-unknown"
            assert category in (test["reason"], *test["also_acceptable_reasons"])
