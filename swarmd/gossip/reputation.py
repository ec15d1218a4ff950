"""Whom to ignore, and for how long. Forgets by itself; nothing here is ever told to other peers.

Only what a peer has signed, or failed to deliver, counts against it: junk that anybody could have
written in its name does not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.limits import GossipLimits

PENALTY_FORGED = 1.5  # a signed lie: a body that fails verification, a question that is not the task's
PENALTY_MISLED = 0.75  # the pass rate promised a lesson and all rewards were equal here
PENALTY_UNLUCKY = 0.5  # a pull failed, a scorer hung: mostly bad luck, but not for ever
CREDIT_INFORMATIVE = 0.25  # a group that teaches makes up for a little


@dataclass
class _Standing:
    points: float
    at: float
    ignored_until: float = 0.0
    ignored_times: int = 0


class Reputation:
    """Penalty points of each peer; they halve every `penalty_half_life_s`."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._standings: dict[PeerId, _Standing] = {}

    def is_ignored(self, peer: PeerId, now: float) -> bool:
        standing = self._standings.get(peer)
        return standing is not None and now < standing.ignored_until

    def trust(self, peer: PeerId, now: float) -> float:
        """From 0 (ignored) to 1 (nothing is held against it)."""
        standing = self._standings.get(peer)
        if standing is None:
            return 1.0
        if now < standing.ignored_until:
            return 0.0
        elapsed = max(0.0, now - standing.at)
        left = math.pow(0.5, elapsed / self._limits.penalty_half_life_s)
        return max(0.0, 1 - left * standing.points / self._limits.penalty_ignored_at)

    def ignored(self, now: float) -> int:
        """How many peers are ignored now."""
        return sum(now < standing.ignored_until for standing in self._standings.values())

    def penalise(self, peer: PeerId, points: float, now: float) -> bool:
        """Add `points`; True if the peer is ignored from now on.

        What was in flight while a peer came to be ignored is not held against it a second time.
        """
        if self.is_ignored(peer, now):
            return False
        standing = self._decayed(peer, now)
        standing.points += points
        if standing.points < self._limits.penalty_ignored_at:
            return False
        seconds = self._limits.ignore_s * 2.0 ** min(standing.ignored_times, 16)
        standing.ignored_until = now + min(seconds, self._limits.ignore_s_max)
        standing.ignored_times += 1
        standing.points /= 2  # comes back on probation
        return True

    def credit(self, peer: PeerId, now: float) -> None:
        """The peer gave something useful."""
        if peer in self._standings:
            standing = self._decayed(peer, now)
            standing.points = max(0.0, standing.points - CREDIT_INFORMATIVE)

    def _decayed(self, peer: PeerId, now: float) -> _Standing:
        standing = self._standings.get(peer)
        if standing is None:
            self._make_room(now)
            standing = self._standings[peer] = _Standing(0.0, now)
        elapsed = max(0.0, now - standing.at)
        standing.points *= 0.5 ** (elapsed / self._limits.penalty_half_life_s)
        standing.at = now
        return standing

    def _make_room(self, now: float) -> None:
        """Forget whoever is most like an unknown peer: a crowd of names must not wipe out the ignored."""
        if len(self._standings) >= self._limits.peers_judged_max:
            least = min(self._standings, key=lambda p: (self.is_ignored(p, now), self._standings[p].points))
            del self._standings[least]
