"""Protocol extensions in the daemon: preshared keys from the store of secrets, redirection, ML-KEM."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ikesim.configuration import load
from ikesim.daemon import commands
from ikesim.daemon.host import EndpointHost
from ikesim.daemon.readiness import missing_ppks
from ikesim.errors import UsageError
from ikesim.ike.events import Redirected, SaClosed, SaEstablished
from ikesim.pki.buffers import KeyBuffer
from ikesim.pki.secrets import SecretKind
from tests.daemon.endpoints import write_config
from tests.daemon.test_host import Lab, lab_in

OTHER = "127.0.0.3"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice")
        lab.enrol("bob")
        yield lab


def keep(lab: Lab, name: str, value: bytes, kind: SecretKind = SecretKind.IKE_PSK) -> None:
    def write(target: memoryview) -> None:
        target[:] = value

    lab.stores[name].secrets.add("site", kind, KeyBuffer.receive(len(value), write))


PPK = {"connection": 'ppk-id = "sites@lab"\nppk-secret = "site"\nppk-required = true'}


async def test_a_ppk_comes_from_the_store_of_secrets(lab: Lab) -> None:
    for name in ("alice", "bob"):
        keep(lab, name, bytes(range(32)))
    await lab.start_both(alice=PPK, bob=PPK)
    verdict = await commands.up(lab.alice, "bob", 10)
    assert verdict["result"] == "established"
    assert lab.alice.status()["ike_sas"][0]["ppk"] == "sites@lab"
    assert (await commands.ping(lab.alice, "bob", "10.2.0.9", 1, 10))["received"] == 1


async def test_a_ppk_that_is_not_held_is_said_at_the_start(lab: Lab) -> None:
    file = write_config(lab.folder, "alice", "bob", address="127.0.0.1", **PPK)
    (item,) = missing_ppks(load(file), lab.stores["alice"].secrets.ls())
    assert (item.reason, item.subject) == ("local-key-missing", "site")
    assert item.message.endswith(f"ikesim pki secret add site --kind ike-psk --endpoint {file}")
    keep(lab, "alice", bytes(32))
    assert missing_ppks(load(file), lab.stores["alice"].secrets.ls()) == []


async def test_a_secret_of_another_kind_is_none(lab: Lab) -> None:
    keep(lab, "alice", bytes(range(32)), SecretKind.MANUAL_VPN)
    await lab.start_both(alice=PPK)
    verdict = await commands.up(lab.alice, "bob", 10)
    assert (verdict["result"], verdict["reason"]) == ("refused", "local-key-missing")


async def test_ml_kem_over_real_sockets(lab: Lab) -> None:
    hybrid = {"connection": 'proposals = ["aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke2_mlkem1024"]'}
    await lab.start_both(alice=hybrid, bob=hybrid)
    assert (await commands.up(lab.alice, "bob", 10))["result"] == "established"
    assert (await commands.rekey(lab.alice, "bob", None))["result"] == "rekeyed"
    assert (await commands.ping(lab.alice, "bob", "10.2.0.9", 1, 10))["received"] == 1


async def second_gateway(lab: Lab, stack: list[EndpointHost]) -> EndpointHost:
    """Another host that is bob, on the same ports of another address."""
    ports = (lab.bob.config.listen[0].port, lab.bob.config.listen_nat_t[0].port)
    folder = lab.folder / "other"
    folder.mkdir()
    store = lab.ca.enrol(folder / "state" / "bob", "bob")
    store.load(lab.ca.crl(), crl="north")
    host = EndpointHost(load(write_config(folder, "bob", "alice", address=OTHER, listen=ports)), store, strict=True)
    host.observers.append(lambda event: lab._note("bob", event))
    await host.start()
    stack.append(host)
    return host


@pytest.mark.parametrize("at", ["init", "auth"])
async def test_up_goes_where_the_gateway_sends_it(lab: Lab, at: str) -> None:
    sending = {"connection": f'redirect-to = "{OTHER}"\nredirect-at = "{at}"'}
    await lab.start_both(alice={"connection": "follow-redirects = true"}, bob=sending)
    started: list[EndpointHost] = []
    other = await second_gateway(lab, started)
    try:
        verdict = await commands.up(lab.alice, "bob", 10)
        assert verdict["result"] == "established"
        assert [event.gateway for event in lab.of("alice", Redirected)] == [OTHER]
        assert verdict["sa"] == lab.of("alice", Redirected)[0].new
        assert other.status()["ike_sas"][0]["state"] == "established"
        assert (await commands.ping(lab.alice, "bob", "10.2.0.9", 1, 10))["received"] == 1
    finally:
        for host in started:
            await host.stop()


async def test_a_gateway_sends_an_established_peer_away(lab: Lab) -> None:
    await lab.start_both(alice={"connection": "follow-redirects = true"})
    started: list[EndpointHost] = []
    await second_gateway(lab, started)
    try:
        await commands.up(lab.alice, "bob", 10)
        await lab.until(lambda: lab.of("bob", SaEstablished))
        with pytest.raises(UsageError, match="not an IP address"):
            await commands.redirect(lab.bob, "alice", "gw.example")
        with pytest.raises(UsageError, match="initiated by us"):
            await commands.redirect(lab.alice, "bob", OTHER)
        sent = await commands.redirect(lab.bob, "alice", OTHER)
        assert (sent["result"], sent["gateway"]) == ("redirected", OTHER)
        await lab.until(lambda: lab.of("alice", SaClosed))
        assert (await commands.ping(lab.alice, "bob", "10.2.0.9", 1, 10))["received"] == 1
    finally:
        for host in started:
            await host.stop()
