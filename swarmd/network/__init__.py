"""How peers find each other and move signed envelopes. `HivemindNetwork` is imported from
`swarmd.network.hivemind` by whoever needs it, since hivemind imports torch and takes seconds.
"""

from swarmd.network.addresses import PeerAddress, parse_peer_address
from swarmd.network.interface import (
    BodyProvider,
    ClockSkewError,
    Network,
    NetworkClosedError,
    NetworkStatistics,
    PullFailedError,
)
from swarmd.network.memory import MemoryHub, MemoryNetwork
from swarmd.network.simulation import SimulatedLoop, run_simulated, simulated_wall_clock

__all__ = [
    "BodyProvider",
    "ClockSkewError",
    "MemoryHub",
    "MemoryNetwork",
    "Network",
    "NetworkClosedError",
    "NetworkStatistics",
    "PeerAddress",
    "PullFailedError",
    "SimulatedLoop",
    "parse_peer_address",
    "run_simulated",
    "simulated_wall_clock",
]
