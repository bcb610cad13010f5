"""Two endpoints over loopback: real sockets, real stores, the real core."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ikesim.configuration import load
from ikesim.daemon import commands
from ikesim.daemon.boundary import Boundary
from ikesim.daemon.host import EndpointHost
from ikesim.errors import ConfigurationError, NotFoundError, UsageError
from ikesim.ike.events import ChildUp, Event, Ready, SaClosed, SaEstablished, SaRefused
from ikesim.pki.store import PkiStore
from ikesim.reasons import Reason
from ikesim.wire.address import Address
from tests.daemon.endpoints import Ca, write_config

E = TypeVar("E", bound=Event)


class Lab:
    """alice on 127.0.0.1 or ::1, bob on 127.0.0.2 or ::1; bob only responds, alice knows his ports."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.ca = Ca.create()
        self.stores: dict[str, PkiStore] = {}
        self.events: dict[str, list[Event]] = {"alice": [], "bob": []}
        self.hosts: dict[str, EndpointHost] = {}
        self._stack = stack
        self._news = asyncio.Event()

    def enrol(self, name: str, *, crl: bool = True) -> PkiStore:
        store = self.ca.enrol(self.folder / "state" / name, name)
        if crl:
            store.load(self.ca.crl(), crl="north")
        self.stores[name] = store
        return store

    async def start(self, name: str, **settings: Any) -> EndpointHost:
        peer = "bob" if name == "alice" else "alice"
        file = write_config(self.folder, name, peer, **settings)
        host = EndpointHost(load(file), self.stores[name], strict=True)
        host.observers.append(lambda event: self._note(name, event))
        await host.start()
        self._stack.push_async_callback(host.stop)
        self.hosts[name] = host
        return host

    async def start_both(self, *, family: int = 4, alice: Any = None, bob: Any = None) -> None:
        where = {"alice": "127.0.0.1", "bob": "127.0.0.2"} if family == 4 else {"alice": "::1", "bob": "::1"}
        await self.start("bob", address=where["bob"], **(bob or {}))
        config = self.hosts["bob"].config
        remote = (where["bob"], config.listen[0].port, config.listen_nat_t[0].port)
        await self.start("alice", address=where["alice"], remote=remote, **(alice or {}))

    @property
    def alice(self) -> EndpointHost:
        return self.hosts["alice"]

    @property
    def bob(self) -> EndpointHost:
        return self.hosts["bob"]

    def _note(self, name: str, event: Event) -> None:
        self.events[name].append(event)
        self._news.set()

    def of(self, name: str, kind: type[E]) -> list[E]:
        return [event for event in self.events[name] if isinstance(event, kind)]

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def lab_in(folder: Path) -> AsyncIterator[Lab]:
    async with AsyncExitStack() as stack:
        yield Lab(folder, stack)


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice")
        lab.enrol("bob")
        yield lab


@pytest.mark.parametrize("family", [4, 6])
async def test_a_tunnel_comes_up_carries_pings_and_goes_down(lab: Lab, family: int) -> None:
    await lab.start_both(family=family)
    verdict = await commands.up(lab.alice, "bob", 10)
    assert (verdict["result"], verdict["reason"]) == ("established", None)
    assert verdict["decision"]["accepted"]
    assert verdict["decision"]["identity"] == "fqdn:bob.example"
    for target in ("10.2.0.77", "fd00:2::77"):
        ping = await commands.ping(lab.alice, "bob", target, 3, 10)
        assert (ping["result"], ping["sent"], ping["received"]) == ("answered", 3, 3)
    await lab.until(lambda: lab.of("bob", ChildUp))
    back = await commands.ping(lab.bob, "alice", "10.1.0.9", 1, 10)
    assert back["received"] == 1

    (sa,) = lab.alice.status()["ike_sas"]
    (child,) = sa["child_sas"]
    assert (sa["connection"], sa["role"], child["name"]) == ("bob", "initiator", "net")
    assert child["bytes_in"] > 0
    assert child["bytes_out"] > 0

    down = await commands.down(lab.alice, "bob", None)
    assert down == {"result": "closed", "reason": None, "connection": "bob", "sas": [verdict["sa"]]}
    await lab.until(lambda: lab.of("bob", SaClosed))
    assert [event.reason for event in lab.of("bob", SaClosed)] == [Reason.DELETED_BY_PEER]
    assert lab.alice.sa_ids() == []
    with pytest.raises(NotFoundError, match="connection bob is not up; start it with: ikesim up bob"):
        await commands.ping(lab.alice, "bob", "10.2.0.77", 1, 1)


async def test_real_ports_are_told_where_any_were_asked_for(lab: Lab) -> None:
    await lab.start_both()
    (ready,) = lab.of("bob", Ready)
    assert [address.host for address in (*ready.listen, *ready.listen_nat_t)] == ["127.0.0.2", "127.0.0.2"]
    assert 0 not in [address.port for address in (*ready.listen, *ready.listen_nat_t)]
    assert lab.bob.config.connections["alice"].local == ready.listen[0]
    assert lab.bob.config.connections["alice"].local_nat_t == ready.listen_nat_t[0]


async def test_a_revoked_peer_is_refused_by_the_initiator_with_the_reason(lab: Lab) -> None:
    lab.ca.revoke("bob")
    lab.stores["alice"].load(lab.ca.crl(), crl="north")
    await lab.start_both()
    verdict = await commands.up(lab.alice, "bob", 10)
    assert (verdict["result"], verdict["reason"], verdict["by"]) == ("refused", "cert-revoked", "us")
    assert verdict["decision"]["reason"] == "cert-revoked"
    assert [entry["decision"]["reason"] for entry in lab.alice.decisions()] == ["cert-revoked"]
    await lab.until(lambda: lab.of("bob", SaClosed))
    assert [event.reason for event in lab.of("bob", SaClosed)] == [Reason.REFUSED_BY_PEER]


async def test_a_revoked_peer_is_refused_by_the_responder_and_only_it_knows_why(lab: Lab) -> None:
    lab.ca.revoke("alice")
    lab.stores["bob"].load(lab.ca.crl(), crl="north")
    await lab.start_both()
    verdict = await commands.up(lab.alice, "bob", 10)
    assert (verdict["result"], verdict["reason"], verdict["by"]) == ("refused", "peer-refused", "peer")
    assert verdict["authenticated"]
    (refused,) = lab.of("bob", SaRefused)
    assert (refused.by, refused.reason) == ("us", Reason.CERT_REVOKED)


async def test_nobody_answers(lab: Lab) -> None:
    await lab.start("alice", address="127.0.0.1", remote=("127.0.0.9", 5500, 5501))
    verdict = await commands.up(lab.alice, "bob", 10)
    assert (verdict["result"], verdict["reason"], verdict["decision"]) == ("nobody-answered", "nobody-answered", None)


async def test_the_timeout_of_up_ends_the_attempt(lab: Lab) -> None:
    await lab.start("alice", address="127.0.0.1", remote=("127.0.0.9", 5500, 5501))
    verdict = await commands.up(lab.alice, "bob", 0.05)
    assert (verdict["result"], verdict["reason"]) == ("nobody-answered", "nobody-answered")
    assert lab.alice.sa_ids() == []


async def test_ike_and_child_sas_are_rekeyed_and_still_carry(lab: Lab) -> None:
    await lab.start_both()
    await commands.up(lab.alice, "bob", 10)
    before = lab.alice.status()["ike_sas"][0]
    child = await commands.rekey(lab.alice, "bob", "net")
    assert (child["result"], child["old"]) == ("rekeyed", before["child_sas"][0]["id"])
    assert (await commands.ping(lab.alice, "bob", "10.2.0.1", 1, 10))["received"] == 1
    ike = await commands.rekey(lab.alice, "bob", None)
    assert (ike["result"], ike["old"]) == ("rekeyed", before["id"])
    await lab.until(lambda: len(lab.alice.sa_ids()) == 1)
    after = next(sa for sa in lab.alice.status()["ike_sas"] if sa["id"] == lab.alice.sa_ids()[0])
    assert after["spi_i"] != before["spi_i"]
    assert (await commands.ping(lab.alice, "bob", "10.2.0.1", 1, 10))["received"] == 1


async def test_a_connection_that_starts_at_once_needs_no_command(lab: Lab) -> None:
    await lab.start_both(alice={"connection": 'start = "immediately"'})
    await lab.until(lambda: lab.of("alice", SaEstablished) and lab.of("bob", SaEstablished))


async def test_stopping_tells_the_peer(lab: Lab) -> None:
    await lab.start_both()
    await commands.up(lab.alice, "bob", 10)
    await lab.alice.stop()
    await lab.until(lambda: lab.of("bob", SaClosed))
    assert lab.bob.sa_ids() == []


async def test_stopping_does_not_wait_for_a_dead_peer(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ikesim.daemon.host.STOP_PATIENCE", 0.05)
    await lab.start_both(bob={"connection": "liveness = { interval = 0 }"})
    await commands.up(lab.alice, "bob", 10)
    monkeypatch.setattr(lab.bob, "_receive", lambda octets, path: None)
    for socket in lab.bob.sockets.values():
        monkeypatch.setattr(socket, "_on_datagram", lambda octets, path: None)
    async with asyncio.timeout(5):
        await lab.alice.stop()
        await lab.bob.stop()


async def test_an_initiator_fetches_the_crl_keeps_it_and_needs_no_second_fetch(tmp_path: Path) -> None:
    async with lab_in(tmp_path) as lab, serving({"north.crl": lab.ca.crl}) as (url, requests):
        lab.enrol("alice", crl=False)
        lab.enrol("bob")
        await lab.start_both(alice={"revocation": f'url = ["{url}/north.crl"]'})
        for _ in range(2):
            verdict = await commands.up(lab.alice, "bob", 10)
            assert verdict["result"] == "established", verdict["message"]
        assert requests == ["/north.crl"]
        assert len(lab.stores["alice"].crls()["north"]) == 1


async def test_a_dead_crl_server_is_named_in_the_refusal(tmp_path: Path) -> None:
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice", crl=False)
        lab.enrol("bob")
        await lab.start_both(alice={"revocation": 'url = ["http://127.0.0.1:1/north.crl"]'})
        verdict = await commands.up(lab.alice, "bob", 10)
        assert (verdict["result"], verdict["reason"]) == ("refused", "crl-fetch-failed")
        assert "http://127.0.0.1:1/north.crl" in str(verdict["decision"])


async def test_a_reload_ends_the_sa_of_a_peer_revoked_since(lab: Lab) -> None:
    await lab.start_both()
    await commands.up(lab.alice, "bob", 10)
    lab.ca.revoke("bob")
    lab.stores["alice"].load(lab.ca.crl(), crl="north")
    await commands.reload(lab.alice)
    await lab.until(lambda: lab.of("alice", SaClosed))
    (closed,) = lab.of("alice", SaClosed)
    assert closed.reason is Reason.REVOKED_LATER
    assert closed.decision is not None
    assert closed.decision.reason is Reason.CERT_REVOKED


async def test_a_reload_takes_a_new_connection_and_refuses_new_sockets(lab: Lab) -> None:
    await lab.start_both()
    file = lab.alice.loaded.file
    text = file.read_text()
    file.write_text(
        text.replace("[connection.bob]", "[connection.robert]").replace("connection.bob.", "connection.robert.")
    )
    reloaded = await commands.reload(lab.alice)
    assert reloaded["changes"] == ["connection bob: removed", "connection robert: added"]
    assert list(lab.alice.config.connections) == ["robert"]
    assert lab.alice.config.connections["robert"].local == lab.alice.config.listen[0] != Address("127.0.0.1", 0)
    assert (await commands.up(lab.alice, "robert", 10))["result"] == "established"
    file.write_text(text.replace("127.0.0.1:0", "127.0.0.3:0"))
    with pytest.raises(UsageError, match=r"endpoint\.listen has changed"):
        await commands.reload(lab.alice)
    assert list(lab.alice.config.connections) == ["robert"]


async def test_a_reload_of_a_faulty_file_reports_every_fault_and_changes_nothing(lab: Lab) -> None:
    await lab.start_both()
    before = lab.alice.config
    file = lab.alice.loaded.file
    file.write_text(file.read_text().replace('"north"', '"nroth"').replace("remote-ts", "remot-ts"))
    with pytest.raises(ConfigurationError) as caught:
        await commands.reload(lab.alice)
    assert [problem.key for problem in caught.value.problems] == ["trusted-ca", "remot-ts", "remote-ts"]
    assert lab.alice.config is before
    assert (await commands.up(lab.alice, "bob", 10))["result"] == "established"


async def test_commands_name_what_there_is(lab: Lab) -> None:
    await lab.start_both()
    with pytest.raises(NotFoundError, match="alice has no connection 'carol'; it has: bob"):
        await commands.up(lab.alice, "carol", 1)
    with pytest.raises(NotFoundError, match="has no child 'lan'; it has: net"):
        await commands.rekey(lab.alice, "bob", "lan")
    with pytest.raises(UsageError, match="connection alice has no remote"):
        await commands.up(lab.bob, "alice", 1)
    await commands.up(lab.alice, "bob", 10)
    with pytest.raises(
        UsageError, match=r"10\.9\.0\.1 is not behind connection bob; its remote-ts are: 10\.2\.0\.0/24"
    ):
        await commands.ping(lab.alice, "bob", "10.9.0.1", 1, 1)


async def test_junk_is_counted_and_neither_answered_nor_fatal(lab: Lab) -> None:
    await lab.start_both()
    target = lab.bob.config.listen[0]
    for octets in (b"", b"\xff", b"junk", bytes(4) + b"x" * 40, b"\x11" * 28, bytes(1500)):
        for socket in lab.alice.sockets.values():
            socket.send(octets, target)
    assert (await commands.up(lab.alice, "bob", 10))["result"] == "established"
    assert lab.bob.counters()["internal_errors"] == 0


def test_the_boundary_counts_logs_and_drops_what_must_never_happen(caplog: pytest.LogCaptureFixture) -> None:
    boundary = Boundary()

    def bug() -> None:
        raise ZeroDivisionError("a bug of ours")

    assert not boundary.contain("a datagram", bug)
    assert boundary.dropped == 1
    assert "internal error while handling a datagram" in caplog.text
    assert "a bug of ours" in caplog.text
    with pytest.raises(ZeroDivisionError):
        Boundary(strict=True).contain("a datagram", bug)


async def test_a_bug_in_the_core_costs_one_datagram_and_not_the_daemon(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    await lab.start_both()
    lab.bob.boundary.strict = False
    receive = lab.bob.endpoint.receive
    left = [1]

    def faulty(*arguments: Any) -> None:
        if left:
            left.pop()
            raise KeyError("a bug")
        receive(*arguments)

    monkeypatch.setattr(lab.bob.endpoint, "receive", faulty)
    assert (await commands.up(lab.alice, "bob", 10))["result"] == "established"
    assert lab.bob.counters()["internal_errors"] == 1
    assert "internal error" in caplog.text


@asynccontextmanager
async def serving(documents: dict[str, Callable[[], bytes]]) -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP server on loopback; yields its URL and the paths asked for."""
    requests: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requests.append(request.path)
        return web.Response(body=documents[request.path[1:]]())

    app = web.Application()
    app.router.add_get("/{name:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}", requests
    finally:
        await server.close()
