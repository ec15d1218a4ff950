"""How many names a node may have followed that turn out to be nobody. Pure.

Whoever is asked for a key names others. A name costs nothing, and finding out that it is nobody's costs p2pd
a search and a time-out. So a name is followed on the credit of the node that gave it, and the credit is given
back when the named one answers.
"""

from __future__ import annotations

from collections.abc import Callable

from swarmd.network.rates import Buckets, Rate

CREDIT = Rate(0.1, 8.0)
"""Names per second. The burst is what one answer about one key can add: after an outage honest nodes name
many that are gone, and notice it within seconds."""

NODES_MAX = 1_024
"""Nodes whose credit is remembered; whoever named others longest ago has its full credit again."""


class Vouching:
    """The credit of all nodes."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._credit = Buckets(NODES_MAX)

    def follow(self, namer: int) -> bool:
        """Whether one more name by `namer` may be followed. It is paid for, until it answers."""
        return self._credit.take(namer, CREDIT, 1.0, self._now())

    def answered(self, namer: int) -> None:
        """A name by `namer` that was followed answered."""
        self._credit.charge(namer, CREDIT, -1.0, self._now())
