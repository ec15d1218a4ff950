"""The long-running process: one TaskGroup, signals, shutdown order.

It holds the parts together and decides nothing that a part could decide: what to pull is `gossip`'s, what a
text is worth is `tasks`', what the gradient is is `learning`'s.
"""

from swarmd.daemon.runtime import run

__all__ = ["run"]
