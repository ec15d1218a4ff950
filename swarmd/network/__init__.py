"""How peers find each other and exchange signed envelopes.

Import `HivemindNetwork` from `swarmd.network.hivemind`; it is not exported here because it imports torch,
which takes seconds.
"""

from swarmd.network.interface import (
    ClockSkewError,
    Misbehaviour,
    Network,
    NetworkClosedError,
    PullFailedError,
)
from swarmd.network.memory_hub import MemoryHub
from swarmd.network.simulation import run_simulated, simulated_wall_clock
from swarmd.spared import spare_hivemind

spare_hivemind()

__all__ = [
    "ClockSkewError",
    "MemoryHub",
    "Misbehaviour",
    "Network",
    "NetworkClosedError",
    "PullFailedError",
    "run_simulated",
    "simulated_wall_clock",
]
