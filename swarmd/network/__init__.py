"""How peers find each other and move signed envelopes.

Import `HivemindNetwork` from `swarmd.network.hivemind`: it imports torch, which takes seconds.
"""

from swarmd.network.addresses import PeerAddress, parse_peer_address
from swarmd.network.interface import (
    BodyProvider,
    ClockSkewError,
    Misbehaviour,
    Network,
    NetworkClosedError,
    NetworkStatistics,
    Pulled,
    PullFailedError,
    PullFailure,
    Standing,
    Way,
)
from swarmd.network.memory import MemoryHub, MemoryNetwork
from swarmd.network.simulation import SimulatedLoop, run_simulated, simulated_wall_clock

__all__ = [
    "BodyProvider",
    "ClockSkewError",
    "MemoryHub",
    "MemoryNetwork",
    "Misbehaviour",
    "Network",
    "NetworkClosedError",
    "NetworkStatistics",
    "PeerAddress",
    "PullFailedError",
    "PullFailure",
    "Pulled",
    "SimulatedLoop",
    "Standing",
    "Way",
    "parse_peer_address",
    "run_simulated",
    "simulated_wall_clock",
]
