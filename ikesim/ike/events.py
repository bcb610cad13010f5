"""What an endpoint reports: frozen dataclasses with one stable JSON form.

The log, the control API, reports and test assertions all use these. A new event is a class here and nothing else.
"""

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from ikesim.ike.ids import SaId
from ikesim.pki.decision import TrustDecision
from ikesim.reasons import Reason
from ikesim.wire.address import Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened on an endpoint."""

    sequence: int
    """Position among all that left the endpoint: datagrams, inner packets, fetches and events share one count."""
    time: datetime
    """The endpoint's wall clock."""
    endpoint: str

    def to_json(self) -> dict[str, Any]:
        """The stable JSON form: `event`, `time` (UTC, ISO 8601), `endpoint`, then the event's own fields."""
        document: dict[str, Any] = {
            "event": type(self).__name__,
            "time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "endpoint": self.endpoint,
        }
        for item in fields(self):
            if item.name not in ("sequence", "time", "endpoint"):
                document[item.name] = to_json(getattr(self, item.name))
        return document


def to_json(value: Any) -> Any:
    """A value as JSON types: what knows its own form is asked, octets become hex, addresses text."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Address):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Event):
    """The endpoint listens; the addresses have their real ports."""

    listen: tuple[Address, ...]
    listen_nat_t: tuple[Address, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SaEstablished(Event):
    """An IKE SA is up: the peer is authenticated and its certificate accepted."""

    sa: SaId
    connection: str
    decision: TrustDecision


@dataclass(frozen=True, slots=True, kw_only=True)
class SaRefused(Event):
    """An IKE SA did not come up. `by`: "us", "peer" or "nobody-answered"."""

    sa: SaId | None
    """None where a request was turned away before it became an SA."""
    connection: str | None
    by: str
    reason: Reason
    decision: TrustDecision | None = None
    detail: str = ""
    """One sentence for people."""
    authenticated: bool = False
    """Whether the peer's word came under the SA's keys (a bare notify may be forged)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaClosed(Event):
    """An established IKE SA ended."""

    sa: SaId
    connection: str
    reason: Reason
    decision: TrustDecision | None = None
    """What a later look at the peer's certificate found, where that ended the SA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressAssigned(Event):
    """The peer gave us addresses of its network, and perhaps name servers."""

    sa: SaId
    addresses: tuple[str, ...]
    dns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildUp(Event):
    """A CHILD SA carries traffic."""

    sa: SaId
    child: SaId
    name: str
    spi_in: bytes
    spi_out: bytes
    local_ts: tuple[str, ...]
    remote_ts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildDown(Event):
    """A CHILD SA ended, or (without SPIs ever known) could not be made."""

    sa: SaId
    child: SaId
    name: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rekeyed(Event):
    """An IKE or CHILD SA was replaced by a fresh one."""

    old: SaId
    new: SaId


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirected(Event):
    """The peer sent us to another gateway; `new` is the SA with that one, the same where none was up yet."""

    old: SaId
    new: SaId
    gateway: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Retransmitted(Event):
    """A request was sent again."""

    sa: SaId
    message_id: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchStarted(Event):
    """A URL is being fetched for a trust decision."""

    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchFinished(Event):
    """A fetch ended; `result` is "ok" or the cause."""

    url: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustChanged(Event):
    """The PKI objects changed, or new ones were fetched and verified (the shell keeps those)."""

    what: str
    ca_profile: str | None = None
    crl: bytes | None = None
    """DER of a verified CRL to keep."""
    url: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As every event, with the CRL's size instead of its octets."""
        document = super(TrustChanged, self).to_json()
        document["crl"] = None if self.crl is None else {"octets": len(self.crl)}
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTested(Event):
    """The cryptographic self-tests ran. `trigger`: start, periodic, on-demand or key-generation."""

    trigger: str
    passed: bool
    ran: int
    """How many tests."""
    failed: tuple[str, ...] = ()
    """Their names; not empty: from now on the endpoint makes no new SA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly(Event):
    """Something a well-behaved peer does not do; it was dropped or answered as `rule` says."""

    what: str
    rule: str
    sa: SaId | None = None
    remote: Address | None = None
