"""The Encrypted payload: opening and sealing messages, whole or in fragments (RFC 7296 3.14, RFC 7383)."""

from collections.abc import Callable

from ikesim.crypto.ciphers import CipherSuite
from ikesim.errors import IntegrityError, WireError
from ikesim.ike.grammar import refuse_critical
from ikesim.ike.sa import IkeSa
from ikesim.wire.fragments import Reassembly, split
from ikesim.wire.message import (
    HEADER_OCTETS,
    PAYLOAD_HEADER_OCTETS,
    Header,
    Message,
    parse_payloads,
    protected_prefix,
)
from ikesim.wire.registry import PayloadType

FRAGMENT_OCTETS = 4
IP_UDP_OCTETS = {False: 28, True: 48}
"""Octets of IP and UDP header, by whether the address is IPv6."""
MARKER_OCTETS = 4


def open_message(sa: IkeSa, message: Message) -> Message | None:
    """Decrypt a message under the SA's keys: with its inner payloads, or None while fragments are missing.

    Raises IntegrityError where the check value does not verify (or nothing is protected), ProtocolError where what
    it covers is malformed, or critical and unknown.
    """
    frame = message.protected()
    if frame is None:
        raise IntegrityError("the message is not encrypted")
    if frame.total and not sa.fragmentation:
        raise IntegrityError("a fragment, although fragmentation was not negotiated")
    suite, keys = sa.suite, sa.keys
    if suite is None or keys is None:
        raise IntegrityError("the SA has no keys yet")
    key, integrity_key = (keys.er, keys.ar) if sa.initiator else (keys.ei, keys.ai)
    padded = suite.open(key, integrity_key, aad=frame.aad, sealed=frame.sealed)
    if not padded or padded[-1] >= len(padded):
        raise WireError(
            "the padding is longer than the plaintext",
            rule="RFC 7296 3.14",
            offset=frame.offset,
            payload=PayloadType.SKF if frame.total else PayloadType.SK,
        )
    # What stands before the Encrypted payload is in the clear, but the check value covers it: the peer sent it.
    refuse_critical(message.payloads[:-1])
    plaintext = padded[: len(padded) - 1 - padded[-1]]
    if not frame.total:
        return message.with_payloads(parse_payloads(frame.first_payload, plaintext), plaintext)
    response, message_id = message.header.is_response, message.header.message_id
    known, reassembly = sa.reassembly.get(response, (message_id, None))
    if reassembly is None or known != message_id:
        reassembly = Reassembly()
        sa.reassembly[response] = (message_id, reassembly)
    whole = reassembly.add(frame.number, frame.total, frame.first_payload, plaintext)
    if whole is None:
        return None
    del sa.reassembly[response]
    return message.with_payloads(parse_payloads(reassembly.first_payload, whole), whole)


def seal_message(
    sa: IkeSa,
    header: Header,
    first_payload: int,
    plaintext: bytes,
    fragment_size: int,
    entropy: Callable[[int], bytes],
) -> tuple[bytes, ...]:
    """Encrypt a payload chain: one datagram, or several fragments where it would exceed `fragment_size`.

    `fragment_size` counts the whole IP packet; 0 means never to fragment.
    """
    suite = sa.suite
    assert suite is not None
    whole = HEADER_OCTETS + PAYLOAD_HEADER_OCTETS + _sealed_octets(suite, len(plaintext))
    room = fragment_size - IP_UDP_OCTETS[sa.path.remote.is_ipv6] - (MARKER_OCTETS if sa.marked else 0)
    if not fragment_size or not sa.fragmentation or whole <= room:
        return (_seal(sa, suite, header, first_payload, plaintext, entropy),)
    overhead = HEADER_OCTETS + PAYLOAD_HEADER_OCTETS + FRAGMENT_OCTETS + suite.iv_length + suite.icv_length
    block = suite.block_length
    parts = split(plaintext, first_payload, (room - overhead) // block * block - 1)
    return tuple(
        _seal(sa, suite, header, first_payload if number == 1 else 0, part, entropy, number, len(parts))
        for number, part in enumerate(parts, start=1)
    )


def _sealed_octets(suite: CipherSuite, plaintext: int) -> int:
    block = suite.block_length
    return suite.iv_length + -(-(plaintext + 1) // block) * block + suite.icv_length


def _seal(
    sa: IkeSa,
    suite: CipherSuite,
    header: Header,
    first_payload: int,
    plaintext: bytes,
    entropy: Callable[[int], bytes],
    number: int = 0,
    total: int = 0,
) -> bytes:
    keys = sa.keys
    assert keys is not None
    key, integrity_key = (keys.ei, keys.ai) if sa.initiator else (keys.er, keys.ar)
    padding = -(len(plaintext) + 1) % suite.block_length
    prefix = protected_prefix(
        header, first_payload, _sealed_octets(suite, len(plaintext)), number=number, total=total
    )
    iv = suite.make_iv(sa.iv_counter, entropy)
    sa.iv_counter += 1
    padded = plaintext + bytes(padding) + bytes((padding,))
    return prefix + suite.seal(key, integrity_key, iv=iv, aad=prefix, plaintext=padded)
