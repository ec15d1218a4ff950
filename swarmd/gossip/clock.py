"""Compares this machine's clock with the swarm's, using the creation times in signed statuses.

A status is at least as old as its time in transit, and at most as old as the interval between two statuses,
so one status alone says little. The freshest of several statuses per peer, and the median over peers, are
precise enough for a warning. Concluding that the swarm is behind takes more evidence than concluding that it
is ahead, because a status from the future cannot be an old one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

from protocol import PeerId
from swarmd.gossip.limits import GossipLimits

REMEMBERED_S = 600.0  # a peer that is silent for this long is not counted
SAMPLES = 4  # statuses per peer; the freshest of four random ones is about a fifth of the interval old


@dataclass
class _Heard:
    created: int = -1
    read: float = 0.0
    offsets: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))


class ClockWatch:
    """Offsets of other peers' clocks from this one in seconds, positive if theirs are ahead."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._heard: dict[PeerId, _Heard] = {}

    def observe(self, peer: PeerId, created: int, now: float) -> None:
        """A status of `peer`, created at `created` by its clock, was read at `now` by this clock."""
        heard = self._heard.pop(peer, _Heard())
        if created > heard.created:  # reading the same status again only makes it look older
            heard.created, heard.read = created, now
            heard.offsets.append(created - now)
        if len(self._heard) >= self._limits.clock_peers_max:
            del self._heard[next(iter(self._heard))]
        self._heard[peer] = heard

    def offset_s(self, now: float) -> float | None:
        """Return how far the swarm's clock is ahead of this one, or None if they agree or too few peers are
        known.

        Most of the peers heard must have sent enough statuses. With only three peers, one wrong clock and one
        old status could decide.
        """
        age = self._limits.status_interval_s / (SAMPLES + 1)
        recent = [heard for heard in self._heard.values() if abs(now - heard.read) < REMEMBERED_S]
        offsets = [max(heard.offsets) + age for heard in recent if len(heard.offsets) == SAMPLES]
        if len(offsets) < max(self._limits.clock_peers_min, len(recent) // 2 + 1):
            return None
        offset = median(offsets)
        # old statuses look the same, so two thirds of the peers must be at least this far behind
        if offset < 0:
            offset = min(0.0, sorted(offsets)[len(offsets) * 2 // 3])
        return offset if abs(offset) > age + self._limits.clock_tolerance_s else None
