"""The pools that a responder gives addresses from: plain data, one lease an address."""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network

from ikesim.pki.identity import Identity


@dataclass(slots=True)
class Lease:
    """Who has an address, and how many SAs hold it: two while one takes the other's place."""

    owner: Identity
    holders: int = 1


@dataclass(slots=True)
class Pools:
    """The leases of one endpoint, by connection and address."""

    leases: dict[tuple[str, str], Lease] = field(default_factory=dict)
    newest: dict[str, int] = field(default_factory=dict)
    """The address given last from a network, as a number: the search goes on behind it."""

    def take(
        self, connection: str, networks: tuple[str, ...], version: int, owner: Identity, wish: str
    ) -> str | None:
        """An address for a peer, the one it wishes for where that is its own or free; None: all gone."""
        for text in networks:
            network = ip_network(text)
            if network.version != version:
                continue
            if wish and ip_address(wish) in network and self._give(connection, wish, owner, again=True):
                return wish
            first, last = int(network.network_address), int(network.broadcast_address)
            if network.num_addresses > 2:
                # neither the network's own address nor IPv4's broadcast
                first, last = first + 1, last - (version == 4)
            start = min(max(self.newest.get(text, first - 1) + 1, first), last + 1)
            # at most one more than there are leases has to be looked at
            for number in _around(start, first, last, len(self.leases) + 1):
                address = str(ip_address(number) if version == 4 else ip_address(number.to_bytes(16)))
                if self._give(connection, address, owner, again=False):
                    self.newest[text] = number
                    return address
        return None

    def _give(self, connection: str, address: str, owner: Identity, *, again: bool) -> bool:
        lease = self.leases.get((connection, address))
        if lease is None:
            self.leases[connection, address] = Lease(owner)
            return True
        if again and lease.owner == owner:
            lease.holders += 1
            return True
        return False

    def release(self, connection: str, addresses: tuple[str, ...]) -> None:
        """An SA that held addresses has ended."""
        for address in addresses:
            lease = self.leases.get((connection, address))
            if lease is not None:
                lease.holders -= 1
                if not lease.holders:
                    del self.leases[connection, address]


def _around(start: int, first: int, last: int, limit: int) -> list[int]:
    """At most `limit` numbers of a range, beginning at `start` and going on from its beginning."""
    ahead = list(range(start, min(last, start + limit - 1) + 1))
    return ahead + list(range(first, min(start - 1, first + limit - len(ahead) - 1) + 1))
