"""Every field of a CA profile changes what is decided (anchors PF-01 to PF-07)."""

import email
import email.policy
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from ikesim.configuration import load
from ikesim.errors import ConfigurationError, NotFoundError, UsageError
from ikesim.ike.events import SaEstablished, SaRefused
from ikesim.sim.services import Answer
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from tests.cli.command import ikesim, refused
from tests.daemon.endpoints import write_config
from tests.pki.store_world import World

MakePair = Callable[..., Pair]
HOUR = 3600.0
DAY = 24 * HOUR


def alice_fetches(make: MakePair, **revocation: Any) -> Pair:
    """bob holds every CRL; alice holds none and has these settings in both profiles."""
    pair = make(crls="http", alice={"revocation": revocation})
    pair.bob.ports.store = pair.pki.store("bob")
    return pair


def again(pair: Pair, at: float) -> SaEstablished | SaRefused:
    """Take the SA down, and authenticate anew at a virtual time; alice's verdict."""
    pair.down()
    pair.world.run_until(at)
    return pair.up()


# PF-01


def test_pf_01_a_ca_certificate_is_stored_with_a_profile_or_not_at_all(tmp_path: Path) -> None:
    world = World(tmp_path)
    with pytest.raises(UsageError, match="belongs to a CA profile: load it with --ca north"):
        world.store.load(world.north.certificate, profiles=["north"])
    with pytest.raises(NotFoundError, match=r"no CA profile other.*add \[pki\.ca-profile\.other\]"):
        world.store.load(world.north.certificate, ca="other", profiles=["north"])
    assert world.store.ca_certificates() == {}
    world.store.load(world.north.certificate, ca="north", profiles=["north"])
    assert list(world.store.ca_certificates()) == ["north"]


# PF-02


def test_pf_02_the_ca_identity_is_required(tmp_path: Path) -> None:
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")
    assert load(file).endpoint.ca_profiles["north"].ca_identity == "north.example"
    for line in ("", 'ca-identity = ""'):
        file.write_text(file.read_text().replace('ca-identity = "north.example"', line))
        with pytest.raises(ConfigurationError, match=r"pki\.ca-profile\.north\.ca-identity: "):
            load(file)
        file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")


# PF-03


def test_pf_03_a_request_becomes_a_message_to_the_administrator(tmp_path: Path) -> None:
    """RFC 5322, and the request in it is the one that waits."""
    profile = 'administrator-email = "pki@north.example"'
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1", profile=profile)
    endpoint = ("--endpoint", file)
    assert ikesim("pki", "key", "generate", "alice", *endpoint).returncode == 0
    arguments = ("--subject", "CN=alice", "--fqdn", "alice.example", "--mail", "north")
    done = ikesim("pki", "request", "alice", *arguments, *endpoint)
    assert done.returncode == 0, done
    message = email.message_from_string(done.stdout, policy=email.policy.default)
    assert message.defects == []
    assert message["To"] == "pki@north.example"
    assert "alice" in message["Subject"]
    (text,) = [
        part.get_content() for part in message.walk() if "BEGIN CERTIFICATE REQUEST" in str(part.get_content())
    ]
    begin = text.index("-----BEGIN")
    request = x509.load_pem_x509_csr(text[begin:].encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=alice"


def test_pf_03_without_an_address_there_is_nobody_to_write_to(tmp_path: Path) -> None:
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")
    ikesim("pki", "key", "generate", "alice", "--endpoint", file)
    said = refused(2, "pki", "request", "alice", "--subject", "CN=a", "--mail", "north", "--endpoint", file)
    assert said.endswith("set pki.ca-profile.north.administrator-email")


# PF-04


def test_pf_04_without_a_revocation_check_nothing_is_fetched_and_no_crl_is_read(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    """A CRL that lists the peer lies ready, and is served as well."""
    ike_pki.revoke("bob")
    pair = ike_pair(crls="http", alice={"revocation": {"method": "disable"}})
    pair.bob.ports.store = ike_pki.store("bob")
    pair.alice.ports.store = ike_pki.store("alice")
    pair.up()
    ours, _ = assert_established(pair)
    assert pair.alice.fetched_urls == []
    assert ours.decision.to_json()["revocation"]["outcome"] == "skipped"


def test_pf_04_with_the_check_the_same_peer_is_refused(ike_pair: MakePair, ike_pki: SimPki) -> None:
    ike_pki.revoke("bob")
    pair = alice_fetches(ike_pair, method="crl")
    pair.up()
    assert_refused(pair, "cert-revoked", by="alice")


# PF-05


@pytest.mark.parametrize(("setting", "refusal"), [("reject", "crl-fetch-failed"), ("accept", None)])
def test_pf_05_what_a_failed_download_means_is_a_setting(
    ike_pair: MakePair, setting: str, refusal: str | None
) -> None:
    pair = alice_fetches(ike_pair, on_download_failure=setting)
    pair.world.services.clear()
    pair.up()
    if refusal is None:
        assert_established(pair)
        assert pair.alice.fetched_urls, "it was tried"
    else:
        assert_refused(pair, refusal, by="alice")


def test_pf_05_accepting_a_failed_download_forgives_nobody_whom_a_held_crl_lists(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    """Finding 4: the CRL at hand is old, its CA is out of reach, and it says revoked."""
    ike_pki.revoke("bob")
    pair = ike_pair(
        alice={"revocation": {"on_download_failure": "accept"}}, bob={"revocation": {"method": "disable"}}
    )
    pair.world.services.clear()
    pair.world.run_until(30 * DAY)
    pair.up()
    assert_refused(pair, "cert-revoked", by="alice")


# PF-06


def test_pf_06_the_operators_url_serves_certificates_without_one_of_their_own(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    ike_pki.issue("bob", crl_urls=())
    leaf = x509.load_der_x509_certificate(ike_pki.leaves["bob"].certificate)
    with pytest.raises(x509.ExtensionNotFound):
        leaf.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    set_by_hand = "http://192.168.7.7:8080/south-issuing.crl"
    for urls, accepted in (((), False), ((set_by_hand,), True)):
        pair = alice_fetches(ike_pair, url=urls)
        pair.world.services[set_by_hand] = lambda request, wall: ike_pki.crls["south-issuing"]
        pair.up()
        if accepted:
            assert_established(pair)
            assert set_by_hand in pair.alice.fetched_urls, "a private address: the operator may"
        else:
            assert_refused(pair, "crl-missing", by="alice")


def test_pf_06_the_certificates_own_point_comes_first(ike_pair: MakePair, ike_pki: SimPki) -> None:
    set_by_hand = "http://192.168.7.7:8080/all.crl"
    pair = alice_fetches(ike_pair, url=(set_by_hand,))
    pair.world.services[set_by_hand] = lambda request, wall: ike_pki.crls["south-issuing"]
    pair.up()
    assert_established(pair)
    own = ike_pki.crl_url("south-issuing")
    assert own in pair.alice.fetched_urls
    assert set_by_hand not in pair.alice.fetched_urls
    pair = alice_fetches(ike_pair, url=(set_by_hand,))
    del pair.world.services[own]
    pair.world.services[set_by_hand] = lambda request, wall: ike_pki.crls["south-issuing"]
    pair.up()
    assert_established(pair)
    assert pair.alice.fetched_urls.index(own) < pair.alice.fetched_urls.index(set_by_hand)


# PF-07


def test_pf_07_a_crl_is_fetched_again_when_its_interval_has_passed(ike_pair: MakePair, ike_pki: SimPki) -> None:
    """The first lookup fetches at t0; at t0 + interval it is used as it is, a second later it is fetched again."""
    url = ike_pki.crl_url("south-issuing")
    pair = alice_fetches(ike_pair, refresh_interval=6 * HOUR)
    pair.up()
    fetched_at = pair.world.now
    assert pair.alice.fetched_urls.count(url) == 1
    for later, fetches in ((5 * HOUR, 1), (6 * HOUR - 60, 1), (6 * HOUR + 60, 2), (12 * HOUR, 2), (13 * HOUR, 3)):
        again(pair, fetched_at + later)
        assert_established(pair)
        assert pair.alice.fetched_urls.count(url) == fetches, f"{later / HOUR} h after the first"


def test_pf_07_a_refresh_learns_what_was_revoked_meanwhile(ike_pair: MakePair, ike_pki: SimPki) -> None:
    """Between two refreshes a revocation is not known; nextUpdate alone would hide it for days."""
    pair = alice_fetches(ike_pair, refresh_interval=6 * HOUR)
    pair.up()
    fetched_at = pair.world.now
    ike_pki.revoke("bob", publish=False)
    ike_pki.publish("south-issuing", now=ike_pki.now + timedelta(hours=1))
    assert isinstance(again(pair, fetched_at + 5 * HOUR), SaEstablished)
    again(pair, fetched_at + 7 * HOUR)
    assert_refused(pair, "cert-revoked", by="alice")


def test_pf_07_zero_follows_next_update(ike_pair: MakePair, ike_pki: SimPki) -> None:
    url = ike_pki.crl_url("south-issuing")
    pair = alice_fetches(ike_pair, refresh_interval=0.0)
    pair.up()
    again(pair, 6 * DAY)
    assert pair.alice.fetched_urls.count(url) == 1, "CRLs of this PKI live seven days"
    for name in ike_pki.authorities:
        fresh = ike_pki.publish(name, now=ike_pki.now + timedelta(days=7), days=30)
        pair.world.services[ike_pki.crl_url(name)] = lambda request, wall, crl=fresh: Answer(crl)
    pair.bob.change_trust(ike_pki.store("bob"))
    again(pair, 8 * DAY)
    assert_established(pair)
    assert pair.alice.fetched_urls.count(url) == 2


@pytest.mark.parametrize(
    ("value", "accepted"), [("0", True), ('"0s"', True), ('"8784h"', True), ('"8785h"', False), ('"-1h"', False)]
)
def test_pf_07_the_range_of_the_interval(tmp_path: Path, value: str, accepted: bool) -> None:
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1", revocation=f"refresh-interval = {value}")
    if accepted:
        load(file)
    else:
        with pytest.raises(ConfigurationError, match=r"revocation-check\.refresh-interval: "):
            load(file)
