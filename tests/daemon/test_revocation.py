"""Revocation in the running daemon: one fetch for all who wait, and a fetched CRL that outlives the process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from ikesim.daemon import commands
from ikesim.ike.events import FetchStarted, SaEstablished
from ikesim.pki.store import PkiStore
from tests.daemon.test_host import lab_in, serving


@asynccontextmanager
async def answering(body: Callable[[], Awaitable[bytes]]) -> AsyncIterator[tuple[str, list[str]]]:
    """An HTTP server that may take its time; yields a URL and the paths asked for."""
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(body=await body())

    app = web.Application()
    app.router.add_get("/{name:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    try:
        yield f"http://127.0.0.1:{server.port}/north.crl", asked
    finally:
        await server.close()


async def test_one_fetch_serves_all_who_wait(tmp_path: Path) -> None:
    both_wait = asyncio.Event()
    async with lab_in(tmp_path) as lab:

        async def crl() -> bytes:
            await both_wait.wait()
            return lab.ca.crl()

        async with answering(crl) as (url, asked):
            lab.enrol("alice")
            lab.enrol("bob", crl=False)
            never = {"connection": 'unique = "never"'}
            await lab.start_both(alice=never, bob={"revocation": f'url = ["{url}"]', **never})
            attempts = [asyncio.ensure_future(commands.up(lab.alice, "bob", 10)) for _ in range(3)]

            def waiting() -> int:
                return sum(sa["state"] == "awaits-verdict" for sa in lab.bob.status()["ike_sas"])

            async with asyncio.timeout(10):
                while waiting() < 3:  # the second and third wait for the same fetch, of which no event tells
                    await asyncio.sleep(0)
            both_wait.set()
            verdicts = await asyncio.gather(*attempts)
            assert [verdict["result"] for verdict in verdicts] == ["established"] * 3
            assert len(lab.of("bob", SaEstablished)) == 3
            assert asked == ["/north.crl"]
            assert [event.url for event in lab.of("bob", FetchStarted)] == [url]


async def test_a_fetched_crl_is_used_after_a_restart_without_a_fetch(tmp_path: Path) -> None:
    async with lab_in(tmp_path) as lab, serving({"north.crl": lab.ca.crl}) as (url, asked):
        lab.enrol("alice", crl=False)
        lab.enrol("bob")
        revocation = f'url = ["{url}/north.crl"]'
        await lab.start_both(alice={"revocation": revocation})
        assert (await commands.up(lab.alice, "bob", 10))["result"] == "established"
        assert asked == ["/north.crl"]
        bob = lab.bob.config
        await lab.alice.stop()
        lab.stores["alice"].close()
        lab.stores["alice"] = PkiStore.open(tmp_path / "state" / "alice")
        remote = ("127.0.0.2", bob.listen[0].port, bob.listen_nat_t[0].port)
        await lab.start("alice", address="127.0.0.1", remote=remote, revocation=revocation)
        assert (await commands.up(lab.alice, "bob", 10))["result"] == "established"
        assert asked == ["/north.crl"]
        (held,) = lab.stores["alice"].crls()["north"]
        decision = lab.of("alice", SaEstablished)[-1].decision
        sources = {check.source for check in decision.paths[0].checks if check.subject.startswith("CRL ")}
        assert sources == {"held"}
        assert held


async def test_a_revocation_on_disk_is_heeded_after_a_restart_though_the_server_is_gone(tmp_path: Path) -> None:
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice", crl=False)
        lab.enrol("bob")
        lab.ca.revoke("bob")
        async with serving({"north.crl": lab.ca.crl}) as (url, asked):
            revocation = f'url = ["{url}/north.crl"]\npolicy = "relaxed"'
            await lab.start_both(alice={"revocation": revocation})
            assert (await commands.up(lab.alice, "bob", 10))["reason"] == "cert-revoked"
            assert asked == ["/north.crl"]
        bob = lab.bob.config
        await lab.alice.stop()
        lab.stores["alice"].close()
        lab.stores["alice"] = PkiStore.open(tmp_path / "state" / "alice")
        remote = ("127.0.0.2", bob.listen[0].port, bob.listen_nat_t[0].port)
        await lab.start("alice", address="127.0.0.1", remote=remote, revocation=revocation)
        assert (await commands.up(lab.alice, "bob", 10))["reason"] == "cert-revoked"
