"""The shell around one endpoint: receive, drain, send, re-arm.

Everything that the core decides leaves it through four queues with one sequence; `EndpointHost` carries each item to
where it goes, in that order, after every input. Nothing here knows the protocol.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from ikesim.configuration import LoadedConfig
from ikesim.crypto.selftest import Outcome
from ikesim.daemon.boundary import Boundary
from ikesim.daemon.fetcher import Fetcher
from ikesim.daemon.ports import SystemPorts
from ikesim.daemon.self_tests import load_settings
from ikesim.daemon.sockets import UdpSocket
from ikesim.errors import IkesimError, UsageError
from ikesim.esp.host import InnerHost
from ikesim.ike.config import EndpointConfig
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import AddressAssigned, Event, Ready, SaClosed, SaEstablished, SaRefused, TrustChanged, to_json
from ikesim.ike.ids import SaId
from ikesim.ike.ports import Datagram, Fetch, InnerPacket
from ikesim.ike.self_tests import SelfTestSettings
from ikesim.ike.status import status
from ikesim.pki.store import PkiStore
from ikesim.wire.address import Address, Path
from ikesim.wire.demux import first_request

log = logging.getLogger("ikesim.daemon")

T = TypeVar("T")

INBOX = 4096
"""Datagrams waiting for the core; more are dropped, as the kernel would. Four seconds at 1,000 a second."""
STRANGERS = 256
"""IKE_SA_INIT requests waiting, of those with a COOKIE and of those without: they come from anybody, so all else
goes first, and what a flood leaves no room for is dropped here instead of at random in the kernel."""
BATCH, STRANGERS_BATCH = 32, 8
"""Datagrams handled before timers, fetches and the control API get their turn, and the kernel's buffer is read again:
it holds some hundreds, which a flood sends in a few milliseconds."""
STOP_PATIENCE = 2.0
"""Seconds that peers have to answer our DELETE when the daemon stops."""
AFTER_BUG = 1.0
"""Seconds until timers are tried again that raised what must never happen: the core may still call them due."""
DECISIONS = 200
"""Decisions remembered for the control API."""


class Recording(Protocol):
    """What `ikesim.capture.recorder.Recorder` offers."""

    def record(self, octets: bytes, path: Path, at: datetime, *, outbound: bool, endpoint: str = "") -> None:
        """Write one datagram."""
        ...


class EndpointHost:
    """One endpoint of this process, with its sockets, timer, fetches and inner network."""

    def __init__(
        self, loaded: LoadedConfig, store: PkiStore, *, recorder: Recording | None = None, strict: bool = False
    ) -> None:
        self.loaded = loaded
        self.config = loaded.endpoint
        self.store = store
        self.ports = SystemPorts(store)
        self.boundary = Boundary(strict=strict)
        self.fetcher = Fetcher(allow_private=self.config.fetch_private_addresses)
        self.observers: list[Callable[[Event], None]] = []
        """Called with every event, in order, before anything later leaves the host."""
        self.inner_observers: list[Callable[[bytes], None]] = []
        """Called with every IP packet that came through a CHILD SA."""
        self._verdicts: deque[SaEstablished | SaRefused] = deque(maxlen=DECISIONS)
        self.inbox_dropped = 0
        self.sockets: dict[Address, UdpSocket] = {}
        self.endpoint: Endpoint
        self._recorder = recorder
        self._inner: InnerHost
        self._inbox: deque[tuple[bytes, Path]] = deque()
        self._returning: deque[tuple[bytes, Path]] = deque()
        self._strangers: deque[tuple[bytes, Path]] = deque()
        self._arrived = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pumping = False
        self._stopped = False
        self._not_before = 0.0

    @property
    def name(self) -> str:
        """The endpoint's name."""
        return self.config.name

    def now(self) -> float:
        """The monotonic clock that the core's timers run on."""
        return asyncio.get_running_loop().time()

    async def start(self) -> Ready:
        """Open and begin. Raises UsageError when a socket cannot be bound; nothing stays open then."""
        await self.open()
        ready = self.report_ready()
        self.begin()
        return ready

    async def open(self) -> None:
        """Bind the sockets and start the core with the ports that they really have. Raises UsageError, as `start`."""
        try:
            listen = [await self._bind(address) for address in self.config.listen]
            listen_nat_t = [await self._bind(address) for address in self.config.listen_nat_t]
        except IkesimError:
            await self._close_sockets()
            raise
        self.config = with_real_ports(self.config, listen, listen_nat_t)
        self.endpoint = Endpoint(self.config, self.ports)
        self._inner = inner_host(self.config)
        self._spawn(self._handle_inbox(), "datagrams")

    def report_ready(self) -> Ready:
        """Report Ready: the endpoint answers from here on."""
        ready = Ready(
            sequence=0,
            time=self.ports.wall(self.now()),
            endpoint=self.name,
            listen=self.config.listen,
            listen_nat_t=self.config.listen_nat_t,
        )
        self._publish(ready)
        return ready

    def begin(self) -> None:
        """Test the cryptography, and initiate the connections that start at once."""
        settings = load_settings(self.loaded.state)
        self.configure_self_tests(settings)
        if settings.enabled:
            self.self_test("start")
        for connection in self.config.connections.values():
            if connection.start == "immediately":
                self.boundary.contain(f"the start of {connection.name}", self.initiate, connection.name)

    async def stop(self) -> None:
        """Delete every SA, give the peers a moment to answer, and let go of everything; again: nothing."""
        if self._stopped or not self.sockets:
            return
        self._stopped = True
        try:
            await self._say_goodbye()
        finally:
            if self._timer is not None:
                self._timer.cancel()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await self.fetcher.close()
            await self._close_sockets()

    async def _say_goodbye(self) -> None:
        for sa in self.sa_ids():
            self.boundary.contain(f"the end of {sa}", self.act, partial(self.endpoint.terminate, sa))
        closed = asyncio.Event()

        def look(event: Event) -> None:
            if isinstance(event, (SaClosed, SaRefused)) and not self.sa_ids():
                closed.set()

        self.observers.append(look)
        if self.sa_ids():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closed.wait(), STOP_PATIENCE)
        for socket in self.sockets.values():
            await socket.flush()

    # What people ask of an endpoint.

    def act(self, action: Callable[[float], T]) -> T:
        """Do something with the core now, and carry on what it emits. Raises what the action raises."""
        try:
            return action(self.now())
        finally:
            self._pump()

    def initiate(self, connection: str) -> SaId:
        """Begin an IKE SA."""
        return self.act(lambda now: self.endpoint.initiate(connection, now))

    def self_test(self, trigger: str, only: Collection[str] | None = None) -> tuple[Outcome, ...]:
        """Test the cryptography now. Raises ForbiddenError where that is disabled, UsageError."""
        return self.act(lambda now: self.endpoint.self_test(now, only, trigger))

    def configure_self_tests(self, settings: SelfTestSettings) -> None:
        """Take what the administrators have set. Raises UsageError."""
        self.act(lambda now: self.endpoint.configure_self_tests(settings, now))

    def trust_changed(self) -> None:
        """PKI objects have changed: judge the SAs that are up again, by what the store holds now."""
        self.act(self.endpoint.trust_changed)

    def status(self) -> dict[str, Any]:
        """The document of `ikesim status`, with the shell's own counters."""
        document = status(self.endpoint, self.now())
        document["counters"] = {**document["counters"], **self.counters()}
        return document

    def sa_ids(self) -> list[SaId]:
        """The IKE SAs that are up, coming up or being deleted; not those kept only to answer retransmissions."""
        return [SaId(sa["id"]) for sa in status(self.endpoint, self.now())["ike_sas"]]

    def decisions(self) -> list[dict[str, Any]]:
        """The latest trust decisions, oldest first, in their JSON form."""
        return [
            {
                "sa": event.sa,
                "connection": event.connection,
                "by": event.by if isinstance(event, SaRefused) else None,
                "decision": to_json(event.decision),
            }
            for event in self._verdicts
        ]

    def counters(self) -> dict[str, int]:
        """What the shell counts."""
        sockets = [socket.counters for socket in self.sockets.values()]
        return {
            "datagrams_received": sum(counters.received for counters in sockets),
            "datagrams_sent": sum(counters.sent for counters in sockets),
            "socket_errors": sum(counters.receive_errors + counters.send_errors for counters in sockets),
            "inbox_dropped": self.inbox_dropped,
            "outbox_dropped": sum(counters.outbox_dropped for counters in sockets),
            "fetches": self.fetcher.performed,
            "internal_errors": self.boundary.dropped,
        }

    def reconfigure(self, loaded: LoadedConfig) -> list[str]:
        """Use another configuration; what changed, in words. Raises UsageError for what needs a restart."""
        old = self.loaded
        for key, was, wanted in (
            ("endpoint.name", old.endpoint.name, loaded.endpoint.name),
            ("endpoint.listen", old.endpoint.listen, loaded.endpoint.listen),
            ("endpoint.listen-nat-t", old.endpoint.listen_nat_t, loaded.endpoint.listen_nat_t),
            ("endpoint.state", old.state, loaded.state),
            ("roles.socket", old.roles.socket, loaded.roles.socket),
            ("endpoint.key-protection", old.endpoint.key_protection, loaded.endpoint.key_protection),
            ("endpoint.key-protection-file", old.wrapping_key, loaded.wrapping_key),
        ):
            if was != wanted:
                raise UsageError(f"{key} has changed in {loaded.file}: that needs a restart of the daemon")
        config = with_real_ports(loaded.endpoint, self.config.listen, self.config.listen_nat_t)
        before, self.loaded, self.config = self.config, loaded, config
        self.fetcher.allow_private = config.fetch_private_addresses
        self._inner = inner_host(config)
        self.act(partial(self.endpoint.reconfigure, config))
        for name, connection in config.connections.items():
            if name not in before.connections and connection.start == "immediately":
                self.initiate(name)
        return changes(before, config)

    # The loop.

    def _receive(self, octets: bytes, path: Path) -> None:
        """A socket has a datagram."""
        kind = first_request(octets)
        inbox, limit = self._inbox, INBOX
        if kind is not None:
            inbox, limit = (self._returning if kind else self._strangers), STRANGERS
        if len(inbox) >= limit:
            self.inbox_dropped += 1
            return
        inbox.append((octets, path))
        self._arrived.set()

    async def _handle_inbox(self) -> None:
        while True:
            await self._arrived.wait()
            for number in range(BATCH):
                inbox = self._inbox
                if not inbox and number < STRANGERS_BATCH:
                    inbox = self._returning or self._strangers
                if not inbox:
                    break
                octets, path = inbox.popleft()
                self.boundary.contain(f"a datagram from {path.remote}", self._take, octets, path)
                self._pump()
            if not (self._inbox or self._returning or self._strangers):
                self._arrived.clear()
            await asyncio.sleep(0)

    def _take(self, octets: bytes, path: Path) -> None:
        self._record(octets, path, outbound=False)
        self.endpoint.receive(octets, path, self.now())

    def _fire(self, deadline: float) -> None:
        """The timer is due; an event loop may be early by its clock's resolution, the core is never."""
        self._timer = None
        if not self.boundary.contain("timers", self.endpoint.advance, max(self.now(), deadline)):
            self._not_before = self.now() + AFTER_BUG
        self._pump()

    def _pump(self) -> None:
        """Carry everything that the core has emitted to where it goes, then set the timer."""
        if self._pumping:
            return
        self._pumping = True
        try:
            while emitted := self._emitted():
                for item in emitted:
                    self.boundary.contain(f"the core's {type(item).__name__}", self._carry, item)
        finally:
            self._pumping = False
        self._rearm()

    def _emitted(self) -> list[Datagram | InnerPacket | Event | Fetch]:
        core = self.endpoint
        emitted: list[Datagram | InnerPacket | Event | Fetch] = [
            *core.datagrams(),
            *core.inner_packets(),
            *core.events(),
            *core.fetches(),
        ]
        emitted.sort(key=attrgetter("sequence"))
        return emitted

    def _carry(self, item: Datagram | InnerPacket | Event | Fetch) -> None:
        match item:
            case Datagram():
                socket = self.sockets[item.path.local]
                self._record(item.octets, item.path, outbound=True)
                socket.send(item.octets, item.path.remote)
            case InnerPacket():
                for observer in tuple(self.inner_observers):
                    observer(item.packet)
                reply = self._inner.receive(item.packet)
                if reply is not None:
                    self.endpoint.send_inner(reply, self.now())
            case Fetch():
                self._spawn(self._fetch(item), f"fetch {item.id}")
            case _:
                self._publish(item)

    def _rearm(self) -> None:
        deadline = self.endpoint.next_deadline()
        if self._timer is not None:
            if self._timer.when() == deadline:
                return
            self._timer.cancel()
            self._timer = None
        if deadline is not None:
            deadline = max(deadline, self._not_before)
            self._timer = asyncio.get_running_loop().call_at(deadline, self._fire, deadline)

    async def _fetch(self, fetch: Fetch) -> None:
        result = await self.fetcher.fetch(fetch.request)
        self.boundary.contain("a fetched document", self.endpoint.fetched, fetch.id, result, self.now())
        self._pump()

    def _publish(self, event: Event) -> None:
        if isinstance(event, (SaEstablished, SaRefused)) and event.decision is not None:
            self._verdicts.append(event)
        if isinstance(event, AddressAssigned):
            for address in event.addresses:
                self._inner.add(address)
        if isinstance(event, TrustChanged) and event.crl is not None:
            self._keep_crl(event.ca_profile, event.crl, event.url or "")
        for observer in tuple(self.observers):
            observer(event)

    def _keep_crl(self, profile: str | None, crl: bytes, url: str) -> None:
        """Keep a verified CRL on disk; one that tells something new may end SAs that are up."""
        try:
            kept = self.store.save_fetched_crl(profile, crl, url)
        except (IkesimError, OSError) as error:
            log.warning("the CRL of %s could not be kept: %s", profile or url, error)
            return
        if kept:
            self.endpoint.trust_changed(self.now())

    def _record(self, octets: bytes, path: Path, *, outbound: bool) -> None:
        if self._recorder is None:
            return
        try:
            at = self.ports.wall(self.now())
            self._recorder.record(octets, path, at, outbound=outbound, endpoint=self.name)
        except OSError as error:
            self._recorder = None
            log.warning("recording ends: %s", error)

    async def _bind(self, address: Address) -> Address:
        socket = await UdpSocket.bind(address, self._receive)
        self.sockets[socket.local] = socket
        return socket.local

    async def _close_sockets(self) -> None:
        for socket in self.sockets.values():
            await socket.close()
        self.sockets.clear()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=f"{self.name}: {name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def with_real_ports(
    config: EndpointConfig, listen: Sequence[Address], listen_nat_t: Sequence[Address]
) -> EndpointConfig:
    """The configuration with the addresses that the sockets really got, in the same order as configured."""
    real = dict(zip(config.listen, listen, strict=True))
    real_nat_t = dict(zip(config.listen_nat_t, listen_nat_t, strict=True))
    connections = {
        name: replace(connection, local=real[connection.local], local_nat_t=real_nat_t[connection.local_nat_t])
        for name, connection in config.connections.items()
    }
    return replace(config, listen=tuple(listen), listen_nat_t=tuple(listen_nat_t), connections=connections)


def changes(old: EndpointConfig, new: EndpointConfig) -> list[str]:
    """What differs between two configurations, a sentence each."""
    found = []
    for field in fields(EndpointConfig):
        before, after = getattr(old, field.name), getattr(new, field.name)
        key = field.name.replace("_", "-")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            what = key.removesuffix("s").replace("-", " ")
            found += [f"{what} {name}: removed" for name in before if name not in after]
            found += [f"{what} {name}: added" for name in after if name not in before]
            found += [f"{what} {name}: changed" for name in after if name in before and after[name] != before[name]]
        elif before != after:
            found.append(f"endpoint.{key}: changed")
    return found


def inner_host(config: EndpointConfig) -> InnerHost:
    """The in-memory host that owns every local selector of every connection."""
    selectors = [
        selector
        for connection in config.connections.values()
        for child in connection.children
        for selector in child.local_ts
    ]
    return InnerHost(selectors)
