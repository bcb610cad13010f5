"""How a peer's certificate is validated (anchors VA-01 to VA-04)."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from ikesim.ike.events import SaClosed
from ikesim.pki.certificates import parse
from ikesim.pki.profiles import RevocationMethod
from ikesim.testing import Pair, SimPki, assert_established, assert_refused

MakePair = Callable[..., Pair]


def test_va_01_the_chain_is_built_from_held_cas_and_the_peers_intermediates(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    pair = ike_pair()
    pair.up()
    ours, _ = assert_established(pair)
    (path,) = [path for path in ours.decision.paths if path.reason is None]
    issuing = ike_pki.authorities["south-issuing"].certificate
    held = pair.alice.ports.store.ca
    assert path.certificates == tuple(
        parse(der).names for der in (ike_pki.leaves["bob"].certificate, issuing, held["south"])
    )
    assert issuing not in held.values(), "it came from bob"
    assert held["south"] not in pair.bob.ports.store.local["bob"].chain, "it did not"


@pytest.mark.parametrize("lacking", ["root", "intermediate"])
def test_va_01_without_a_link_of_the_chain_nothing_is_validated(
    ike_pair: MakePair, ike_pki: SimPki, lacking: str
) -> None:
    """A root that the peer sends itself is no anchor."""
    pair = ike_pair()
    if lacking == "root":
        pair.alice.ports.store = ike_pki.without(ike_pki.store("alice"), "south")
        held = pair.bob.ports.store.local["bob"]
        root = ike_pki.authorities["south"].certificate
        local = {"bob": replace(held, chain=(*held.chain, root))}
        pair.bob.ports.store = replace(pair.bob.ports.store, local=local)
    else:
        held = pair.bob.ports.store.local["bob"]
        pair.bob.ports.store = replace(pair.bob.ports.store, local={"bob": replace(held, chain=())})
    pair.up()
    assert_refused(pair, "cert-no-issuer", by="alice")


def test_va_01_a_certificate_in_the_ca_class_that_is_no_ca_validates_nothing(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    """CA-02 seen from the decision: bob's own certificate is held as the CA of profile south."""
    pair = ike_pair()
    store = ike_pki.store("alice")
    pair.alice.ports.store = replace(store, ca={**store.ca, "south": ike_pki.leaves["bob"].certificate})
    pair.up()
    refusal = assert_refused(pair, "cert-no-issuer", by="alice")
    assert refusal.decision is not None


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("expired", "cert-expired"),
        ("future", "cert-not-yet-valid"),
        ("identity", "id-mismatch"),
        ("usage", "cert-key-usage"),
    ],
)
def test_va_02_an_invalid_certificate_causes_no_revocation_traffic(
    ike_pair: MakePair, ike_pki: SimPki, fault: str, reason: str
) -> None:
    """Validity first: nothing is fetched for a certificate that is refused anyway."""
    match fault:
        case "expired":
            ike_pki.issue("bob", now=ike_pki.now - timedelta(days=30), days=20)
        case "future":
            ike_pki.issue("bob", now=ike_pki.now + timedelta(days=1))
        case "identity":
            ike_pki.issue("bob", sans=["fqdn:mallory.example"])
        case _:
            ike_pki.issue("bob", key_usage=["keyEncipherment"])
    pair = ike_pair(crls="http")
    pair.bob.ports.store = ike_pki.store("bob")
    pair.up()
    assert_refused(pair, reason, by="alice")
    assert pair.alice.fetched_urls == []


def test_va_02_a_valid_certificate_is_then_looked_up(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(crls="http")
    pair.up()
    ours, _ = assert_established(pair)
    assert ike_pki.crl_url("south-issuing") in pair.alice.fetched_urls
    rules = [check.rule for path in ours.decision.paths for check in path.checks]
    assert rules.index("RFC 5280 6.1.3 (a)(2)") < rules.index("RFC 5280 6.3.3")


def test_va_03_a_revoked_certificate_is_refused_from_the_next_ike_auth_on(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    """Up, revoked, published, refreshed: what is up ends by policy, the next IKE_AUTH is refused."""
    pair = ike_pair(alice={"on_revocation": "ignore"})
    pair.up()
    assert_established(pair)
    ike_pki.revoke("bob", "key-compromise")
    pair.load_crls()
    pair.world.settle()
    assert_established(pair)
    pair.down()
    pair.up()
    refusal = assert_refused(pair, "cert-revoked", by="alice")
    assert refusal.decision is not None
    assert refusal.decision.to_json()["revocation"]["outcome"] == "revoked"
    ike_pki.unrevoke("bob")
    ike_pki.publish("south-issuing")
    pair.load_crls()
    pair.up()
    assert_established(pair)


@pytest.mark.parametrize(("policy", "ends"), [("delete", True), ("ignore", False)])
def test_va_03_what_becomes_of_an_sa_that_is_up_is_a_policy(
    ike_pair: MakePair, ike_pki: SimPki, policy: str, ends: bool
) -> None:
    pair = ike_pair(alice={"on_revocation": policy})
    pair.up()
    ike_pki.revoke("bob")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.world.settle()
    assert [event.reason for event in pair.alice.of(SaClosed)] == (["revoked-later"] if ends else [])


@pytest.mark.parametrize(("unchecked", "refused"), [("south", None), ("north", "alice")])
def test_va_04_revocation_settings_are_those_of_the_issuing_cas_profile(
    ike_pair: MakePair, ike_pki: SimPki, unchecked: str, refused: str | None
) -> None:
    """bob's certificate comes from the south and is revoked: only the setting of profile south counts for it."""
    ike_pki.revoke("bob")
    pair = ike_pair()
    profiles = dict(pair.alice.config.ca_profiles)
    off = replace(profiles[unchecked].revocation, method=RevocationMethod.DISABLE)
    profiles[unchecked] = replace(profiles[unchecked], revocation=off)
    pair.alice.reconfigure(replace(pair.alice.config, ca_profiles=profiles))
    pair.up()
    if refused is None:
        assert_established(pair)
    else:
        assert_refused(pair, "cert-revoked", by=refused)
