"""A simulated host: the shell around one endpoint, with seeded entropy, vault, trust store and inner network."""

from collections.abc import Callable, Collection
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ikesim.crypto.selftest import Outcome
from ikesim.errors import NotFoundError
from ikesim.esp.host import InnerHost
from ikesim.ike.config import EndpointConfig
from ikesim.ike.events import AddressAssigned, Event, Rekeyed, SaClosed, SaEstablished, SaRefused, TrustChanged
from ikesim.ike.ids import FetchId, SaId
from ikesim.ike.ports import Datagram, Fetch, Hooks, InnerPacket
from ikesim.ike.self_tests import SelfTestSettings
from ikesim.pki.fetching import FetchResult
from ikesim.pki.keys import encapsulate
from ikesim.pki.snapshot import TrustStore
from ikesim.sim.clock import EPOCH
from ikesim.sim.entropy import SeededEntropy
from ikesim.wire.address import Address, Path

if TYPE_CHECKING:
    from ikesim.crypto.signatures import SignatureScheme
    from ikesim.sim.world import World

E = TypeVar("E", bound=Event)


class EndpointApi(Protocol):
    """The part of `ikesim.ike.endpoint.Endpoint` that a shell needs."""

    def receive(self, datagram: bytes, path: Path, now: float) -> None: ...  # noqa: D102
    def send_inner(self, packet: bytes, now: float) -> None: ...  # noqa: D102
    def initiate(self, connection: str, now: float) -> SaId: ...  # noqa: D102
    def create_child(self, sa: SaId, child: str, now: float) -> None: ...  # noqa: D102
    def rekey(self, sa: SaId, now: float) -> None: ...  # noqa: D102
    def terminate(self, sa: SaId, now: float) -> None: ...  # noqa: D102
    def check_liveness(self, sa: SaId, now: float) -> None: ...  # noqa: D102
    def reauthenticate(self, sa: SaId, now: float) -> None: ...  # noqa: D102
    def self_test(self, now: float, only: Collection[str] | None = None) -> tuple[Outcome, ...]: ...  # noqa: D102
    def configure_self_tests(self, settings: SelfTestSettings, now: float) -> None: ...  # noqa: D102
    def change_address(  # noqa: D102
        self, sa: SaId, local: Address, now: float, remote: Address | None = None
    ) -> None: ...
    def fetched(self, fetch: FetchId, result: FetchResult, now: float) -> None: ...  # noqa: D102
    def reconfigure(self, config: EndpointConfig, now: float) -> Any: ...  # noqa: D102
    def trust_changed(self, now: float) -> None: ...  # noqa: D102
    def advance(self, now: float) -> None: ...  # noqa: D102
    def next_deadline(self) -> float | None: ...  # noqa: D102
    def datagrams(self) -> list[Datagram]: ...  # noqa: D102
    def inner_packets(self) -> list[InnerPacket]: ...  # noqa: D102
    def events(self) -> list[Event]: ...  # noqa: D102
    def fetches(self) -> list[Fetch]: ...  # noqa: D102


class Signer(Protocol):
    """The part of `ikesim.pki.vault.Vault` that authentication needs."""

    def sign(self, certificate_id: str, scheme: "SignatureScheme", octets: bytes) -> bytes: ...  # noqa: D102


class InnerNetwork(Protocol):
    """The part of `ikesim.esp.host.InnerHost` that a shell needs."""

    def receive(self, packet: bytes) -> bytes | None: ...  # noqa: D102


@dataclass(slots=True)
class SimPorts:
    """Ports whose every answer follows from the seed (RSA-PSS salts and ML-KEM excepted: no library takes them)."""

    random: SeededEntropy
    vault: Signer
    store: TrustStore
    epoch: datetime = EPOCH
    clock_offset: float = 0.0
    """Seconds by which this host's wall clock is fast."""
    hooks: Hooks = field(default_factory=Hooks)
    secrets: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Preshared keys by name."""

    def entropy(self, purpose: str, count: int) -> bytes:
        """The next octets of this host's stream for `purpose`."""
        return self.random.draw(purpose, count)

    def sign(self, certificate_id: str, scheme: "SignatureScheme", octets: bytes) -> bytes:
        """A signature with the vault's key."""
        return self.vault.sign(certificate_id, scheme, octets)

    def encapsulate(self, method: int, public: bytes) -> tuple[bytes, bytes]:
        """ML-KEM by the library, which takes no seed: the ciphertext differs from run to run."""
        return encapsulate(method, public)

    def use_secret(self, name: str, action: "Callable[[memoryview], R]") -> "R":
        """Lend one of `secrets`."""
        if name not in self.secrets:
            raise NotFoundError(f"{name} is no secret of this host")
        return action(memoryview(self.secrets[name]))

    def trust(self) -> TrustStore:
        """The PKI objects that the host holds now."""
        return self.store

    def wall(self, now: float) -> datetime:
        """The host's own wall clock, right or wrong."""
        return self.epoch + timedelta(seconds=now + self.clock_offset)

    def __deepcopy__(self, memo: dict[int, Any]) -> "SimPorts":
        """Streams and hooks are copied; vault and store are shared: keys cannot be copied, snapshots never change."""
        return SimPorts(
            random=SeededEntropy(
                self.random.seed,
                self.random.owner,
                dict(self.random.draws),
                {purpose: list(octets) for purpose, octets in self.random.chosen.items()},
            ),
            vault=self.vault,
            store=self.store,
            epoch=self.epoch,
            clock_offset=self.clock_offset,
            hooks=replace(self.hooks),
            secrets=dict(self.secrets),
        )


class SimHost:
    """One endpoint in a world. Every call acts at the world's time and hands on what the endpoint then emits."""

    def __init__(
        self,
        world: "World",
        config: EndpointConfig,
        endpoint: EndpointApi,
        ports: SimPorts,
        inner: InnerNetwork | None = None,
    ) -> None:
        self.world = world
        self.name = config.name
        self.config = config
        self.endpoint = endpoint
        self.ports = ports
        self.inner = inner
        self.sockets: tuple[Address, ...] = (*config.listen, *config.listen_nat_t)
        self.events: list[Event] = []
        self.inner_received: list[bytes] = []
        """IP packets that came through CHILD SAs, oldest first."""
        self.fetched_urls: list[str] = []
        """What was asked of the modelled services, in order."""
        self.alive = True
        """A host that is off neither receives nor acts: how a dead peer is made."""
        self._fetched_crls: dict[tuple[str | None, str | None], bytes] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> "SimHost":
        """A copy for a copied world; configuration, events and decisions never change and are shared."""
        shared: list[Any] = [self.config, *self.events]
        shared += [event.decision for event in self.events if isinstance(event, (SaEstablished, SaRefused, SaClosed))]
        memo.update((id(item), item) for item in shared)
        twin = memo[id(self)] = SimHost.__new__(SimHost)
        for name, value in vars(self).items():
            setattr(twin, name, deepcopy(value, memo))
        return twin

    @property
    def hooks(self) -> Hooks:
        """The seams of this host's endpoint."""
        return self.ports.hooks

    # What people and tests do to a host.

    def initiate(self, connection: str) -> SaId:
        """Begin an IKE SA."""
        return self._do(lambda now: self.endpoint.initiate(connection, now))

    def create_child(self, sa: SaId, child: str) -> None:
        """Begin a further CHILD SA."""
        self._do(lambda now: self.endpoint.create_child(sa, child, now))

    def rekey(self, sa: SaId) -> None:
        """Rekey an IKE or CHILD SA."""
        self._do(lambda now: self.endpoint.rekey(sa, now))

    def terminate(self, sa: SaId) -> None:
        """Delete an IKE or CHILD SA."""
        self._do(lambda now: self.endpoint.terminate(sa, now))

    def check_liveness(self, sa: SaId) -> None:
        """Ask the peer whether it lives."""
        self._do(lambda now: self.endpoint.check_liveness(sa, now))

    def reauthenticate(self, sa: SaId) -> None:
        """Replace an IKE SA by one with a fresh authentication."""
        self._do(lambda now: self.endpoint.reauthenticate(sa, now))

    def self_test(self, only: Collection[str] | None = None) -> tuple[Outcome, ...]:
        """Test the cryptography; `only` names tests or families."""
        return self._do(lambda now: self.endpoint.self_test(now, only))

    def configure_self_tests(self, settings: SelfTestSettings) -> None:
        """Take what the administrators have set."""
        self._do(lambda now: self.endpoint.configure_self_tests(settings, now))

    def change_address(self, sa: SaId, local: Address, remote: Address | None = None) -> None:
        """Move an IKE SA to another of this host's addresses (MOBIKE)."""
        self._do(lambda now: self.endpoint.change_address(sa, local, now, remote))

    def send_inner(self, packet: bytes) -> None:
        """Send an IP packet through the tunnel."""
        self._do(lambda now: self.endpoint.send_inner(packet, now))

    def reconfigure(self, config: EndpointConfig) -> Any:
        """Give the endpoint another configuration; returns what it changed."""
        self.config = config
        self.sockets = (*config.listen, *config.listen_nat_t)
        return self._do(lambda now: self.endpoint.reconfigure(config, now))

    def change_trust(self, store: TrustStore) -> None:
        """Give the host other PKI objects, and tell its endpoint."""
        self.ports.store = store
        self._do(self.endpoint.trust_changed)

    def set_clock(self, offset: float) -> None:
        """Let the host's wall clock be `offset` seconds fast from now on."""
        self.ports.clock_offset = offset

    def inject(self, octets: bytes, path: Path) -> None:
        """Hand octets to the endpoint as if they had just arrived (`path.local` is this host)."""
        self._do(lambda now: self.endpoint.receive(octets, path, now))

    # What a host knows.

    def of(self, kind: type[E]) -> list[E]:
        """This host's events of one kind, oldest first."""
        return [event for event in self.events if isinstance(event, kind)]

    def peers(self) -> dict[SaId, SaEstablished]:
        """The IKE SAs that are up, oldest first, each with the event of the authentication behind it.

        An IKE SA that replaced another by rekeying stands in its predecessor's place.
        """
        alive: dict[SaId, SaEstablished] = {}
        for event in self.events:
            match event:
                case SaEstablished():
                    alive[event.sa] = event
                case Rekeyed() if event.old in alive:
                    alive[event.new] = alive.pop(event.old)
                case SaClosed():
                    alive.pop(event.sa, None)
        return alive

    @property
    def established(self) -> list[SaId]:
        """The IKE SAs that are up, oldest first."""
        return list(self.peers())

    def verdict(self, sa: SaId) -> SaEstablished | SaRefused | None:
        """How the authentication of an IKE SA ended here, None while it has not."""
        for event in self.events:
            if isinstance(event, (SaEstablished, SaRefused)) and event.sa == sa:
                return event
        return None

    # What the world does to a host.

    def arrive(self, octets: bytes, path: Path) -> None:
        """A datagram reached one of this host's sockets."""
        self._do(lambda now: self.endpoint.receive(octets, path, now))

    def wake(self) -> None:
        """Fire due timers."""
        self._do(self.endpoint.advance)

    def next_deadline(self) -> float | None:
        """When the endpoint wants to be woken, None: not at all."""
        return self.endpoint.next_deadline() if self.alive else None

    def answer(self, fetch: FetchId, result: FetchResult) -> None:
        """A fetch of this host ended."""
        if self.alive:
            self._do(lambda now: self.endpoint.fetched(fetch, result, now))

    def _do(self, action: "Callable[[float], R]") -> "R":
        result = action(self.world.clock.now)
        self.drain()
        return result

    def drain(self) -> None:
        """Hand on all that the endpoint emitted, in the order in which it did."""
        while True:
            emitted: list[Any] = [
                *self.endpoint.datagrams(),
                *self.endpoint.inner_packets(),
                *self.endpoint.events(),
                *self.endpoint.fetches(),
            ]
            if not emitted:
                return
            for item in sorted(emitted, key=lambda item: int(item.sequence)):
                match item:
                    case Datagram():
                        self.world.send(item.octets, item.path)
                    case InnerPacket():
                        self._receive_inner(item.packet)
                    case Fetch():
                        self.fetched_urls.append(item.request.url)
                        self.world.fetch(self, item)
                    case AddressAssigned():
                        self.events.append(item)
                        if isinstance(self.inner, InnerHost):
                            for address in item.addresses:
                                self.inner.add(address)
                    case TrustChanged():
                        self.events.append(item)
                        self._keep_crl(item)
                    case _:
                        self.events.append(item)

    def _receive_inner(self, packet: bytes) -> None:
        self.inner_received.append(packet)
        reply = self.inner.receive(packet) if self.inner is not None else None
        if reply is not None:
            self.endpoint.send_inner(reply, self.world.clock.now)

    def _keep_crl(self, event: TrustChanged) -> None:
        """Keep a verified CRL, as the daemon's store does: the newest of each URL."""
        if event.crl is None or event.ca_profile is None:
            return
        place = (event.ca_profile, event.url)
        older = self._fetched_crls.get(place)
        self._fetched_crls[place] = event.crl
        held = [crl for crl in self.ports.store.crls.get(event.ca_profile, ()) if crl not in (older, event.crl)]
        crls = {**self.ports.store.crls, event.ca_profile: (*held, event.crl)}
        obtained = {**self.ports.store.crl_loaded_at, sha256(event.crl).digest(): event.time.timestamp()}
        self.ports.store = replace(self.ports.store, crls=crls, crl_loaded_at=obtained)


R = TypeVar("R")
