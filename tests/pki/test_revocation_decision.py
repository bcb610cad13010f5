"""Revocation inside a whole decision: when it asks, every level of the path, separate signers with their own path."""

from collections.abc import Mapping
from typing import Any

import pytest

from ikesim.pki import Anchor, AuthState, Evidence, TrustPolicy, TrustRequest, decide
from ikesim.pki.authority import Authority, Revocation
from ikesim.pki.authority.extensions import distribution_points
from ikesim.pki.certificates import parse
from ikesim.pki.decision import RevocationOutcome, TrustDecision
from ikesim.pki.fetching import FetchRequest, FetchResult
from ikesim.reasons import Reason
from tests.pki.revocation_world import CDP, DAY, HOUR, NOW, answer

ROOT_CDP = "http://crl.root.example/root.crl"


class Chain:
    """root - north - bob, each below the root with a CDP."""

    def __init__(self) -> None:
        self.root = Authority.create("root", now=NOW - 30 * DAY, crl_at=(ROOT_CDP,))
        self.north = Authority.create("north", now=NOW - 20 * DAY, issuer=self.root, crl_at=(CDP,))
        self.leaf = self.north.leaf("CN=bob", ("fqdn:bob.example",), NOW - DAY)

    def decide(
        self, auth: AuthState | None = None, fetched: Mapping[FetchRequest, FetchResult] | None = None, **policy: Any
    ) -> TrustDecision:
        policy.setdefault("fetch", True)
        crls = policy.pop("crls", ())
        request = TrustRequest(
            certificates=[self.leaf.certificate, self.north.certificate],
            identity=None,
            policy=TrustPolicy(anchors=[policy.pop("anchor", self.root.certificate)], **policy),
            at=NOW,
        )
        given = {} if auth is None else {"auth": auth}
        return decide(request, Evidence(crls=crls, fetched=dict(fetched or {}), **given))


@pytest.fixture
def chain() -> Chain:
    return Chain()


def test_nothing_is_asked_before_auth_is_verified(chain: Chain) -> None:
    assert chain.decide(AuthState.pending()).wanted == ()
    wanted = chain.decide().wanted
    assert {request.url for request in wanted} == {ROOT_CDP, CDP}, "all levels at once"


def test_every_level_is_fetched_judged_and_learned(chain: Chain) -> None:
    bodies = {ROOT_CDP: chain.root.crl(NOW - HOUR), CDP: chain.north.crl(NOW - HOUR)}
    fetched = {request: answer(bodies[request.url]) for request in chain.decide().wanted}
    decision = chain.decide(fetched=fetched)
    assert decision.accepted
    assert decision.revocation is not None
    assert decision.revocation.outcome is RevocationOutcome.GOOD
    assert {(der, url) for _, der, url in decision.learned_crls} == {(body, url) for url, body in bodies.items()}


@pytest.mark.parametrize("level", ["leaf", "intermediate"])
def test_revoked_at_any_level(chain: Chain, level: str) -> None:
    if level == "leaf":
        chain.north.revoke(chain.leaf.certificate, at=NOW - HOUR)
    else:
        chain.root.revoke(chain.north.certificate, at=NOW - HOUR)
    decision = chain.decide(crls=(chain.root.crl(NOW), chain.north.crl(NOW)), fetch=False)
    assert decision.reason is Reason.CERT_REVOKED
    (check,) = [item for item in decision.paths[0].checks if item.reason is Reason.CERT_REVOKED]
    assert check.subject == ("CN=bob" if level == "leaf" else "CN=north")


def test_offline_ends_in_missing_without_asking(chain: Chain) -> None:
    decision = chain.decide(fetch=False)
    assert (decision.reason, decision.wanted) == (Reason.CRL_MISSING, ())


def test_unreachable_urls_under_each_setting(chain: Chain) -> None:
    fetched = {request: answer(error="refused") for request in chain.decide().wanted}
    assert chain.decide(fetched=fetched).reason is Reason.CRL_FETCH_FAILED
    assert chain.decide(fetched=fetched, revocation="relaxed").accepted
    accepting = Anchor(chain.root.certificate, on_download_failure="accept")
    decision = chain.decide(fetched=fetched, anchor=accepting)
    assert decision.accepted
    assert decision.revocation is not None
    assert decision.revocation.outcome is RevocationOutcome.SKIPPED
    held = chain.north.crl(
        NOW - 9 * DAY, entries=[(parse(chain.leaf.certificate).serial, Revocation(NOW - 10 * DAY))]
    )
    assert chain.decide(fetched=fetched, anchor=accepting, crls=(held,)).reason is Reason.CERT_REVOKED


def test_separate_crl_signer_needs_its_own_good_path() -> None:
    chain = Chain()
    signer = Authority.create(
        "crl signer", now=NOW - 9 * DAY, issuer=chain.root, ca=False, key_usage=("cRLSign",), crl_urls=(ROOT_CDP,)
    )
    point = distribution_points((), signer.subject)
    chain.leaf = chain.north.leaf("CN=bob", (), NOW - DAY, extra=(point,), crl_urls=())
    crl = signer.crl(NOW - HOUR, indirect=True, entries=[])

    def reason(root_crl: bytes, *intermediates: bytes) -> Reason | None:
        request = TrustRequest(
            certificates=[chain.leaf.certificate, chain.north.certificate],
            identity=None,
            policy=TrustPolicy(anchors=[chain.root.certificate]),
            at=NOW,
        )
        return decide(request, Evidence(intermediates=list(intermediates), crls=[root_crl, crl])).reason

    good = chain.root.crl(NOW - HOUR)
    assert reason(good, signer.certificate) is None
    assert reason(good) is Reason.CRL_SIGNER_USAGE
    chain.root.revoke(signer.certificate, at=NOW - HOUR)
    assert reason(chain.root.crl(NOW - HOUR), signer.certificate) is Reason.CRL_SIGNER_USAGE
