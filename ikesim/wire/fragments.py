"""Fragments of protected messages: cutting and putting together (RFC 7383).

Both work on plaintext: each fragment is protected by itself and must have been verified before it gets here
(section 2.6).
"""

from dataclasses import dataclass, field
from typing import Final

from ikesim.errors import WireError
from ikesim.wire.registry import PayloadType

MAX_FRAGMENTS: Final = 255
"""A local limit: 255 fragments of the smallest IPv4 datagram that every host takes (576 octets) exceed MAX_OCTETS."""
MAX_OCTETS: Final = 96 * 1024
"""A local limit: 64 KiB of certificates, and what else IKE_AUTH holds; strongSwan stops at 10,000 octets."""


def split(plaintext: bytes, first_payload: int, room: int) -> list[bytes]:
    """Cut a payload chain into pieces of at most `room` octets, as few as possible; of an empty chain, one.

    The first piece travels with `first_payload` in its Next Payload field, the others with 0 (section 2.5). Raises
    WireError when the pieces are too many.
    """
    if first_payload == PayloadType.NONE or len(plaintext) <= room:
        return [plaintext]
    if room < 1 or len(plaintext) > room * MAX_FRAGMENTS:
        raise _fault(f"{len(plaintext)} octets do not fit {MAX_FRAGMENTS} fragments of {room}", notify=None)
    return [plaintext[start : start + room] for start in range(0, len(plaintext), room)]


@dataclass(slots=True)
class Reassembly:
    """One message on its way in. Plain data: at most `max_fragments` pieces of together `max_octets`.

    `first_payload` is the type of the first payload in the whole, as fragment 1 said.
    """

    max_fragments: int = MAX_FRAGMENTS
    max_octets: int = MAX_OCTETS
    total: int = 0
    octets: int = 0
    first_payload: int = PayloadType.NONE
    pieces: dict[int, bytes] = field(default_factory=dict, repr=False)

    def add(self, number: int, total: int, first_payload: int, plaintext: bytes) -> bytes | None:
        """Take a verified fragment; the whole plaintext with the last one that was missing, else None.

        A repeated number and a smaller total than the one in hand change nothing; a larger total (the sender found a
        smaller path MTU) starts anew (section 2.6). Raises WireError where a limit is passed; what was held is gone.
        """
        if not 1 <= number <= total:
            raise _fault(f"fragment {number} of {total}")
        if total > self.max_fragments:
            self.clear()
            raise _fault(f"{total} fragments, more than {self.max_fragments}", notify=None)
        if total > self.total:
            self.clear()
            self.total = total
        if total < self.total or number in self.pieces or len(self.pieces) == self.total:
            return None
        if self.octets + len(plaintext) > self.max_octets:
            self.clear()
            raise _fault(f"fragments of more than {self.max_octets} octets", notify=None)
        self.pieces[number] = plaintext
        self.octets += len(plaintext)
        if number == 1:
            self.first_payload = first_payload
        if len(self.pieces) < total:
            return None
        return b"".join(self.pieces[index] for index in range(1, total + 1))

    def clear(self) -> None:
        """Forget all fragments."""
        self.total = self.octets = 0
        self.first_payload = PayloadType.NONE
        self.pieces = {}


def _fault(message: str, notify: int | None = 7) -> WireError:
    return WireError(message, rule="RFC 7383 2.6", payload=PayloadType.SKF, notify=notify)
