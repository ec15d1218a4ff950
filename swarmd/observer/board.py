"""How often each peer is right, by the rewards that were given here: the newest groups of each."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

RECENT_GROUPS = 100  # of one peer: it learns, so older ones say little about it now
RANKED_GROUPS = 10  # below that a success says little: the peer is not ranked
PEERS_MAX = (
    1_024  # as many as gossip lists; whoever has the fewest groups goes first, then the longest silent
)
NORMAL_95 = 1.96  # standard errors on either side of a mean, for a 95 % interval


@dataclass(frozen=True)
class Success:
    """Of one peer's newest groups."""

    groups: int
    mean: float
    """Mean reward as scored here, 0..1."""
    interval: tuple[float, float] | None
    """95 % interval of `mean` between groups; None with fewer than two."""


class Board:
    """At most PEERS_MAX peers with RECENT_GROUPS groups each."""

    def __init__(self) -> None:
        self._rewards: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, publisher: str, reward: float) -> None:
        """A group of `publisher` had this mean reward here."""
        self._rewards.setdefault(publisher, deque(maxlen=RECENT_GROUPS)).append(reward)
        self._rewards.move_to_end(publisher)
        if len(self._rewards) > PEERS_MAX:
            others = (peer for peer in self._rewards if peer != publisher)
            del self._rewards[min(others, key=lambda peer: len(self._rewards[peer]))]

    def successes(self) -> Mapping[str, Success]:
        """Peer id -> success: those with RANKED_GROUPS by the lower bound of their interval, the
        highest first, then the others, those with the most groups first."""
        found = {peer: _success(rewards) for peer, rewards in self._rewards.items()}
        return dict(sorted(found.items(), key=lambda item: (*_rank(item[1]), item[0])))


def _rank(success: Success) -> tuple[bool, float, float]:
    if success.groups >= RANKED_GROUPS and success.interval is not None:
        return False, -success.interval[0], -success.mean
    return True, -success.groups, -success.mean


def _success(rewards: deque[float]) -> Success:
    n, mean = len(rewards), sum(rewards) / len(rewards)
    if n == 1:
        return Success(n, mean, None)
    half = NORMAL_95 * math.sqrt(sum((r - mean) ** 2 for r in rewards) / (n - 1) / n)
    return Success(n, mean, (max(0.0, mean - half), min(1.0, mean + half)))
