"""One digest over the whole state of an endpoint: equal for copies, different where anything kept differs.

Caches never change an answer and are left out, as are the ports, which are not state of the core. Order counts in
sequences and tables, since what iterates over them acts in that order.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from hashlib import blake2b
from typing import Any

from ikesim.ike.core import Core
from ikesim.pki.decision import TrustDecision
from ikesim.wire.message import Message

NO_STATE = ("ports", "config", "flows")
"""Attributes of `Core` that are not state; names with an underscore are caches."""


def state_digest(core: Core, *more: object) -> bytes:
    """32 octets over the state of `core` (and `more`). Raises TypeError for state that is not plain data."""
    mixed = blake2b(digest_size=32)
    state = {name: value for name, value in vars(core).items() if name[0] != "_" and name not in NO_STATE}
    _feed(mixed.update, state)
    _feed(mixed.update, more)
    return mixed.digest()


def _feed(update: Callable[[bytes], None], value: Any) -> None:
    """Mix in a value with its type and length, so that no two values read alike."""
    match value:
        case Enum():
            update(f"<{type(value).__name__}.{value.name}>".encode())
        case None | bool() | int() | float() | str() | datetime():
            update(f"<{type(value).__name__} {value!r}>".encode())
        case bytes() | bytearray() | memoryview():
            update(b"<%d octets " % len(value))
            update(bytes(value))
        case TrustDecision():
            _feed(update, (value.accepted, value.reason, value.summary, value.wanted))
        case Message():
            _feed(update, (value.octets, [(item.kind, bytes(item.body)) for item in value.payloads]))
        case tuple() | list() | deque():
            update(b"<%d of " % len(value))
            for item in value:
                _feed(update, item)
        case set() | frozenset():
            update(b"<set>")
            for text in sorted(repr(item) for item in value):
                _feed(update, text)
        case Mapping():
            update(b"<%d pairs " % len(value))
            for key, item in value.items():
                _feed(update, key)
                _feed(update, item)
        case _ if is_dataclass(value):
            update(f"<{type(value).__name__}>".encode())
            for item in fields(value):
                _feed(update, getattr(value, item.name))
        case _:
            raise TypeError(f"{type(value).__name__} is no plain data")
