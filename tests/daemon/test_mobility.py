"""The daemon with two addresses: MOBIKE over real sockets, and addresses from a pool."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ikesim.configuration import load
from ikesim.daemon import commands
from ikesim.daemon.host import EndpointHost
from ikesim.errors import UsageError
from tests.daemon.endpoints import write_config
from tests.daemon.test_host import Lab, lab_in

CAFE = "127.0.0.77"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice")
        lab.enrol("bob")
        yield lab


async def test_a_tunnel_moves_to_another_address(lab: Lab) -> None:
    await lab.start_both()
    await lab.alice.stop()
    bob = lab.bob.config
    remote = (bob.listen[0].host, bob.listen[0].port, bob.listen_nat_t[0].port)
    file = write_config(lab.folder, "alice", "bob", address="127.0.0.1", remote=remote)
    text = file.read_text().replace('"127.0.0.1:0"]', f'"127.0.0.1:0", "{CAFE}:0"]')
    file.write_text(text)
    alice = EndpointHost(load(file), lab.stores["alice"], strict=True)
    await alice.start()
    try:
        assert (await commands.up(alice, "bob", 10))["result"] == "established"
        with pytest.raises(UsageError, match="is no address of alice"):
            await commands.move(alice, "bob", "192.0.2.1")
        moved = await commands.move(alice, "bob", CAFE)
        assert moved["local"].startswith(CAFE)
        assert (await commands.ping(alice, "bob", "10.2.0.9", 3, 10))["received"] == 3
        assert alice.status()["ike_sas"][0]["local"].startswith(CAFE)
        assert lab.bob.status()["ike_sas"][0]["remote"] == alice.status()["ike_sas"][0]["local"]
    finally:
        await alice.stop()


async def test_ping_uses_the_address_that_the_peer_gave_us(lab: Lab) -> None:
    await lab.start_both(
        alice={"connection": 'request-address = "ipv4"'},
        bob={"connection": 'address-pool = ["10.9.0.0/24"]\ndns = ["10.9.0.53"]'},
    )
    assert (await commands.up(lab.alice, "bob", 10))["result"] == "established"
    pinged = await commands.ping(lab.alice, "bob", "10.2.0.9", 1, 10)
    assert (pinged["source"], pinged["received"]) == ("10.9.0.1", 1)
    assert lab.alice.status()["ike_sas"][0]["assigned"] == ["10.9.0.1"]
    # and answers for it
    assert (await commands.ping(lab.bob, "alice", "10.9.0.1", 1, 10))["received"] == 1
