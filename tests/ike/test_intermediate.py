"""IKE_INTERMEDIATE: its place, its protection, and what AUTH says about it (RFC 9242)."""

from typing import Any

import pytest

from ikesim.ike.events import Anomaly, SaRefused
from ikesim.sim.network import Transit
from ikesim.testing import Pair, assert_established, assert_refused
from ikesim.wire.address import Path
from ikesim.wire.message import Flags, Header, Message, encode_message
from ikesim.wire.payloads import KE, IDi, IDr, Nonce, Notify
from tests.ike import derivation
from tests.ike.wiretap import (
    IKE_AUTH,
    IKE_SA_INIT,
    INFORMATIONAL,
    MARKER,
    MakePair,
    Said,
    counters,
    deliver,
    forger,
    header,
    hold,
    is_message,
    path_to,
    release,
    sent,
    states,
    tap,
    times,
)

IKE_INTERMEDIATE = 43
COOKIE, INTERMEDIATE_EXCHANGE_SUPPORTED, INVALID_SYNTAX = 16390, 16438, 7
HYBRID = f"{derivation.PROPOSAL}-ke1_mlkem768"
TWICE = f"{HYBRID}-ke2_ecp256"
BOTH = {"proposals": HYBRID}
WHOLE = {"proposals": HYBRID, "fragment_size": 0}


def bare(octets: bytes) -> bytes:
    return octets[4:] if octets[:4] == MARKER else octets


def messages(pair: Pair, exchange: int, *, response: bool) -> list[bytes]:
    """The datagrams of one exchange in one direction, from the SPIs on."""
    host = pair.bob if response else pair.alice
    return [bare(entry.octets) for entry in sent(pair, host, exchange, response=response)]


# what goes over the wire, and what follows from it


@pytest.mark.parametrize("size", [0, 1280, 576])
def test_keys_and_int_auth_are_those_of_the_formulas(ike_pair: MakePair, size: int) -> None:
    settings = {"proposals": HYBRID, "fragment_size": size}
    pair = ike_pair(alice=settings, bob=settings)
    private, seed = bytes(range(32)), bytes(range(64, 128))
    pair.alice.ports.random.chosen["ke"] = [private, seed]
    alice, bob = tap(pair.alice), tap(pair.bob)
    signed: dict[str, bytes] = {}

    def listen(name: str) -> Any:
        def keep(sa: object, octets: bytes, certificate: str) -> None:
            signed[name] = octets

        return keep

    pair.alice.hooks.before_sign = listen("alice")
    pair.bob.hooks.before_sign = listen("bob")
    pair.up()
    assert_established(pair)

    # HDR, SAi1, KEi(0), Ni, N(INTERMEDIATE_EXCHANGE_SUPPORTED) -->  <-- HDR, SAr1, KEr(0), Nr, N(...)
    (init_request,), (init_response,) = (messages(pair, IKE_SA_INIT, response=side) for side in (False, True))
    request, response = Message.parse(init_request), Message.parse(init_response)
    ni, nr = (message.get(Nonce).data for message in (request, response))  # type: ignore[union-attr]
    spis = init_response[:16]
    shared = derivation.x25519(private, response.get(KE).data)  # type: ignore[union-attr]
    first = derivation.first_keys(shared, ni, nr, spis)
    # HDR, SK {KEi(1)} -->  <-- HDR, SK {KEr(1)}   under the first keys
    asked, answered = (messages(pair, IKE_INTERMEDIATE, response=side) for side in (False, True))
    assert (len(asked), len(answered)) == {0: (1, 1), 1280: (2, 1), 576: (3, 3)}[size]
    covered_i = derivation.covered(asked, first.ei)
    covered_r = derivation.covered(answered, first.er)
    assert int.from_bytes(covered_i[36:38]) == 36  # the KE payload inside: its method is ML-KEM-768
    second = derivation.next_keys(first, derivation.ml_kem_768(seed, covered_r[40:]), ni, nr, spis)
    for tapped in (alice, bob):
        assert [(keys.keys.d, keys.keys.pi, keys.keys.pr, keys.keys.ei, keys.keys.er) for keys in tapped.keys] == [
            (keys.d, keys.pi, keys.pr, keys.ei, keys.er) for keys in (first, second)
        ]
    # IntAuth = IntAuth_i1 | IntAuth_r1 | IKE_AUTH_MID
    int_auth = derivation.prf(first.pi, covered_i) + derivation.prf(first.pr, covered_r) + bytes((0, 0, 0, 2))
    id_i = alice.of(IKE_AUTH, response=False)[0].get(IDi).encode()
    id_r = bob.of(IKE_AUTH, response=True)[0].get(IDr).encode()
    assert signed["alice"] == init_request + nr + derivation.prf(second.pi, id_i) + int_auth
    assert signed["bob"] == init_response + ni + derivation.prf(second.pr, id_r) + int_auth
    # IKE_AUTH is under the second keys
    for octets in messages(pair, IKE_AUTH, response=False):
        derivation.opened(octets, second.ei)


def test_a_second_exchange_is_covered_after_the_first(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"proposals": TWICE}, bob={"proposals": TWICE})
    alice = tap(pair.alice)
    signed: list[bytes] = []
    pair.alice.hooks.before_sign = lambda sa, octets, certificate: signed.append(octets)
    pair.up()
    assert_established(pair)
    chains = {}
    for side in (False, True):
        chain = b""
        for message_id, installed in zip((1, 2), alice.keys, strict=False):
            datagrams = [
                octets
                for octets in messages(pair, IKE_INTERMEDIATE, response=side)
                if Header.parse(octets).message_id == message_id
            ]
            keys = installed.keys
            covered = derivation.covered(datagrams, keys.er if side else keys.ei)
            # IntAuth_i2 = prf(SK_pi2, IntAuth_i1 | IntAuth_i2A | IntAuth_i2P)
            chain = derivation.prf(keys.pr if side else keys.pi, chain + covered)
        chains[side] = chain
    assert signed[0].endswith(chains[False] + chains[True] + bytes((0, 0, 0, 3)))


def test_the_exchanges_are_counted_through_to_ike_auth(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"proposals": TWICE}, bob={"proposals": TWICE})
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.alice.initiate("bob")
    deliver(pair, to=pair.bob)
    assert states(pair, pair.bob) == ["awaits-intermediate-request"]
    deliver(pair, to=pair.alice)
    assert states(pair, pair.alice) == ["awaits-intermediate-response"]
    pair.world.settle()
    assert_established(pair)
    flow = [(said.exchange, said.message_id) for said in alice.said]
    assert flow == [(IKE_SA_INIT, 0), (IKE_INTERMEDIATE, 1), (IKE_INTERMEDIATE, 2), (IKE_AUTH, 3)]
    assert [(said.exchange, said.message_id) for said in bob.said] == flow
    assert [said.get(KE).method for said in alice.of(IKE_INTERMEDIATE, response=False)] == [36, 19]
    assert pair.ping() == 1


def test_the_exchange_is_announced_only_by_who_would_use_it(ike_pair: MakePair) -> None:
    pair = ike_pair(bob={"proposals": (HYBRID, derivation.PROPOSAL)}, alice={"proposals": derivation.PROPOSAL})
    alice, bob = tap(pair.alice), tap(pair.bob)
    pair.up()
    assert_established(pair)
    for tapped in (alice, bob):
        assert INTERMEDIATE_EXCHANGE_SUPPORTED not in tapped.said[0].notifies
    assert sent(pair, pair.alice, IKE_INTERMEDIATE) == []


def test_a_cookie_and_other_methods_come_before_it(ike_pair: MakePair) -> None:
    both = (f"{derivation.PROPOSAL}-ke1_mlkem768", "aes128gcm16-prfsha256-ecp256-ke1_mlkem768")
    pair = ike_pair(alice={"proposals": both}, bob={"proposals": both[1], "cookie_threshold": 0})
    pair.up()
    assert_established(pair)
    assert len(sent(pair, pair.alice, IKE_SA_INIT)) == 3


# a network that loses, repeats and overtakes


def test_a_lost_request_is_sent_again(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    hold(pair, lambda item: is_message(item, IKE_INTERMEDIATE, response=False), times=1)
    pair.up()
    assert_established(pair)
    first, second = times(pair, pair.alice, IKE_INTERMEDIATE)
    assert second - first == pytest.approx(4.0)


def test_a_lost_response_is_repeated_under_the_keys_before_it(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    hold(pair, lambda item: is_message(item, IKE_INTERMEDIATE, response=True), times=1)
    pair.up()
    assert_established(pair)
    one, two = messages(pair, IKE_INTERMEDIATE, response=True)
    assert one == two
    assert counters(pair.bob)["requests-repeated"] == 1


def test_a_late_copy_of_a_request_changes_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"proposals": TWICE, "fragment_size": 0}, bob={"proposals": TWICE, "fragment_size": 0})
    pair.up()
    assert_established(pair)
    (copied,) = (item for item in sent(pair, pair.alice, IKE_INTERMEDIATE) if header(item.octets).message_id == 1)
    pair.bob.inject(copied.octets, path_to(pair.bob, pair.alice))
    pair.world.settle()
    assert len(sent(pair, pair.bob, IKE_INTERMEDIATE)) == 2
    assert pair.ping() == 1


def test_a_repeated_ike_sa_init_is_not_answered_with_a_later_response(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    hold(pair, lambda item: is_message(item, IKE_AUTH))
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    (first,) = sent(pair, pair.alice, IKE_SA_INIT)
    before = len(sent(pair, pair.bob))
    pair.bob.inject(first.octets, path_to(pair.bob, pair.alice))
    assert len(sent(pair, pair.bob)) == before


@pytest.mark.parametrize("seed", range(8))
def test_it_comes_through_a_bad_network(ike_pair: MakePair, seed: int) -> None:
    settings = {"proposals": TWICE, "retransmit": {"tries": 12, "initial": 1.0, "factor": 1.2}}
    pair = ike_pair(seed=seed, alice=settings, bob=settings, loss=0.2, duplicate=0.2, reorder=0.3, jitter=0.02)
    pair.up()
    assert_established(pair)


def test_nobody_answers(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=BOTH, bob=BOTH)
    hold(pair, lambda item: is_message(item, IKE_INTERMEDIATE))
    pair.up()
    refused = assert_refused(pair, "nobody-answered", by="nobody-answered")
    assert "IKE_INTERMEDIATE" in refused.detail
    (forgotten,) = pair.bob.of(SaRefused)
    assert (forgotten.reason, "IKE_INTERMEDIATE" in forgotten.detail) == ("half-open-timeout", True)
    assert states(pair, pair.bob) == []


# peers and strangers that do otherwise


def test_ike_auth_is_not_taken_before_its_time(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    alice = tap(pair.alice)
    held = hold(pair, lambda item: is_message(item, IKE_INTERMEDIATE), times=1)
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    early = forger(alice, initiator=True)
    for exchange in (IKE_AUTH, INFORMATIONAL):
        pair.bob.inject(early.sealed(exchange, 1), path_to(pair.bob, pair.alice))
    assert counters(pair.bob)["requests-before-auth"] == 2
    release(pair, held[0])
    pair.world.settle()
    assert_established(pair)


def test_no_more_of_it_than_was_agreed_on(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    alice = tap(pair.alice)
    hold(pair, lambda item: is_message(item, IKE_AUTH))
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    further = forger(alice, initiator=True)
    pair.bob.inject(further.sealed(IKE_INTERMEDIATE, 2, [KE(19, bytes(64))]), path_to(pair.bob, pair.alice))
    assert counters(pair.bob)["requests-before-auth"] == 1
    assert states(pair, pair.bob) == ["awaits-auth-request"]


@pytest.mark.parametrize(
    "payload", [KE(19, bytes(64)), KE(36, bytes(1183)), KE(36, b"\xff" * 1184), Nonce(bytes(32))]
)
def test_a_request_that_is_not_what_was_agreed_on_ends_the_sa(ike_pair: MakePair, payload: Any) -> None:
    pair = ike_pair(alice=BOTH, bob=BOTH)
    alice, bob = tap(pair.alice), tap(pair.bob)
    alice.change = lambda said: [payload] if said.exchange == IKE_INTERMEDIATE else None
    pair.up()
    assert_refused(pair, "payload-malformed", by="bob")
    assert bob.said[-1].notifies == [INVALID_SYNTAX]
    # what came unauthenticated and says no more than that
    assert pair.alice.of(SaRefused)[0].reason == "peer-refused"
    assert pair.alice.of(SaRefused)[0].authenticated is False
    assert pair.bob.of(Anomaly)


@pytest.mark.parametrize("payload", [KE(19, bytes(64)), KE(36, bytes(1087)), Nonce(bytes(32))])
def test_a_response_that_is_not_what_was_agreed_on_ends_the_sa(ike_pair: MakePair, payload: Any) -> None:
    pair = ike_pair(alice=BOTH, bob=BOTH)
    tap(pair.bob).change = lambda said: [payload] if said.exchange == IKE_INTERMEDIATE else None
    pair.up()
    assert_refused(pair, "payload-malformed", by="alice")


def test_status_notifies_beside_the_key_exchange_are_passed_over(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=BOTH, bob=BOTH)

    def add(said: Said) -> list[Any] | None:
        return [*said.payloads, Notify(40000, b"?")] if said.exchange == IKE_INTERMEDIATE else None

    tap(pair.alice).change = add
    tap(pair.bob).change = add
    pair.up()
    # and what was added is covered at both ends
    assert_established(pair)


def test_auth_without_int_auth_does_not_verify(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=BOTH, bob=BOTH)
    pair.alice.hooks.before_sign = lambda sa, octets, certificate: octets[: -(32 + 32 + 4)]
    pair.up()
    assert_refused(pair, "auth-bad-signature", by="bob")


def test_a_changed_ciphertext_leads_to_keys_that_open_nothing(ike_pair: MakePair) -> None:
    # ML-KEM rejects implicitly: the secrets differ, and the first message under the new keys is not opened
    pair = ike_pair(alice=BOTH, bob=BOTH)

    def change(said: Said) -> list[Any] | None:
        if said.exchange != IKE_INTERMEDIATE:
            return None
        public = said.get(KE)
        return [KE(public.method, bytes((public.data[0] ^ 1,)) + public.data[1:])]

    tap(pair.bob).change = change
    pair.up()
    assert_refused(pair, "nobody-answered", by="nobody-answered")
    assert counters(pair.bob)["ike-integrity"] > 0


def test_an_unprotected_or_foreign_message_is_nothing(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=WHOLE, bob=WHOLE)
    alice = tap(pair.alice)
    hold(pair, lambda item: is_message(item, IKE_INTERMEDIATE), times=1)
    pair.alice.initiate("bob")
    pair.world.run_until(1.0)
    outsider = forger(alice, initiator=True)
    path = path_to(pair.bob, pair.alice)
    pair.bob.inject(outsider.clear(IKE_INTERMEDIATE, 1, [KE(36, bytes(1184))]), path)
    octets = bytearray(outsider.sealed(IKE_INTERMEDIATE, 1, [KE(36, bytes(1184))]))
    octets[-1] ^= 1
    pair.bob.inject(bytes(octets), path)
    assert states(pair, pair.bob) == ["awaits-intermediate-request"]
    # alice asks again
    pair.world.run_until(10.0)
    assert_established(pair)


def test_a_forged_cookie_leads_to_two_answers_and_the_right_one_is_found(ike_pair: MakePair) -> None:
    # bob answers both of alice's IKE_SA_INITs; only for the last one will her AUTH do (RFC 7296 2.15)
    pair = ike_pair(alice=BOTH, bob=BOTH)
    pair.alice.initiate("bob")
    (request,) = sent(pair, pair.alice, IKE_SA_INIT)
    said = Header(header(request.octets).spi_i, bytes(8), 0, 0x20, IKE_SA_INIT, int(Flags.RESPONSE), 0, 0)
    octets = encode_message(said, [Notify(COOKIE, b"biscuit")])
    pair.alice.inject(octets, Path(request.source, request.destination))
    pair.world.run_until(60.0)
    assert_established(pair)
    assert counters(pair.alice)["init-answers-kept"] == 1
    assert len(sent(pair, pair.bob, IKE_SA_INIT)) == 2


# downgrades


def rewrite(pair: Pair, exchange: int, response: bool, change: Any) -> None:
    """Let somebody on the path rewrite unprotected messages."""

    def spoil(transit: Transit) -> None:
        if is_message(transit, exchange, response=response):
            transit.octets = change(transit.octets)

    pair.world.network.add_filter(spoil)


def without_notify(octets: bytes) -> bytes:
    """INTERMEDIATE_EXCHANGE_SUPPORTED taken for something else."""
    mark = b"\x00\x00" + INTERMEDIATE_EXCHANGE_SUPPORTED.to_bytes(2)
    assert octets.count(mark) == 1
    return octets.replace(mark, b"\x00\x00" + (50000).to_bytes(2))


def test_a_responder_that_requires_more_refuses_without_it(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=BOTH, bob=BOTH)
    rewrite(pair, IKE_SA_INIT, False, without_notify)
    pair.up()
    assert_refused(pair, "proposal-mismatch", by="bob")


def test_a_downgrade_to_no_additional_exchange_is_found_by_auth(ike_pair: MakePair) -> None:
    optional = {"proposals": f"{HYBRID}-ke1_none"}
    pair = ike_pair(alice=optional, bob=optional)
    rewrite(pair, IKE_SA_INIT, False, without_notify)
    pair.up()
    # bob chose NONE for it, alice knows what she sent: each end's AUTH covers its own IKE_SA_INIT
    assert_refused(pair, "auth-bad-signature", by="bob")
    assert sent(pair, pair.alice, IKE_INTERMEDIATE) == []


def test_an_initiator_believes_no_choice_that_the_responder_cannot_make(ike_pair: MakePair) -> None:
    pair = ike_pair(alice=BOTH, bob=BOTH)
    rewrite(pair, IKE_SA_INIT, True, without_notify)
    pair.up()
    assert_refused(pair, "nobody-answered", by="nobody-answered")
    assert sent(pair, pair.alice, IKE_INTERMEDIATE) == []
