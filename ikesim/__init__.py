"""ikesim: an IKEv2 laboratory for certificate authentication.

The whole public interface, by what one wants to do:

* judge a certificate: `decide(TrustRequest(...), Evidence(...))` under a `TrustPolicy` gives a `TrustDecision`, whose
  `reason` is a `Reason`; `Identity` and `RuleProfile` are its inputs;
* speak IKE: an `Endpoint` made from an `EndpointConfig`, which `load_configuration` reads from a file;
* issue: `Authority`, a small CA that also makes what no CA should;
* simulate: a `World` of hosts under a virtual clock; `ikesim.testing` brings pytest fixtures.

Everything is imported when it is first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ikesim.configuration import load as load_configuration
    from ikesim.errors import IkesimError
    from ikesim.ike.config import EndpointConfig
    from ikesim.ike.endpoint import Endpoint
    from ikesim.pki import Evidence, Identity, RuleProfile, TrustDecision, TrustPolicy, TrustRequest, decide
    from ikesim.pki.authority import Authority
    from ikesim.reasons import Reason
    from ikesim.sim.world import World

__all__ = [
    "Authority",
    "Endpoint",
    "EndpointConfig",
    "Evidence",
    "Identity",
    "IkesimError",
    "Reason",
    "RuleProfile",
    "TrustDecision",
    "TrustPolicy",
    "TrustRequest",
    "World",
    "decide",
    "load_configuration",
]

__version__ = "0.1.0"

_HOMES = {
    "Authority": "ikesim.pki.authority",
    "Endpoint": "ikesim.ike.endpoint",
    "EndpointConfig": "ikesim.ike.config",
    "IkesimError": "ikesim.errors",
    "Reason": "ikesim.reasons",
    "World": "ikesim.sim.world",
    "load_configuration": "ikesim.configuration",
}


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES.get(name, "ikesim.pki")), name.removesuffix("_configuration"))
    globals()[name] = value
    return value
