"""The control API: HTTP on a Unix socket in the state folder, one per endpoint.

    GET  /                              what there is
    GET  /status                        the document of `ikesim status`
    GET  /connections                   what is configured, in short
    POST /connections/NAME/up           {"timeout": seconds}; answers with the verdict
    POST /connections/NAME/down         {"child": NAME or null}
    POST /connections/NAME/rekey        {"child": NAME or null}
    POST /connections/NAME/redirect     {"gateway": ADDRESS}
    POST /connections/NAME/move         {"address": ADDRESS}
    POST /connections/NAME/ping         {"address": A, "count": N, "timeout": seconds}
    POST /reload
    POST /trust-changed                 PKI objects have changed: SAs that are up are judged again
    GET  /self-test                     how the cryptographic self-tests stand
    POST /self-test/run                 {"only": [NAME...]}; needs a role, as the next three do
    POST /self-test/enable, /self-test/disable
    POST /self-test/schedule            {"interval": seconds, "only": [NAME...]}
    GET  /decisions                     the latest trust decisions, oldest first
    GET  /counters                      numbers only
    GET  /metrics                       the same for Prometheus
    GET  /events                        JSON lines, as they happen
    /faults...                          what a higher room has registered

Who may connect is decided by the folder's mode; [roles] may name a second socket that anybody may connect to, and
that offers /self-test only. Whose role counts is the user's at the other end. Every answer is JSON, an error
{"error": sentence, "exit_code": N}.
"""

import asyncio
import json
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from ikesim import __version__
from ikesim.daemon import commands
from ikesim.daemon.host import EndpointHost
from ikesim.daemon.self_tests import SelfTestDesk, user_at
from ikesim.daemon.state import SOCKET_NAME, socket_path
from ikesim.errors import ForbiddenError, IkesimError, NotFoundError, UsageError
from ikesim.ike.events import Event, to_json

EVENT_BACKLOG = 1000
"""Events kept for a reader of /events that does not read; then it is disconnected."""
MAX_TIMEOUT = 3600.0
SHUTDOWN_PATIENCE = 1.0
"""Seconds that running commands have to answer when the daemon stops."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Registration = Callable[[web.Application, EndpointHost], None]

registrations: list[Registration] = []
"""What higher rooms add to the API of every endpoint (faults, a live page): called before the socket opens."""


class ControlServer:
    """Serves the control API of one endpoint."""

    def __init__(self, host: EndpointHost) -> None:
        self._host = host
        self._desk = SelfTestDesk(host)
        self._administration = host.loaded.roles.socket
        self._administrators_name: str | None = None
        self._runner: web.AppRunner | None = None
        self._streams: set[asyncio.Queue[Event | None]] = set()

    async def start(self) -> None:
        """Open the socket. Raises UsageError when that cannot be done."""
        state = self._host.loaded.state
        app = web.Application(middlewares=[_errors_as_json, self._keep_apart], client_max_size=1024 * 1024)
        app.add_routes(self._routes())
        for register in registrations:
            register(app, self._host)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN_PATIENCE)
        await self._runner.setup()
        await web.SockSite(self._runner, _listening_socket(state / SOCKET_NAME)).start()
        if self._administration is not None:
            listener = _listening_socket(self._administration, 0o111)
            self._administrators_name = listener.getsockname()
            await web.SockSite(self._runner, listener).start()
        self._host.observers.append(self._broadcast)

    async def stop(self) -> None:
        """End the event streams, close and remove the socket."""
        for stream in self._streams:
            stream.put_nowait(None)
        if self._runner is not None:
            await self._runner.cleanup()
            (self._host.loaded.state / SOCKET_NAME).unlink(missing_ok=True)
            if self._administration is not None:
                self._administration.unlink(missing_ok=True)

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._index),
            web.get("/status", self._status),
            web.get("/connections", self._connections),
            web.post("/connections/{name}/up", self._up),
            web.post("/connections/{name}/down", self._down),
            web.post("/connections/{name}/rekey", self._rekey),
            web.post("/connections/{name}/redirect", self._redirect),
            web.post("/connections/{name}/move", self._move),
            web.post("/connections/{name}/ping", self._ping),
            web.post("/reload", self._reload),
            web.post("/trust-changed", self._trust_changed),
            web.get("/self-test", self._show_self_test),
            web.post("/self-test/run", self._run_self_test),
            web.post("/self-test/enable", self._switch_self_test),
            web.post("/self-test/disable", self._switch_self_test),
            web.post("/self-test/schedule", self._schedule_self_test),
            web.get("/decisions", self._decisions),
            web.get("/counters", self._counters),
            web.get("/metrics", self._metrics),
            web.get("/events", self._events),
        ]

    async def _index(self, request: web.Request) -> web.StreamResponse:
        resources = sorted({route.resource.canonical for route in request.app.router.routes() if route.resource})
        return web.json_response({"ikesim": __version__, "endpoint": self._host.name, "resources": resources})

    async def _status(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._host.status())

    async def _connections(self, request: web.Request) -> web.StreamResponse:
        document = [
            {
                "name": connection.name,
                "local": to_json(connection.local),
                "remote": to_json(connection.remote),
                "local_id": str(connection.local_id),
                "remote_id": str(connection.remote_id),
                "trusted_ca": connection.trusted_ca,
                "trusted_ca_group": connection.trusted_ca_group,
                "children": [child.name for child in connection.children],
            }
            for connection in self._host.config.connections.values()
        ]
        return web.json_response({"endpoint": self._host.name, "connections": document})

    async def _up(self, request: web.Request) -> web.StreamResponse:
        timeout = _number(await _body(request), "timeout", 30.0)
        return web.json_response(await commands.up(self._host, request.match_info["name"], timeout))

    async def _down(self, request: web.Request) -> web.StreamResponse:
        child = _text(await _body(request), "child")
        return web.json_response(await commands.down(self._host, request.match_info["name"], child))

    async def _rekey(self, request: web.Request) -> web.StreamResponse:
        child = _text(await _body(request), "child")
        return web.json_response(await commands.rekey(self._host, request.match_info["name"], child))

    async def _redirect(self, request: web.Request) -> web.StreamResponse:
        gateway = _text(await _body(request), "gateway")
        if gateway is None:
            raise UsageError("gateway is missing: the IP address of the other gateway")
        return web.json_response(await commands.redirect(self._host, request.match_info["name"], gateway))

    async def _move(self, request: web.Request) -> web.StreamResponse:
        address = _text(await _body(request), "address")
        if address is None:
            raise UsageError("address is missing: another of this endpoint's addresses")
        return web.json_response(await commands.move(self._host, request.match_info["name"], address))

    async def _ping(self, request: web.Request) -> web.StreamResponse:
        body = await _body(request)
        address = _text(body, "address")
        if address is None:
            raise UsageError("ping needs an address")
        count = int(_number(body, "count", 1))
        if not 1 <= count <= 10_000:
            raise UsageError("count is 1 to 10000")
        name = request.match_info["name"]
        return web.json_response(await commands.ping(self._host, name, address, count, _number(body, "timeout", 5.0)))

    async def _reload(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await commands.reload(self._host))

    async def _trust_changed(self, request: web.Request) -> web.StreamResponse:
        self._host.trust_changed()
        return web.json_response({"result": "judged", "reason": None})

    async def _show_self_test(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._desk.show())

    async def _run_self_test(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._desk.run(_user(request), await _body(request)))

    async def _switch_self_test(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._desk.switch(_user(request), request.path.endswith("/enable")))

    async def _schedule_self_test(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._desk.schedule(_user(request), await _body(request)))

    async def _decisions(self, request: web.Request) -> web.StreamResponse:
        return web.json_response({"endpoint": self._host.name, "decisions": self._host.decisions()})

    async def _counters(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._host.status()["counters"])

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        status = self._host.status()
        registry = CollectorRegistry()
        counter = Gauge("ikesim_counter", "A counter of ikesim status", ["endpoint", "name"], registry=registry)
        for name, value in status["counters"].items():
            counter.labels(self._host.name, name).set(value)
        sas = Gauge(
            "ikesim_ike_sas",
            "IKE SAs by connection and state",
            ["endpoint", "connection", "state"],
            registry=registry,
        )
        octets = Gauge(
            "ikesim_child_octets", "Octets through a CHILD SA", ["endpoint", "child", "direction"], registry=registry
        )
        for sa in status["ike_sas"]:
            sas.labels(self._host.name, sa["connection"] or "", sa["state"]).inc()
            for child in sa["child_sas"]:
                octets.labels(self._host.name, child["name"], "in").inc(child["bytes_in"])
                octets.labels(self._host.name, child["name"], "out").inc(child["bytes_out"])
        return web.Response(body=generate_latest(registry), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        stream: asyncio.Queue[Event | None] = asyncio.Queue()
        self._streams.add(stream)
        try:
            await response.prepare(request)
            while (event := await stream.get()) is not None:
                await response.write(json.dumps(event.to_json()).encode() + b"\n")
        except ConnectionResetError:
            return response
        finally:
            self._streams.discard(stream)
        await response.write_eof()
        return response

    @web.middleware
    async def _keep_apart(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Through the administrators' socket there are the self-tests, and nothing else."""
        assert request.transport is not None
        through = request.transport.get_extra_info("sockname")
        if through == self._administrators_name and request.path.split("/")[1] != "self-test":
            raise ForbiddenError(f"{request.path} is not for this socket: it offers /self-test only")
        return await handler(request)

    def _broadcast(self, event: Event) -> None:
        for stream in tuple(self._streams):
            if stream.qsize() >= EVENT_BACKLOG:
                self._streams.discard(stream)
                stream.put_nowait(None)
            else:
                stream.put_nowait(event)


@web.middleware
async def _errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Errors that people cause, as a sentence with the CLI's exit code."""
    try:
        return await handler(request)
    except IkesimError as error:
        status = 404 if isinstance(error, NotFoundError) else 403 if isinstance(error, ForbiddenError) else 400
        return web.json_response({"error": str(error), "exit_code": error.exit_code}, status=status)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        document = {"error": f"{request.method} {request.path}: {error.reason}", "exit_code": UsageError.exit_code}
        return web.json_response(document, status=error.status)


async def _body(request: web.Request) -> dict[str, Any]:
    """The JSON object of a request; none is an empty one."""
    text = await request.text()
    if not text:
        return {}
    try:
        document = json.loads(text)
    except ValueError as error:
        raise UsageError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise UsageError("the body is not a JSON object")
    return document


def _number(body: dict[str, Any], key: str, default: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value <= MAX_TIMEOUT * 10:
        raise UsageError(f"{key} must be a number greater than 0")
    return float(value)


def _text(body: dict[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and not isinstance(value, str):
        raise UsageError(f"{key} must be a string")
    return value


def _user(request: web.Request) -> int:
    """The user who asks."""
    assert request.transport is not None
    return user_at(request.transport.get_extra_info("socket"))


def _listening_socket(place: Path, mask: int = 0o177) -> socket.socket:
    """A Unix socket that only its owner may use unless `mask` says otherwise; a dead daemon's gives way."""
    place.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with socket_path(place.parent, place.name) as path:
            before = os.umask(mask)
            try:
                listener.bind(path)
            finally:
                os.umask(before)
        listener.listen(64)
    except OSError as error:
        listener.close()
        raise UsageError(f"the control socket {place} cannot be opened: {error.strerror or error}") from None
    listener.setblocking(False)
    return listener
