"""Modelled HTTP services: a function of the request and the wall clock, and a virtual delay."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from ikesim.pki.fetching import FetchRequest, FetchResult


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answers: a body, or an error in words, `delay` seconds after the request."""

    body: bytes | None = None
    error: str = ""
    status: int | None = 200
    delay: float = 0.02


Service = Callable[[FetchRequest, datetime], Answer | bytes]
"""Called once, when the request is made, with the true wall time. Octets stand for an Answer with that body."""


def perform(
    request: FetchRequest, services: Mapping[str, Service], wall: datetime, *, private_allowed: bool
) -> tuple[float, FetchResult]:
    """Ask the service behind the request's URL, within the request's limits: (seconds it took, result).

    A service answers for its URL and, as OCSP over GET needs it, for everything below it.
    """
    forbidden = _forbidden(request, private_allowed)
    if forbidden:
        return 0.0, FetchResult(at=wall, error=forbidden, refused=True)
    url = max(
        (known for known in services if request.url == known or request.url.startswith(known.rstrip("/") + "/")),
        key=len,
        default=None,
    )
    answer = services[url](request, wall) if url is not None else Answer(error="connection refused", status=None)
    if isinstance(answer, bytes):
        answer = Answer(answer)
    if answer.delay > request.timeout:
        answer = Answer(error=f"no answer within {request.timeout:g} s", status=None, delay=request.timeout)
    at = wall + timedelta(seconds=answer.delay)
    body, error = answer.body, answer.error
    if body is not None and len(body) > request.max_octets:
        too_large = f"larger than {request.max_octets} octets"
        return answer.delay, FetchResult(at=at, error=too_large, refused=True, status=answer.status)
    if body is None and not error:
        error = f"HTTP status {answer.status}"
    if answer.status is not None and not 200 <= answer.status < 300:
        body, error = None, error or f"HTTP status {answer.status}"
    return answer.delay, FetchResult(at=at, body=body, error=error, status=answer.status)


def _forbidden(request: FetchRequest, private_allowed: bool) -> str:
    parts = urlsplit(request.url)
    if parts.scheme != "http":
        return f"{parts.scheme or 'a URL without a scheme'} is not fetched, only http"
    if request.operator or private_allowed:
        return ""
    try:
        address = ip_address(parts.hostname or "")
    except ValueError:
        return ""  # a name: in here names lead to public addresses
    return "" if address.is_global else f"{address} is not a public address"
