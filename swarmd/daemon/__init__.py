"""The long-running process: one TaskGroup, signals, shutdown order.

It connects the parts and makes no decision that a part could make. `gossip` decides what to pull, `tasks` how
a text is rewarded, `learning` what the gradient is.
"""

from swarmd.daemon.beginning import Beginning
from swarmd.daemon.runtime import run

__all__ = ["Beginning", "run"]
