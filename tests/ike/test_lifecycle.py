"""How SAs live and end: signs of life, DELETE, uniqueness, reauthentication, new configuration, new trust."""

from dataclasses import replace
from typing import Any

import pytest

from ikesim.ike.config import LivenessConfig
from ikesim.ike.events import ChildDown, ChildUp, Rekeyed, SaClosed, SaEstablished, SaRefused
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.wire.payloads import Delete
from tests.ike.wiretap import (
    CREATE_CHILD_SA,
    IKE_AUTH,
    INFORMATIONAL,
    MakePair,
    hold,
    is_message,
    sent,
    states,
    tap,
    times,
)

START = 0.04
"""When alice's SA comes up: four messages of 10 ms."""


def reasons(host: Any) -> list[str]:
    return [event.reason for event in host.of(SaClosed)]


# signs of life (RFC 7296 2.4)


def test_silence_is_broken_by_an_empty_informational(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"liveness": {"interval": 30.0}}, bob={"liveness": {"interval": 0}})
    ours, theirs = tap(pair.alice), tap(pair.bob)
    pair.up()
    pair.world.run_until(100.0)
    # HDR, SK {} --> ; <-- HDR, SK {} each 30 s after the last sign of life (the answer, 20 ms later)
    assert times(pair, pair.alice, INFORMATIONAL) == [30.04, 60.06, 90.08]
    assert [item.payloads for item in ours.of(INFORMATIONAL, response=False)] == [[], [], []]
    assert [item.payloads for item in theirs.of(INFORMATIONAL, response=True)] == [[], [], []]
    assert_established(pair)


def test_traffic_is_a_sign_of_life(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"liveness": {"interval": 30.0}}, bob={"liveness": {"interval": 0}})
    pair.up()
    for _ in range(12):
        assert pair.ping() == 1
        pair.world.run_until(pair.world.now + 10.0)
    assert sent(pair, pair.alice, INFORMATIONAL) == []


def test_whoever_hears_the_others_question_needs_none_of_its_own(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"liveness": {"interval": 31.0}})
    pair.up()
    pair.world.run_until(200.0)
    assert_established(pair)
    assert sent(pair, pair.alice, INFORMATIONAL, response=False) == []
    assert len(sent(pair, pair.bob, INFORMATIONAL, response=False)) == 6


def test_no_interval_no_question(ike_pair: MakePair) -> None:
    quiet = {"liveness": {"interval": 0}}
    pair = ike_pair(alice=quiet, bob=quiet)
    pair.up()
    pair.bob.alive = False
    pair.world.run_until(3000.0)
    assert sent(pair, pair.alice, INFORMATIONAL) == []
    assert len(pair.alice.established) == 1


def test_a_dead_peer_is_cleared(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.bob.alive = False
    pair.world.run_until(lambda: not pair.alice.established)
    # asked at 30.04 s, given up 165.06112 s later
    assert round(pair.world.now, 3) == round(30.04 + 165.06112, 3)
    assert reasons(pair.alice) == ["dead-peer"]
    assert [event.reason for event in pair.alice.of(ChildDown)] == ["dead-peer"]
    pair.world.run_until(pair.world.now + 1000.0)
    assert pair.sas(pair.alice) == []
    assert pair.alice.next_deadline() is None


def test_a_dead_peer_is_called_again(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"liveness": {"interval": 30.0, "action": "restart"}})
    pair.up()
    pair.bob.alive = False
    pair.world.run_until(lambda: not pair.alice.established)
    assert states(pair, pair.alice) == ["awaits-init-response"]
    pair.bob.alive = True
    pair.world.run_until(lambda: pair.alice.established)
    pair.world.settle()
    assert_established(pair)
    assert pair.ping() == 1
    # bob believed the old SA up; INITIAL_CONTACT ended it
    assert reasons(pair.bob) == ["replaced"]


def test_a_peer_that_comes_back_in_time_is_not_dead(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.bob.alive = False
    pair.world.run_until(100.0)
    pair.bob.alive = True
    pair.world.run_until(300.0)
    assert_established(pair)
    assert reasons(pair.alice) == []


# DELETE


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_delete_of_the_ike_sa(ike_pair: MakePair, by: str) -> None:
    pair = ike_pair()
    taps = {"alice": tap(pair.alice), "bob": tap(pair.bob)}
    pair.up()
    pair.down(by=by)
    other = "bob" if by == "alice" else "alice"
    # HDR, SK {D(IKE)} --> ; <-- HDR, SK {}
    assert [item.payloads for item in taps[by].of(INFORMATIONAL, response=False)] == [[Delete(1)]]
    assert [item.payloads for item in taps[other].of(INFORMATIONAL, response=True)] == [[]]
    hosts = {"alice": pair.alice, "bob": pair.bob}
    assert (reasons(hosts[by]), reasons(hosts[other])) == (["deleted-by-us"], ["deleted-by-peer"])
    for host in hosts.values():
        assert len(host.of(ChildDown)) == 1
        # events come in order: first the CHILD SA, then its IKE SA
        assert [type(event).__name__ for event in host.events[-2:]] == ["ChildDown", "SaClosed"]


def test_deletes_that_cross(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    for host in (pair.alice, pair.bob):
        host.terminate(host.established[0])
    pair.world.run_until(pair.world.now + 60.0)
    assert pair.sas(pair.alice) == pair.sas(pair.bob) == []
    assert len(pair.alice.of(SaClosed)) == len(pair.bob.of(SaClosed)) == 1


def test_a_delete_is_answered_again_when_the_answer_was_lost(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    lost = hold(pair, lambda item: is_message(item, INFORMATIONAL, response=True), times=1)
    pair.down()
    assert len(lost) == 1
    assert [item.octets for item in sent(pair, pair.bob, INFORMATIONAL)] == [lost[0].octets] * 2
    assert reasons(pair.alice) == ["deleted-by-us"]


def test_a_delete_that_nobody_answers_ends_the_sa_all_the_same(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.bob.alive = False
    pair.down()
    assert reasons(pair.alice) == ["deleted-by-us"]
    assert round(pair.world.now - START, 3) == 165.061


def test_terminating_twice_is_terminating_once(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.bob.alive = False
    (sa,) = pair.alice.established
    pair.alice.terminate(sa)
    assert states(pair, pair.alice) == ["awaits-delete-response"]
    # the second time the operator does not want to wait
    pair.alice.terminate(sa)
    assert pair.sas(pair.alice) == []
    assert reasons(pair.alice) == ["deleted-by-us"]


# uniqueness (RFC 7296 2.4)


@pytest.mark.parametrize(("bob", "left", "closed"), [("replace", 1, ["replaced"]), ("never", 2, []), ("keep", 1, [])])
def test_a_second_sa_of_the_same_peer(ike_pair: MakePair, bob: str, left: int, closed: list[str]) -> None:
    pair = ike_pair(alice={"unique": "never"}, bob={"unique": bob})
    first = pair.up()
    verdict = pair.up()
    # who merely answers gives the initiator, whose choice it is, the half-open time to make it, and then asks whether
    # the new one is up
    pair.world.run_until(pair.world.now + 36.0)
    assert len(pair.bob.established) == len(pair.alice.established) == left
    assert reasons(pair.bob) == closed
    if bob == "keep":
        assert isinstance(first, SaEstablished)
        assert isinstance(verdict, SaRefused)
        assert pair.alice.established == [first.sa]
        (refusal,) = pair.bob.of(SaRefused)
        assert (refusal.by, refusal.reason) == ("us", "unique-kept")
    else:
        assert isinstance(verdict, SaEstablished)
        assert verdict.sa in pair.alice.established
    assert pair.ping() == 1


def test_initial_contact_ends_in_silence_what_the_peer_forgot(ike_pair: MakePair) -> None:
    # alice lost her state, and says that she knows no other SA: even a bob who keeps the old one believes her
    pair = ike_pair(bob={"unique": "keep"})
    pair.up()
    pair.alice.alive = False
    fresh = pair.world.hosts.pop("alice")
    reborn = pair.world.add_host(
        replace(fresh.config, name="alice"), fresh.ports.vault, fresh.ports.store, inner=fresh.inner
    )
    # the same seed would repeat what alice drew in her first life
    reborn.ports.random.seed = "another life"
    pair.alice = reborn
    before = len(sent(pair, pair.bob, INFORMATIONAL))
    pair.up()
    assert_established(pair)
    assert reasons(pair.bob) == ["replaced"]
    assert len(sent(pair, pair.bob, INFORMATIONAL)) == before
    assert len(pair.bob.established) == 1


def test_peers_with_different_identities_do_not_replace_each_other(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.issue("carol", host="alice", issuer="north-issuing", sans=["fqdn:carol.example"], subject="CN=carol")
    pair = ike_pair(bob={"remote_id": "fqdn:*.example"})
    pair.up()
    connection = pair.alice.config.connections["bob"]
    identity = replace(connection.local_id, data=b"carol.example")
    pair.alice.reconfigure(
        replace(
            pair.alice.config,
            connections={
                "bob": connection,
                "carol": replace(connection, name="carol", local_id=identity, local_certificates=("carol",)),
            },
        )
    )
    pair.alice.initiate("carol")
    pair.world.settle()
    assert len(pair.bob.established) == 2
    assert reasons(pair.bob) == []


# reauthentication


def test_reauthentication_makes_before_it_breaks(ike_pair: MakePair) -> None:
    pair = ike_pair()
    first = pair.up()
    assert isinstance(first, SaEstablished)
    pair.alice.reauthenticate(first.sa)
    pair.world.settle()
    assert_established(pair)
    assert first.sa not in pair.alice.established
    assert reasons(pair.alice) == ["reauthenticated"]
    assert len(pair.alice.of(SaEstablished)) == len(pair.bob.of(SaEstablished)) == 2
    # the new one was there before the old one went
    order = [type(event).__name__ for event in pair.alice.events]
    assert order.index("SaClosed") > len(order) - order[::-1].index("SaEstablished") - 1
    assert pair.ping() == 1


def test_reauthentication_by_time(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"reauth_time": 500.0, "jitter": 0.0})
    pair.up()
    pair.world.run_until(520.0)
    assert_established(pair)
    assert [round(entry.sent_at, 2) for entry in sent(pair, pair.alice, IKE_AUTH)][-1] == 500.06
    assert reasons(pair.alice) == ["reauthenticated"]


def test_reauthentication_is_not_put_off_by_rekeying(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"reauth_time": 500.0, "jitter": 0.0, "rekey_time": 200.0})
    pair.up()
    pair.world.run_until(520.0)
    assert len(pair.alice.of(Rekeyed)) == 2
    assert "reauthenticated" in reasons(pair.alice)
    assert_established(pair)


def test_reauthentication_that_fails_leaves_the_old_sa(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # a bob who replaces would end the old SA himself: he believes the new one up until alice refuses it
    pair = ike_pair(alice={"on_revocation": "ignore"}, bob={"unique": "never"})
    first = pair.up()
    assert isinstance(first, SaEstablished)
    ike_pki.revoke("bob")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.alice.reauthenticate(first.sa)
    pair.world.settle()
    (refusal,) = pair.alice.of(SaRefused)
    assert refusal.reason == "cert-revoked"
    assert pair.alice.established == [first.sa]


# a new configuration


def without_connections(pair: Pair) -> None:
    pair.alice.reconfigure(replace(pair.alice.config, connections={}))


def test_a_connection_that_is_gone_ends_its_sas(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    assert pair.alice.reconfigure(replace(pair.alice.config, connections={})) == ["bob"]
    pair.world.settle()
    assert reasons(pair.alice) == ["connection-removed"]
    assert reasons(pair.bob) == ["deleted-by-peer"]
    assert pair.sas(pair.alice) == pair.sas(pair.bob) == []


def test_a_connection_that_is_gone_while_its_sa_is_coming_up(ike_pair: MakePair) -> None:
    for state in ("awaits-init-response", "awaits-auth-response"):
        pair = ike_pair()
        sa = pair.alice.initiate("bob")
        while states(pair, pair.alice) != [state]:
            pair.world.step()
        without_connections(pair)
        pair.world.settle()
        verdict = pair.alice.verdict(sa)
        assert isinstance(verdict, SaRefused)
        assert (verdict.by, verdict.reason) == ("us", "connection-removed")
        assert pair.sas(pair.alice) == []


def test_a_connection_that_is_gone_while_a_verdict_waits(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="http")
    pair.bob.initiate("alice")
    pair.world.run_until(lambda: states(pair, pair.alice) == ["awaits-verdict"])
    without_connections(pair)
    pair.world.settle()
    assert [event.reason for event in pair.alice.of(SaRefused)] == ["connection-removed"]
    assert pair.alice.established == pair.bob.established == []


@pytest.mark.parametrize("outstanding", ["nothing", "a rekeying"])
def test_a_connection_that_is_gone_and_a_peer_that_is_dead(ike_pair: MakePair, outstanding: str) -> None:
    pair = ike_pair(alice={"rekey_time": 100.0, "reauth_time": 120.0, "child": {"rekey_time": 80.0}})
    pair.up()
    pair.bob.alive = False
    if outstanding != "nothing":
        pair.alice.rekey(pair.alice.established[0])
    without_connections(pair)
    # every timer of the SA comes up meanwhile, with no configuration to look at
    pair.world.run_until(1000.0)
    assert pair.sas(pair.alice) == []
    assert len(pair.alice.of(SaClosed)) == 1


def test_a_connection_that_is_gone_still_answers_the_peer(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    hold(pair, lambda item: item.source.host == "192.0.2.1", times=2)
    pair.alice.rekey(pair.alice.established[0])
    without_connections(pair)
    pair.bob.rekey(pair.children(pair.bob)[0].id)
    pair.world.run_until(lambda: not pair.alice.established)
    pair.world.run_until(pair.world.now + 60.0)
    assert pair.sas(pair.alice) == pair.sas(pair.bob) == []


@pytest.mark.parametrize("key", ["keepalive", "liveness", "rekey_time"])
def test_timers_that_the_new_configuration_switches_off(ike_pair: MakePair, key: str) -> None:
    pair = ike_pair()
    pair.up()
    connection = pair.alice.config.connections["bob"]
    value: Any = LivenessConfig(interval=0.0) if key == "liveness" else 0.0
    changed = replace(connection, **{key: value})
    assert pair.alice.reconfigure(replace(pair.alice.config, connections={"bob": changed})) == []
    pair.world.run_until(20_000.0)
    assert_established(pair)


def test_a_new_configuration_keeps_what_it_still_names(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    before = pair.alice.established
    assert pair.alice.reconfigure(pair.alice.config) == []
    assert pair.alice.established == before
    assert pair.ping() == 1


def test_the_next_sa_is_judged_by_the_new_configuration(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    connection = pair.alice.config.connections["bob"]
    strict = replace(connection, trusted_ca="north", trusted_ca_group=None)
    pair.alice.reconfigure(replace(pair.alice.config, connections={"bob": strict}))
    pair.down()
    pair.up()
    assert_refused(pair, "cert-ca-not-allowed", by="alice")


# new trust


def test_a_peer_revoked_later_is_ended_at_once(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    ours = tap(pair.alice)
    pair.up()
    ike_pki.revoke("bob", "key-compromise")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.world.settle()
    (closed,) = pair.alice.of(SaClosed)
    assert (closed.reason, reasons(pair.bob)) == ("revoked-later", ["deleted-by-peer"])
    assert closed.decision is not None
    assert (closed.decision.accepted, closed.decision.reason) == (False, "cert-revoked")
    assert [item.payloads for item in ours.of(INFORMATIONAL, response=False)] == [[Delete(1)]]


def test_a_peer_revoked_later_is_ended_at_the_next_rekeying(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(alice={"on_revocation": "at-rekey", "rekey_time": 500.0, "jitter": 0.0})
    pair.up()
    ike_pki.revoke("bob")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.world.run_until(499.0)
    assert_established(pair)
    pair.world.run_until(501.0)
    assert reasons(pair.alice) == ["revoked-later"]
    assert sent(pair, pair.alice, CREATE_CHILD_SA) == []


def test_at_the_peers_rekeying_it_is_ended_as_well(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(alice={"on_revocation": "at-rekey"})
    pair.up()
    ike_pki.revoke("bob")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.bob.rekey(pair.bob.established[0])
    pair.world.run_until(pair.world.now + 60.0)
    assert reasons(pair.alice)[-1] == "revoked-later"
    assert pair.alice.established == pair.bob.established == []


def test_revocation_may_be_ignored_for_what_is_up(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(alice={"on_revocation": "ignore", "rekey_time": 500.0, "jitter": 0.0})
    pair.up()
    ike_pki.revoke("bob")
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.world.run_until(600.0)
    assert_established(pair)
    assert len(pair.alice.of(Rekeyed)) == 1
    # but not for what comes up
    pair.down()
    pair.up()
    assert_refused(pair, "cert-revoked", by="alice")


def test_new_trust_that_says_nothing_of_the_peer_changes_nothing(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    pair.up()
    ike_pki.issue("carol", host="carol", issuer="south-issuing")
    ike_pki.revoke("carol")
    pair.load_crls()
    pair.world.settle()
    assert_established(pair)
    assert len(pair.alice.of(ChildUp)) == 1


def test_a_sa_that_is_up_outlives_the_expiry_of_a_certificate(ike_pair: MakePair, ike_pki: SimPki) -> None:
    # only revocation ends what is up; expiry is judged when somebody authenticates
    pair = ike_pair(alice={"liveness": {"interval": 0}}, bob={"liveness": {"interval": 0}})
    pair.up()
    pair.alice.set_clock(400 * 86400.0)
    pair.alice.change_trust(ike_pki.store("alice"))
    pair.world.settle()
    assert_established(pair)
