"""What people ask of a running endpoint, as coroutines that end with a verdict (the JSON that the CLI shows)."""

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address
from typing import Any

from ikesim.configuration import load
from ikesim.daemon.host import EndpointHost
from ikesim.daemon.text import sentence
from ikesim.errors import NotFoundError, UsageError
from ikesim.esp.host import echo_request, parse_echo_reply
from ikesim.ike.config import ChildConfig, ConnectionConfig
from ikesim.ike.events import (
    ChildDown,
    ChildUp,
    Event,
    Redirected,
    Rekeyed,
    SaClosed,
    SaEstablished,
    SaRefused,
    to_json,
)
from ikesim.ike.ids import SaId
from ikesim.ike.sa import ChildState, IkeState
from ikesim.wire.selectors import TrafficSelector

DOWN_PATIENCE = 10.0
"""Seconds that the peer has to answer a DELETE or a rekey before the command says that it did not."""
PING_INTERVAL = 0.2
"""Seconds between two echo requests."""

_identifiers = itertools.count(int.from_bytes(os.urandom(2), "big"))


class Watch:
    """The events of a host since this began."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._news = asyncio.Event()

    def note(self, event: Event) -> None:
        """Take one event."""
        self.events.append(event)
        self._news.set()

    async def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait for `condition` over the events; False when the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        return condition()


@contextlib.contextmanager
def watching(host: EndpointHost) -> Iterator[Watch]:
    """Collect the events of `host`."""
    watch = Watch()
    host.observers.append(watch.note)
    try:
        yield watch
    finally:
        host.observers.remove(watch.note)


def connection_of(host: EndpointHost, name: str) -> ConnectionConfig:
    """The connection of that name. Raises NotFoundError, naming those there are."""
    connection = host.config.connections.get(name)
    if connection is None:
        having = ", ".join(host.config.connections) or "none"
        raise NotFoundError(f"{host.name} has no connection {name!r}; it has: {having}")
    return connection


def child_of(connection: ConnectionConfig, name: str) -> ChildConfig:
    """The child of that name. Raises NotFoundError, naming those there are."""
    for child in connection.children:
        if child.name == name:
            return child
    having = ", ".join(child.name for child in connection.children) or "none"
    raise NotFoundError(f"connection {connection.name} has no child {name!r}; it has: {having}")


async def up(host: EndpointHost, name: str, timeout: float) -> dict[str, Any]:
    """Begin a fresh IKE SA and wait for its verdict; when the time ends it, nobody answered."""
    connection = connection_of(host, name)
    if connection.remote is None:
        raise UsageError(f"connection {name} has no remote: it only responds; add remote to initiate")
    with watching(host) as watch:
        sa = host.initiate(name)

        def current() -> SaId:
            found = sa
            for event in watch.events:
                if isinstance(event, Redirected) and event.old == found:
                    found = event.new
            return found

        def verdict() -> SaEstablished | SaRefused | None:
            for event in watch.events:
                if isinstance(event, (SaEstablished, SaRefused)) and event.sa == current():
                    return event
            return None

        await watch.until(lambda: verdict() is not None, timeout)
        event, sa = verdict(), current()
        if event is None:
            host.act(partial(host.endpoint.terminate, sa))
            message = f"{sa}: no verdict within {timeout:g} s"
            return _verdict("nobody-answered", "nobody-answered", sa, name, None, message)
        if isinstance(event, SaRefused):
            result = "nobody-answered" if event.by == "nobody-answered" else "refused"
            document = _verdict(result, event.reason, sa, name, event.decision, sentence(event))
            return {**document, "by": event.by, "authenticated": event.authenticated}
        document = _verdict("established", None, sa, name, event.decision, sentence(event))
        document["children"] = [to_json(child) for child in _children(watch.events, sa)]
        failed = next((child for child in _children(watch.events, sa) if isinstance(child, ChildDown)), None)
        if failed is not None:
            document.update(result="child-failed", reason=failed.reason.value, message=sentence(failed))
        return document


def _children(events: list[Event], sa: SaId) -> list[ChildUp | ChildDown]:
    return [event for event in events if isinstance(event, (ChildUp, ChildDown)) and event.sa == sa]


def _verdict(
    result: str, reason: str | None, sa: SaId, connection: str, decision: Any, message: str
) -> dict[str, Any]:
    return {
        "result": result,
        "reason": None if reason is None else str(reason),
        "sa": sa,
        "connection": connection,
        "message": message,
        "decision": None if decision is None else decision.to_json(),
    }


def find(host: EndpointHost, name: str, child: str | None) -> list[SaId]:
    """The SAs of a connection that are up, or those of one of its children. Raises NotFoundError without any."""
    connection = connection_of(host, name)
    if child is not None:
        child_of(connection, child)
    found = []
    for sa in host.status()["ike_sas"]:
        if sa["connection"] != name or sa["state"] != IkeState.ESTABLISHED.value:
            continue
        if child is None:
            found.append(SaId(sa["id"]))
        else:
            installed = ChildState.INSTALLED.value
            found += [
                SaId(one["id"]) for one in sa["child_sas"] if one["name"] == child and one["state"] == installed
            ]
    if not found:
        what = f"child {child} of connection {name}" if child else f"connection {name}"
        raise NotFoundError(f"{what} is not up; start it with: ikesim up {name} --endpoint {host.loaded.file}")
    return found


async def down(host: EndpointHost, name: str, child: str | None) -> dict[str, Any]:
    """Delete the SAs of a connection, or those of one of its children."""
    wanted = find(host, name, child)
    with watching(host) as watch:
        for sa in wanted:
            host.act(partial(host.endpoint.terminate, sa))

        def ended() -> set[SaId | None]:
            gone: set[SaId | None] = {event.sa for event in watch.events if isinstance(event, (SaClosed, SaRefused))}
            return gone | {event.child for event in watch.events if isinstance(event, ChildDown)}

        done = await watch.until(lambda: ended() >= set(wanted), DOWN_PATIENCE)
    result = "closed" if done else "nobody-answered"
    return {"result": result, "reason": None if done else "nobody-answered", "connection": name, "sas": wanted}


async def rekey(host: EndpointHost, name: str, child: str | None) -> dict[str, Any]:
    """Rekey the newest IKE SA of a connection, or the newest CHILD SA of one of its children."""
    old = find(host, name, child)[-1]
    with watching(host) as watch:
        host.act(partial(host.endpoint.rekey, old))

        def fresh() -> list[SaId]:
            return [event.new for event in watch.events if isinstance(event, Rekeyed) and event.old == old]

        def ended() -> list[Event]:
            return [
                event
                for event in watch.events
                if (isinstance(event, (SaClosed, SaRefused)) and event.sa == old)
                or (isinstance(event, ChildDown) and event.child == old)
            ]

        await watch.until(lambda: bool(fresh() or ended()), DOWN_PATIENCE)
    document: dict[str, Any] = {"result": "rekeyed", "reason": None, "connection": name, "old": old, "new": None}
    if fresh():
        document["new"] = fresh()[0]
    elif ended():
        document.update(result="refused", reason=str(getattr(ended()[0], "reason", "deleted-by-peer")))
    else:
        document.update(result="nobody-answered", reason="nobody-answered")
    return document


async def redirect(host: EndpointHost, name: str, gateway: str) -> dict[str, Any]:
    """Send the peer of a connection's newest IKE SA to another gateway, and wait until it has left."""
    sa = find(host, name, None)[-1]
    with watching(host) as watch:
        host.act(lambda now: host.endpoint.redirect(sa, gateway, now))

        def left() -> bool:
            return any(isinstance(event, SaClosed) and event.sa == sa for event in watch.events)

        await watch.until(left, DOWN_PATIENCE)
        result = "redirected" if left() else "nobody-answered"
    return {"result": result, "connection": name, "sa": sa, "gateway": gateway}


async def move(host: EndpointHost, name: str, address: str) -> dict[str, Any]:
    """Move a connection's newest IKE SA to another of our addresses (MOBIKE). Raises UsageError where it cannot."""
    sa = find(host, name, None)[-1]
    ours = next((item for item in host.config.listen_nat_t if address in (item.host, str(item))), None)
    if ours is None:
        having = ", ".join(map(str, host.config.listen_nat_t))
        raise UsageError(f"{address} is no address of {host.name}; endpoint.listen-nat-t has {having}")
    host.act(lambda now: host.endpoint.change_address(sa, ours, now))
    return {"result": "moved", "connection": name, "sa": sa, "local": str(ours)}


async def ping(host: EndpointHost, name: str, address: str, count: int, timeout: float) -> dict[str, Any]:
    """Send ICMP echo requests through a connection's tunnel, and wait for the replies."""
    find(host, name, None)
    connection = connection_of(host, name)
    target = _inner_address(address)
    source = _assigned(host, name, target) or _source_for(connection, target)
    identifier = next(_identifiers) & 0xFFFF
    loop = asyncio.get_running_loop()
    sent: dict[int, float] = {}
    times: dict[int, float] = {}
    news = asyncio.Event()

    def note(packet: bytes) -> None:
        reply = parse_echo_reply(packet)
        if reply is not None and reply.identifier == identifier and reply.sequence in sent:
            times.setdefault(reply.sequence, loop.time() - sent[reply.sequence])
            news.set()

    host.inner_observers.append(note)
    try:
        for sequence in range(1, count + 1):
            packet = echo_request(source, target, identifier, sequence, b"ikesim echo request".ljust(56, b"."))
            sent[sequence] = loop.time()
            host.act(partial(host.endpoint.send_inner, packet))
            if sequence < count:
                await asyncio.sleep(PING_INTERVAL)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while len(times) < count:
                    news.clear()
                    await news.wait()
    finally:
        host.inner_observers.remove(note)
    return {
        "result": "answered" if times else "nobody-answered",
        "reason": None if times else "nobody-answered",
        "connection": name,
        "address": target,
        "source": source,
        "sent": count,
        "received": len(times),
        "times_ms": [round(times[sequence] * 1000, 3) for sequence in sorted(times)],
    }


def _inner_address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise UsageError(f"{text!r} is not an IP address: ping takes one behind the peer") from None


def _assigned(host: EndpointHost, name: str, target: str) -> str | None:
    """The address that the peer gave us, of the target's IP version."""
    found = [address for sa in host.status()["ike_sas"] if sa["connection"] == name for address in sa["assigned"]]
    return next((address for address in found if (":" in address) == (":" in target)), None)


def _source_for(connection: ConnectionConfig, target: str) -> str:
    """The inner address to ping from: that of the first child whose remote selectors hold the target."""
    octets = ip_address(target).packed
    pool = [TrafficSelector.from_network(network) for network in connection.address_pool]
    for child in connection.children:
        reach = pool or child.remote_ts
        if any(ts.start <= octets <= ts.end for ts in reach if len(ts.start) == len(octets)):
            if child.inner_address is not None and len(ip_address(child.inner_address).packed) == len(octets):
                return child.inner_address
            for selector in child.local_ts:
                if len(selector.start) == len(octets):
                    return _first_host(selector.start, selector.end)
    having = ", ".join(str(ts) for child in connection.children for ts in pool or child.remote_ts)
    raise UsageError(f"{target} is not behind connection {connection.name}; its remote-ts are: {having}")


def _first_host(start: bytes, end: bytes) -> str:
    """The first address of a range, or the second where the first names the network."""
    if len(start) == 4 and start[-1] == 0 and start != end:
        return str(ip_address(int.from_bytes(start, "big") + 1))
    return str(ip_address(start))


async def reload(host: EndpointHost) -> dict[str, Any]:
    """Read the configuration and the PKI objects again; what is wrong in them changes nothing."""
    loaded = load(host.loaded.file)
    changes = host.reconfigure(loaded)
    host.trust_changed()
    return {"result": "reloaded", "reason": None, "changes": changes}
