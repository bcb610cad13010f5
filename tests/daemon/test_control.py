"""The control API as curl sees it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from ikesim.daemon import commands, control
from ikesim.daemon.control import ControlServer
from ikesim.daemon.host import EndpointHost
from ikesim.daemon.state import MAX_SOCKET_PATH, SOCKET_NAME, StateLock, socket_path
from ikesim.errors import UsageError
from tests.daemon.test_host import Lab, lab_in


class Api:
    """alice's control API."""

    def __init__(self, lab: Lab, session: aiohttp.ClientSession) -> None:
        self.lab = lab
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        data = None if body is None else body if isinstance(body, str) else json.dumps(body)
        async with self.session.request(method, f"http://localhost{path}", data=data) as response:
            return response.status, json.loads(await response.text())


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with lab_in(tmp_path) as lab:
        lab.enrol("alice")
        lab.enrol("bob")
        await lab.start_both()
        server = ControlServer(lab.alice)
        await server.start()
        connector = aiohttp.UnixConnector(str(lab.alice.loaded.state / SOCKET_NAME))
        async with aiohttp.ClientSession(connector=connector) as session:
            yield Api(lab, session)
        await server.stop()
        assert not (lab.alice.loaded.state / SOCKET_NAME).exists()


async def test_the_root_lists_the_resources(api: Api) -> None:
    status, document = await api.ask("GET", "/")
    assert (status, document["endpoint"]) == (200, "alice")
    assert {"/status", "/connections/{name}/up", "/events", "/metrics"} <= set(document["resources"])


async def test_a_connection_is_brought_up_shown_and_taken_down(api: Api) -> None:
    status, verdict = await api.ask("POST", "/connections/bob/up", {"timeout": 10})
    assert (status, verdict["result"]) == (200, "established")
    _, document = await api.ask("GET", "/status")
    assert [sa["id"] for sa in document["ike_sas"]] == [verdict["sa"]]
    _, decisions = await api.ask("GET", "/decisions")
    assert [entry["decision"]["accepted"] for entry in decisions["decisions"]] == [True]
    _, listed = await api.ask("GET", "/connections")
    assert [(one["name"], one["remote_id"], one["children"]) for one in listed["connections"]] == [
        ("bob", "fqdn:bob.example", ["net"])
    ]
    _, counters = await api.ask("GET", "/counters")
    assert counters["datagrams_sent"] >= 2
    status, down = await api.ask("POST", "/connections/bob/down")
    assert (status, down["result"]) == (200, "closed")


async def test_metrics_are_prometheus_text(api: Api) -> None:
    await commands.up(api.lab.alice, "bob", 10)
    async with api.session.get("http://localhost/metrics") as response:
        text = await response.text()
    assert 'ikesim_ike_sas{connection="bob",endpoint="alice",state="established"} 1.0' in text
    assert 'ikesim_counter{endpoint="alice",name="datagrams_sent"}' in text


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "says"),
    [
        ("GET", "/nothing", None, 404, 2, "GET /nothing: Not Found"),
        ("GET", "/reload", None, 405, 2, "Method Not Allowed"),
        ("POST", "/connections/carol/up", None, 404, 3, "has no connection 'carol'"),
        ("POST", "/connections/bob/up", "{", 400, 2, "not JSON"),
        ("POST", "/connections/bob/up", [1], 400, 2, "not a JSON object"),
        ("POST", "/connections/bob/up", {"timeout": "soon"}, 400, 2, "timeout must be a number"),
        ("POST", "/connections/bob/up", {"timeout": 0}, 400, 2, "timeout must be a number"),
        ("POST", "/connections/bob/down", {"child": 7}, 400, 2, "child must be a string"),
        ("POST", "/connections/bob/ping", {}, 400, 2, "needs an address"),
        ("POST", "/connections/bob/ping", {"address": "x", "count": 20_000}, 400, 2, "1 to 10000"),
        ("POST", "/connections/bob/rekey", {}, 404, 3, "is not up"),
    ],
)
async def test_an_error_is_a_sentence_with_the_exit_code_of_the_command_line(
    api: Api, method: str, path: str, body: Any, status: int, code: int, says: str
) -> None:
    answered, document = await api.ask(method, path, body)
    assert (answered, document["exit_code"]) == (status, code)
    assert says in document["error"]


async def test_events_are_streamed_as_they_happen_until_the_daemon_stops(api: Api) -> None:
    async with api.session.get("http://localhost/events") as response:
        await api.ask("POST", "/connections/bob/up", {"timeout": 10})
        first = json.loads(await asyncio.wait_for(response.content.readline(), 10))
        second = json.loads(await asyncio.wait_for(response.content.readline(), 10))
    assert [first["event"], second["event"]] == ["SaEstablished", "ChildUp"]
    assert first["decision"]["accepted"]


async def test_a_reader_that_does_not_read_is_left_behind(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It loses the stream, the daemon no memory."""
    monkeypatch.setattr(control, "EVENT_BACKLOG", 1)
    async with api.session.get("http://localhost/events") as response:
        await api.ask("POST", "/connections/bob/up", {"timeout": 10})
        lines = [line async for line in response.content]
    assert [json.loads(line)["event"] for line in lines] == ["SaEstablished"]


async def test_a_higher_room_registers_its_own_resources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def register(app: web.Application, host: EndpointHost) -> None:
        async def faults(request: web.Request) -> web.Response:
            return web.json_response({"faults": [], "endpoint": host.name})

        app.router.add_get("/faults", faults)

    monkeypatch.setattr(control, "registrations", [register])
    async with lab_in(tmp_path) as lab:
        lab.enrol("bob")
        await lab.start("bob", address="127.0.0.2")
        server = ControlServer(lab.bob)
        await server.start()
        connector = aiohttp.UnixConnector(str(lab.bob.loaded.state / SOCKET_NAME))
        async with aiohttp.ClientSession(connector=connector) as session:
            assert await Api(lab, session).ask("GET", "/faults") == (200, {"faults": [], "endpoint": "bob"})
        await server.stop()


def test_a_long_state_path_is_reached_by_a_short_one_that_leaves_nothing_behind(tmp_path: Path) -> None:
    state = tmp_path / ("x" * 150)
    state.mkdir()
    with socket_path(state) as path:
        assert len(path) <= MAX_SOCKET_PATH
        assert Path(path).resolve() == (state / SOCKET_NAME).resolve()
    assert not Path(path).parent.exists()


def test_a_state_folder_has_one_daemon_at_a_time(tmp_path: Path) -> None:
    first = StateLock(tmp_path)
    with pytest.raises(UsageError, match=r"another daemon \(process \d+\) already runs on the state folder"):
        StateLock(tmp_path)
    first.release()
    StateLock(tmp_path).release()
