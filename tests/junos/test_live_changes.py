"""What changes under a running endpoint counts for the next decision at once, and disturbs nothing else."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ikesim.cli.common import ask
from ikesim.crypto.signatures import SignatureScheme
from ikesim.errors import UsageError
from ikesim.esp.host import InnerHost
from ikesim.ike.config import EndpointConfig
from ikesim.ike.events import ChildDown, Rekeyed, SaClosed, SaEstablished, SaRefused
from ikesim.ike.ids import SaId
from ikesim.pki.identity import IdentityPattern
from ikesim.pki.store import PkiStore
from ikesim.sim.host import SimHost
from ikesim.sim.network import Conditions
from ikesim.sim.world import World as SimWorld
from ikesim.testing import Pair, SimPki, assert_established, assert_refused
from ikesim.testing.configs import endpoint_config, inner_networks
from ikesim.wire.address import Address
from tests.cli.command import Daemon, ikesim, refused, running
from tests.cli.test_daemon_commands import Site
from tests.pki.store_world import DAY, World

MakePair = Callable[..., Pair]
TUNNELS = 100
QUIET = {"liveness": {"interval": 0.0}, "keepalive": 0.0}
"""Nothing is sent that no test looks at: an hour of a hundred tunnels is long."""


class Hub:
    """alice in the middle of a hundred peers, each with a certificate of its own from the south."""

    def __init__(self) -> None:
        self.pki = SimPki("hub")
        self.world = SimWorld("hub", epoch=self.pki.now, conditions=Conditions(delay=0.01))
        self.names = [f"peer{number}" for number in range(TUNNELS)]
        for name in self.names:
            self.pki.issue(name, issuer="south-issuing")
        self.alice = self._add(self._center())
        self.peers = [self._add(self._spoke(number, name)) for number, name in enumerate(self.names)]

    def _add(self, config: EndpointConfig) -> SimHost:
        name = config.name
        inner = InnerHost(inner_networks(config))
        return self.world.add_host(config, self.pki.vault(name), self.pki.store(name), inner=inner)

    def _spoke(self, number: int, name: str) -> EndpointConfig:
        settings = {"listen": f"192.0.2.{number + 100}:500", **QUIET, **self._ts(number, 1)}
        return endpoint_config(name, settings, "alice", {}, 2)

    def _center(self) -> EndpointConfig:
        configs = [
            endpoint_config(
                "alice", {**QUIET, **self._ts(number, 0)}, name, {"listen": f"192.0.2.{number + 100}:500"}, 1
            )
            for number, name in enumerate(self.names)
        ]
        connections = {name: config.connections[name] for name, config in zip(self.names, configs, strict=True)}
        return replace(configs[0], connections=connections)

    def _ts(self, number: int, end: int) -> dict[str, Any]:
        ends = (f"10.1.{number}.0/24", f"10.2.{number}.0/24")
        return {"child": {"local_ts": (ends[end],), "remote_ts": (ends[1 - end],)}}

    def up(self) -> list[SaId]:
        """Every tunnel; alice's SAs."""
        found = [self.alice.initiate(name) for name in self.names]
        self.world.run_until(lambda: all(self.alice.verdict(sa) for sa in found))
        self.world.settle()
        return found

    def tell(self) -> None:
        """Everybody holds what the PKI has now."""
        for host in (self.alice, *self.peers):
            host.change_trust(self.pki.store(host.name))
        self.world.settle()


def lost(host: SimHost) -> list[object]:
    """What ended for another reason than that it was replaced."""
    ended = (*host.of(SaClosed), *host.of(ChildDown), *host.of(SaRefused))
    return [event for event in ended if event.reason not in ("rekeyed", "reauthenticated")]


@pytest.mark.timeout(300)
def test_a_hundred_tunnels_outlive_renewed_certificates_and_rotated_crls() -> None:
    """Twice: every certificate is renewed with a new key and every CRL replaced; SAs rekey and reauthenticate on."""
    hub = Hub()
    sas = hub.up()
    assert len(hub.alice.established) == TUNNELS
    for turn in (1, 2):
        hub.pki.now += timedelta(minutes=75)
        for name in ("alice", *hub.names):
            hub.pki.issue(name, now=hub.pki.now - timedelta(minutes=5), days=400 * turn)
        for name in hub.pki.authorities:
            hub.pki.publish(name, now=hub.pki.now - timedelta(minutes=1))
        hub.world.run_until(hub.world.now + 75 * 60)
        hub.tell()
        assert [lost(host) for host in (hub.alice, *hub.peers)] == [[]] * (TUNNELS + 1)
        assert len(hub.alice.established) == TUNNELS
    assert len(hub.alice.of(Rekeyed)) + sum(len(peer.of(Rekeyed)) for peer in hub.peers) > TUNNELS
    for sa in list(hub.alice.established)[:10]:
        hub.alice.reauthenticate(sa)
    hub.world.settle()
    fresh = hub.alice.of(SaEstablished)[len(sas) :]
    assert len(fresh) == 10
    for event in fresh:
        assert event.decision.leaf is not None
        assert event.decision.leaf.der == hub.pki.leaves[event.connection].certificate, "the renewed one"
    assert len(hub.alice.established) == TUNNELS
    assert lost(hub.alice) == []


@pytest.mark.timeout(300)
def test_of_a_hundred_tunnels_one_revocation_ends_one() -> None:
    hub = Hub()
    hub.up()
    hub.pki.revoke("peer42")
    hub.tell()
    hub.world.run_until(hub.world.now + 60)
    assert [event.connection for event in hub.alice.of(SaClosed)] == ["peer42"]
    assert len(hub.alice.established) == TUNNELS - 1


# One pair, each kind of change.


def test_a_renewed_certificate_is_the_one_that_the_next_handshake_sends(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    pair.up()
    old = ike_pki.leaves["bob"].certificate
    ike_pki.issue("bob", days=700)
    pair.bob.change_trust(ike_pki.store("bob"))
    pair.world.settle()
    assert_established(pair)
    assert pair.alice.of(SaClosed) == [], "what is up is not touched"
    pair.bob.reauthenticate(pair.bob.established[0])
    pair.world.settle()
    seen = [event.decision.leaf.der for event in pair.alice.of(SaEstablished) if event.decision.leaf is not None]
    assert seen == [old, ike_pki.leaves["bob"].certificate]


def test_a_deleted_certificate_is_missed_by_the_next_handshake_only(ike_pair: MakePair, ike_pki: SimPki) -> None:
    pair = ike_pair()
    pair.up()
    pair.alice.change_trust(replace(ike_pki.store("alice"), local={}))
    pair.world.settle()
    assert pair.ping() == 1
    sa = pair.alice.initiate("bob")
    pair.world.settle()
    verdict = pair.alice.verdict(sa)
    assert isinstance(verdict, SaRefused)
    assert verdict.reason == "local-certificate-missing"
    assert pair.ping() == 1


def test_a_deleted_ca_certificate_validates_nobody_from_the_next_handshake_on(
    ike_pair: MakePair, ike_pki: SimPki
) -> None:
    pair = ike_pair()
    pair.up()
    pair.alice.change_trust(ike_pki.without(ike_pki.store("alice"), "south"))
    pair.world.settle()
    assert_established(pair)
    pair.down()
    pair.up()
    assert_refused(pair, "cert-no-issuer", by="alice")


def test_another_identity_in_the_configuration_counts_for_the_next_peer(ike_pair: MakePair) -> None:
    pair = ike_pair()
    pair.up()
    connection = replace(pair.alice.config.connections["bob"], remote_id=IdentityPattern.parse("fqdn:carol.example"))
    pair.alice.reconfigure(replace(pair.alice.config, connections={"bob": connection}))
    pair.world.settle()
    assert_established(pair)
    pair.down()
    pair.up(by="bob")
    assert_refused(pair, "id-not-allowed", by="alice")


# The store.


def test_a_renewal_that_is_not_newer_is_refused_with_its_reason(tmp_path: Path) -> None:
    world = World(tmp_path)
    first = world.enrol()
    world.store.request("alice", "CN=alice", fqdn=["alice.example"])
    request = world.store.own_certificates()["alice"].waiting
    assert request is not None
    for issued, days in ((world.now - 2 * DAY, 30), (world.now - 3 * DAY, 365)):
        older = world.north.issue(request.request, None, None, issued, days=days)
        with pytest.raises(UsageError, match=r"no later than the certificate held.*renewal-not-newer"):
            world.store.load(older, as_id="alice")
    assert world.store.own_certificates()["alice"].certificate == first
    assert world.store.own_certificates()["alice"].waiting == request, "it still waits"
    newer = world.north.issue(request.request, None, None, world.now, days=900)
    world.store.load(newer, as_id="alice")
    assert world.store.own_certificates()["alice"].certificate == newer


def test_a_key_made_anew_under_the_same_id_signs_at_once(tmp_path: Path) -> None:
    """Another process replaces the pair under a store that is open."""
    world = World(tmp_path)
    world.enrol()
    daemon = world.open()
    assert "alice" in daemon.snapshot().local
    world.store.remove("alice")
    assert "alice" not in daemon.snapshot().local
    world.enrol()
    assert daemon.snapshot().local["alice"].certificate == world.store.own_certificates()["alice"].certificate
    public: Any = world.store.vault.public_key("alice")
    signature = daemon.vault.sign("alice", SignatureScheme.ECDSA_SHA256, b"octets")
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    public.verify(signature, b"octets", ec.ECDSA(hashes.SHA256()))


# A daemon and its commands.


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


@pytest.fixture
def daemon(site: Site) -> Iterator[Daemon]:
    with running(site.files["alice"], site.files["bob"]) as daemon:
        daemon.wait_for("Ready")
        daemon.wait_for("Ready")
        yield daemon


def sas_of(site: Site, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(site.files[name], "GET", "/status")["ike_sas"]
    return found


def test_a_crl_that_is_loaded_ends_the_revoked_peers_sa_without_a_reload(site: Site, daemon: Daemon) -> None:
    alice = ("--endpoint", site.files["alice"])
    assert ask(site.files["alice"], "POST", "/connections/bob/up")["result"] == "established"
    site.ca.revoke("bob")
    file = site.folder / "north.crl"
    file.write_bytes(site.ca.crl())
    done = ikesim("pki", "load", file, "--crl", "north", *alice)
    assert (done.returncode, done.stderr) == (0, "")
    closed = [daemon.wait_for("SaClosed"), daemon.wait_for("SaClosed")]
    assert {event["endpoint"]: event["reason"] for event in closed} == {
        "alice": "revoked-later",
        "bob": "deleted-by-peer",
    }
    assert ask(site.files["alice"], "POST", "/connections/bob/up")["reason"] == "cert-revoked"


def test_a_renewed_certificate_is_used_by_the_daemon_without_a_reload(site: Site, daemon: Daemon) -> None:
    alice, bob = (("--endpoint", site.files[name]) for name in ("alice", "bob"))
    assert ask(site.files["alice"], "POST", "/connections/bob/up")["result"] == "established"
    (before,) = sas_of(site, "alice")
    assert ikesim("pki", "request", "bob", "--subject", "CN=bob", "--fqdn", "bob.example", *bob).returncode == 0
    store = PkiStore.open(site.folder / "state" / "bob")
    waiting = store.own_certificates()["bob"].waiting
    assert waiting is not None
    file = site.folder / "bob.pem"
    file.write_bytes(site.ca.sign(waiting.request, "bob again"))
    done = ikesim("pki", "load", file, "--as", "bob", *bob, "--json")
    assert (done.returncode, json.loads(done.stdout)["changed"]) == (0, True)
    assert [sa["id"] for sa in sas_of(site, "alice")] == [before["id"]], "what is up stays"
    verdict = ask(site.files["alice"], "POST", "/connections/bob/up")
    assert verdict["result"] == "established"
    assert verdict["decision"]["certificate"]["serial"] != before["decision"]["certificate"]["serial"]
    assert ikesim("reload", *alice).stdout == "reloaded; the configuration has not changed\n"
    assert len(sas_of(site, "alice")) == 1


def test_a_removed_certificate_is_missed_at_once(site: Site, daemon: Daemon) -> None:
    assert ask(site.files["alice"], "POST", "/connections/bob/up")["result"] == "established"
    done = ikesim("pki", "rm", "alice", "--endpoint", site.files["alice"])
    assert (done.returncode, done.stderr) == (0, "")
    assert len(sas_of(site, "alice")) == 1
    assert "local-certificate-missing" in refused_reason(site)


def refused_reason(site: Site) -> str:
    return str(ask(site.files["alice"], "POST", "/connections/bob/up")["reason"])


def test_key_protection_and_its_file_need_a_restart(site: Site, daemon: Daemon) -> None:
    site.write("alice", "bob", endpoint="key-protection = true")
    said = refused(2, "reload", "--endpoint", site.files["alice"])
    assert said.startswith("endpoint.key-protection has changed")
    assert Address.parse(ask(site.files["alice"], "GET", "/status")["listen"][0]).port == site.ports["alice"][0]
