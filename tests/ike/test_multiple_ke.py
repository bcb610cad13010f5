"""Several key exchanges for one SA, and ML-KEM among them (RFC 9370)."""

from typing import Any

import pytest

from ikesim.ike.events import Anomaly, ChildDown, Rekeyed
from ikesim.ike.negotiation import accepted, choose, numbered, parse_esp_proposal, parse_ike_proposal, proposal_text
from ikesim.testing import Pair, assert_established, assert_refused
from ikesim.wire.payloads import KE, SA, Nonce, Notify
from ikesim.wire.proposals import Proposal, Transform
from tests.ike import derivation
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_SA_INIT,
    MakePair,
    Said,
    Tap,
    counters,
    forger,
    hold,
    is_message,
    path_to,
    sent,
    tap,
)

IKE_INTERMEDIATE, IKE_FOLLOWUP_KE = 43, 44
ML_KEM_768, ML_KEM_1024, ECP_256 = 36, 37, 19
TEMPORARY_FAILURE, STATE_NOT_FOUND, ADDITIONAL_KEY_EXCHANGE = 43, 47, 16441
SIZES = {ML_KEM_768: (1184, 1088), ML_KEM_1024: (1568, 1568)}
HYBRID = {
    "proposals": f"{derivation.PROPOSAL}-ke1_mlkem768",
    "child": {"proposals": "aes128gcm16-x25519-ke1_mlkem768"},
}
TWICE = {
    "proposals": f"{derivation.PROPOSAL}-ke1_mlkem768-ke2_ecp256",
    "child": {"proposals": "aes128gcm16-x25519-ke1_mlkem768-ke2_ecp256"},
}


# which exchanges there are to be


SUITE = derivation.PROPOSAL


@pytest.mark.parametrize(
    ("offered", "own", "chosen"),
    [
        (f"{SUITE}-ke1_mlkem768", f"{SUITE}-ke1_mlkem768", f"{SUITE}-ke1_mlkem768"),
        (f"{SUITE}-ke1_mlkem768-ke1_mlkem1024", f"{SUITE}-ke1_mlkem1024", f"{SUITE}-ke1_mlkem1024"),
        # who requires one meets nobody without; who offers to do without does without
        (f"{SUITE}-ke1_mlkem768", SUITE, None),
        (SUITE, f"{SUITE}-ke1_mlkem768", None),
        (f"{SUITE}-ke1_mlkem768-ke1_none", SUITE, f"{SUITE}-ke1_none"),
        (SUITE, f"{SUITE}-ke1_mlkem768-ke1_none", SUITE),
        (f"{SUITE}-ke1_mlkem768-ke1_none", f"{SUITE}-ke1_mlkem768-ke1_none", f"{SUITE}-ke1_mlkem768"),
        # gaps between the types are none of our business
        (f"{SUITE}-ke3_mlkem768-ke7_ecp256", f"{SUITE}-ke3_mlkem768-ke7_ecp256", f"{SUITE}-ke3_mlkem768-ke7_ecp256"),
        (f"{SUITE}-ke1_mlkem768", f"{SUITE}-ke2_mlkem768", None),
        # no method twice: the next best combination is taken
        (
            f"{SUITE}-ke1_ecp256-ke1_mlkem768-ke2_ecp256",
            f"{SUITE}-ke1_ecp256-ke1_mlkem768-ke2_ecp256",
            f"{SUITE}-ke1_mlkem768-ke2_ecp256",
        ),
        (f"{SUITE}-ecp256-ke1_x25519", f"{SUITE}-ecp256-ke1_x25519", "aes128gcm16-prfsha256-ecp256-ke1_x25519"),
        (f"{SUITE}-ke1_ecp256-ke2_mlkem768", f"{SUITE}-ke1_ecp256-ke1_ecp384-ke2_ecp256", None),
        (
            f"{SUITE}-ke1_ecp256-ke2_ecp256-ke2_none",
            f"{SUITE}-ke1_ecp256-ke2_ecp256-ke2_none",
            f"{SUITE}-ke1_ecp256-ke2_none",
        ),
    ],
)
@pytest.mark.parametrize("prefer", ["ours", "theirs"])
def test_the_choice(offered: str, own: str, chosen: str | None, prefer: str) -> None:
    (offer,) = numbered([parse_ike_proposal(offered)])
    found = choose([offer], [parse_ike_proposal(own)], prefer)
    assert (found and proposal_text(found)) == chosen
    if found is not None:
        # and the initiator takes what a responder may choose
        assert accepted([found], [offer]) == found


def test_a_peer_without_ike_intermediate_gets_none_of_it() -> None:
    optional = parse_ike_proposal(f"{SUITE}-ke1_mlkem768-ke1_none")
    found = choose([optional], [optional], additional=False)
    assert found is not None
    assert proposal_text(found) == f"{SUITE}-ke1_none"
    required = parse_ike_proposal(f"{SUITE}-ke1_mlkem768")
    assert choose([required], [required], additional=False) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{SUITE}-ke1_x25519", "one key exchange method twice"),
        (f"{SUITE}-ke1_ecp256-ke2_ecp256", "one key exchange method twice"),
        ("aes128gcm16-prfsha256-ke1_mlkem768", "without a first one"),
        (f"{SUITE}-ke8_mlkem768", "no algorithm keyword"),
        (f"{SUITE}-ke0_mlkem768", "no algorithm keyword"),
        (f"{SUITE}-ke1_mlkem512", "no algorithm keyword"),
        (f"{SUITE}-ke1_mlkem768-ke1_mlkem768", "names an algorithm twice"),
    ],
)
def test_a_proposal_that_could_never_be_chosen_is_refused_at_once(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_ike_proposal(text)


def test_esp_proposals_have_them_too() -> None:
    assert proposal_text(parse_esp_proposal("aes128gcm16-x25519-ke1_mlkem768")) == "aes128gcm16-x25519-ke1_mlkem768"
    with pytest.raises(ValueError, match="without a first one"):
        parse_esp_proposal("aes128gcm16-ke1_mlkem768")


@pytest.mark.parametrize(
    "transforms",
    [
        # left out, another than offered, one method twice
        (),
        (Transform(6, ECP_256),),
        (Transform(6, ML_KEM_768), Transform(7, ML_KEM_768)),
        (Transform(6, 31), Transform(7, ML_KEM_768)),
    ],
)
def test_an_initiator_takes_no_other_answer(ike_pair: MakePair, transforms: tuple[Transform, ...]) -> None:
    offered = f"{SUITE}-ke1_mlkem768-ke1_x25519-ke2_mlkem768-ke2_none"
    both = {"proposals": offered}
    pair = ike_pair(alice=both, bob=both)

    def change(said: Said) -> list[Any] | None:
        if said.exchange != IKE_SA_INIT:
            return None
        (proposal,) = said.get(SA).proposals
        kept = tuple(item for item in proposal.transforms if item.type < 6)
        answer = SA((Proposal(proposal.number, proposal.protocol, b"", kept + transforms),))
        return [answer if isinstance(item, SA) else item for item in said.payloads]

    tap(pair.bob).change = change
    pair.up()
    assert_refused(pair, "nobody-answered", by="nobody-answered")
    assert sent(pair, pair.alice, IKE_INTERMEDIATE) == []


# IKE_SA_INIT


@pytest.mark.parametrize("method", SIZES)
def test_ml_kem_alone_in_ike_sa_init(ike_pair: MakePair, method: int) -> None:
    keyword = {ML_KEM_768: "mlkem768", ML_KEM_1024: "mlkem1024"}[method]
    proposals = f"aes128gcm16-prfsha256-{keyword}"
    pair = ike_pair(alice={"proposals": proposals}, bob={"proposals": proposals})
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert_established(pair)
    # HDR, SAi1, KEi(encapsulation key), Ni -->  <-- HDR, SAr1, KEr(ciphertext), Nr
    request, response = alice.said[0].get(KE), bob.said[0].get(KE)
    assert (request.method, len(request.data)) == (method, SIZES[method][0])
    assert (response.method, len(response.data)) == (method, SIZES[method][1])
    assert pair.ping() == 1
    pair.alice.rekey(pair.alice.established[0])
    pair.world.settle()
    assert_established(pair)
    assert pair.ping() == 1


def test_ml_kem_by_invalid_ke_payload(ike_pair: MakePair) -> None:
    both = (SUITE, "aes128gcm16-prfsha256-mlkem768")
    pair = ike_pair(alice={"proposals": both}, bob={"proposals": both[1]})
    said = tap(pair.alice)
    pair.up()
    assert_established(pair)
    assert [item.get(KE).method for item in said.of(IKE_SA_INIT, response=False)] == [31, ML_KEM_768]
    assert len(sent(pair, pair.alice, IKE_SA_INIT)) == 2


# rekeying


def rekeyed(pair: Pair, what: str, *, by: str = "alice") -> None:
    host = pair.alice if by == "alice" else pair.bob
    host.rekey(host.established[0] if what == "ike" else pair.children(host)[0].id)
    pair.world.settle()


def flow(tapped: Tap) -> list[tuple[int, list[str]]]:
    """What was said from the rekeying on: exchange and payloads."""
    start = next(index for index, said in enumerate(tapped.said) if said.exchange == CREATE_CHILD_SA)
    return [
        (said.exchange, [kind for kind in said.kinds if kind not in ("TSi", "TSr")])
        for said in tapped.said[start:]
        if said.exchange in (CREATE_CHILD_SA, IKE_FOLLOWUP_KE)
    ]


@pytest.mark.parametrize("by", ["alice", "bob"])
@pytest.mark.parametrize("what", ["ike", "child"])
def test_rekeying_goes_on_in_ike_followup_ke(ike_pair: MakePair, what: str, by: str) -> None:
    pair = ike_pair(alice=TWICE, bob=TWICE)
    taps = {"alice": tap(pair.alice), "bob": tap(pair.bob)}
    pair.up()
    rekeyed(pair, what, by=by)
    asked, answered = taps[by], taps["bob" if by == "alice" else "alice"]
    lead = ["Notify"] if what == "child" else []
    # CREATE_CHILD_SA: SA, Ni, KEi(0) -->  <-- SA, Nr, KEr(0), N(ADDITIONAL_KEY_EXCHANGE)(link1)
    # IKE_FOLLOWUP_KE: KEi(1), N(link1) -->  <-- KEr(1), N(link2)
    # IKE_FOLLOWUP_KE: KEi(2), N(link2) -->  <-- KEr(2)
    assert flow(asked) == [
        (CREATE_CHILD_SA, [*lead, "SA", "Nonce", "KE"]),
        (IKE_FOLLOWUP_KE, ["KE", "Notify"]),
        (IKE_FOLLOWUP_KE, ["KE", "Notify"]),
    ]
    if what == "ike":
        assert flow(answered)[0] == (CREATE_CHILD_SA, ["SA", "Nonce", "KE", "Notify"])
    assert flow(answered)[1:] == [(IKE_FOLLOWUP_KE, ["KE", "Notify"]), (IKE_FOLLOWUP_KE, ["KE"])]
    links = [said.notify(ADDITIONAL_KEY_EXCHANGE) for said in answered.said if said.notify(ADDITIONAL_KEY_EXCHANGE)]
    back = [said.notify(ADDITIONAL_KEY_EXCHANGE) for said in asked.said if said.notify(ADDITIONAL_KEY_EXCHANGE)]
    assert links == back
    assert len({link.data for link in links if link}) == 2
    assert_established(pair)
    assert pair.ping() == 1
    for host in (pair.alice, pair.bob):
        assert len(host.of(Rekeyed)) == 1
        assert len(host.established) == len(pair.children(host)) == 1


def test_keys_of_a_rekeyed_ike_sa_are_those_of_the_formulas(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    before = alice.keys[-1].keys
    private, seed = bytes(range(32)), bytes(range(64))
    pair.alice.ports.random.chosen["ke"] = [private, seed]
    rekeyed(pair, "ike")
    (request,), (response,) = (
        item.of(CREATE_CHILD_SA, response=side) for item, side in ((alice, False), (bob, True))
    )
    (last,) = bob.of(IKE_FOLLOWUP_KE, response=True)
    ni, nr = request.get(Nonce).data, response.get(Nonce).data
    spis = request.get(SA).proposals[0].spi + response.get(SA).proposals[0].spi
    zero = derivation.x25519(private, response.get(KE).data)
    one = derivation.ml_kem_768(seed, last.get(KE).data)
    # SKEYSEED = prf(SK_d, SK(0) | Ni | Nr | SK(1)) (RFC 9370 2.2.4)
    expected = derivation.expand(derivation.prf(before.d, zero + ni + nr + one), ni, nr, spis)
    for tapped in (alice, bob):
        found = tapped.keys[-1].keys
        assert (found.d, found.ei, found.er, found.pi, found.pr) == (
            expected.d,
            expected.ei,
            expected.er,
            expected.pi,
            expected.pr,
        )


def test_keys_of_a_child_sa_are_those_of_the_formulas(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    private, seed = bytes(range(32)), bytes(range(64))
    pair.alice.ports.random.chosen["ke"] = [private, seed]
    rekeyed(pair, "child")
    (request,), (response,) = (
        item.of(CREATE_CHILD_SA, response=side) for item, side in ((alice, False), (bob, True))
    )
    (last,) = bob.of(IKE_FOLLOWUP_KE, response=True)
    ni, nr = request.get(Nonce).data, response.get(Nonce).data
    zero = derivation.x25519(private, response.get(KE).data)
    one = derivation.ml_kem_768(seed, last.get(KE).data)
    # KEYMAT = prf+ (SK_d, SK(0) | Ni | Nr | SK(1)) (RFC 9370 2.2.4)
    keymat = derivation.prf_plus(alice.keys[-1].keys.d, zero + ni + nr + one, 40)
    for tapped in (alice, bob):
        assert (tapped.child_keys[-1].keys.ei, tapped.child_keys[-1].keys.er) == (keymat[:20], keymat[20:])


def test_a_further_child_sa_has_them_as_well(ike_pair: MakePair) -> None:
    children = [
        {"name": "net", "proposals": HYBRID["child"]["proposals"]},  # type: ignore[index]
        {"name": "other", "proposals": "aes128gcm16-ecp256-ke1_mlkem1024", "local_ts": "10.8.0.0/24"},
    ]
    mirrored = [children[0], {**children[1], "local_ts": "10.2.0.0/24", "remote_ts": "10.8.0.0/24"}]
    pair = ike_pair(
        alice={"proposals": HYBRID["proposals"], "children": children},
        bob={"proposals": HYBRID["proposals"], "children": mirrored},
    )
    alice = tap(pair.alice)
    pair.up()
    assert_established(pair)
    assert [child.name for child in pair.children(pair.alice)] == ["net", "other"]
    # the first is made with IKE_AUTH, where there is no key exchange
    assert [said.get(KE).method for said in alice.of(IKE_FOLLOWUP_KE, response=False)] == [ML_KEM_1024]


def test_a_peer_may_do_without_at_rekeying(ike_pair: MakePair) -> None:
    optional = {**HYBRID, "child": {"proposals": "aes128gcm16-x25519-ke1_mlkem768-ke1_none"}}
    plain = {**HYBRID, "child": {"proposals": "aes128gcm16-x25519"}}
    pair = ike_pair(alice=optional, bob=plain)
    pair.up()
    rekeyed(pair, "child")
    assert_established(pair)
    assert sent(pair, pair.alice, IKE_FOLLOWUP_KE) == []
    assert pair.ping() == 1


@pytest.mark.parametrize("what", ["ike", "child"])
@pytest.mark.parametrize("response", [False, True])
def test_a_loss_is_made_good(ike_pair: MakePair, what: str, response: bool) -> None:
    whole = {**HYBRID, "fragment_size": 0}
    pair = ike_pair(alice=whole, bob=whole)
    pair.up()
    lost = hold(pair, lambda item: is_message(item, IKE_FOLLOWUP_KE, response=response), times=1)
    rekeyed(pair, what)
    pair.world.run_until(20.0)
    assert lost
    assert_established(pair)
    assert pair.ping() == 1
    assert len(pair.alice.of(Rekeyed)) == len(pair.bob.of(Rekeyed)) == 1


@pytest.mark.parametrize("what", ["ike", "child"])
def test_both_rekey_at_once(ike_pair: MakePair, what: str) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    for host in (pair.alice, pair.bob):
        host.rekey(host.established[0] if what == "ike" else pair.children(host)[0].id)
    pair.world.run_until(30.0)
    for tapped in (alice, bob):
        assert TEMPORARY_FAILURE in [kind for said in tapped.said for kind in said.notifies]
    assert_established(pair)
    assert pair.ping() == 1
    assert len(pair.alice.of(Rekeyed)) == len(pair.bob.of(Rekeyed)) == 1


# what cannot go on


def test_a_link_that_is_not_known_is_answered_with_state_not_found(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    stranger = forger(alice, initiator=True)
    payloads = [KE(ML_KEM_768, bytes(1184)), Notify(ADDITIONAL_KEY_EXCHANGE, b"unknown")]
    for message_id, asked in ((3, payloads), (4, payloads[:1])):
        pair.bob.inject(stranger.sealed(IKE_FOLLOWUP_KE, message_id, asked), path_to(pair.bob, pair.alice))
        assert bob.said[-1].notifies == [STATE_NOT_FOUND]
    assert pair.bob.established


@pytest.mark.parametrize("what", ["ike", "child"])
def test_after_state_not_found_it_begins_again(ike_pair: MakePair, what: str) -> None:
    whole = {**HYBRID, "fragment_size": 0}
    pair = ike_pair(alice=whole, bob=whole)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    # the request comes after bob has forgotten what it belongs to: half-open-timeout is 30 s, alice asks for 66 s
    hold(pair, lambda item: is_message(item, IKE_FOLLOWUP_KE), times=4)
    rekeyed(pair, what)
    pair.world.run_until(120.0)
    assert STATE_NOT_FOUND in [kind for said in bob.said for kind in said.notifies]
    assert len(alice.of(CREATE_CHILD_SA, response=False)) == 2
    assert_established(pair)
    assert pair.ping() == 1
    assert len(pair.alice.of(Rekeyed)) == len(pair.bob.of(Rekeyed)) == 1


@pytest.mark.parametrize("what", ["ike", "child"])
def test_an_answer_without_a_link_is_the_end_of_that_rekeying(ike_pair: MakePair, what: str) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)

    def omit(said: Said) -> list[Any] | None:
        if said.exchange != CREATE_CHILD_SA:
            return None
        return [item for item in said.payloads if not isinstance(item, Notify)]

    tap(pair.bob).change = omit
    pair.up()
    rekeyed(pair, what)
    pair.world.run_until(60.0)
    if what == "ike":
        assert "no further key exchanges" in pair.alice.of(Anomaly)[0].what
    else:
        assert [(event.reason, "9370" in event.detail) for event in pair.alice.of(ChildDown)] == [
            ("ke-mismatch", True)
        ]
    # the old one carries on
    assert_established(pair)
    assert pair.ping() == 1
    assert pair.alice.of(Rekeyed) == []


@pytest.mark.parametrize("payload", [KE(ECP_256, bytes(64)), KE(ML_KEM_768, bytes(7))])
def test_another_key_exchange_than_agreed_on_is_invalid_syntax(ike_pair: MakePair, payload: KE) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()

    def change(said: Said) -> list[Any] | None:
        if said.exchange != IKE_FOLLOWUP_KE:
            return None
        return [payload, *(item for item in said.payloads if isinstance(item, Notify))]

    alice.change = change
    rekeyed(pair, "child")
    assert bob.of(IKE_FOLLOWUP_KE, response=True)[0].notifies == [7]
    assert pair.bob.established == []


def test_what_is_owed_is_forgotten_after_a_while(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)
    bob = tap(pair.bob)
    pair.up()
    hold(pair, lambda item: is_message(item, IKE_FOLLOWUP_KE))
    rekeyed(pair, "ike")
    # while alice owes the rest, bob makes nothing new on an SA that is about to go
    pair.bob.rekey(pair.children(pair.bob)[0].id)
    pair.world.run_until(pair.world.now + 20.0)
    assert bob.of(CREATE_CHILD_SA, response=False) == []
    pair.world.run_until(pair.world.now + 20.0)
    assert bob.of(CREATE_CHILD_SA, response=False)


def test_ike_followup_ke_before_authentication_is_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=HYBRID, bob=HYBRID)
    alice = tap(pair.alice)
    hold(pair, lambda item: is_message(item, IKE_INTERMEDIATE))
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    early = forger(alice, initiator=True)
    octets = early.sealed(IKE_FOLLOWUP_KE, 1, [KE(ML_KEM_768, bytes(1184)), Notify(ADDITIONAL_KEY_EXCHANGE, b"l")])
    pair.bob.inject(octets, path_to(pair.bob, pair.alice))
    assert counters(pair.bob)["requests-before-auth"] == 1
