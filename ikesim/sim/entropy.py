"""Randomness from a seed: an independent stream for every purpose, as plain data.

Draw number n of a purpose depends on the seed, the owner, the purpose and n alone. One more draw of one purpose (or a
longer one) therefore changes no other draw, and two hosts of one seed never share a stream.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import shake_256

_UNIT = float(1 << 53)


@dataclass(slots=True)
class SeededEntropy:
    """The streams of one owner (a host, an authority, the network)."""

    seed: str
    owner: str
    draws: dict[str, int] = field(default_factory=dict)
    """How many draws each purpose has made."""
    chosen: dict[str, list[bytes]] = field(default_factory=dict)
    """Octets that the next draws of a purpose return instead: how a test chooses a nonce."""

    def draw(self, purpose: str, count: int) -> bytes:
        """The next `count` octets of `purpose`.

        Raises ValueError when the chosen octets for this draw have another length.
        """
        number = self.draws.get(purpose, 0)
        self.draws[purpose] = number + 1
        waiting = self.chosen.get(purpose)
        if waiting:
            octets = waiting.pop(0)
            if len(octets) != count:
                raise ValueError(f"{len(octets)} octets were chosen for {purpose}, but {count} are drawn")
            return octets
        label = f"{len(self.seed)}:{self.seed}|{len(self.owner)}:{self.owner}|{purpose}|{number}"
        return shake_256(label.encode()).digest(count)

    def stream(self, purpose: str) -> Callable[[int], bytes]:
        """`purpose` as a function of the number of octets, as key generators want it."""
        return lambda count: self.draw(purpose, count)

    def unit(self, purpose: str) -> float:
        """The next draw of `purpose` as a number in [0, 1)."""
        return (int.from_bytes(self.draw(purpose, 8)) >> 11) / _UNIT
