"""How peers find each other and move signed envelopes. `HivemindNetwork` is imported from
`swarmd.network.hivemind` by whoever needs it, since hivemind imports torch and takes seconds.
"""

from swarmd.network.interface import (
    ClockSkewError,
    Misbehaviour,
    Network,
    NetworkClosedError,
    PullFailedError,
)
from swarmd.network.memory import MemoryHub
from swarmd.network.simulation import run_simulated, simulated_wall_clock

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
