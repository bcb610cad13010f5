"""The replay window of an inbound ESP SA, with extended sequence numbers (RFC 4303 3.4.3 and appendix A2)."""

from dataclasses import dataclass

_LOW = 0xFFFFFFFF


@dataclass(slots=True)
class ReplayWindow:
    """Which sequence numbers have been seen: plain data, the window as the bits of one integer.

    `top` is the highest sequence number that was authenticated (64 bits with ESN); bit n of `bitmap` is top - n.
    Per packet: :meth:`expand` what was received, :meth:`check` it, verify the ICV, then :meth:`update`.
    """

    size: int = 64
    top: int = 0
    bitmap: int = 0

    def expand(self, low: int) -> int:
        """The extended sequence number whose low 32 bits were received: the candidate nearest the window (A2.2).

        Negative when it would stand before the first packet.
        """
        high, top_low = self.top >> 32, self.top & _LOW
        bottom = top_low - self.size + 1
        if bottom >= 0:  # the window lies in one subspace
            high += low < bottom
        elif low >= bottom & _LOW:  # the window began in the subspace before
            high -= 1
        return (high << 32) + low

    def check(self, sequence: int) -> bool:
        """Whether a packet with this sequence number may be new. Nothing is marked."""
        if sequence <= 0:
            return False  # the first packet has 1 (3.3.3)
        behind = self.top - sequence
        return behind < 0 or (behind < self.size and not self.bitmap >> behind & 1)

    def update(self, sequence: int) -> None:
        """Mark an authenticated packet that passed :meth:`check`."""
        ahead = sequence - self.top
        if ahead <= 0:
            self.bitmap |= 1 << -ahead
            return
        self.bitmap = (self.bitmap << ahead | 1) & (1 << self.size) - 1 if ahead < self.size else 1
        self.top = sequence
