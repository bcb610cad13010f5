"""Fetching CRLs and OCSP responses over HTTP, with the limits that keep a certificate's URL from being a weapon.

Scheme http only; the address is checked after resolution, at connect and at every redirect, so that a name cannot
point one way when checked and another when used; size and time are bounded; compressed bodies are not unpacked; and
demands for the same thing share one fetch.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from ikesim.pki.fetching import FetchRequest, FetchResult

log = logging.getLogger("ikesim.daemon")

MAX_REDIRECTS = 5
"""RFC 9110 15.4 leaves the number open; curl stops at 50, browsers at 20, and no CA needs more than two."""
CHUNK = 64 * 1024

_NAT64 = ip_network("64:ff9b::/96")


class FetchRefusedError(Exception):
    """A rule forbids what the URL leads to."""


class FetchFailedError(Exception):
    """The URL did not give what was asked for."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


def is_public(host: str) -> bool:
    """Whether an IP address may be reached on behalf of a certificate: not private, loopback, link-local, multicast.

    IPv4 addresses inside IPv6 ones (mapped, NAT64, 6to4) are judged by the IPv4 address.
    """
    address: IPv4Address | IPv6Address = ip_address(host.partition("%")[0])
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour
        if embedded is None and address in _NAT64:
            embedded = IPv4Address(address.packed[12:])
        if embedded is not None:
            address = embedded
    return address.is_global and not address.is_multicast


class _CheckedResolver(AbstractResolver):
    """The system's resolver, without the addresses that may not be reached."""

    def __init__(self) -> None:
        self._system = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of `host`. Raises FetchRefusedError when one of them is not public."""
        found = await self._system.resolve(host, port, family)
        for entry in found:
            if not is_public(entry["host"]):
                raise FetchRefusedError(f"{host} resolves to {entry['host']}, a private or loopback address")
        return found

    async def close(self) -> None:
        """Nothing is held."""


class Fetcher:
    """Performs fetches; one for all who want the same thing at the same time."""

    def __init__(self, *, allow_private: bool = False, clock: Callable[[], datetime] | None = None) -> None:
        self.allow_private = allow_private
        self.performed = 0
        """HTTP fetches begun (shared ones count once)."""
        self._clock = clock or (lambda: datetime.now(UTC))
        self._running: dict[FetchRequest, asyncio.Task[FetchResult]] = {}

    async def fetch(self, request: FetchRequest) -> FetchResult:
        """Fetch, or join the same fetch that is under way. Never raises: an error is a result."""
        task = self._running.get(request)
        if task is None:
            task = asyncio.create_task(self._perform(request), name=f"fetch {request.url}")
            self._running[request] = task
            task.add_done_callback(lambda _: self._running.pop(request, None))
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Give up what is under way."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _perform(self, request: FetchRequest) -> FetchResult:
        self.performed += 1
        trail = [request.url]
        try:
            async with asyncio.timeout(request.timeout):
                body, status = await self._follow(request, trail)
        except TimeoutError:
            return self._failure(f"no complete answer within {request.timeout:g} s", trail)
        except FetchRefusedError as error:
            return self._failure(str(error), trail, refused=True)
        except FetchFailedError as error:
            return self._failure(str(error), trail, status=error.status)
        except (aiohttp.ClientError, OSError, ValueError, UnicodeError) as error:
            return self._failure(_cause(error), trail)
        return FetchResult(at=self._clock(), body=body, status=status, final_url=trail[-1] if len(trail) > 1 else "")

    def _failure(
        self, error: str, trail: list[str], *, refused: bool = False, status: int | None = None
    ) -> FetchResult:
        final = trail[-1] if len(trail) > 1 else ""
        return FetchResult(at=self._clock(), error=error, refused=refused, status=status, final_url=final)

    async def _follow(self, request: FetchRequest, trail: list[str]) -> tuple[bytes, int]:
        """The body at the end of the redirects. Appends every URL it was sent to."""
        any_address = request.operator or self.allow_private
        resolver = ThreadedResolver() if any_address else _CheckedResolver()
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False, force_close=True)
        headers = {"Accept-Encoding": "identity", "User-Agent": "ikesim"}
        if request.content_type:
            headers["Content-Type"] = request.content_type
        async with aiohttp.ClientSession(
            connector=connector,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None),
        ) as session:
            for _ in range(MAX_REDIRECTS + 1):
                url = _checked_url(trail[-1], any_address)
                async with session.request(
                    request.method, url, data=request.body or None, headers=headers, allow_redirects=False
                ) as response:
                    if response.status in (301, 302, 303, 307, 308):
                        trail.append(_redirect_target(response, url, request.method))
                        continue
                    if response.status != 200:
                        raise FetchFailedError(f"HTTP status {response.status}", response.status)
                    return await _read_body(response, request.max_octets), response.status
        raise FetchFailedError(f"more than {MAX_REDIRECTS} redirects")


def _checked_url(text: str, any_address: bool) -> URL:
    url = URL(text)
    if url.scheme != "http":
        raise FetchRefusedError(f"the scheme {url.scheme or 'is missing and'!r} is not http")
    if not url.host:
        raise FetchRefusedError("the URL names no host")
    try:
        literal = ip_address(url.host)
    except ValueError:
        return url
    if not any_address and not is_public(str(literal)):
        raise FetchRefusedError(f"{url.host} is a private or loopback address")
    return url


def _redirect_target(response: aiohttp.ClientResponse, url: URL, method: str) -> str:
    location = response.headers.get("Location", "")
    if not location:
        raise FetchFailedError(f"HTTP status {response.status} without a Location", response.status)
    if method != "GET" and response.status not in (307, 308):
        raise FetchFailedError(f"HTTP status {response.status} would turn {method} into GET", response.status)
    return str(url.join(URL(location)))


async def _read_body(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The body, as it is on the wire. Raises FetchRefusedError as soon as it is, or is announced, above the limit."""
    too_large = f"the body is larger than {limit} octets"
    if (response.content_length or 0) > limit:
        raise FetchRefusedError(too_large)
    body = bytearray()
    async for chunk in response.content.iter_chunked(CHUNK):
        body += chunk
        if len(body) > limit:
            raise FetchRefusedError(too_large)
    return bytes(body)


def _cause(error: Exception) -> str:
    """Why a connection or an answer failed, in words."""
    if isinstance(error, aiohttp.ClientConnectorError):
        cause = error.os_error
        # asyncio's own text repeats the address; name resolution has negative numbers and good words
        number = cause.errno or 0
        words = os.strerror(number) if number > 0 else cause.strerror or str(cause)
        return f"cannot connect to {error.host}:{error.port}: {words.lower()}"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "the answer ended before its announced length"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "the server closed the connection without an answer"
    if isinstance(error, aiohttp.InvalidURL):
        return "this is not a URL that can be fetched"
    return str(error) or type(error).__name__
