"""Postquantum preshared keys: who has one, who insists, and what becomes of the keys (RFC 8784)."""

from dataclasses import replace
from typing import Any

import pytest

from ikesim.ike.endpoint import Endpoint
from ikesim.sim.network import Transit
from ikesim.testing import Pair, assert_established, assert_refused
from ikesim.wire.payloads import IDi, IDr, Notify
from tests.ike import derivation
from tests.ike.wiretap import IKE_AUTH, IKE_SA_INIT, MakePair, Said, is_message, sent, tap

USE_PPK, PPK_IDENTITY, NO_PPK_AUTH = 16435, 16436, 16437
SECRET = bytes(range(200, 232))
PPK: dict[str, Any] = {"ppk_id": "site", "ppk_secret": "site"}
OTHER: dict[str, Any] = {"ppk_id": "other", "ppk_secret": "other"}
REQUIRED = {**PPK, "ppk_required": True}
PROPOSALS = {"proposals": derivation.PROPOSAL}


def make(ike_pair: MakePair, alice: dict[str, Any], bob: dict[str, Any], /, **held: dict[str, bytes]) -> Pair:
    """A pair; `held` are the secrets of each host, "site" at both unless it is said otherwise."""
    pair = ike_pair(alice={**PROPOSALS, **alice}, bob={**PROPOSALS, **bob})
    for host in (pair.alice, pair.bob):
        host.ports.secrets = held.get(host.name, {"site": SECRET})
    return pair


def ppk_of(pair: Pair) -> list[str | None]:
    """The PPK in the keys of each side's SA, as `ikesim status` shows it."""
    return [pair.sas(host)[0]["ppk"] for host in (pair.alice, pair.bob)]


# both have it


@pytest.mark.parametrize("proposals", [derivation.PROPOSAL, f"{derivation.PROPOSAL}-ke1_ecp256"])
def test_keys_and_auth_are_those_of_the_formulas(ike_pair: MakePair, proposals: str) -> None:
    pair = make(ike_pair, {**PPK, "proposals": proposals}, {**PPK, "proposals": proposals})
    alice, bob = tap(pair.alice), tap(pair.bob)
    signed: dict[str, list[bytes]] = {"alice": [], "bob": []}
    pair.alice.hooks.before_sign = lambda sa, octets, certificate: signed["alice"].append(octets)
    pair.bob.hooks.before_sign = lambda sa, octets, certificate: signed["bob"].append(octets)
    pair.up()
    assert_established(pair)
    # HDR, SAi1, KEi, Ni, N(USE_PPK) -->  <-- HDR, SAr1, KEr, Nr, N(USE_PPK)
    assert USE_PPK in alice.said[0].notifies
    assert USE_PPK in bob.said[0].notifies
    # HDR, SK {IDi, AUTH, ..., N(PPK_IDENTITY), N(NO_PPK_AUTH)} -->  <-- HDR, SK {IDr, AUTH, ..., N(PPK_IDENTITY)}
    (request,), (response,) = alice.of(IKE_AUTH, response=False), bob.of(IKE_AUTH, response=True)
    assert request.notify(PPK_IDENTITY) == Notify(PPK_IDENTITY, b"\x02site")
    assert response.notify(PPK_IDENTITY) == Notify(PPK_IDENTITY)
    before, after = (item.keys for item in alice.keys[-2:])
    # SK_d = prf+ (PPK, SK_d'), SK_pi = prf+ (PPK, SK_pi'), SK_pr = prf+ (PPK, SK_pr') (RFC 8784 3)
    expected = [derivation.prf_plus(SECRET, key, 32) for key in (before.d, before.pi, before.pr)]
    assert [after.d, after.pi, after.pr] == expected
    assert (after.ei, after.er) == (before.ei, before.er)
    assert bob.keys[-1].keys == after
    # AUTH covers prf(SK_p, ID) under the new keys; NO_PPK_AUTH is the same under the old ones
    id_i, id_r = request.get(IDi).encode(), response.get(IDr).encode()
    with_ppk, without = signed["alice"]
    assert derivation.prf(expected[1], id_i) in with_ppk
    assert without == with_ppk.replace(derivation.prf(expected[1], id_i), derivation.prf(before.pi, id_i))
    assert derivation.prf(expected[2], id_r) in signed["bob"][0]
    # KEYMAT = prf+(SK_d, Ni | Nr)
    nonces = [said.payloads[2].data for said in (alice.said[0], bob.said[0])]
    keymat = derivation.prf_plus(expected[0], b"".join(nonces), 40)
    assert (alice.child_keys[0].keys.ei, alice.child_keys[0].keys.er) == (keymat[:20], keymat[20:])
    assert pair.ping() == 1
    assert ppk_of(pair) == ["site", "site"]


def test_the_decision_says_which_was_used(ike_pair: MakePair) -> None:
    pair = make(ike_pair, PPK, PPK)
    pair.up()
    for event in assert_established(pair):
        decision = event.decision
        assert decision is not None
        evidence = [check.evidence for path in decision.paths for check in path.checks if "ppk" in check.evidence]
        assert [item["ppk"] for item in evidence] == ["site"]


def test_an_sa_made_by_rekeying_stands_on_it(ike_pair: MakePair) -> None:
    pair = make(ike_pair, REQUIRED, REQUIRED)
    pair.up()
    pair.alice.ports.secrets = pair.bob.ports.secrets = {}
    pair.bob.rekey(pair.bob.established[0])
    pair.world.settle()
    assert_established(pair)
    assert ppk_of(pair) == ["site", "site"]
    assert pair.ping() == 1


def test_who_insists_sends_no_proof_without(ike_pair: MakePair) -> None:
    pair = make(ike_pair, REQUIRED, PPK)
    alice = tap(pair.alice)
    pair.up()
    assert_established(pair)
    assert alice.of(IKE_AUTH, response=False)[0].notify(NO_PPK_AUTH) is None


# one of them has not


def test_without_a_ppk_nothing_is_said_of_it(ike_pair: MakePair) -> None:
    pair = make(ike_pair, {}, {})
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert_established(pair)
    said = {kind for item in alice.said + bob.said for kind in item.notifies}
    assert not said & {USE_PPK, PPK_IDENTITY, NO_PPK_AUTH}
    assert ppk_of(pair) == [None, None]


@pytest.mark.parametrize(
    ("alice", "bob", "bob_holds"),
    [
        # bob has never heard of it, has another one, or has lost his
        (PPK, {}, {}),
        ({}, PPK, {"site": SECRET}),
        (PPK, OTHER, {"other": SECRET}),
        (PPK, PPK, {}),
    ],
)
def test_who_does_not_insist_does_without(
    ike_pair: MakePair, alice: dict[str, Any], bob: dict[str, Any], bob_holds: dict[str, bytes]
) -> None:
    pair = make(ike_pair, alice, bob, bob=bob_holds)
    bobs = tap(pair.bob)
    pair.up()
    assert_established(pair)
    assert bobs.of(IKE_AUTH, response=True)[0].notify(PPK_IDENTITY) is None
    assert ppk_of(pair) == [None, None]
    assert pair.ping() == 1


@pytest.mark.parametrize("bob", [{}, PPK])
def test_an_initiator_that_insists_goes_no_further_without(ike_pair: MakePair, bob: dict[str, Any]) -> None:
    pair = make(ike_pair, REQUIRED, bob, bob={})
    pair.up()
    refused = assert_refused(pair, "auth-method-not-allowed", by="alice")
    assert "ppk-required" in refused.detail
    assert sent(pair, pair.alice, IKE_AUTH) == []


def test_an_initiator_that_insists_is_refused_by_who_has_another(ike_pair: MakePair) -> None:
    pair = make(ike_pair, REQUIRED, OTHER, bob={"other": SECRET})
    pair.up()
    refused = assert_refused(pair, "auth-method-not-allowed", by="bob")
    assert refused.decision is not None
    evidence = [check.evidence for path in refused.decision.paths for check in path.checks if "ppk" in check.evidence]
    assert evidence[0]["peer"] == "site"


@pytest.mark.parametrize(("alice", "holds"), [({}, {}), (PPK, {}), (OTHER, {"other": SECRET})])
def test_a_responder_that_insists_refuses_who_does_without(
    ike_pair: MakePair, alice: dict[str, Any], holds: dict[str, bytes]
) -> None:
    pair = make(ike_pair, alice, REQUIRED, alice=holds)
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="bob")


def test_one_name_for_two_secrets_is_found_by_auth(ike_pair: MakePair) -> None:
    pair = make(ike_pair, PPK, PPK, bob={"site": SECRET[::-1]})
    pair.up()
    assert_refused(pair, "auth-bad-signature", by="bob")


def test_an_initiator_without_the_secret_that_it_insists_on_does_not_begin(ike_pair: MakePair) -> None:
    pair = make(ike_pair, REQUIRED, PPK, alice={})
    pair.up()
    refused = assert_refused(pair, "local-key-missing", by="alice")
    assert "ikesim pki secret add site" in refused.detail
    assert sent(pair, pair.alice) == []


def test_the_next_connection_is_tried_with_its_own_ppk(ike_pair: MakePair) -> None:
    # two connections of bob's for the same peer: only the second has alice's PPK
    pair = make(ike_pair, REQUIRED, {**OTHER, "ppk_required": True}, bob={"other": SECRET[::-1], "site": SECRET})
    first = pair.bob.config.connections["alice"]
    second = replace(first, name="second", ppk_id="site", ppk_secret="site")
    pair.bob.reconfigure(replace(pair.bob.config, connections={"alice": first, "second": second}))
    pair.up()
    _, theirs = assert_established(pair)
    assert theirs.connection == "second"
    assert theirs.decision is not None
    assert [(item.connection, item.reason) for item in theirs.decision.attempts] == [
        ("alice", "auth-method-not-allowed"),
        ("second", None),
    ]


# somebody on the path, and peers that lie


def without(number: int) -> Any:
    mark = b"\x00\x00" + number.to_bytes(2)

    def change(octets: bytes) -> bytes:
        assert octets.count(mark) == 1
        return octets.replace(mark, b"\x00\x00" + (50000).to_bytes(2))

    return change


@pytest.mark.parametrize("response", [False, True])
def test_a_downgrade_is_found_by_auth(ike_pair: MakePair, response: bool) -> None:
    pair = make(ike_pair, PPK, PPK)

    def spoil(transit: Transit) -> None:
        if is_message(transit, IKE_SA_INIT, response=response):
            transit.octets = without(USE_PPK)(transit.octets)

    pair.world.network.add_filter(spoil)
    pair.up()
    assert_refused(pair, "auth-bad-signature", by="alice" if response else "bob")


@pytest.mark.parametrize(
    ("alice", "reason"), [(PPK, "auth-bad-signature"), (REQUIRED, "auth-method-not-allowed")], ids=["may", "must"]
)
def test_a_responder_that_does_not_say_which_proof_it_took_is_refused(
    ike_pair: MakePair, alice: dict[str, Any], reason: str
) -> None:
    pair = make(ike_pair, alice, PPK)

    def omit(said: Said) -> list[Any] | None:
        return [item for item in said.payloads if getattr(item, "type", None) != PPK_IDENTITY]

    tap(pair.bob).change = omit
    pair.up()
    assert_refused(pair, reason, by="alice")


@pytest.mark.parametrize("identity", [b"", b"\x01site", b"\x02", b"\x02sit", b"\xff" * 300])
def test_an_identity_that_is_not_ours_is_unknown(ike_pair: MakePair, identity: bytes) -> None:
    pair = make(ike_pair, REQUIRED, PPK)

    def rename(said: Said) -> list[Any] | None:
        return [
            Notify(PPK_IDENTITY, identity) if getattr(item, "type", None) == PPK_IDENTITY else item
            for item in said.payloads
        ]

    tap(pair.alice).change = rename
    pair.up()
    assert_refused(pair, "auth-method-not-allowed", by="bob")


def test_the_secret_is_not_kept(ike_pair: MakePair) -> None:
    pair = make(ike_pair, PPK, PPK)
    pair.up()
    assert_established(pair)
    for host in (pair.alice, pair.bob):
        assert isinstance(host.endpoint, Endpoint)
        assert repr(SECRET) not in repr(vars(host.endpoint.core))
        assert repr(SECRET) not in repr(host.ports)
