"""How peers find each other and move signed envelopes. `HivemindNetwork` is imported from
`swarmd.network.hivemind` by whoever needs it, since hivemind imports torch and takes seconds.
"""

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
    "PullFailedError",
    "PullFailure",
    "Pulled",
    "SimulatedLoop",
    "Standing",
    "Way",
    "run_simulated",
    "simulated_wall_clock",
]
