"""The pair of endpoints as a user's test sees it, and as the assertions report it."""

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from hashlib import sha256

import pytest

from ikesim.errors import NotFoundError
from ikesim.ike.events import ChildUp, SaClosed, SaEstablished, SaRefused
from ikesim.sim import EPOCH
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from tests.support import REPOSITORY

MakePair = Callable[..., Pair]


def test_a_pair_comes_up_and_pings(ike_pair: MakePair) -> None:
    pair = ike_pair()
    verdict = pair.up()
    assert isinstance(verdict, SaEstablished)
    ours, theirs = assert_established(pair)
    assert (ours.decision.identity, theirs.decision.identity) == ("fqdn:bob.example", "fqdn:alice.example")
    assert pair.ping(3) == 3
    assert pair.ping(by="bob") == 1
    (child,) = pair.children(pair.alice)
    assert (child.name, child.state) == ("net", "installed")
    pair.down()
    assert (pair.alice.established, pair.bob.established) == ([], [])
    assert pair.ping() == 0


def test_either_side_can_begin(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up(by="bob")
    assert_established(pair)
    assert pair.sas(pair.bob)[0]["role"] == "initiator"


def test_the_same_seed_gives_the_same_octets_on_the_wire(ike_pki: SimPki) -> None:
    def octets(seed: str) -> list[bytes]:
        pair = Pair.of(SimPki("pki"), seed=seed, loss=0.2, jitter=0.01)
        pair.up()
        pair.ping(2)
        return [entry.octets for entry in pair.world.network.log]

    assert octets("one") == octets("one")
    assert octets("one") != octets("two")


@pytest.mark.parametrize("seed", range(10))
def test_a_bad_network_delays_but_does_not_prevent(ike_pair: MakePair, seed: int) -> None:
    pair = ike_pair(seed=seed, loss=0.2, duplicate=0.1, reorder=0.1, jitter=0.02)
    pair.up()
    pair.world.run_until(pair.world.now + 300.0)
    assert_established(pair)


def test_nobody_answers(ike_pair: MakePair) -> None:
    pair = ike_pair(loss=1.0)
    verdict = pair.up()
    assert isinstance(verdict, SaRefused)
    assert_refused(pair, reason="nobody-answered", by="nobody-answered")


def test_a_revoked_peer_is_refused_by_the_one_who_knows(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.revoke("bob")
    pair = ike_pair()
    pair.up()
    event = assert_refused(pair, reason="cert-revoked", by="alice")
    assert event.decision is not None
    assert event.decision.reason == "cert-revoked"
    assert [closed.reason for closed in pair.bob.of(SaClosed)] == ["refused-by-peer"]


def test_a_crl_is_fetched_when_none_is_held(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(crls="http")
    pair.up()
    assert_established(pair)
    assert sorted(pair.alice.fetched_urls) == [
        "http://crl.south.example/south-issuing.crl",
        "http://crl.south.example/south.crl",
    ]
    assert pair.alice.ports.store.crls["south"] != ()


def test_without_revocation_data_a_strict_host_refuses(ike_pair: MakePair) -> None:
    pair = ike_pair(crls="none")
    pair.up()
    assert_refused(pair, reason="crl-fetch-failed")
    relaxed = ike_pair(
        crls="none", alice={"revocation": {"policy": "relaxed"}}, bob={"revocation": {"policy": "relaxed"}}
    )
    relaxed.up()
    assert_established(relaxed)


def test_a_host_with_a_wrong_clock(ike_pair: MakePair) -> None:
    pair = ike_pair(alice={"clock_offset": 400 * 86400.0})
    pair.up()
    assert_refused(pair, reason="cert-expired", by="alice")


def test_a_crl_published_later_ends_an_established_sa(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    pair.up()
    assert_established(pair)
    ike_pki.revoke("bob")
    pair.load_crls()
    pair.world.settle()
    assert [event.reason for event in pair.alice.of(SaClosed)] == ["revoked-later"]
    assert pair.bob.established == []


def test_settings_reach_the_configuration(ike_pair: MakePair) -> None:
    pair = ike_pair(
        alice={
            "listen": "127.0.0.1:5500",
            "listen_nat_t": "127.0.0.1:5501",
            "local_id": "fqdn:alice.example",
            "proposals": "aes256gcm16-prfsha384-ecp384",
            "signature_schemes": ["ecdsa-sha256"],
            "liveness": {"interval": 0},
            "retransmit": {"tries": 1},
            "child": {"local_ts": "10.9.0.0/24", "proposals": "aes256gcm16"},
            "trusted_ca": "south",
        },
        bob={"listen": "127.0.0.2:5500", "child": {"remote_ts": "10.9.0.0/24", "proposals": "aes256gcm16"}},
    )
    connection = pair.alice.config.connections["bob"]
    assert str(connection.remote) == "127.0.0.2:5500"
    assert str(pair.bob.config.connections["alice"].remote_nat_t) == "127.0.0.1:5501"
    assert (connection.trusted_ca, connection.trusted_ca_group) == ("south", None)
    assert (connection.liveness.interval, pair.alice.config.retransmit.tries) == (0, 1)
    pair.up()
    assert_established(pair)
    assert pair.sas(pair.alice)[0]["proposal"] == "aes256gcm16-prfsha384-ecp384"
    assert pair.alice.of(ChildUp)[0].local_ts == ("10.9.0.0/24",)
    assert pair.ping() == 1


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"alice": {"lissten": "x"}}, r"alice has no setting 'lissten'; did you mean listen\?"),
        ({"bob": {"child": {"local_tss": "x"}}}, r"bob's child has no setting 'local_tss'; did you mean local_ts\?"),
        ({"los": 0.1}, r"the network has no setting 'los'; there are corrupt, delay, duplicate, "),
    ],
)
def test_a_setting_that_does_not_exist_is_named(
    ike_pair: MakePair, settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(TypeError, match=sentence):
        ike_pair(**settings)


def test_crls_is_one_of_three(ike_pair: MakePair) -> None:
    with pytest.raises(ValueError, match="crls is held, http or none, not 'ldap'"):
        ike_pair(crls="ldap")


def test_an_unknown_connection_is_an_error(ike_pair: MakePair) -> None:
    with pytest.raises(NotFoundError):
        ike_pair().alice.initiate("carol")


def test_a_rekeyed_pair_is_still_established(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    (old_child,) = pair.children(pair.alice)
    pair.alice.rekey(old_child.id)
    pair.world.settle()
    pair.alice.rekey(pair.alice.established[0])
    pair.world.settle()
    assert_established(pair)
    (new_child,) = pair.children(pair.alice)
    assert new_child.spi_in != old_child.spi_in
    assert pair.ping() == 1


def test_a_copied_pair_goes_its_own_way(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    twin = copy.deepcopy(pair)
    twin.down()
    assert twin.alice.established == []
    assert_established(pair)
    assert pair.ping() == 1


def test_a_dead_peer(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    pair.bob.alive = False
    pair.alice.check_liveness(pair.alice.established[0])
    pair.world.run_until(lambda: not pair.alice.established)
    assert pair.alice.of(SaClosed)[0].reason == "dead-peer"


def test_the_pki_can_start_at_any_time(ike_pair: MakePair) -> None:
    pki = SimPki("later", now=EPOCH + timedelta(days=3650))
    pair = Pair.of(pki)
    pair.up()
    assert_established(pair)
    assert pair.alice.of(SaEstablished)[0].time.year == 2035


def test_assertions_explain_themselves(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(seed="explained")
    with pytest.raises(AssertionError, match=r"alice holds no IKE SA\n(.|\n)*seed 'explained'"):
        assert_established(pair)
    with pytest.raises(
        AssertionError, match="expected a refusal with cert-revoked, but nobody refused: nothing came up"
    ):
        assert_refused(pair, reason="cert-revoked")
    pair.up()
    with pytest.raises(AssertionError) as caught:
        assert_refused(pair, reason="cert-revoked")
    text = str(caught.value)
    assert text.startswith("expected a refusal with cert-revoked, but nobody refused: alice and bob hold an IKE SA\n")
    assert "alice decided: Accepted: fqdn:bob.example" in text
    assert "IKE_AUTH response 1" in text
    with pytest.raises(ValueError, match="'no-such-reason' is not a valid Reason"):
        assert_refused(pair, reason="no-such-reason")
    with pytest.raises(ValueError, match="'carol' is neither a host of this pair nor nobody-answered"):
        assert_refused(pair, reason="cert-revoked", by="carol")
    ike_pki.revoke("bob")
    refused = ike_pair()
    refused.up()
    with pytest.raises(AssertionError, match=r"alice holds no IKE SA .*alice: SaRefused cert-revoked"):
        assert_established(refused)
    with pytest.raises(
        AssertionError, match="expected a refusal with cert-revoked by bob, but alice says cert-revoked by us"
    ):
        assert_refused(refused, reason="cert-revoked", by="bob")
    with pytest.raises(
        AssertionError, match="expected a refusal with cert-expired, but alice says cert-revoked by us"
    ):
        assert_refused(refused, reason="cert-expired")


def story() -> str:
    """Everything that happens to a pair on a bad network, octet for octet."""
    pair = Pair.of(SimPki("hash"), seed="hash", crls="http", loss=0.2, jitter=0.05, duplicate=0.1)
    pair.up()
    pair.ping(3)
    pair.alice.rekey(pair.alice.established[0])
    pair.world.run_until(pair.world.now + 20000.0)
    octets = sha256(b"".join(entry.octets for entry in pair.world.network.log)).hexdigest()
    return f"{pair.world.network.fates()}\n{pair.world.report()}\n{octets}"


def test_a_whole_life_does_not_depend_on_the_hash_seed() -> None:
    program = "from tests.testing.test_pair import story; print(story())"
    stories = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    ]
    assert stories[0] == stories[1]
    assert stories[0].count("Rekeyed") >= 4  # by command and, in 20,000 s, by time
