"""The long-running process: one TaskGroup, signals, shutdown order.

It holds the parts together and decides nothing that a part could decide. `gossip` decides what to pull,
`tasks` what a text is worth, `learning` what the gradient is.
"""

from swarmd.daemon.beginning import Beginning
from swarmd.daemon.runtime import run

__all__ = ["Beginning", "run"]
