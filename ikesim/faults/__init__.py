"""Everything that can be made to go wrong: messages, keys, certificates, revocation services, time.

Two kinds, each one small class with one line of help. A `Fault` attaches to the seams of a running endpoint
(`ikesim.ike.ports.Hooks`) and can be switched on and off at any time. A `SceneFault` prepares what an endpoint sends
and what is published before two endpoints meet: an invalid certificate, a CRL, a responder. `registry` knows them all
by name.
"""

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
