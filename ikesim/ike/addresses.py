"""The configuration payload: an address for who asks, from the pool of who answers (RFC 7296 2.19, 3.15)."""

from collections.abc import Collection
from ipaddress import ip_address

from ikesim.errors import ProtocolError
from ikesim.ike import events
from ikesim.ike.config import ChildConfig, ConnectionConfig
from ikesim.ike.core import Core
from ikesim.ike.sa import IkeSa
from ikesim.pki.identity import Identity
from ikesim.reasons import Reason
from ikesim.wire.message import Message
from ikesim.wire.payloads import CP, Payload
from ikesim.wire.registry import ConfigurationAttribute as A
from ikesim.wire.registry import ConfigurationType, NotifyType
from ikesim.wire.selectors import TrafficSelector

Selectors = tuple[TrafficSelector, ...]
ADDRESS = {4: A.INTERNAL_IP4_ADDRESS, 6: A.INTERNAL_IP6_ADDRESS}
DNS = {4: A.INTERNAL_IP4_DNS, 6: A.INTERNAL_IP6_DNS}
VERSIONS = {"ipv4": 4, "ipv6": 6}
ALL = {4: "0.0.0.0/0", 6: "::/0"}
MAX_REQUESTED = 2
"""Addresses that one peer gets: one of each IP version."""


class AddressFailure(ProtocolError):
    """No address for a peer: its CHILD SA cannot be, the IKE SA stays (RFC 7296 2.19)."""

    def __init__(self, text: str, notify: NotifyType) -> None:
        super().__init__(text, reason=Reason.CHILD_FAILED, notify=notify)


def selectors(core: Core, sa: IkeSa, config: ChildConfig) -> tuple[Selectors, Selectors]:
    """The local and remote selectors of a child: an address that was assigned is the whole side."""
    connection = core.connection(sa)
    local = _hosts(sa.assigned) if connection.request_address else config.local_ts
    remote = _hosts(sa.leased) if connection.address_pool else config.remote_ts
    return local, remote


def _hosts(addresses: tuple[str, ...]) -> Selectors:
    return tuple(TrafficSelector.from_network(address) for address in addresses)


# the one who asks


def offered(connection: ConnectionConfig) -> Selectors:
    """Our side of the first offer, before we know our address: everything, to be narrowed to it; () as configured."""
    return tuple(TrafficSelector.from_network(ALL[VERSIONS[kind]]) for kind in connection.request_address)


def request(core: Core, sa: IkeSa, connection: ConnectionConfig) -> list[Payload]:
    """CP(CFG_REQUEST), with the address that the SA before this one had (RFC 7296 3.15.1)."""
    if not connection.request_address:
        return []
    old = core.sas.get(sa.reauthenticates) if sa.reauthenticates is not None else None
    had = {ip_address(address).version: address for address in (old.assigned if old is not None else ())}
    asked: list[tuple[int, bytes]] = []
    for kind in connection.request_address:
        version = VERSIONS[kind]
        asked += [(ADDRESS[version], _value(had[version]) if version in had else b""), (DNS[version], b"")]
    return [CP(ConfigurationType.CFG_REQUEST, tuple(asked))]


def take_reply(core: Core, sa: IkeSa, message: Message, now: float) -> None:
    """Note what the responder assigned."""
    reply = message.get(CP)
    if reply is None or reply.type != ConfigurationType.CFG_REPLY or not core.connection(sa).request_address:
        return
    sa.assigned = _read(reply, ADDRESS.values())[:MAX_REQUESTED]
    if sa.assigned:
        core.emit(events.AddressAssigned, now, sa=sa.id, addresses=sa.assigned, dns=_read(reply, DNS.values()))


# the one who answers


def answer(core: Core, sa: IkeSa, connection: ConnectionConfig, message: Message, owner: Identity) -> list[Payload]:
    """CP(CFG_REPLY) with addresses of the pool. Raises AddressFailure with the notify that says why there is none."""
    if not connection.address_pool:
        return []
    asked = message.get(CP)
    if asked is None or asked.type != ConfigurationType.CFG_REQUEST:
        raise AddressFailure("addresses are assigned here, and none was asked for", NotifyType.FAILED_CP_REQUIRED)
    given: list[tuple[int, bytes]] = []
    for version, kind in ADDRESS.items():
        wish = next((value for attribute, value in asked.attributes if attribute == kind), None)
        if wish is None:
            continue
        size = 4 if version == 4 else 16
        text = str(ip_address(wish[:size])) if len(wish) >= size else ""
        address = core.pools.take(connection.name, connection.address_pool, version, owner, text)
        if address is not None:
            sa.leased = (*sa.leased, address)
            given.append((kind, _value(address)))
            given += [(DNS[version], ip_address(item).packed) for item in connection.dns if _version(item) == version]
    if not sa.leased:
        core.counters.add("addresses-exhausted")
        raise AddressFailure("no address of the pool is free", NotifyType.INTERNAL_ADDRESS_FAILURE)
    return [CP(ConfigurationType.CFG_REPLY, tuple(given))]


def _version(address: str) -> int:
    return ip_address(address).version


def _value(address: str) -> bytes:
    """An address as its attribute carries it: IPv6 with a prefix length (RFC 7296 3.15.1)."""
    packed = ip_address(address).packed
    return packed if len(packed) == 4 else packed + b"\x80"


def _read(reply: CP, kinds: Collection[int]) -> tuple[str, ...]:
    return tuple(
        str(ip_address(value[:16])) for kind, value in reply.attributes if kind in kinds and len(value) in (4, 16, 17)
    )
