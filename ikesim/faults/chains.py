"""Payload chains as octets: where payloads, proposals and transforms stand, so that single fields can be changed."""

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ikesim.wire.registry import PayloadType

PAYLOAD_NAMES = {item.name.lower(): int(item) for item in PayloadType}


class Place(NamedTuple):
    """A payload in a chain: its type, and where its generic header starts and its body ends."""

    kind: int
    start: int
    end: int


def payload_number(text: str) -> int:
    """A payload type by name or number. Raises ValueError."""
    if text.isdigit():
        return int(text)
    if text.lower() not in PAYLOAD_NAMES:
        raise ValueError(f"payload {text!r} is not one of {', '.join(item.name for item in PayloadType)}")
    return PAYLOAD_NAMES[text.lower()]


def places(first: int, chain: bytes) -> Iterator[Place]:
    """The payloads of a sound chain that starts with type `first`."""
    kind, position = first, 0
    while kind and position + 4 <= len(chain):
        length = int.from_bytes(chain[position + 2 : position + 4], "big")
        yield Place(kind, position, position + length)
        kind = chain[position]
        position += max(length, 4)


def changed(first: int, chain: bytes, change: Callable[[Place, bytearray], None]) -> bytes:
    """A chain in which `change` was made to every payload, in place."""
    out = bytearray(chain)
    for place in places(first, chain):
        change(place, out)
    return bytes(out)


def proposals(chain: bytes | bytearray, place: Place) -> Iterator[int]:
    """Where the proposals of an SA payload start."""
    position = place.start + 4
    while position + 8 <= place.end:
        yield position
        position += max(8, int.from_bytes(chain[position + 2 : position + 4], "big"))


def transforms(chain: bytes | bytearray, proposal: int) -> Iterator[int]:
    """Where the transforms of a proposal start."""
    end = proposal + int.from_bytes(chain[proposal + 2 : proposal + 4], "big")
    position = proposal + 8 + chain[proposal + 6]
    while position + 8 <= end:
        yield position
        position += max(8, int.from_bytes(chain[position + 2 : position + 4], "big"))
