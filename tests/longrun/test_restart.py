"""Either side loses all its state in the middle of anything: one working tunnel, and nothing left over."""

from typing import Any

import pytest

from ikesim.sim.host import SimHost
from ikesim.testing import Pair
from tests.ike.wiretap import MakePair, states
from tests.longrun.life import core_of

SETTINGS: dict[str, Any] = {
    "liveness": {"interval": 10.0, "action": "clear"},
    "retransmit": {"initial": 1.0, "factor": 1.5, "tries": 4},
    "half_open_timeout": 20.0,
}
LIVENESS = 10.0 + sum(1.0 * 1.5**count for count in range(5))
"""Seconds until a dead peer is known to be dead: the interval, and a request that nobody answers."""
RECALL = 5.0 + 20.0
"""Seconds until it is called again, and until what hung half-open is gone."""
STEPS = 14
"""Deliveries and timers of the longest action; later restarts find a quiet tunnel."""

ACTIONS = ("initiate", "rekey IKE", "rekey CHILD", "create CHILD", "reauthenticate", "delete CHILD", "liveness")


def act(pair: Pair, host: SimHost, action: str) -> None:
    if action == "initiate":
        host.initiate(pair.peer(host).name)
        return
    sa, child = host.established[0], pair.children(host)[0].id
    match action:
        case "rekey IKE":
            host.rekey(sa)
        case "rekey CHILD":
            host.rekey(child)
        case "create CHILD":
            host.create_child(sa, "net")
        case "reauthenticate":
            host.reauthenticate(sa)
        case "delete CHILD":
            host.terminate(child)
        case "liveness":
            host.check_liveness(sa)


def restart(pair: Pair, name: str) -> SimHost:
    """Take a host's state away; its certificates, configuration and addresses stay."""
    old = pair.world.hosts.pop(name)
    reborn = pair.world.add_host(old.config, old.ports.vault, old.ports.store, inner=old.inner)
    # the same seed would repeat what it drew in its first life
    reborn.ports.random.seed = "another life"
    setattr(pair, name, reborn)
    return reborn


def one_tunnel(pair: Pair) -> None:
    for host in (pair.alice, pair.bob):
        assert states(pair, host) == ["established"]
        assert [child.state for child in pair.children(host)] == ["installed"]
        assert core_of(host).half_open == 0
        assert len(core_of(host).children) == 1
    assert [sa["spi_i"] for sa in pair.sas(pair.alice)] == [sa["spi_i"] for sa in pair.sas(pair.bob)]
    assert pair.ping() == pair.ping(by="bob") == 1


CASES = [
    (action, by, victim, caller)
    for action in ACTIONS
    for by in ("alice", "bob")
    for victim in ("alice", "bob")
    for caller in ("whoever was restarted", "the other side")
    # then nobody has a reason to initiate: the one who did is gone, the other never knew of it
    if not (action == "initiate" and by == victim and caller == "the other side")
]


@pytest.mark.parametrize(("action", "by", "victim", "caller"), CASES)
def test_a_restart_in_the_middle_of(ike_pair: MakePair, action: str, by: str, victim: str, caller: str) -> None:
    other = "bob" if victim == "alice" else "alice"
    starts = victim if caller == "whoever was restarted" else other
    settings = {
        name: {**SETTINGS, "start": "immediately" if name == starts else "on-request"} for name in ("alice", "bob")
    }
    for steps in range(STEPS):
        pair = ike_pair(alice=settings["alice"], bob=settings["bob"])
        if action != "initiate":
            pair.up(by=by)
        act(pair, pair.alice if by == "alice" else pair.bob, action)
        for _ in range(steps):
            pair.world.step()
        reborn = restart(pair, victim)
        if starts == victim:
            reborn.initiate(other)
        pair.world.run_until(pair.world.now + LIVENESS + RECALL)
        one_tunnel(pair)
