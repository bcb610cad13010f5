"""Trusted CAs and trusted CA groups (anchors TG-01 to TG-10), and local certificates by domain (AD-01)."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ikesim.configuration import load
from ikesim.errors import ConfigurationError
from ikesim.ike.events import ChildUp, SaEstablished, SaRefused
from ikesim.pki.authority import Authority
from ikesim.pki.crl import read_crl
from ikesim.pki.profiles import CaProfile, TrustedCaGroup
from ikesim.sim.host import SimHost
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from tests.daemon.endpoints import write_config
from tests.pki.store_world import NOW
from tests.support import REPOSITORY

MakePair = Callable[..., Pair]


def nothing_is_established(pair: Pair) -> None:
    """No IKE SA and no CHILD SA on either side, now or ever."""
    pair.world.settle()
    for host in (pair.alice, pair.bob):
        assert host.established == []
        assert host.of(ChildUp) == []
        assert host.of(SaEstablished) == []


def test_tg_01_the_labs_ca_issues_and_revokes() -> None:
    authority = Authority.create("north", now=NOW)
    certificate = authority.issue(SimPki().vault("alice").public_key("alice"), "CN=alice", ["fqdn:a.example"], NOW)
    assert read_crl(authority.crl(NOW)).count == 0
    authority.revoke(certificate, "key-compromise", at=NOW)
    assert read_crl(authority.crl(NOW)).count == 1


@pytest.mark.parametrize("count", [1, 2, 20, 21])
def test_tg_02_a_group_has_one_to_twenty_profiles(tmp_path: Path, count: int) -> None:
    names = [f"ca{number}" for number in range(count)]
    profiles = "".join(f'[pki.ca-profile.{name}]\nca-identity = "{name}.example"\n' for name in names)
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")
    group = f"[pki.trusted-ca-group.partners]\nca-profiles = {names}\n{profiles}".replace("'", '"')
    text = file.read_text().replace('trusted-ca = "north"', 'trusted-ca-group = "partners"')
    file.write_text(text.replace("[connection.bob]\n", f"{group}[connection.bob]\n"))
    if count > 20:
        with pytest.raises(ConfigurationError, match=r"partners\.ca-profiles: has 21 entries, at most 20"):
            load(file)
    else:
        groups = load(file).endpoint.trusted_ca_groups
        assert groups["partners"].ca_profiles == tuple(names)


def test_tg_02_each_profile_of_a_group_of_twenty_validates(ike_pair: MakePair, ike_pki: SimPki) -> None:
    names = tuple(f"ca{number}" for number in range(19))
    for name in names:
        ike_pki.add_authority(name)
    pair = ike_pair()
    config = pair.alice.config
    profiles = {**config.ca_profiles, **{name: CaProfile(name, f"{name}.example") for name in names}}
    group = {"partners": TrustedCaGroup("partners", ("south", *names))}
    pair.alice.reconfigure(replace(config, ca_profiles=profiles, trusted_ca_groups=group))
    for issuer in ("south-issuing", names[0], names[9], names[18]):
        ike_pki.issue("bob", issuer=issuer)
        pair.load_crls()
        verdict = pair.up()
        assert isinstance(verdict, SaEstablished), issuer
        assert verdict.decision.ca_profile == issuer.removesuffix("-issuing")
        assert verdict.decision.trusted_ca_group == "partners"
        pair.down()


@pytest.mark.parametrize(("alice_trusts", "bob_trusts"), list(itertools.product([True, False], repeat=2)))
def test_tg_03_tg_04_only_trust_on_both_sides_establishes_anything(
    ike_pair: MakePair, alice_trusts: bool, bob_trusts: bool
) -> None:
    """Each end trusts the CA of the other, or another CA that it holds as well."""
    pair = ike_pair(
        alice={"trusted_ca": "south" if alice_trusts else "north"},
        bob={"trusted_ca": "north" if bob_trusts else "south"},
    )
    pair.up()
    if alice_trusts and bob_trusts:
        assert_established(pair)
        assert pair.ping() == 1
        return
    reasons = {event.reason for host in (pair.alice, pair.bob) for event in host.of(SaRefused)}
    assert "cert-ca-not-allowed" in reasons
    # an initiator judges last: a responder that trusts it has installed its SA by then, and takes it down again
    assert pair.alice.established == pair.bob.established == []
    assert pair.alice.of(ChildUp) == []
    if not bob_trusts:
        nothing_is_established(pair)


@pytest.mark.parametrize("setting", ["trusted_ca", "trusted_ca_group"])
def test_tg_05_a_certificate_that_is_valid_under_another_loaded_ca_is_refused(
    ike_pair: MakePair, ike_pki: SimPki, setting: str
) -> None:
    pair = ike_pair(alice={"trusted_ca": "north"} if setting == "trusted_ca" else {})
    if setting == "trusted_ca_group":
        pair.alice.reconfigure(
            replace(pair.alice.config, trusted_ca_groups={"partners": TrustedCaGroup("partners", ("north",))})
        )
    assert pair.alice.ports.store.ca["south"] == ike_pki.authorities["south"].certificate, "it is held"
    pair.up()
    refusal = assert_refused(pair, "cert-ca-not-allowed", by="alice")
    assert refusal.decision is not None
    assert "south" in refusal.decision.summary
    connection = replace(pair.alice.config.connections["bob"], trusted_ca="south", trusted_ca_group=None)
    pair.alice.reconfigure(replace(pair.alice.config, connections={"bob": connection}))
    pair.up()
    assert_established(pair)


def test_tg_06_a_decision_accepts_or_refuses_with_one_reason(ike_pair: MakePair, ike_pki: SimPki) -> None:
    accepted, refused = ike_pair(), ike_pair(alice={"trusted_ca": "north"})
    for pair in (accepted, refused):
        pair.up()
    (good,) = accepted.alice.of(SaEstablished)
    (bad,) = refused.alice.of(SaRefused)
    assert bad.decision is not None
    assert (good.decision.accepted, good.decision.reason) == (True, None)
    assert (bad.decision.accepted, bad.decision.reason) == (False, bad.reason)
    assert not good.decision.wanted
    assert not bad.decision.wanted
    documents = [decision.to_json() for decision in (good.decision, bad.decision)]
    assert [document["accepted"] for document in documents] == [True, False]
    assert all(document["summary"] for document in documents)


def test_tg_07_a_responder_validates_what_its_own_trusted_ca_issued_only(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair(bob={"trusted_ca": "south"})
    pair.up()
    assert_refused(pair, "cert-ca-not-allowed", by="bob")
    nothing_is_established(pair)
    ike_pki.issue("alice", issuer="south-issuing")
    pair.load_crls()
    pair.up()
    assert_established(pair)


@pytest.mark.parametrize("receiver", ["alice", "bob"])
@pytest.mark.parametrize("initiator", ["alice", "bob"])
def test_tg_08_whoever_receives_a_certificate_checks_it(ike_pair: MakePair, receiver: str, initiator: str) -> None:
    """The one that does not trust refuses, as initiator and as responder; the other learns no reason."""
    wrong = {"trusted_ca": "north" if receiver == "alice" else "south"}
    pair = ike_pair(**{receiver: wrong})
    pair.up(by=initiator)
    assert_refused(pair, "cert-ca-not-allowed", by=receiver)
    other: SimHost = pair.bob if receiver == "alice" else pair.alice
    told = [event for event in other.events if isinstance(event, SaRefused) and event.decision is not None]
    assert told == [], "a refusal on the wire is AUTHENTICATION_FAILED and nothing more"


def test_tg_09_without_a_trusted_ca_any_profile_validates_and_the_log_says_so(
    ike_pair: MakePair, tmp_path: Path
) -> None:
    pair = ike_pair(alice={"trusted_ca": None}, bob={"trusted_ca": None})
    assert pair.alice.config.connections["bob"].trusted_ca_group is None
    pair.up()
    ours, theirs = assert_established(pair)
    assert (ours.decision.ca_profile, theirs.decision.ca_profile) == ("south", "north")
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1")
    file.write_text(file.read_text().replace('trusted-ca = "north"\n', ""))
    assert [note for note in load(file).notes if "any CA profile may validate its peer" in note] != []


def test_tg_10_a_trusted_ca_and_a_group_exclude_each_other(tmp_path: Path) -> None:
    extra = 'trusted-ca-group = "partners"'
    file = write_config(tmp_path, "alice", "bob", address="127.0.0.1", connection=extra)
    text = file.read_text()
    file.write_text(
        text.replace(
            "[connection.bob]\n", '[pki.trusted-ca-group.partners]\nca-profiles = ["north"]\n[connection.bob]\n'
        )
    )
    with pytest.raises(ConfigurationError, match="trusted-ca and trusted-ca-group exclude each other"):
        load(file)


# AD-01


def test_ad_01_each_domain_gets_the_certificate_of_its_own_ca(ike_pair: MakePair, ike_pki: SimPki) -> None:
    """alice is known in two domains; whoever asks for one CA is shown the certificate that this one issued."""
    ike_pki.issue("alice-south", host="alice", issuer="south-issuing", sans=["fqdn:alice.example"])
    for trusted, expected in (("north", "alice"), ("south", "alice-south")):
        pair = ike_pair(alice={"local_certificates": ("alice", "alice-south")}, bob={"trusted_ca": trusted})
        pair.up()
        _, theirs = assert_established(pair)
        assert theirs.decision.leaf is not None
        assert theirs.decision.leaf.der == ike_pki.leaves[expected].certificate
        assert theirs.decision.ca_profile == trusted


def test_ad_01_a_scenario_with_two_domains_ships_as_an_example() -> None:
    alice, bob = (load(REPOSITORY / "config" / f"{name}.toml").endpoint for name in ("alice", "bob"))
    assert set(alice.ca_profiles) >= {"north", "south"}
    assert set(bob.ca_profiles) >= {"north", "south"}
