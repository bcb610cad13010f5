"""The same explorer where rekeying takes several exchanges: CREATE_CHILD_SA and IKE_FOLLOWUP_KE (RFC 9370 2.2.4)."""

from copy import deepcopy
from functools import cache
from itertools import product

import pytest

from ikesim.ike.endpoint import Endpoint
from ikesim.sim.explorer import explore
from ikesim.testing.pair import Pair
from ikesim.testing.pki import SimPki
from tests.explorer.matrix import ACTIONS, BOTH_WINNERS, QUIET, NoncePorts, Nonces

TWO = {
    **QUIET,
    "proposals": "aes128gcm16-prfsha256-x25519-ke1_ecp256",
    "child": {"proposals": "aes128gcm16-x25519-ke1_ecp256"},
}
REKEYS = ("rekey IKE", "rekey CHILD")
OTHERS = ("create CHILD", "delete CHILD", "delete IKE", "liveness")


@cache
def ends(nonces: Nonces) -> tuple[Endpoint, Endpoint]:
    pair = Pair.of(SimPki("explorer"), seed="explorer", alice=TWO, bob=TWO)
    pair.up()
    found = []
    for host, lower in ((pair.alice, nonces.alice_lower), (pair.bob, not nonces.alice_lower)):
        assert isinstance(host.endpoint, Endpoint)
        host.endpoint.core.ports = NoncePorts.of(host.ports, rising=nonces.rising, first=0 if lower else 128)
        found.append(deepcopy(host.endpoint))
        found[-1].events()
    return found[0], found[1]


@pytest.mark.parametrize("nonces", BOTH_WINNERS, ids=str)
@pytest.mark.parametrize(("first", "second"), [*product(REKEYS, REKEYS), *product(REKEYS, OTHERS)])
def test_no_order_breaks_an_invariant(first: str, second: str, nonces: Nonces) -> None:
    actions = ((0, first, ACTIONS[first]), (1, second, ACTIONS[second]))
    tunnel = "delete" not in second
    result = explore(ends(nonces), actions, 1.0, losses=1, tunnel=tunnel, max_states=5000)
    assert not result.findings, "\n".join(map(str, result.findings))
    assert (result.cut, result.orders > 1) == (0, True)
