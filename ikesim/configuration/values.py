"""Readers of single values: text or number in, the protocol's own type out, else ValueError with one sentence."""

import difflib
import pwd
import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address, ip_network
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, PlainValidator

from ikesim.errors import IkesimError
from ikesim.ike.negotiation import parse_esp_proposal, parse_ike_proposal
from ikesim.pki.identity import Identity, IdentityPattern
from ikesim.wire.address import Address
from ikesim.wire.proposals import Proposal
from ikesim.wire.selectors import TrafficSelector

T = TypeVar("T")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,6})?)\s*(ms|s|m|h|d|w)")
_PERCENTAGE = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_OID = re.compile(r"[0-2](?:\.(?:0|[1-9]\d{0,38})){1,32}")

MAX_NAME = 32
"""Characters of a CA profile, connection, child or certificate-ID name (Junos: NAME(1..32))."""
MAX_GROUP_NAME = 63
"""Characters of a trusted CA group's name (Junos: 1-63)."""
MAX_URL = 500
"""Characters of a CRL or OCSP URL (Junos: 1-500)."""


def read_duration(value: object) -> float:
    """Seconds from 30, 0.5, "30s", "250ms", "5m", "4h", "2d" or "1w"."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value < 1e12:
            return float(value)
    elif isinstance(value, str) and (match := _DURATION.fullmatch(value.strip())):
        return float(match[1]) * _UNITS[match[2]]
    raise ValueError(f'{shown(value)} is not a duration: write "30s", "5m", "4h", "2d" or a number of seconds')


def _duration_from(minimum: str, maximum: str = "36500d") -> Callable[[object], float]:
    """A reader of durations within limits."""
    least, most = read_duration(minimum), read_duration(maximum)

    def read(value: object) -> float:
        seconds = read_duration(value)
        if not least <= seconds <= most:
            raise ValueError(f"{shown(value)} is not accepted: it must be from {minimum} to {maximum}")
        return seconds

    return read


def read_percentage(value: object) -> float:
    """A fraction from "10%" or 0.1."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if 0 <= value <= 1:
            return float(value)
    elif isinstance(value, str) and (match := _PERCENTAGE.fullmatch(value.strip())) and float(match[1]) <= 100:
        return float(match[1]) / 100
    raise ValueError(f'{shown(value)} is not a share: write "10%" or a number from 0 to 1')


def check_name(name: str, limit: int = MAX_NAME) -> str:
    """An object name of 1 to `limit` characters: ASCII letters, digits, dot, dash and underscore."""
    if not 1 <= len(name) <= limit:
        raise ValueError(f"a name has 1 to {limit} characters, this one has {len(name)}")
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{shown(name)} is not a name: letters, digits, dot, dash, underscore, beginning with a letter or digit"
        )
    return name


def shown(value: object) -> str:
    """A value as people wrote it, cut at 80 characters, with nothing that a terminal would obey."""
    text = repr(value) if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else repr(value)
    text = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return text if len(text) <= 80 else f"{text[:77]}..."


def _read_local_address(text: str) -> Address:
    address = Address.parse(text)
    if address.packed.strip(b"\0") == b"":
        raise ValueError(f"{text} is a wildcard: name the concrete addresses to listen on, NAT detection needs them")
    return address


def _read_peer_address(text: str) -> Address:
    address = _read_local_address(text)
    if address.port == 0:
        raise ValueError(f"{text} has port 0: a peer's port must be known")
    return address


def _read_identity(text: str) -> Identity:
    if "*" in text and not text.startswith(("dn:", "key-id:")):
        raise ValueError(
            f"{shown(text)} is a pattern: our own identity must be one value, such as fqdn:alice.example"
        )
    return Identity.parse(text)


def _read_url(text: str) -> str:
    if not 1 <= len(text) <= MAX_URL:
        raise ValueError(f"a URL has 1 to {MAX_URL} characters, this one has {len(text)}")
    parts = urlsplit(text)
    if parts.scheme != "http":
        raise ValueError(f"{shown(text)}: only http URLs are fetched (CRLs and OCSP responses are signed themselves)")
    if not parts.hostname or parts.username is not None or any(character <= " " for character in text):
        raise ValueError(f"{shown(text)} is not a URL of the form http://HOST[:PORT]/PATH")
    if parts.port == 0:
        raise ValueError(f"{shown(text)} has port 0")
    return text


def _read_oid(text: str) -> str:
    if not _OID.fullmatch(text) or (text[0] in "01" and int(text.split(".")[1]) > 39):
        raise ValueError(f"{shown(text)} is not an object identifier such as 1.3.6.1.4.1.99.1")
    return text


def _read_user(value: object) -> int:
    """A uid, or the uid of a user of this host."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32 - 1:
        return value
    if isinstance(value, str) and value:
        try:
            return pwd.getpwnam(value).pw_uid
        except KeyError:
            raise ValueError(f"{shown(value)} is no user of this host: write a user's name or number") from None
    raise ValueError(f"{shown(value)} is no user: write a user's name or number")


def _read_fragment_size(value: int) -> int:
    if value != 0 and not 570 <= value <= 9000:
        raise ValueError(f"{value} is not accepted: 0 (no fragmentation) or 570 to 9000 octets")
    return value


def _read_host(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{shown(text)} is not an IP address") from None


def _read_network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError as error:
        raise ValueError(f"{shown(text)} is no network: {error}") from None


def nearest(value: object, accepted: Iterable[str]) -> str:
    """ "; did you mean X?" where one of the accepted words is near, else nothing."""
    found = difflib.get_close_matches(str(value).lower().replace("_", "-"), list(accepted), 1, 0.6)
    return f"; did you mean {found[0]}?" if found else ""


def _text(reader: Callable[[str], T]) -> Callable[[Any], T]:
    """`reader` for any value: what is not a string is refused, and every error of ours becomes a ValueError."""

    def read(value: object) -> T:
        if not isinstance(value, str):
            raise ValueError(f"expected a string, not {kind(value)}")
        try:
            return reader(value)
        except IkesimError as error:
            raise ValueError(str(error)) from None

    return read


def kind(value: object) -> str:
    """What a TOML value is, in words."""
    if isinstance(value, bool):
        return f"the boolean {shown(value)}"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the string {shown(value)}"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a date or time"


Name = Annotated[str, PlainValidator(_text(check_name))]
Duration = Annotated[float, BeforeValidator(read_duration)]
PositiveDuration = Annotated[float, BeforeValidator(_duration_from("1ms"))]
RefreshInterval = Annotated[float, BeforeValidator(_duration_from("0s", "8784h"))]
Keepalive = Annotated[float, BeforeValidator(_duration_from("1s", "300s"))]
Percentage = Annotated[float, BeforeValidator(read_percentage)]
LocalAddress = Annotated[Address, PlainValidator(_text(_read_local_address))]
PeerAddress = Annotated[Address, PlainValidator(_text(_read_peer_address))]
LocalIdentity = Annotated[Identity, PlainValidator(_text(_read_identity))]
RemoteIdentity = Annotated[IdentityPattern, PlainValidator(_text(IdentityPattern.parse))]
Network = Annotated[str, PlainValidator(_text(_read_network))]
Host = Annotated[str, PlainValidator(_text(_read_host))]
NameOrNone = Annotated[str, PlainValidator(_text(lambda text: text and check_name(text)))]
HostOrNone = Annotated[str, PlainValidator(_text(lambda text: text and _read_host(text)))]
"""These two: empty for none."""
Selector = Annotated[TrafficSelector, PlainValidator(_text(TrafficSelector.parse))]
IkeProposal = Annotated[Proposal, PlainValidator(_text(parse_ike_proposal))]
EspProposal = Annotated[Proposal, PlainValidator(_text(parse_esp_proposal))]
Url = Annotated[str, PlainValidator(_text(_read_url))]
Oid = Annotated[str, PlainValidator(_text(_read_oid))]
User = Annotated[int, PlainValidator(_read_user)]
FragmentSize = Annotated[int, AfterValidator(_read_fragment_size)]
