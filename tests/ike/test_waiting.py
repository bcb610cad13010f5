"""While a verdict waits for the network: CRLs over the modelled HTTP service, silence, the limit of ten seconds."""

from typing import Any

import pytest

from ikesim.ike.events import FetchFinished, FetchStarted, SaEstablished, SaRefused, TrustChanged
from ikesim.pki.fetching import FetchResult
from ikesim.sim.services import Answer, Service
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.address import Path
from ikesim.wire.payloads import Delete
from tests.ike.wiretap import (
    IKE_AUTH,
    INFORMATIONAL,
    MakePair,
    counters,
    forger,
    path_to,
    sent,
    states,
    tap,
    times,
)

WHOLE = {"fragment_size": 0}


def always(answer: Answer) -> Service:
    """A service that answers everybody the same."""
    return lambda request, wall: answer


def slow(pair: Pair, seconds: float, *authorities: str) -> None:
    """Let the CRLs of these CAs take so long to arrive (all: every CRL)."""
    for name in authorities or tuple(pair.pki.authorities):
        pair.world.services[pair.pki.crl_url(name)] = always(Answer(pair.pki.crls[name], delay=seconds))


def waiting(make: MakePair, host: str, seconds: float = 6.0) -> Pair:
    """A pair in which only one host must fetch, and waits."""
    pair = make(crls="http", alice=WHOLE, bob=WHOLE)
    other = pair.bob if host == "alice" else pair.alice
    other.ports.store = pair.pki.store(other.name)
    slow(pair, seconds)
    pair.alice.initiate("bob")
    end = pair.alice if host == "alice" else pair.bob
    pair.world.run_until(lambda: states(pair, end) == ["awaits-verdict"])
    return pair


def test_both_ends_fetch_what_they_lack(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(crls="http")
    pair.up()
    assert_established(pair)
    urls = {name: ike_pki.crl_url(name) for name in ike_pki.authorities}
    assert set(pair.alice.fetched_urls) == {urls["south"], urls["south-issuing"]}
    assert set(pair.bob.fetched_urls) == {urls["north"], urls["north-issuing"]}
    for host in (pair.alice, pair.bob):
        assert [event.url for event in host.of(FetchStarted)] == host.fetched_urls
        assert {event.result for event in host.of(FetchFinished)} == {"ok"}
        # the shell is given what was fetched and verified, so that the next peer costs no fetch
        kept = {event.url: event.crl for event in host.of(TrustChanged)}
        assert kept == {url: ike_pki.crls[name] for name, url in urls.items() if url in host.fetched_urls}
    before = list(pair.alice.fetched_urls)
    pair.down()
    pair.up()
    assert_established(pair)
    assert pair.alice.fetched_urls == before


def test_nothing_is_fetched_before_auth_verified(ike_pair: MakePair) -> None:
    # design, rule 6: whoever merely owns a public certificate makes us fetch nothing
    pair = ike_pair(crls="http")
    pair.alice.hooks.after_sign = lambda sa, signature, certificate: signature[:-1] + bytes((signature[-1] ^ 1,))
    pair.up()
    assert_refused(pair, "auth-bad-signature", by="bob")
    assert pair.bob.fetched_urls == []


def test_no_url_of_a_chain_outside_the_group_is_contacted(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="http", bob={"trusted_ca": "south"})
    pair.up()
    assert_refused(pair, "cert-ca-not-allowed", by="bob")
    assert pair.bob.fetched_urls == []


def test_a_responder_that_waits_is_silent_on_retransmissions(ike_pair: MakePair) -> None:
    pair = waiting(ike_pair, "bob", 6.0)
    pair.world.run_until(5.9)
    # HDR(1), SK {IDi, ...} --> at 0.02 s and again at 4.02 s
    assert times(pair, pair.alice, IKE_AUTH) == [0.02, 4.02]
    assert sent(pair, pair.bob, IKE_AUTH) == []
    pair.world.run_until(7.0)
    # <-- HDR(1), SK {IDr, ...} once the CRLs were there
    (answer,) = times(pair, pair.bob, IKE_AUTH)
    assert 6.0 < answer < 6.1
    assert_established(pair)
    # from now on a retransmission is answered again
    request = sent(pair, pair.alice, IKE_AUTH)[0]
    pair.bob.inject(request.octets, Path(request.destination, request.source))
    assert len(sent(pair, pair.bob, IKE_AUTH)) == 2


def test_an_initiator_that_waits_asks_and_answers_nothing(ike_pair: MakePair) -> None:
    pair = waiting(ike_pair, "alice", 8.0)
    assert states(pair, pair.bob) == ["established"]
    sends = len(sent(pair, pair.alice))
    # bob believes the SA up: HDR(0), SK {} -->, and ESP
    pair.bob.check_liveness(pair.bob.established[0])
    pair.ping(by="bob", limit=0.5)
    pair.world.run_until(7.5)
    assert len(sent(pair, pair.alice)) == sends  # no retransmission of IKE_AUTH either
    assert pair.alice.inner_received == []
    assert counters(pair.alice)["requests-untimely"] >= 1
    pair.world.run_until(30.0)
    # the request was not lost by it: bob's retransmission is answered
    assert len(sent(pair, pair.alice, INFORMATIONAL, response=True)) >= 1
    assert_established(pair)
    assert pair.ping() == 1


@pytest.mark.parametrize("host", ["alice", "bob"])
def test_ten_seconds_and_no_more(ike_pair: MakePair, host: str) -> None:
    pair = waiting(ike_pair, host, 300.0)
    start = pair.world.now
    pair.world.run_until(lambda: pair.alice.of(SaRefused) or pair.bob.of(SaRefused))
    assert round(pair.world.now - start, 6) == 10.0
    pair.world.settle()
    event = assert_refused(pair, "crl-fetch-failed", by=host)
    assert "10 s" in str(event.decision.to_json() if event.decision else "")


@pytest.mark.parametrize("host", ["alice", "bob"])
def test_the_core_itself_stops_waiting_after_ten_seconds(ike_pair: MakePair, host: str) -> None:
    pair = ike_pair(crls="http", alice=WHOLE, bob=WHOLE)
    end, other = (pair.alice, pair.bob) if host == "alice" else (pair.bob, pair.alice)
    other.ports.store = pair.pki.store(other.name)
    # a shell that never answers, not even that the time is up
    pair.world.fetch = lambda asker, fetch: None  # type: ignore[assignment,method-assign] # the world's seam for fetches
    pair.alice.initiate("bob")
    while states(pair, end) != ["awaits-verdict"]:
        pair.world.step()
    start = pair.world.now
    pair.world.run_until(lambda: end.of(SaRefused))
    assert round(pair.world.now - start, 6) == 10.0
    pair.world.run_until(pair.world.now + 1.0)
    assert_refused(pair, "crl-fetch-failed", by=host)


def test_the_time_for_all_fetches_is_one(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # first one URL, and after its answer the next: together they have ten seconds
    urls = ("http://one.example/x.crl", "http://two.example/x.crl", "http://three.example/x.crl")
    ike_pki.add_authority("south-far", parent="south", crl_at=urls)
    ike_pki.issue("bob", issuer="south-far")
    pair = ike_pair(crls="http", alice=WHOLE, bob=WHOLE)
    pair.bob.ports.store = ike_pki.store("bob")
    for url in urls:
        pair.world.services[url] = lambda request, wall: Answer(status=503, delay=6.0)
    sa = pair.alice.initiate("bob")
    pair.world.run_until(lambda: pair.alice.verdict(sa) is not None)
    assert pair.world.now <= 10.1
    pair.world.settle()
    assert_refused(pair, "crl-fetch-failed", by="alice")


def test_when_the_peer_gives_up_meanwhile_the_answer_is_for_nobody(ike_pair: MakePair) -> None:
    pair = waiting(ike_pair, "bob", 6.0)
    pair.bob.terminate(pair.sas(pair.bob)[0]["id"])
    pair.world.run_until(30.0)
    assert pair.bob.of(SaEstablished) == []
    assert len(pair.bob.of(SaRefused)) == 1
    # the fetches ended, and nothing came of it
    assert {event.result for event in pair.bob.of(FetchFinished)} == {"ok"}
    assert pair.sas(pair.bob) == []


def test_an_answer_for_a_fetch_that_is_not_open_is_a_no_op(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="http")
    answered: list[tuple[Any, FetchResult]] = []
    real = pair.alice.answer

    def twice(fetch: Any, result: FetchResult) -> None:
        real(fetch, result)
        answered.append((fetch, result))

    pair.alice.answer = twice  # type: ignore[method-assign] # the shell's own seam: it answers once, this one twice
    pair.up()
    assert_established(pair)
    events = len(pair.alice.events)
    for fetch, result in answered:
        pair.alice.endpoint.fetched(fetch, result, pair.world.now)
    pair.alice.endpoint.fetched(4711, answered[0][1], pair.world.now)  # type: ignore[arg-type] # no FetchId at all
    pair.alice.drain()
    assert len(pair.alice.events) == events
    assert_established(pair)


def test_two_peers_that_need_one_crl_cause_one_fetch(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="http", alice={"unique": "never"}, bob={"unique": "never"})
    slow(pair, 2.0)
    pair.alice.initiate("bob")
    pair.alice.initiate("bob")
    pair.world.settle()
    assert len(pair.bob.established) == 2
    assert sorted(pair.bob.fetched_urls) == sorted(set(pair.bob.fetched_urls))


def test_a_crl_replaced_while_ike_auth_waits_counts(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # DC23: while an older CRL, which is good, is on its way, the operator loads one that lists bob
    pair = waiting(ike_pair, "alice", 6.0)
    ike_pki.revoke("bob")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.world.run_until(20.0)
    event = assert_refused(pair, "cert-revoked", by="alice")
    assert event.decision is not None
    assert event.decision.revocation is not None
    assert event.decision.revocation.outcome.name.lower() == "revoked"


def test_the_certificate_is_judged_at_the_time_of_the_verdict(ike_pair: MakePair) -> None:
    # DC23: valid when IKE_AUTH came, expired when the CRL was there
    pair = ike_pair(crls="http", alice=WHOLE, bob=WHOLE)
    pair.bob.ports.store = pair.pki.store("bob")
    slow(pair, 8.0)
    pair.alice.initiate("bob")
    pair.world.run_until(lambda: states(pair, pair.alice) == ["awaits-verdict"])
    pair.alice.set_clock(400 * 86400.0)
    pair.world.run_until(20.0)
    assert_refused(pair, "cert-expired", by="alice")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(status=404), "crl-fetch-failed"),
        (Answer(error="connection reset", status=None), "crl-fetch-failed"),
        (b"<html>", "crl-malformed"),
    ],
)
def test_a_service_that_fails(ike_pair: MakePair, ike_pki: SimPki, answer: Any, reason: str) -> None:
    pair = ike_pair(crls="http")
    pair.bob.ports.store = pair.pki.store("bob")
    pair.world.services[ike_pki.crl_url("south-issuing")] = lambda request, wall: answer
    pair.up()
    event = assert_refused(pair, reason, by="alice")
    assert ike_pki.crl_url("south-issuing") in str(event.decision.to_json() if event.decision else "")


def test_a_private_address_in_a_certificate_is_not_contacted(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.add_authority("south-inner", parent="south", crl_at=("http://127.0.0.1/x.crl",))
    ike_pki.issue("bob", issuer="south-inner")
    pair = ike_pair(crls="http")
    pair.bob.ports.store = pair.pki.store("bob")
    pair.up()
    assert_refused(pair, "crl-fetch-refused", by="alice")


def test_requests_to_delete_are_dropped_while_the_initiator_waits(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="http", alice=WHOLE, bob=WHOLE)
    tapped = tap(pair.bob)
    pair.bob.ports.store = pair.pki.store("bob")
    slow(pair, 6.0)
    sa = pair.alice.initiate("bob")
    pair.world.run_until(lambda: states(pair, pair.alice) == ["awaits-verdict"])
    # <-- HDR(0), SK {D(IKE)} by a peer that is not authenticated yet
    forged = forger(tapped, initiator=False)
    pair.alice.inject(forged.sealed(INFORMATIONAL, 0, [Delete(1)]), path_to(pair.alice, pair.bob))
    assert states(pair, pair.alice) == ["awaits-verdict"]
    pair.world.run_until(20.0)
    assert isinstance(pair.alice.verdict(sa), SaEstablished)


def test_a_malformed_child_offer_is_found_before_anything_is_fetched(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="http")
    tap(pair.alice).change = lambda said: (
        [item for item in said.payloads if type(item).__name__ != "TSr"] if said.exchange == IKE_AUTH else None
    )
    pair.up()
    assert [event.reason for event in pair.bob.of(SaRefused)] == ["payload-malformed"]
    assert pair.bob.fetched_urls == []
