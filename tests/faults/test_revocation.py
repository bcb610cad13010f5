"""DC17-DC19: certificates and AUTH are right, what is published about them is not.

Through a whole IKE_AUTH, once with the faulty side as initiator and once as responder.
"""

from typing import Any

import pytest

from ikesim.faults import SceneFault
from ikesim.faults.revocation import (
    BadCrl,
    CrlNumberBackwards,
    CrlServer,
    CrlUrl,
    DeltaCrl,
    IndirectCrl,
    LargeCrl,
    OcspResponder,
    OcspUrls,
    RevokedCertificate,
)
from ikesim.testing import SimPki
from tests.faults.stage import ACCEPTED, Case, Expected, check, play

VERDICT = "RFC 5280 6.3.3"
"""The rule of the check that sums up a certificate's revocation."""
FETCH, LIMIT = "RFC 5280 6.3", "local limit"
OCSP_SAYS, OCSP_USE = "RFC 6960 3.2, 4.2.1, 4.4.1", "RFC 6960 3.2"
CRL, OCSP = "CRL 2 of {issuing}", "OCSP response of {issuing}"


def revoked(row: str, fault: SceneFault, reason: str = "cert-revoked", subject: str = "{liar}", **judge: Any) -> Case:
    return Case(row, fault, Expected(reason, subject, VERDICT), judge)


def bad(row: str, fault: SceneFault, reason: str, subject: str, rule: str, **judge: Any) -> Case:
    return Case(row, fault, Expected(reason, subject, rule), judge)


def good(row: str, fault: SceneFault, **judge: Any) -> Case:
    return Case(row, fault, ACCEPTED, judge)


def policy(name: str, **more: Any) -> dict[str, Any]:
    return {"policy": name, **more}


BAD_CRLS = {
    # form: reason, what the failing check is about, rule
    "expired": ("crl-stale", CRL, "RFC 5280 6.3.3 (a)"),
    "future": ("crl-not-yet-valid", CRL, "RFC 5280 5.1.2.4"),
    "other-issuer": ("crl-bad-issuer", "CRL 2 of {root}", "RFC 5280 6.3.3 (b)"),
    "no-crlsign": ("crl-signer-usage", CRL, "RFC 5280 6.3.3 (f)"),
    "no-next-update": ("crl-malformed", CRL, "RFC 5280 5"),
    "tampered": ("crl-bad-signature", CRL, "RFC 5280 6.3.3 (g)"),
    "other-key": ("crl-bad-signature", CRL, "RFC 5280 6.3.3 (g)"),
    "sha1": ("crl-bad-signature", CRL, "RFC 5280 6.3.3 (g)"),
    "contradicting": ("crl-malformed", "CRL", "RFC 5280 5"),
    "delta-only": ("crl-delta-base", "delta CRL 11 of {issuing}", "RFC 5280 6.3.3 (c)"),
    "reasons": ("crl-scope", "CRLs", "RFC 5280 6.3.3 (b)(2)"),
    "only-ca": ("crl-scope", CRL, "RFC 5280 6.3.3 (b)(2)"),
    "other-point": ("crl-scope", CRL, "RFC 5280 6.3.3 (b)(2)"),
    "critical": ("crl-critical-ext", CRL, "RFC 5280 5.2"),
    "entry-critical": ("crl-critical-ext", CRL, "RFC 5280 5.2"),
    "garbage": ("crl-malformed", "CRL", "RFC 5280 5"),
    "pem": ("crl-malformed", "CRL", "RFC 5280 5"),
}
SERVERS = {
    **dict.fromkeys(("404", "500", "reset", "slow", "redirects"), ("crl-fetch-failed", "CRL", FETCH)),
    **dict.fromkeys(("gzip", "html", "pem", "empty"), ("crl-malformed", "CRL", "RFC 5280 5")),
    "oversize": ("crl-fetch-refused", "CRL", LIMIT),
}
RESPONDERS = {
    "unknown": ("ocsp-unknown", OCSP, OCSP_SAYS),
    "no-eku": ("ocsp-signer-not-authorized", "OCSP response of CN={side}-issuing OCSP", "RFC 6960 4.2.2.2"),
    "other-ca": ("ocsp-signer-not-authorized", "OCSP response of CN={side} OCSP", "RFC 6960 4.2.2.2"),
    "self-signed": ("ocsp-signer-not-authorized", "OCSP response of CN=responder OCSP", "RFC 6960 4.2.2.2"),
    "signer-expired": ("ocsp-signer-expired", "OCSP response of CN={side}-issuing OCSP", "RFC 6960 4.2.2.2"),
    "no-nonce": ("ocsp-nonce", OCSP, OCSP_SAYS),
    "other-nonce": ("ocsp-nonce", OCSP, OCSP_SAYS),
    "replayed": ("ocsp-nonce", OCSP, OCSP_SAYS),
    "other-serial": ("ocsp-serial-mismatch", OCSP, OCSP_SAYS),
    "try-later": ("ocsp-error-status", "OCSP response", OCSP_SAYS),
    "unauthorized": ("ocsp-error-status", "OCSP response", OCSP_SAYS),
    "tampered": ("ocsp-bad-signature", OCSP, OCSP_USE),
    "other-key": ("ocsp-bad-signature", OCSP, OCSP_USE),
    "critical": ("ocsp-malformed", OCSP, "RFC 6960 4.2"),
    "future": ("ocsp-not-yet-valid", OCSP, OCSP_USE),
    "stale": ("ocsp-stale", OCSP, OCSP_USE),
    "html": ("ocsp-malformed", "OCSP response", "RFC 6960 4.2"),
    **dict.fromkeys(("404", "dead", "slow"), ("ocsp-fetch-failed", "OCSP response", "RFC 6960 2.1")),
}
FAILED_RESPONDERS = [form for form in RESPONDERS if form not in ("unknown", "stale")]

CASES = [
    *(
        revoked("DC17", RevokedCertificate(level=level, reason=why, held=held), reason, subject, revocation=setting)
        for level, subject in (("leaf", "{liar}"), ("intermediate", "{issuing}"))
        for why, reason in (("key-compromise", "cert-revoked"), ("certificate-hold", "cert-on-hold"))
        for held in (True, False)
        for setting in (policy("strict"), policy("relaxed"))
    ),
    *(bad("DC17", BadCrl(form=form, held=held), *how) for form, how in BAD_CRLS.items() for held in (True, False)),
    # a policy is a ceiling: relaxed accepts what failed, if-uri only what was never published
    *(good("DC17", BadCrl(form=form), revocation=policy("relaxed")) for form in BAD_CRLS),
    *(
        bad("DC17", BadCrl(form=form), *BAD_CRLS[form], revocation=policy("if-uri"))
        for form in ("expired", "tampered", "garbage")
    ),
    # RFC 5280 6.3.3: a verified CRL that lists the certificate has said so, however old or narrow it is
    *(
        revoked("DC17", BadCrl(form=form, revokes=True), revocation=policy(name))
        for form in ("expired", "future", "reasons")
        for name in ("strict", "relaxed")
    ),
    # but nothing that is not verified is believed
    *(
        good("DC17", BadCrl(form=form, revokes=True), revocation=policy("relaxed"))
        for form in ("tampered", "other-key", "critical", "only-ca")
    ),
    revoked("DC17", DeltaCrl(form="revokes")),
    good("DC17", DeltaCrl(form="removes")),
    revoked("DC17", DeltaCrl(form="mismatch")),
    good("DC17", DeltaCrl(form="older")),
    good("DC17", IndirectCrl()),
    revoked("DC17", IndirectCrl(revokes=True)),
    bad(
        "DC17", IndirectCrl(named=False), "crl-bad-issuer", "CRL 2 of O={side}, CN={side}-crls", "RFC 5280 6.3.3 (b)"
    ),
    bad("DC17", CrlNumberBackwards(), "crl-number-backwards", "CRL 19 of {issuing}", "RFC 5280 5.2.3"),
    good("DC17", LargeCrl()),
    revoked("DC17", LargeCrl(revokes=True)),
    *(
        bad("DC18", CrlServer(form=form, level=level), *how)
        for form, how in SERVERS.items()
        for level in ("leaf", "intermediate")
    ),
    *(good("DC18", CrlServer(form="late", level=level)) for level in ("leaf", "intermediate")),
    # on-download-failure excuses an unreachable server, and nothing else
    *(
        good("DC18", CrlServer(form=form), revocation={"on_download_failure": "accept"})
        for form in ("404", "500", "reset", "slow", "redirects")
    ),
    *(
        bad("DC18", CrlServer(form=form), *SERVERS[form], revocation={"on_download_failure": "accept"})
        for form in ("gzip", "html", "pem", "empty", "oversize")
    ),
    *(good("DC18", CrlServer(form=form), revocation=policy("relaxed")) for form in SERVERS),
    good("DC18", CrlUrl(urls="http://dead.example/x {good}")),
    good("DC18", CrlUrl(urls="http://127.0.0.1/x {good}")),
    bad("DC18", CrlUrl(urls="http://dead.example/x http://dead.example/y"), "crl-fetch-failed", "CRL", FETCH),
    # CVE-2022-40617 and its kind: a certificate cannot send us anywhere it likes
    *(
        bad("DC18", CrlUrl(urls=url), "crl-fetch-refused", "CRL", LIMIT)
        for url in (
            "http://127.0.0.1/x.crl",
            "http://10.0.0.1/x.crl",
            "http://[::1]/x.crl",
            "http://169.254.169.254/latest/meta-data",
            "file:///etc/passwd",
            "ldap://x.example/cn=x",
            "https://x.example/x.crl",
            "http://",
        )
    ),
    good("DC18", CrlUrl(urls="http://127.0.0.1/x.crl"), fetch_private_addresses=True),
    *(good("DC19", OcspResponder(form=form)) for form in ("good", "delegated", "delegated-by-key")),
    *(
        revoked("DC19", OcspResponder(form=form, method=method), reason)
        for form, reason in (("revoked", "cert-revoked"), ("on-hold", "cert-on-hold"))
        for method in ("ocsp", "ocsp-then-crl")
    ),
    *(bad("DC19", OcspResponder(form=form), *how) for form, how in RESPONDERS.items()),
    *(
        good("DC19", OcspResponder(form=form), revocation={"method": "ocsp", "policy": "relaxed"})
        for form in FAILED_RESPONDERS
    ),
    good("DC19", OcspResponder(form="unknown"), revocation={"method": "ocsp", "ocsp": {"accept_unknown": True}}),
    # a fault of the responder is made up for by a CRL
    *(
        good("DC19", OcspResponder(form=form, method="ocsp-then-crl"))
        for form in ("other-nonce", "dead", "try-later")
    ),
    # without a nonce a replayed answer is good until its nextUpdate: that is what the nonce is for
    good("DC19", OcspResponder(form="replayed"), revocation={"method": "ocsp", "ocsp": {"nonce": False}}),
    good("CS40", OcspUrls()),
    good("CS40", OcspUrls(urls="http://dead.example/1 http://slow.example/2")),
    bad("CS41", OcspUrls(urls="http://dead.example/1"), "ocsp-fetch-failed", "OCSP response", "RFC 6960 2.1"),
    # CS11: under if-uri a certificate without any URI is accepted, one with a dead URI is not
    good("CS11", OcspUrls(urls=""), revocation={"method": "ocsp", "policy": "if-uri"}),
    bad(
        "CS11",
        OcspUrls(urls="http://dead.example/1"),
        "ocsp-fetch-failed",
        "OCSP response",
        "RFC 6960 2.1",
        revocation={"method": "ocsp", "policy": "if-uri"},
    ),
    bad("CS11", OcspUrls(urls=""), "ocsp-missing", "OCSP response", FETCH),
]


@pytest.mark.parametrize("liar", ["alice", "bob"], ids=["initiator", "responder"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_scene(ike_pki: SimPki, case: Case, liar: str) -> None:
    _, pair = play(case.fault, ike_pki, liar=liar, seed=case.name, **case.judge)
    check(pair, liar, case.expected)


def test_a_crl_of_ten_megabytes(ike_pki: SimPki) -> None:
    scene, pair = play(LargeCrl(entries=200_000, revokes=True), ike_pki)
    assert len(scene.pki.crls["north-issuing"]) > 10_000_000
    check(pair, "alice", Expected("cert-revoked", "{liar}", VERDICT))
