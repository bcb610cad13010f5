"""What the core calls synchronously, and what it hands out: its whole contact with the world."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from ikesim.crypto.signatures import SignatureScheme
from ikesim.ike.ids import FetchId, SaId
from ikesim.pki.fetching import FetchRequest
from ikesim.pki.snapshot import TrustStore
from ikesim.wire.address import Path
from ikesim.wire.values import value

T = TypeVar("T")


@dataclass(slots=True)
class Hooks:
    """Seams for faults and probes, all None in production: one attribute test each.

    Every hook gets the SA's id first (None before there is an SA) and may return a replacement of its second
    argument, or None to leave it (on_send and on_receive: b"" drops the datagram).
    """

    after_decode: Callable[[SaId | None, Any], Any] | None = None
    """(sa, Message with its payloads in the clear) -> Message; also of IKE_SA_INIT."""
    before_encode: Callable[[SaId | None, list[Any], Any], list[Any] | None] | None = None
    """(sa, payloads, Header) -> payloads."""
    before_protect: Callable[[SaId | None, bytes, Any], bytes | None] | None = None
    """(sa, plaintext payload chain, Header that names its first payload) -> chain; also of what goes in the clear."""
    before_header: Callable[[SaId | None, Any], Any] | None = None
    """(sa, Header) -> Header, as it is about to be authenticated and sent."""
    before_sign: Callable[[SaId | None, bytes, str], bytes | None] | None = None
    """(sa, AUTH octets, certificate-ID) -> octets."""
    after_sign: Callable[[SaId | None, bytes, str], bytes | None] | None = None
    """(sa, signature, certificate-ID) -> signature."""
    on_send: Callable[[SaId | None, bytes, Path], bytes | None] | None = None
    on_receive: Callable[[SaId | None, bytes, Path], bytes | None] | None = None
    on_fetch: Callable[[SaId | None, FetchRequest], None] | None = None
    on_timer: Callable[[SaId | None, str, float], bool | None] | None = None
    """(sa, timer, now) -> False: nothing is done about it."""
    on_install: Callable[[SaId | None, Any], None] | None = None
    """(sa, installed keys): an IKE SA or CHILD SA got its keys; the capture's key log listens here."""
    on_self_test: Callable[[SaId | None, str, bytes], bytes | None] | None = None
    """(None, test, what was computed) -> what is compared with the known answer."""


class Ports(Protocol):
    """The services that a shell (daemon or simulator) gives the core."""

    hooks: Hooks

    def entropy(self, purpose: str, count: int) -> bytes:
        """`count` random octets from the stream of `purpose`: nonce, spi, ke, iv, cookie, jitter."""
        ...

    def sign(self, certificate_id: str, scheme: SignatureScheme, octets: bytes) -> bytes:
        """A signature with the vault's key (ECDSA as DER). Raises NotFoundError without such a key."""
        ...

    def encapsulate(self, method: int, public: bytes) -> tuple[bytes, bytes]:
        """ML-KEM encapsulation to a peer's public key: (ciphertext, shared secret)."""
        ...

    def use_secret(self, name: str, action: Callable[[memoryview], T]) -> T:
        """Hand the preshared key `name` to `action`, for as long as that takes.

        Raises NotFoundError without it, UsageError or CryptoError where it cannot be read.
        """
        ...

    def trust(self) -> TrustStore:
        """The PKI objects as they stand now."""
        ...

    def wall(self, now: float) -> datetime:
        """The wall clock (aware, UTC) at monotonic time `now`."""
        ...


@value
class Datagram:
    """A UDP datagram to send."""

    sequence: int
    octets: bytes
    path: Path


@dataclass(frozen=True, slots=True)
class InnerPacket:
    """An IP packet that came through a CHILD SA."""

    sequence: int
    packet: bytes
    child: SaId


@dataclass(frozen=True, slots=True)
class Fetch:
    """A request to the network, to be answered with `Endpoint.fetched`."""

    sequence: int
    id: FetchId
    request: FetchRequest = field(repr=False)
