"""What test suites import: a ready PKI, a pair of simulated endpoints, and assertions that explain themselves.

The pytest plugin `ikesim.testing.plugin` is registered by installing ikesim and gives the fixtures `ike_pki`,
`ike_pair`, `assert_established` and `assert_refused`. Names are loaded when they are first used, so that a test run
that needs none of them does not pay for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ikesim.testing.assertions import assert_established, assert_refused
    from ikesim.testing.pair import Pair
    from ikesim.testing.pki import SimPki

__all__ = ["Pair", "SimPki", "assert_established", "assert_refused"]

_HOMES = {
    "Pair": "ikesim.testing.pair",
    "SimPki": "ikesim.testing.pki",
    "assert_established": "ikesim.testing.assertions",
    "assert_refused": "ikesim.testing.assertions",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(home), name)
