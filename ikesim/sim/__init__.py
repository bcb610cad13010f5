"""Hosts, a network and clocks without sockets: the same core as the daemon's, under virtual time and a seed."""

from ikesim.sim.clock import EPOCH, VirtualClock
from ikesim.sim.entropy import SeededEntropy
from ikesim.sim.host import SimHost, SimPorts
from ikesim.sim.network import Conditions, Network, Transit
from ikesim.sim.services import Answer, Service
from ikesim.sim.world import SimulationError, World

__all__ = [
    "EPOCH",
    "Answer",
    "Conditions",
    "Network",
    "SeededEntropy",
    "Service",
    "SimHost",
    "SimPorts",
    "SimulationError",
    "Transit",
    "VirtualClock",
    "World",
]
