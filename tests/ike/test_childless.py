"""IKE SAs that begin without a CHILD SA (RFC 6023), in every pairing of what two ends want."""

from typing import Any

import pytest

from ikesim.ike.events import ChildDown, SaClosed, SaRefused
from ikesim.testing import assert_established, assert_refused
from tests.ike.wiretap import CREATE_CHILD_SA, IKE_AUTH, IKE_SA_INIT, MakePair, Said, sent, tap

CHILDLESS_IKEV2_SUPPORTED, NO_PROPOSAL_CHOSEN, AUTHENTICATION_FAILED = 16418, 14, 24
ALONE, TOGETHER, REFUSED, NO_CHILD = "alone", "together", "refused", "no child"
MODES = ("allow", "prefer", "force", "never")

# what the initiator wants, what the responder wants
OUTCOMES = {
    ("allow", "allow"): TOGETHER,
    ("allow", "prefer"): TOGETHER,
    ("allow", "force"): NO_CHILD,
    ("allow", "never"): TOGETHER,
    ("prefer", "allow"): ALONE,
    ("prefer", "prefer"): ALONE,
    ("prefer", "force"): ALONE,
    ("prefer", "never"): TOGETHER,
    ("force", "allow"): ALONE,
    ("force", "prefer"): ALONE,
    ("force", "force"): ALONE,
    ("force", "never"): REFUSED,
    ("never", "allow"): TOGETHER,
    ("never", "prefer"): TOGETHER,
    ("never", "force"): NO_CHILD,
    ("never", "never"): TOGETHER,
}


@pytest.mark.parametrize(("alice", "bob"), OUTCOMES)
def test_every_pairing(ike_pair: MakePair, alice: str, bob: str) -> None:
    pair = ike_pair(alice={"childless": alice}, bob={"childless": bob})
    alices, bobs = tap(pair.alice), tap(pair.bob)
    pair.up()
    outcome = OUTCOMES[alice, bob]
    # <-- HDR, SAr1, KEr, Nr, N(CHILDLESS_IKEV2_SUPPORTED)
    said = bobs.of(IKE_SA_INIT, response=True)[0].notify(CHILDLESS_IKEV2_SUPPORTED)
    assert (said is None) is (bob == "never")
    if outcome == REFUSED:
        refused = assert_refused(pair, "child-failed", by="alice")
        assert "6023" in refused.detail
        assert sent(pair, pair.alice, IKE_AUTH) == []
        return
    request, response = alices.of(IKE_AUTH, response=False)[0], bobs.of(IKE_AUTH, response=True)[0]
    # HDR, SK {IDi, CERT, AUTH} --> : neither SA nor TSi nor TSr
    assert {"SA", "TSi", "TSr"} & set(request.kinds) == (set() if outcome == ALONE else {"SA", "TSi", "TSr"})
    assert ("SA" in response.kinds) is (outcome == TOGETHER)
    made = len(alices.of(CREATE_CHILD_SA, response=False))
    assert made == (1 if outcome == ALONE else 0)
    assert_established(pair)
    if outcome == NO_CHILD:
        assert response.notify(NO_PROPOSAL_CHOSEN) is not None
        assert [event.reason for event in pair.bob.of(ChildDown)] == ["child-failed"]
        # the IKE SA is up (RFC 7296 1.2), and a CHILD SA can be made on it
        pair.alice.create_child(pair.alice.established[0], "net")
        pair.world.settle()
    assert pair.ping() == 1


@pytest.mark.parametrize("bob", MODES)
def test_an_initiator_without_a_child(ike_pair: MakePair, bob: str) -> None:
    pair = ike_pair(alice={"children": []}, bob={"childless": bob})
    pair.up()
    if bob == "never":
        refused = assert_refused(pair, "child-failed", by="alice")
        assert "has no child" in refused.detail
    else:
        assert_established(pair)
        assert pair.children(pair.alice) == []


def test_a_child_that_comes_after_has_a_key_exchange_of_its_own(ike_pair: MakePair) -> None:
    pfs: dict[str, Any] = {"childless": "prefer", "child": {"proposals": "aes128gcm16-ecp256"}}
    pair = ike_pair(alice=pfs, bob=pfs)
    alice = tap(pair.alice)
    pair.up()
    assert_established(pair)
    (request,) = alice.of(CREATE_CHILD_SA, response=False)
    assert "KE" in request.kinds
    assert pair.ping() == 1


def test_all_children_are_made(ike_pair: MakePair) -> None:
    ours = [{"name": "one"}, {"name": "two", "local_ts": "10.8.0.0/24", "remote_ts": "10.9.0.0/24"}]
    theirs = [{"name": "one"}, {"name": "two", "local_ts": "10.9.0.0/24", "remote_ts": "10.8.0.0/24"}]
    pair = ike_pair(alice={"childless": "force", "children": ours}, bob={"children": theirs})
    pair.up()
    assert_established(pair)
    assert [child.name for child in pair.children(pair.alice)] == ["one", "two"]


def test_a_peer_that_asks_all_the_same_is_refused(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"childless": "prefer"}, bob={"childless": "never"})
    alice, bob = tap(pair.alice), tap(pair.bob)

    def leave_out(said: Said) -> list[Any] | None:
        if said.exchange != IKE_AUTH:
            return None
        return [item for item in said.payloads if type(item).__name__ not in ("SA", "TSi", "TSr")]

    alice.change = leave_out
    pair.up()
    refused = assert_refused(pair, "child-failed", by="bob")
    assert refused.decision is not None
    assert refused.decision.accepted
    assert bob.of(IKE_AUTH, response=True)[0].notifies == [AUTHENTICATION_FAILED]
    assert pair.alice.of(SaRefused)[0].reason == "peer-refused"
    assert pair.bob.of(SaClosed) == []
