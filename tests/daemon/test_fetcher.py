"""Fetching over HTTP from servers that behave, and from those that do not."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from ikesim.daemon import fetcher as module
from ikesim.daemon.fetcher import Fetcher, is_public
from ikesim.pki.fetching import FetchKind, FetchRequest

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Server:
    """An HTTP server whose answers a test writes; counts its requests."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bytes, str]] = []
        self.release = asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{name:.*}", self._answer)
        self._server = TestServer(app)
        self._handlers: dict[str, Handler] = {}

    def on(self, path: str) -> Callable[[Handler], Handler]:
        def register(handler: Handler) -> Handler:
            self._handlers[path] = handler
            return handler

        return register

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self._server.port}/{path}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        kind = request.headers.get("Content-Type", "")
        self.requests.append((request.method, request.match_info["name"], await request.read(), kind))
        return await self._handlers[request.match_info["name"]](request)

    async def start(self) -> None:
        await self._server.start_server()

    async def stop(self) -> None:
        self.release.set()
        await self._server.close()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(clock=lambda: NOW)
    yield fetcher
    await fetcher.close()


def crl(url: str, **limits: object) -> FetchRequest:
    """A request for a URL that the operator set."""
    return FetchRequest(kind=FetchKind.CRL, url=url, **{"operator": True, **limits})  # type: ignore[arg-type] # limits


async def test_a_body_is_fetched_as_it_is(server: Server, fetcher: Fetcher) -> None:
    body = bytes(range(256)) * 1000

    @server.on("north.crl")
    async def _(request: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/pkix-crl")

    result = await fetcher.fetch(crl(server.url("north.crl")))
    assert (result.body, result.error, result.status, result.at) == (body, "", 200, NOW)


async def test_an_ocsp_request_is_posted_with_its_type(server: Server, fetcher: Fetcher) -> None:
    @server.on("ocsp")
    async def _(request: web.Request) -> web.Response:
        return web.Response(body=b"answer")

    request = FetchRequest(
        kind=FetchKind.OCSP,
        url=server.url("ocsp"),
        method="POST",
        body=b"question",
        content_type="application/ocsp-request",
        operator=True,
    )
    assert (await fetcher.fetch(request)).body == b"answer"
    assert server.requests == [("POST", "ocsp", b"question", "application/ocsp-request")]


async def test_a_status_other_than_200_is_an_error_with_its_number(server: Server, fetcher: Fetcher) -> None:
    @server.on("gone")
    async def _(request: web.Request) -> web.Response:
        return web.Response(status=404, body=b"a page that is no CRL")

    result = await fetcher.fetch(crl(server.url("gone")))
    assert (result.body, result.error, result.status) == (None, "HTTP status 404", 404)


async def test_a_body_announced_as_too_large_is_not_read(server: Server, fetcher: Fetcher) -> None:
    @server.on("large")
    async def _(request: web.Request) -> web.Response:
        return web.Response(body=bytes(100_001))

    result = await fetcher.fetch(crl(server.url("large"), max_octets=100_000))
    assert (result.body, result.error) == (None, "the body is larger than 100000 octets")
    assert result.refused  # a limit, not an unreachable URL: on-download-failure does not excuse it


async def test_a_body_that_grows_too_large_is_given_up(server: Server, fetcher: Fetcher) -> None:
    """No length announced, and no end: only the limit ends it."""

    @server.on("endless")
    async def _(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(bytes(50_000))
        except ConnectionResetError:
            return response

    result = await fetcher.fetch(crl(server.url("endless"), max_octets=1_000_000))
    assert (result.body, result.error, result.refused) == (None, "the body is larger than 1000000 octets", True)


async def test_compressed_bodies_are_not_unpacked(server: Server, fetcher: Fetcher) -> None:
    """A few octets of gzip can be gigabytes; a CRL is fetched as it is."""

    @server.on("zipped")
    async def _(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"\x1f\x8b not really", headers={"Content-Encoding": "gzip"})

    assert (await fetcher.fetch(crl(server.url("zipped")))).body == b"\x1f\x8b not really"


async def test_a_slow_drip_ends_with_the_time_limit(server: Server, fetcher: Fetcher) -> None:
    """Each octet comes in time, the whole does not."""

    @server.on("drip")
    async def _(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while not server.release.is_set():
            try:
                await response.write(b".")
            except ConnectionResetError:
                break
            try:
                await asyncio.wait_for(server.release.wait(), 0.02)
            except TimeoutError:
                continue
        return response

    result = await fetcher.fetch(crl(server.url("drip"), timeout=0.3))
    assert (result.body, result.error) == (None, "no complete answer within 0.3 s")


async def test_a_truncated_body_is_an_error(server: Server, fetcher: Fetcher) -> None:
    @server.on("short")
    async def _(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"only this")
        assert request.transport is not None
        request.transport.close()
        return response

    result = await fetcher.fetch(crl(server.url("short")))
    assert (result.body, result.error) == (None, "the answer ended before its announced length")


async def test_a_dead_server_is_named_with_its_cause(fetcher: Fetcher) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    result = await fetcher.fetch(crl(f"http://127.0.0.1:{port}/north.crl"))
    assert result.body is None
    assert result.error == f"cannot connect to 127.0.0.1:{port}: connection refused"
    assert not result.refused


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/crl", "ftp://127.0.0.1/crl", "file:///etc/passwd", "ldap://north/", "north.crl", ""]
)
async def test_other_schemes_than_http_are_refused(fetcher: Fetcher, url: str) -> None:
    result = await fetcher.fetch(crl(url))
    assert result.refused, result
    assert result.body is None


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://127.0.0.1:99999/", "http:///x"])
async def test_what_is_no_url_is_an_error_and_never_an_exception(fetcher: Fetcher, url: str) -> None:
    result = await fetcher.fetch(crl(url))
    assert result.body is None
    assert result.error


HIDDEN_LOOPBACK = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "127.1", "2130706433", "0x7f000001", "0"]


@pytest.mark.parametrize("host", HIDDEN_LOOPBACK)
async def test_a_url_from_a_certificate_never_reaches_loopback(server: Server, fetcher: Fetcher, host: str) -> None:
    @server.on("secret")
    async def _(request: web.Request) -> web.Response:
        return web.Response(body=b"secret")

    result = await fetcher.fetch(crl(server.url("secret", host), operator=False))
    assert result.body is None
    assert server.requests == []
    assert result.refused or result.error == "this is not a URL that can be fetched", result.error


async def test_a_name_that_resolves_to_a_private_address_is_refused(
    server: Server, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(self: object, host: str, port: int = 0, family: int = 0) -> list[dict[str, object]]:
        entry = {"hostname": host, "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}
        return [{**entry, "host": "192.0.2.1"}, {**entry, "host": "10.0.0.1"}]

    monkeypatch.setattr(module.ThreadedResolver, "resolve", resolve)
    result = await fetcher.fetch(crl("http://crl.example/north.crl", operator=False))
    assert result.refused
    assert "crl.example resolves to" in result.error


async def test_a_redirect_is_followed_and_told(server: Server, fetcher: Fetcher) -> None:
    @server.on("old")
    async def _(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "new"})

    @server.on("new")
    async def _(request: web.Request) -> web.Response:
        return web.Response(body=b"crl")

    result = await fetcher.fetch(crl(server.url("old")))
    assert (result.body, result.final_url) == (b"crl", server.url("new"))


async def test_a_redirect_to_a_private_address_is_refused(
    server: Server, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address may be reached, the second may not: it is judged again."""

    @server.on("public")
    async def _(request: web.Request) -> web.Response:
        return web.Response(status=301, headers={"Location": server.url("secret", "localhost")})

    @server.on("secret")
    async def _(request: web.Request) -> web.Response:
        return web.Response(body=b"secret")

    monkeypatch.setattr(module, "is_public", lambda host: host == "127.0.0.1" and not server.requests)
    result = await fetcher.fetch(crl(server.url("public"), operator=False))
    assert result.refused, result
    assert result.body is None
    assert [path for _, path, _, _ in server.requests] == ["public"]


async def test_a_redirect_to_another_scheme_is_refused(server: Server, fetcher: Fetcher) -> None:
    @server.on("x")
    async def _(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "file:///etc/passwd"})

    result = await fetcher.fetch(crl(server.url("x")))
    assert result.refused
    assert "'file' is not http" in result.error


async def test_redirects_in_a_circle_end(server: Server, fetcher: Fetcher) -> None:
    @server.on("round")
    async def _(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": server.url("round")})

    result = await fetcher.fetch(crl(server.url("round")))
    assert result.error == "more than 5 redirects"
    assert len(server.requests) == 6


async def test_a_redirect_never_turns_a_question_into_something_else(server: Server, fetcher: Fetcher) -> None:
    @server.on("ocsp")
    async def _(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "other"})

    request = FetchRequest(FetchKind.OCSP, server.url("ocsp"), "POST", b"question", operator=True)
    result = await fetcher.fetch(request)
    assert result.body is None
    assert "would turn POST into GET" in result.error


async def test_private_addresses_are_reached_where_the_endpoint_allows_it(server: Server) -> None:
    @server.on("lab")
    async def _(request: web.Request) -> web.Response:
        return web.Response(body=b"crl")

    fetcher = Fetcher(allow_private=True)
    assert (await fetcher.fetch(crl(server.url("lab"), operator=False))).body == b"crl"


async def test_demands_for_the_same_thing_share_one_fetch(server: Server, fetcher: Fetcher) -> None:
    @server.on("shared")
    async def _(request: web.Request) -> web.Response:
        await server.release.wait()
        return web.Response(body=b"%d" % len(server.requests))

    demands = [asyncio.create_task(fetcher.fetch(crl(server.url("shared")))) for _ in range(20)]
    while not server.requests:
        await asyncio.sleep(0)
    demands[0].cancel()
    server.release.set()
    results = await asyncio.gather(*demands[1:])
    assert {result.body for result in results} == {b"1"}
    assert (await fetcher.fetch(crl(server.url("shared")))).body == b"2"
    assert fetcher.performed == 2


@pytest.mark.parametrize(
    "host",
    [
        "10.1.2.3", "127.0.0.1", "169.254.169.254", "192.168.0.1", "172.16.0.1", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "fe80::1", "fe80::1%eth0", "fd00::1", "ff02::1", "::", "::ffff:10.0.0.1",
        "64:ff9b::7f00:1", "2002:7f00:1::1",
    ],
)  # fmt: skip
def test_addresses_that_certificates_may_not_lead_to(host: str) -> None:
    assert not is_public(host)


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_addresses_that_certificates_may_lead_to(host: str) -> None:
    assert is_public(host)
