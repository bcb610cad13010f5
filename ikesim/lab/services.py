"""The HTTP services of a PKI: what it publishes, under the names that its certificates point to."""

from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from aiohttp import web

from ikesim.errors import UsageError

CRL_TYPE = "application/pkix-crl"
"""RFC 2585 section 4.1."""
CERTIFICATE_TYPE = "application/pkix-cert"


@dataclass(frozen=True, slots=True)
class Request:
    """One request that came, and how it was answered."""

    at: datetime
    path: str
    status: int


class Publisher:
    """Serves octets by path, from memory; an asynchronous context manager.

    `publish` may be called at any time: the next request gets what it says.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen on `host`; port 0 takes any."""
        self._host, self._port = host, port
        self._documents: dict[str, tuple[bytes, str]] = {}
        self._runner: web.AppRunner | None = None
        self.requests: list[Request] = []
        """What was asked, in order."""

    async def __aenter__(self) -> Self:
        """Open the socket. Raises UsageError when that cannot be done."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port)
        try:
            await site.start()
        except OSError as error:
            await self._runner.cleanup()
            where = f"{self._host}:{self._port}"
            raise UsageError(f"no HTTP service can listen on {where}: {error.strerror or error}") from None
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the socket and the connections to it."""
        if self._runner is not None:
            await self._runner.cleanup()

    def url(self, path: str) -> str:
        """The URL of a document; the port is the real one once the service is open."""
        return f"http://{self._host}:{self._port}/{path}"

    def publish(self, path: str, document: bytes, content_type: str = CRL_TYPE) -> str:
        """Put a document in place of what was there; returns its URL."""
        self._documents[path] = (document, content_type)
        return self.url(path)

    async def _serve(self, request: web.Request) -> web.Response:
        path = request.match_info["path"]
        found = self._documents.get(path)
        self.requests.append(Request(datetime.now(UTC), path, 200 if found else 404))
        if found is None:
            return web.Response(status=404, text=f"nothing is published under {path}\n")
        return web.Response(body=found[0], content_type=found[1])
