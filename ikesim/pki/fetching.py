"""What a trust decision asks of the network, and what it gets back.

A request is a value: two demands for the same thing are equal, so that whoever performs them does it once.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class FetchKind(StrEnum):
    """What is fetched."""

    CRL = "crl"
    OCSP = "ocsp"


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """One HTTP request, with the limits that whoever performs it must keep."""

    kind: FetchKind
    url: str
    method: str = "GET"
    body: bytes = b""
    content_type: str = ""
    max_octets: int = 16 * 1024 * 1024
    timeout: float = 10.0
    """Seconds for the whole request, connection and redirects included."""
    operator: bool = False
    """The URL was set by the operator: any address is allowed. Else private and loopback addresses are refused
    unless the endpoint sets `fetch-private-addresses`."""


@dataclass(frozen=True, slots=True)
class FetchResult:
    """How a fetch ended: `body`, or `error` with its cause in words; `refused` when a rule forbade the URL."""

    at: datetime
    body: bytes | None = None
    error: str = ""
    refused: bool = False
    status: int | None = None
    """The HTTP status, where one came."""
    final_url: str = ""
    """Where the redirects led, if there were any."""
