"""Which connection answers (design, rule 12): by addresses, proposals united, narrowed by IDr, IDi, then trust."""

from dataclasses import replace
from typing import Any

import pytest

from ikesim.crypto.signatures import SignatureScheme
from ikesim.ike.config import ConnectionConfig
from ikesim.ike.events import FetchStarted, SaEstablished, SaRefused
from ikesim.ike.negotiation import parse_ike_proposal
from ikesim.pki.identity import Identity, IdentityPattern
from ikesim.pki.profiles import RevocationPolicy
from ikesim.sim.services import Answer, Service
from ikesim.testing import Pair, SimPki, assert_refused
from ikesim.wire.address import Address
from ikesim.wire.payloads import CERT, IDr
from tests.ike.wiretap import IKE_AUTH, MakePair, states, tap

WEAK, STRONG = "aes128gcm16-prfsha256-x25519", "aes256gcm16-prfsha384-ecp384"


def offer(pair: Pair, **variants: dict[str, Any]) -> None:
    """Give bob these connections in place of his one: copies of it that differ in what is said."""
    (template,) = pair.bob.config.connections.values()
    made: dict[str, ConnectionConfig] = {}
    for name, settings in variants.items():
        made[name] = replace(template, name=name, **settings)
    pair.bob.reconfigure(replace(pair.bob.config, connections=made))


def slowly(body: bytes) -> Service:
    """A service that answers after five seconds."""
    return lambda request, wall: Answer(body, delay=5.0)


def by_ca(profile: str | None) -> dict[str, Any]:
    return {"trusted_ca": profile, "trusted_ca_group": None if profile else "partners"}


def outcome(pair: Pair) -> tuple[str | None, list[tuple[str, str | None]]]:
    """(the connection that answered, every attempt with its reason)."""
    events = [event for event in pair.bob.events if isinstance(event, (SaEstablished, SaRefused))]
    decision = events[-1].decision
    tried: list[tuple[str, str | None]] = []
    if decision is not None:
        tried += [(item.connection, item.reason) for item in decision.attempts]
    return (events[-1].connection if isinstance(events[-1], SaEstablished) else None), tried


def test_connections_are_tried_in_file_order(ike_pair: MakePair) -> None:
    for order in (("one", "two"), ("two", "one")):
        pair = ike_pair()
        offer(pair, **{name: {} for name in order})
        pair.up()
        assert outcome(pair) == (order[0], [(order[0], None)])


def test_the_peers_own_address_goes_before_any(ike_pair: MakePair) -> None:
    pair = ike_pair()
    offer(pair, anybody={"remote": None}, known={})
    pair.up()
    assert outcome(pair) == ("known", [("known", None)])


def test_a_connection_for_another_address_is_no_candidate(ike_pair: MakePair) -> None:
    pair = ike_pair()
    elsewhere = {"remote": Address("192.0.2.77", 500), "remote_nat_t": Address("192.0.2.77", 4500)}
    offer(pair, other=elsewhere, ours=by_ca("south"))
    pair.up()
    assert_refused(pair, "cert-ca-not-allowed", by="bob")
    assert outcome(pair) == (None, [("ours", "cert-ca-not-allowed")])


def test_idr_narrows_before_trust_is_asked(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("carol", host="bob", issuer="south-issuing", subject="CN=carol")
    pair = ike_pair(alice={"remote_id": "fqdn:carol.example"})
    carol = {"local_id": Identity.parse("fqdn:carol.example"), "local_certificates": ("carol",)}
    offer(pair, bob={}, wrong={**carol, **by_ca("south")}, right=carol)
    theirs = tap(pair.bob)
    pair.up()
    assert outcome(pair) == ("right", [("wrong", "cert-ca-not-allowed"), ("right", None)])
    said = theirs.of(IKE_AUTH, response=True)[0]
    assert (said.get(IDr).data, said.all(CERT)[0].data) == (
        b"carol.example",
        ike_pki.leaves["carol"].certificate,
    )


def test_an_idr_of_nobody_finds_no_connection(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"remote_id": "fqdn:dave.example"})
    offer(pair, one={}, two={})
    pair.up()
    assert_refused(pair, "no-connection", by="bob")
    assert outcome(pair) == (None, [])


def test_without_idr_all_are_candidates(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"remote_id": "*"})
    offer(pair, wrong=by_ca("south"), right={})
    pair.up()
    assert outcome(pair) == ("right", [("wrong", "cert-ca-not-allowed"), ("right", None)])


def test_idi_narrows_before_trust_is_asked(ike_pair: MakePair) -> None:
    pair = ike_pair()
    offer(
        pair,
        others={"remote_id": IdentityPattern.parse("fqdn:*.elsewhere"), **by_ca("south")},
        pattern={"remote_id": IdentityPattern.parse("fqdn:*.example")},
    )
    pair.up()
    assert outcome(pair) == ("pattern", [("pattern", None)])


def test_where_nobody_expects_the_peer_every_attempt_says_so(ike_pair: MakePair) -> None:
    pair = ike_pair()
    expecting = [IdentityPattern.parse(text) for text in ("fqdn:carol.example", "fqdn:*.elsewhere")]
    offer(pair, **{f"c{number}": {"remote_id": pattern} for number, pattern in enumerate(expecting)})
    pair.up()
    assert_refused(pair, "id-not-allowed", by="bob")
    assert outcome(pair) == (None, [("c0", "id-not-allowed"), ("c1", "id-not-allowed")])


def test_the_refusal_is_that_of_the_connection_that_came_furthest(ike_pair: MakePair) -> None:
    pair = ike_pair()
    only_rsa = {"signature_schemes": (SignatureScheme.RSA_PSS_SHA256,)}
    offer(pair, ca=by_ca("south"), scheme=only_rsa, again=by_ca("south"))
    pair.up()
    event = assert_refused(pair, "auth-method-not-allowed", by="bob")
    assert event.decision is not None and event.decision.reason == "auth-method-not-allowed"
    attempts = [
        ("ca", "cert-ca-not-allowed"),
        ("scheme", "auth-method-not-allowed"),
        ("again", "cert-ca-not-allowed"),
    ]
    assert outcome(pair) == (None, attempts)


def test_auth_that_one_connection_does_not_allow_another_may(ike_pair: MakePair) -> None:
    pair = ike_pair()
    offer(pair, strict={"signature_schemes": (SignatureScheme.RSA_PSS_SHA256,)}, open={})
    pair.up()
    assert outcome(pair) == ("open", [("strict", "auth-method-not-allowed"), ("open", None)])


def test_proposals_are_united_and_the_one_agreed_on_chooses(ike_pair: MakePair) -> None:
    # what the first connection would never agree on must not become an SA of it
    pair = ike_pair(alice={"proposals": (STRONG,)})
    weak, strong = ({"proposals": (parse_ike_proposal(text),)} for text in (WEAK, STRONG))
    offer(pair, weak=weak, strong=strong)
    pair.up()
    assert outcome(pair) == ("strong", [("strong", None)])
    assert "ECP_384" in pair.sas(pair.bob)[0]["proposal"] or "ecp384" in pair.sas(pair.bob)[0]["proposal"]


def test_no_connection_accepts_a_proposal_that_only_another_allows(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"proposals": (WEAK,)})
    weak = {"proposals": (parse_ike_proposal(WEAK),), "remote_id": IdentityPattern.parse("fqdn:carol.example")}
    strong = {"proposals": (parse_ike_proposal(STRONG),)}
    offer(pair, weak=weak, strong=strong)
    pair.up()
    assert_refused(pair, "id-not-allowed", by="bob")
    assert outcome(pair) == (None, [("weak", "id-not-allowed")])


def test_what_one_attempt_fetched_serves_the_next(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # the first connection wants a policy that the peer lacks only after revocation was looked at
    pair = ike_pair(crls="http")
    pair.world.services[ike_pki.crl_url("north-issuing")] = lambda request, wall: Answer(error="reset", status=None)
    profiles = dict(pair.bob.config.ca_profiles)
    profiles["relaxed"] = replace(
        profiles["north"],
        name="relaxed",
        revocation=replace(profiles["north"].revocation, policy=RevocationPolicy.RELAXED),
    )
    pair.bob.change_trust(
        replace(pair.bob.ports.store, ca={**pair.bob.ports.store.ca, "relaxed": pair.bob.ports.store.ca["north"]})
    )
    pair.bob.reconfigure(replace(pair.bob.config, ca_profiles=profiles))
    offer(pair, strict=by_ca("north"), relaxed=by_ca("relaxed"))
    pair.up()
    assert outcome(pair) == ("relaxed", [("strict", "crl-fetch-failed"), ("relaxed", None)])
    urls = [event.url for event in pair.bob.of(FetchStarted)]
    assert sorted(urls) == sorted(set(urls))


def test_a_connection_that_goes_while_the_verdict_waits_ends_it(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(crls="http", alice={"fragment_size": 0})
    for name, crl in ike_pki.crls.items():
        pair.world.services[ike_pki.crl_url(name)] = slowly(crl)
    offer(pair, one={}, two={})
    pair.alice.initiate("bob")
    pair.world.run_until(lambda: states(pair, pair.bob) == ["awaits-verdict"])
    pair.bob.reconfigure(replace(pair.bob.config, connections={"one": pair.bob.config.connections["one"]}))
    pair.world.settle()
    assert not pair.bob.established
    assert [event.reason for event in pair.bob.of(SaRefused)] == ["connection-removed"]


@pytest.mark.parametrize("unique", ["replace", "keep", "never"])
def test_unique_holds_within_a_connection(ike_pair: MakePair, unique: str) -> None:
    # INITIAL_CONTACT is alice's word that older SAs are dead; without it `unique` of bob's connection decides
    pair = ike_pair(alice={"unique": "never"})
    offer(pair, only={"unique": unique})
    pair.up()
    pair.up()
    pair.world.run_until(pair.world.now + 120)
    assert len(pair.bob.established) == (2 if unique == "never" else 1)
    refusals = [event.reason for event in pair.bob.of(SaRefused)]
    assert refusals == (["unique-kept"] if unique == "keep" else [])
    assert [item.connection for item in pair.bob.of(SaEstablished)[-1].decision.attempts] == ["only"]


def test_an_initiator_has_one_candidate_its_own(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"trusted_ca": "north"})
    (template,) = pair.alice.config.connections.values()
    second = replace(template, name="second", trusted_ca="south")
    pair.alice.reconfigure(replace(pair.alice.config, connections={"bob": template, "second": second}))
    pair.up()
    event = assert_refused(pair, "cert-ca-not-allowed", by="alice")
    assert event.decision is not None
    assert [(item.connection, item.reason) for item in event.decision.attempts] == [("bob", "cert-ca-not-allowed")]
