"""Two endpoints, alice and bob, connected by a simulated network: what most tests of IKE need."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ikesim.esp.host import InnerHost, echo_request, parse_echo_reply
from ikesim.ike.endpoint import Endpoint
from ikesim.ike.events import SaEstablished, SaRefused
from ikesim.ike.ids import SaId
from ikesim.ike.status import status
from ikesim.pki.fetching import FetchRequest
from ikesim.sim.host import SimHost
from ikesim.sim.network import Conditions
from ikesim.sim.world import World
from ikesim.testing.configs import check, endpoint_config, first_host, inner_networks
from ikesim.testing.pki import SimPki

_CONDITIONS = {item.name for item in fields(Conditions)}


@dataclass(frozen=True, slots=True)
class ChildSa:
    """A CHILD SA as one host sees it."""

    id: SaId
    name: str
    state: str
    """installed, rekeyed (replaced, still receiving) or awaits-delete-response."""
    spi_in: str
    spi_out: str


class Pair:
    """alice (192.0.2.1) and bob (192.0.2.2), each with one connection that is named after the other."""

    def __init__(self, world: World, pki: SimPki, alice: SimHost, bob: SimHost) -> None:
        self.world = world
        self.pki = pki
        self.alice = alice
        self.bob = bob

    @classmethod
    def of(
        cls,
        pki: SimPki,
        *,
        seed: int | str = 0,
        alice: Mapping[str, Any] | None = None,
        bob: Mapping[str, Any] | None = None,
        crls: str = "held",
        **conditions: float,
    ) -> "Pair":
        """Two hosts in a world of their own.

        `alice` and `bob` override fields of their EndpointConfig, ConnectionConfig and (in `child`, or in a list
        `children`) ChildConfig; addresses, identities, proposals and selectors may be text as in a configuration
        file. `clock_offset` sets a host's wall clock wrong, `revocation` changes the RevocationSettings of both CA
        profiles. `crls`: "held" (both hosts hold every CRL), "http" (they hold none and fetch from the distribution
        points) or "none". `conditions` are the fields of `Conditions` (loss, delay, ...) for both directions.

        Raises TypeError for a setting that does not exist.
        """
        settings = {"alice": dict(alice or {}), "bob": dict(bob or {})}
        for name, given in settings.items():
            check(given, name)
        if crls not in ("held", "http", "none"):
            raise ValueError(f"crls is held, http or none, not {crls!r}")
        for key in conditions:
            if key not in _CONDITIONS:
                raise TypeError(f"the network has no setting {key!r}; there are {', '.join(sorted(_CONDITIONS))}")
        world = World(seed, epoch=pki.now, conditions=Conditions(**conditions))
        if crls != "none":
            for authority in pki.authorities:
                world.services[pki.crl_url(authority)] = _CrlService(pki, authority)
        hosts: list[SimHost] = []
        for number, (name, peer) in enumerate((("alice", "bob"), ("bob", "alice")), 1):
            config = endpoint_config(name, settings[name], peer, settings[peer], number)
            hosts.append(
                world.add_host(
                    config,
                    pki.vault(name),
                    pki.store(name, crls=crls == "held"),
                    clock_offset=settings[name].get("clock_offset", 0.0),
                    inner=InnerHost(inner_networks(config)),
                )
            )
        return cls(world, pki, *hosts)

    def peer(self, host: SimHost) -> SimHost:
        """The other one."""
        return self.bob if host is self.alice else self.alice

    def up(self, *, by: str = "alice", limit: float = 600.0) -> SaEstablished | SaRefused:
        """Initiate from one side, wait for its verdict and until the network is quiet again; returns the verdict.

        Raises SimulationError when there is no verdict within `limit` virtual seconds.
        """
        host = self.alice if by == self.alice.name else self.bob
        sa = host.initiate(self.peer(host).name)
        self.world.run_until(lambda: host.verdict(sa) is not None, limit)
        self.world.settle(limit)
        verdict = host.verdict(sa)
        assert verdict is not None
        return verdict

    def down(self, *, by: str = "alice", limit: float = 600.0) -> None:
        """Delete one side's IKE SAs and wait until that is done."""
        host = self.alice if by == self.alice.name else self.bob
        for sa in host.established:
            host.terminate(sa)
        self.world.run_until(lambda: not host.established, limit)
        self.world.settle(limit)

    def ping(self, count: int = 1, *, by: str = "alice", limit: float = 5.0) -> int:
        """Send ICMP echo requests through the tunnel, one after the other; returns how many were answered."""
        host = self.alice if by == self.alice.name else self.bob
        source, destination = (first_host(inner_networks(end.config)[0]) for end in (host, self.peer(host)))
        answered = 0
        for sequence in range(1, count + 1):
            seen = len(host.inner_received)
            host.send_inner(echo_request(source, destination, 0x1CE, sequence, b"ikesim" * 8))
            end = self.world.now + limit
            while not (replied := _answered(host.inner_received[seen:], sequence)):
                time = self.world.next_time()
                if time is None or time > end:
                    break
                self.world.step()
            answered += replied
        return answered

    def load_crls(self) -> None:
        """Give both hosts the CRLs that the PKI publishes now, as `pki load --crl` does."""
        for host in (self.alice, self.bob):
            host.change_trust(self.pki.store(host.name))

    def sas(self, host: SimHost) -> list[dict[str, Any]]:
        """The IKE SAs of a host as `ikesim status` shows them."""
        assert isinstance(host.endpoint, Endpoint)
        found: list[dict[str, Any]] = status(host.endpoint, self.world.now)["ike_sas"]
        return found

    def children(self, host: SimHost) -> list[ChildSa]:
        """The CHILD SAs of a host."""
        return [
            ChildSa(child["id"], child["name"], child["state"], child["spi_in"], child["spi_out"])
            for sa in self.sas(host)
            for child in sa["child_sas"]
        ]


@dataclass(frozen=True, slots=True)
class _CrlService:
    """Serves what a CA publishes at the moment of the request."""

    pki: SimPki
    authority: str

    def __call__(self, request: FetchRequest, wall: object) -> bytes:
        return self.pki.crls[self.authority]


def _answered(packets: list[bytes], sequence: int) -> bool:
    return any(reply is not None and reply.sequence == sequence for reply in map(parse_echo_reply, packets))
