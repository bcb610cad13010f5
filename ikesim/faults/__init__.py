"""Everything that can be made to go wrong: messages, keys, certificates, revocation services, time.

Two kinds, each one small class with one line of help. A `Fault` attaches to the seams of a running endpoint
(`ikesim.ike.ports.Hooks`) and can be switched on and off at any time. A `SceneFault` prepares what an endpoint sends
and what is published before two endpoints meet: an invalid certificate, a CRL, a responder. `registry` knows them all
by name. Names are loaded when they are first used, so that a daemon that nobody spoils does not pay for them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ikesim.faults.base import Fault, MessageFault
    from ikesim.faults.registry import FAULTS, SCENES, catalogue, make
    from ikesim.faults.scene import Scene, SceneFault
    from ikesim.faults.switchboard import Switchboard
    from ikesim.faults.target import Target

__all__ = [
    "FAULTS",
    "SCENES",
    "Fault",
    "MessageFault",
    "Scene",
    "SceneFault",
    "Switchboard",
    "Target",
    "catalogue",
    "make",
]

_HOMES = {
    **dict.fromkeys(("Fault", "MessageFault"), "base"),
    **dict.fromkeys(("FAULTS", "SCENES", "catalogue", "make"), "registry"),
    **dict.fromkeys(("Scene", "SceneFault"), "scene"),
    "Switchboard": "switchboard",
    "Target": "target",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
