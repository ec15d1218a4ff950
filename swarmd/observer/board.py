"""How often each peer is right, by the rewards given here to its newest groups."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass

from swarmd.step.evaluation import wilson_interval

RECENT_GROUPS = 100  # per peer; a peer learns, so older groups say little about it now
RANKED_GROUPS = 10  # below this, the mean is not meaningful and the peer is not ranked
PEERS_MAX = 1_024  # as many as gossip lists; drops the peer with the fewest groups, then the longest silent


@dataclass(frozen=True)
class Success:
    """The success of one peer's newest groups."""

    groups: int
    mean: float
    """Mean reward as scored here, 0..1."""
    interval: tuple[float, float] | None
    """95% Wilson interval of `mean`, with one trial per group: wider than needed, because a group is several
    answers, but never empty. None with fewer than two groups."""


class Board:
    """At most PEERS_MAX peers with RECENT_GROUPS groups each."""

    def __init__(self) -> None:
        self._rewards: OrderedDict[str, deque[float]] = OrderedDict()

    def add(self, publisher: str, reward: float) -> None:
        """Add a group of `publisher` with this mean reward as scored here."""
        self._rewards.setdefault(publisher, deque(maxlen=RECENT_GROUPS)).append(reward)
        self._rewards.move_to_end(publisher)
        if len(self._rewards) > PEERS_MAX:
            others = (peer for peer in self._rewards if peer != publisher)
            del self._rewards[min(others, key=lambda peer: len(self._rewards[peer]))]

    def successes(self) -> Mapping[str, Success]:
        """Return peer id -> success: first the peers with at least RANKED_GROUPS groups, by the lower
        bound of their interval, highest first, then the others, most groups first.
        """
        found = {peer: _success(rewards) for peer, rewards in self._rewards.items()}
        return dict(sorted(found.items(), key=lambda item: (*_rank(item[1]), item[0])))


def _rank(success: Success) -> tuple[bool, float, float]:
    if success.groups >= RANKED_GROUPS and success.interval is not None:
        return False, -success.interval[0], -success.mean
    return True, -success.groups, -success.mean


def _success(rewards: deque[float]) -> Success:
    n, right = len(rewards), sum(rewards)
    return Success(n, right / n, wilson_interval(right, n) if n > 1 else None)
