"""Bounded caches with counters. What is cached is a function of its key alone, so that no cache changes an answer."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Key:
    """Values to find something by. What is large and asked for often is hashed once."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, *parts: Hashable) -> None:
        """Raises TypeError for parts that cannot be hashed."""
        self._parts = parts
        self._hash = hash(parts)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Key) and self._parts == other._parts)


_ALL: "dict[str, Cache[object, object]]" = {}


class Cache(Generic[K, V]):
    """The `limit` most recently used entries, and how often they were found."""

    __slots__ = ("_entries", "hits", "limit", "misses")

    def __init__(self, name: str, limit: int) -> None:
        self._entries: OrderedDict[K, V] = OrderedDict()
        self.limit = limit
        self.hits = 0
        self.misses = 0
        _ALL[name] = self  # type: ignore[assignment]  # the registry counts and clears, whatever the types inside

    def get(self, key: K) -> V | None:
        """The value under `key`, which becomes the most recently used; None when there is none."""
        value = self._entries.get(key)
        if value is None:
            self.misses += 1
            return None
        self.hits += 1
        self._entries.move_to_end(key)
        return value

    def put(self, key: K, value: V) -> V:
        """Keep `value` (never None), dropping what was used longest ago."""
        self._entries[key] = value
        if len(self._entries) > self.limit:
            self._entries.popitem(last=False)
        return value

    def __len__(self) -> int:
        return len(self._entries)

    def clear(self) -> None:
        """Forget everything; the counters start again."""
        self._entries.clear()
        self.hits = self.misses = 0


def clear_caches() -> None:
    """Forget everything that any cache of the process holds."""
    for cache in _ALL.values():
        cache.clear()


def cache_counters() -> dict[str, dict[str, int]]:
    """For every cache: its entries, limit, hits and misses."""
    return {
        name: {"entries": len(cache), "limit": cache.limit, "hits": cache.hits, "misses": cache.misses}
        for name, cache in sorted(_ALL.items())
    }
