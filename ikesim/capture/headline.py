"""What a datagram is, in a few words and without keys."""

from ikesim.wire.registry import ExchangeType, name

_MARKER = b"\0\0\0\0"
_HEADER = 28


def headline(octets: bytes) -> str:
    """One datagram as "IKE_AUTH request 1 (412)", "ESP c1c2c3c4 7 (132)", "keepalive" or "9 octets".

    Without knowledge of SPIs: what has a plausible IKE header is called IKE. For logs and listings; whoever acts on a
    datagram asks `wire.demux`.
    """
    if octets == b"\xff":
        return "keepalive"
    message = octets[4:] if octets.startswith(_MARKER) else octets
    if len(message) >= _HEADER and message[17] >> 4 == 2 and message[18] >= 34:
        kind = "response" if message[19] & 0x20 else "request"
        number = int.from_bytes(message[20:24])
        return f"{name(ExchangeType, message[18])} {kind} {number} ({len(octets)})"
    if message is octets and len(octets) >= 8:
        return f"ESP {octets[:4].hex()} {int.from_bytes(octets[4:8])} ({len(octets)})"
    return f"{len(octets)} octets"
