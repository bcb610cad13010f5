"""ESP in and out: which CHILD SA carries a packet, and what may come through it (RFC 4301 5, RFC 3948)."""

from ikesim.esp.packet import EspError, SequenceExhausted
from ikesim.ike import lifetime
from ikesim.ike.core import Core
from ikesim.ike.ports import Datagram, InnerPacket
from ikesim.ike.sa import ChildSa, ChildState, IkeSa, IkeState
from ikesim.wire.address import Path
from ikesim.wire.selectors import TrafficSelector

MAX_FLOWS = 4096
"""Remembered answers of the search for a CHILD SA, one a flow; beyond that they are forgotten and searched again."""

Flow = tuple[int, bytes, bytes, int | None, int | None]
"""Protocol, source and destination address, and ports (None where the packet shows none)."""


def send(core: Core, packet: bytes, now: float) -> bool:
    """Protect an IP packet and send it; False if no CHILD SA covers it."""
    flow = _flow(packet)
    child = carrier(core, flow) if flow is not None else None
    if child is None:
        core.counters.add("inner-packets-without-child")
        return False
    sa = core.sas[child.sa]
    outbound = child.outbound
    try:
        octets = outbound.protect(packet, core.entropy("iv"))
    except SequenceExhausted:
        core.counters.add("esp-sequence-exhausted")
        lifetime.end_child(core, sa, child)
        return False
    path = sa.traffic_path or sa.path
    hook = core.ports.hooks.on_send
    if hook is not None:
        octets = hook(child.id, octets, path) or octets
    core.out_datagrams.append(Datagram(core.next_sequence(), octets, path))
    if outbound.sequence >= child.soft_packets or outbound.octets >= child.soft_octets:
        lifetime.used_up(core, sa, child, outbound.sequence, outbound.octets)
    return True


def receive(core: Core, octets: bytes, path: Path, now: float) -> None:
    """Open an ESP packet; what does not verify or lies outside the selectors is counted and dropped."""
    child = core.children.get(octets[:4])
    sa = core.sas.get(child.sa) if child is not None else None
    if child is None or sa is None or sa.state not in (IkeState.ESTABLISHED, IkeState.DELETE_RESPONSE):
        core.counters.add("esp-unknown-spi")
        return
    inbound = child.inbound
    newest = inbound.replay.top
    try:
        packet = inbound.unprotect(octets)
    except EspError as error:
        core.counters.add(f"esp-{error.cause}")
        return
    sa.last_heard = now
    if inbound.replay.top > newest and follows(sa, path):
        # An old packet that comes late says nothing about where the peer is now.
        sa.path, sa.marked = path, True
    if inbound.packets >= child.soft_packets or inbound.octets >= child.soft_octets:
        lifetime.used_up(core, sa, child, inbound.packets, inbound.octets)
    if not child.sending:
        # The peer has read our response, or it could not send on this SA: it can receive on it too.
        child.sending = True
        core.flows.clear()
    if packet is None:
        return
    flow = _flow(packet)
    if flow is None or not _covered(flow, child.remote_ts, child.local_ts):
        core.counters.add("esp-outside-selectors")
        return
    core.out_packets.append(InnerPacket(core.next_sequence(), packet, child.id))


def follows(sa: IkeSa, path: Path) -> bool:
    """Whether something new of the peer, come by `path`, moves the SA there.

    So it is behind a NAT whose mapping changed (RFC 7296 2.23), and where IKE_AUTH came from two addresses: a copy of
    that request, sent from elsewhere before the peer's own arrived, must not lead the answers astray for good.
    """
    moves = path != sa.path and (sa.path_doubtful or (sa.nat_remote and not sa.mobike))
    sa.path_doubtful = False
    return moves


def confirm(core: Core, sa: IkeSa) -> None:
    """The peer sent a new request, so it has read our answers before: it can receive on what they made."""
    for child in sa.children.values():
        if not child.sending:
            child.sending = True
            core.flows.clear()


def carrier(core: Core, flow: Flow) -> ChildSa | None:
    """The CHILD SA that a packet of this flow is sent on; None if none covers it."""
    known = core.flows.get(flow)
    if known is not None:
        return core.children.get(known)
    best: ChildSa | None = None
    for child in core.children.values():
        if _ending(core, child) or (best is not None and not _better(child, best)):
            continue
        if _covered(flow, child.local_ts, child.remote_ts):
            best = child
    if best is not None:
        if len(core.flows) >= MAX_FLOWS:
            core.flows.clear()
        core.flows[flow] = best.spi_in
    return best


def _ending(core: Core, child: ChildSa) -> bool:
    return child.state is ChildState.DELETING or child.spent or core.sas[child.sa].state is not IkeState.ESTABLISHED


def _better(newer: ChildSa, older: ChildSa) -> bool:
    """Which of two CHILD SAs for the same flow is used: one that the peer can receive on, then one not replaced."""
    if newer.sending != older.sending:
        return newer.sending
    if newer.state is not older.state:
        return newer.state is ChildState.INSTALLED
    return newer.sending


def _covered(flow: Flow, source: tuple[TrafficSelector, ...], destination: tuple[TrafficSelector, ...]) -> bool:
    protocol, sender, receiver, port_from, port_to = flow
    return any(item.matches(protocol, sender, port_from) for item in source) and any(
        item.matches(protocol, receiver, port_to) for item in destination
    )


def _flow(packet: bytes) -> Flow | None:
    """What selectors look at; None for no IP packet. ICMP type and code stand for ports (RFC 4301 4.4.1.1)."""
    version = packet[0] >> 4 if packet else 0
    if version == 4 and len(packet) >= 20:
        start, protocol = (packet[0] & 15) * 4, packet[9]
        sender, receiver = packet[12:16], packet[16:20]
        if int.from_bytes(packet[6:8]) & 0x1FFF:
            return protocol, sender, receiver, None, None
    elif version == 6 and len(packet) >= 40:
        start, protocol = 40, packet[6]
        sender, receiver = packet[8:24], packet[24:40]
    else:
        return None
    if protocol in (6, 17, 132) and len(packet) >= start + 4:
        return (
            protocol,
            sender,
            receiver,
            int.from_bytes(packet[start : start + 2]),
            int.from_bytes(packet[start + 2 : start + 4]),
        )
    if protocol in (1, 58) and len(packet) >= start + 2:
        kind = int.from_bytes(packet[start : start + 2])
        return protocol, sender, receiver, kind, kind
    return protocol, sender, receiver, None, None
