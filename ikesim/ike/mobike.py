"""MOBIKE: an IKE SA and its CHILD SAs move to other addresses (RFC 4555).

The initiator decides: it goes over to the new path, repeats what is outstanding there, and says UPDATE_SA_ADDRESSES.
The responder answers to where that came from, but sends traffic there only after a COOKIE2 came back from it
(section 3.7): an authenticated peer cannot point our traffic at somebody else. A responder that moves tells its
addresses, and the initiator follows. Behind a NAT the initiator's signs of life ask how the peer sees it, so that a
changed mapping is noticed (section 3.8).
"""

from ipaddress import ip_address

from ikesim.errors import UsageError
from ikesim.ike import events, lifetime, nat
from ikesim.ike.core import Core
from ikesim.ike.sa import IkeSa
from ikesim.ike.tasks import InformTask, MobikeTask
from ikesim.reasons import Reason
from ikesim.wire.address import Address, Path
from ikesim.wire.message import Message
from ikesim.wire.payloads import Notify, Payload
from ikesim.wire.registry import NotifyType

COOKIE_OCTETS = 16
"""Of a COOKIE2: 8 to 64 are allowed (RFC 4555 4.2.5)."""
MAX_ADDRESSES = 16
"""Of a peer that are kept; RFC 4555 5.2 asks for a limit."""
_DETECTION = (NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP)
_ADDRESSES: dict[int, int] = {NotifyType.ADDITIONAL_IP4_ADDRESS: 4, NotifyType.ADDITIONAL_IP6_ADDRESS: 16}
"""The notifies that carry an address, and its octets."""


# addresses


def additional(core: Core, path: Path) -> list[Payload]:
    """Our addresses other than the one in use (RFC 4555 3.4, 3.6)."""
    hosts = dict.fromkeys(address.host for address in core.config.listen_nat_t if address.host != path.local.host)
    return [
        Notify(NotifyType.ADDITIONAL_IP6_ADDRESS if len(packed) == 16 else NotifyType.ADDITIONAL_IP4_ADDRESS, packed)
        for packed in (ip_address(host).packed for host in hosts)
    ]


def learn_addresses(sa: IkeSa, message: Message) -> bool:
    """Note the peer's further addresses; False where the message says nothing about them."""
    found = [item for item in message.notifies() if len(item.data) == _ADDRESSES.get(item.type, -1)]
    if not found and message.notify(NotifyType.NO_ADDITIONAL_ADDRESSES) is None:
        return False
    hosts = dict.fromkeys(str(ip_address(item.data)) for item in found)
    sa.additional = tuple(host for host in hosts if acceptable(host))[:MAX_ADDRESSES]
    return True


def acceptable(host: str) -> bool:
    """Whether a peer can be at an address at all."""
    address = ip_address(host)
    return not (address.is_multicast or address.is_unspecified)


# the one who moves


def change(core: Core, sa: IkeSa, path: Path, now: float) -> None:
    """Go over to another path and tell the peer. Raises UsageError where MOBIKE was not agreed."""
    if not sa.mobike:
        raise UsageError(f"{sa.path.remote} does not speak MOBIKE: {sa.id} cannot move, initiate a new SA instead")
    former, sa.path, sa.marked = sa.path, path, True
    outstanding = sa.window.outstanding
    if outstanding is not None:
        # RFC 4555 3.5: the same octets, from and to the new addresses.
        outstanding.sent = 0
        for octets in outstanding.datagrams:
            core.transmit(sa.id, octets, sa.path, sa.marked)
        core.timers.set(sa, "retransmit", now + core.config.retransmit.initial)
    if sa.initiator:
        sa.queue.appendleft(MobikeTask(former))
    else:
        told = additional(core, path) or [Notify(NotifyType.NO_ADDITIONAL_ADDRESSES)]
        sa.queue.appendleft(InformTask(tuple(told)))


def try_other_address(core: Core, sa: IkeSa, now: float) -> bool:
    """Nobody answers where the peer was: go on with its next address; False if it has no other."""
    if not (sa.mobike and sa.initiator and sa.additional):
        return False
    host, *rest = sa.additional
    sa.additional = tuple(rest)
    ours = [item for item in (sa.path.local, *core.config.listen_nat_t) if item.is_ipv6 == (":" in host)]
    if not ours:
        return try_other_address(core, sa, now)
    change(core, sa, Path(ours[0], Address(host, sa.path.remote.port)), now)
    return True


def build(core: Core, sa: IkeSa, task: MobikeTask) -> list[Payload]:
    """The payloads of a request about paths."""
    if task.cookie:
        return [Notify(NotifyType.COOKIE2, task.cookie)]
    asked: list[Payload] = list(nat.detection_notifies(sa.spi_i, sa.spi_r, sa.path, core.pretends))
    if task.former is not None:
        asked.insert(0, Notify(NotifyType.UPDATE_SA_ADDRESSES))
    return asked


def handle_response(core: Core, sa: IkeSa, message: Message, task: MobikeTask, now: float) -> None:
    """The peer has followed us, or will not; or it shows that it is where it says; or how it sees us."""
    if task.cookie:
        returned = message.notify(NotifyType.COOKIE2)
        if returned is None or returned.data != task.cookie:
            core.emit(events.Anomaly, now, what="COOKIE2 came back changed", rule="RFC 4555 3.7", sa=sa.id)
            core.close(sa, Reason.PAYLOAD_MALFORMED, now)
        elif sa.path == task.former:
            sa.traffic_path = None
        return
    if message.notify(NotifyType.UNACCEPTABLE_ADDRESSES) is not None:
        if task.former is not None:
            core.emit(events.Anomaly, now, what=f"the peer refuses {sa.path}", rule="RFC 4555 3.5", sa=sa.id)
            sa.path = task.former
        return
    seen = message.notify(NotifyType.NAT_DETECTION_DESTINATION_IP)
    if seen is None:
        return
    changed = bool(sa.seen_as) and seen.data != sa.seen_as
    sa.seen_as = seen.data
    if task.former is not None:
        nat.learn(sa, message, sa.path, core.pretends)
        lifetime.start_keepalive(core, sa, now)
    elif changed:
        # RFC 4555 3.8: the NAT gave us another mapping.
        sa.queue.appendleft(MobikeTask(sa.path))


# the one who stays


def handle_request(core: Core, sa: IkeSa, message: Message, now: float) -> list[Payload]:
    """Follow the peer, and return what our answer says about paths."""
    answer: list[Payload] = []
    if sa.mobike and sa.origin is not None:
        answer += _answer(core, sa, message, sa.origin.path, now)
    cookie = message.notify(NotifyType.COOKIE2)
    if cookie is not None:
        answer.append(Notify(NotifyType.COOKIE2, cookie.data))
    return answer


def _answer(core: Core, sa: IkeSa, message: Message, path: Path, now: float) -> list[Payload]:
    update = not sa.initiator and message.notify(NotifyType.UPDATE_SA_ADDRESSES) is not None
    if update:
        refusal = _refusal(message, path)
        if refusal is not None:
            return [Notify(refusal)]
        _follow(core, sa, path, now)
        nat.learn(sa, message, path, core.pretends)
        lifetime.start_keepalive(core, sa, now)
    told = learn_addresses(sa, message)
    remote = sa.path.remote.host
    if told and sa.initiator and path.remote.host != remote and remote not in sa.additional:
        # The responder has moved, and is no longer where we write to.
        change(core, sa, Path(sa.path.local, path.remote), now)
    if any(message.notify(kind) is not None for kind in _DETECTION):
        return list(nat.detection_notifies(sa.spi_i, sa.spi_r, path, core.pretends))
    return []


def _follow(core: Core, sa: IkeSa, path: Path, now: float) -> None:
    if path == sa.path:
        return
    sa.traffic_path = sa.traffic_path or sa.path
    sa.path = path
    assert sa.origin is not None
    sa.marked = sa.origin.marked
    sa.queue.append(MobikeTask(path, core.ports.entropy("cookie", COOKIE_OCTETS)))


def _refusal(message: Message, path: Path) -> NotifyType | None:
    """Why we do not follow; NO_NATS_ALLOWED repeats the addresses and ports that the peer sent from and to."""
    if not acceptable(path.remote.host):
        return NotifyType.UNACCEPTABLE_ADDRESSES
    fixed = message.notify(NotifyType.NO_NATS_ALLOWED)
    if fixed is not None:
        remote, local = path.remote, path.local
        seen = remote.packed + local.packed + remote.port.to_bytes(2) + local.port.to_bytes(2)
        if fixed.data != seen:
            return NotifyType.UNEXPECTED_NAT_DETECTED
    return None
