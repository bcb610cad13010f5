"""IntAuth: what AUTH says about the IKE_INTERMEDIATE exchanges (RFC 9242 3.3).

Each side's messages form a chain of its own, each link under the SK_p that was in force when the message was sent:
IntAuth_n = prf(SK_p, IntAuth_(n-1) | A | P). P is the payload chain before encryption. A is everything before it,
without the IV, with both lengths as if nothing had been added by the encryption; a message that went in fragments
is covered as if it had gone whole.
"""

from ikesim.crypto.prf import Prf
from ikesim.ike.sa import IkeSa
from ikesim.wire.message import Header, Message, protected_prefix

LENGTH = slice(24, 28)
"""Where the header has the length of the message."""


def cover(prf: Prf, sa: IkeSa, header: Header, first_payload: int, plaintext: bytes) -> None:
    """Add a message that we are about to send."""
    _link(prf, sa, header.from_initiator, protected_prefix(header, first_payload, len(plaintext)) + plaintext)


def cover_received(prf: Prf, sa: IkeSa, message: Message) -> None:
    """Add a message that the peer sent, after it was decrypted."""
    plaintext = message.plaintext
    frame = Message.parse(message.octets).protected()
    assert frame is not None
    if frame.total:
        first_payload = message.payloads[0].kind if message.payloads else 0
        prefix = protected_prefix(message.header, first_payload, len(plaintext))
    else:
        whole = bytearray(frame.aad)
        whole[LENGTH] = (len(whole) + len(plaintext)).to_bytes(4)
        whole[-2:] = (4 + len(plaintext)).to_bytes(2)
        prefix = bytes(whole)
    _link(prf, sa, message.header.from_initiator, prefix + plaintext)


def int_auth(sa: IkeSa) -> bytes:
    """IntAuth_i | IntAuth_r | the Message ID of the first IKE_AUTH; empty without IKE_INTERMEDIATE."""
    state = sa.intermediate
    if state is None:
        return b""
    return state.covered_i + state.covered_r + (state.done + 1).to_bytes(4)


def _link(prf: Prf, sa: IkeSa, by_initiator: bool, octets: bytes) -> None:
    state, keys = sa.intermediate, sa.keys
    assert state is not None and keys is not None
    if by_initiator:
        state.covered_i = prf.prf(keys.pi, state.covered_i + octets)
    else:
        state.covered_r = prf.prf(keys.pr, state.covered_r + octets)
