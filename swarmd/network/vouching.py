"""Limits how many names from one node are followed that lead to no peer. Pure.

A node that is asked about a key returns names of other nodes. Names cost nothing, but finding out that one
leads to no peer costs p2pd a search and a time-out. Following a name is therefore charged to the node that
returned it, and refunded when the named node answers.
"""

from __future__ import annotations

from collections.abc import Callable

from swarmd.network.rates import Buckets, Rate

CREDIT = Rate(0.1, 8.0)
"""Names per second. The burst is what one answer about one key can add. After an outage, honest nodes name
many peers that are gone, and notice it within seconds.
"""

NODES_MAX = 1_024
"""Nodes whose credit is remembered. The one that was charged longest ago is forgotten first and has full
credit again.
"""


class Vouching:
    """The credit of all nodes."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._credit = Buckets(NODES_MAX)

    def follow(self, namer: int) -> bool:
        """Whether to follow another name from `namer`, which is charged until the named node answers."""
        return self._credit.take(namer, CREDIT, 1.0, self._now())

    def answered(self, namer: int) -> None:
        """A followed name from `namer` answered."""
        self._credit.charge(namer, CREDIT, -1.0, self._now())
