"""Compares our clock with the swarm's, by the creation times in signed statuses.

A status is at least as old as its time in transit and at most as old as the interval between two statuses, so
a single one says little. The freshest of a few statuses per peer, and the median over peers, say enough for a
warning. That the swarm is behind takes more than that it is ahead: a status from the future cannot be old.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median

from protocol import PeerId
from swarmd.gossip.limits import GossipLimits

REMEMBERED_S = 600.0  # a peer that is silent for this long no longer counts
SAMPLES = 4  # statuses per peer; the freshest of four random ones is a fifth of the interval old


@dataclass
class _Heard:
    created: int = -1
    read: float = 0.0
    offsets: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))


class ClockWatch:
    """Offsets of the other peers' clocks against ours, in seconds; positive when theirs is ahead."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._heard: dict[PeerId, _Heard] = {}

    def observe(self, peer: PeerId, created: int, now: float) -> None:
        """A status of `peer`, created at `created` by its clock, was read at `now` by ours."""
        heard = self._heard.pop(peer, _Heard())
        if created > heard.created:  # the same status, read again, only looks older
            heard.created, heard.read = created, now
            heard.offsets.append(created - now)
        if len(self._heard) >= self._limits.clock_peers_max:
            del self._heard[next(iter(self._heard))]
        self._heard[peer] = heard

    def offset_s(self, now: float) -> float | None:
        """By how much the swarm's clock is ahead of ours; None while they agree or too few are known.

        Most of those heard must have said enough: of three, one wrong clock and an old status decide.
        """
        age = self._limits.status_interval_s / (SAMPLES + 1)
        recent = [heard for heard in self._heard.values() if abs(now - heard.read) < REMEMBERED_S]
        offsets = [max(heard.offsets) + age for heard in recent if len(heard.offsets) == SAMPLES]
        if len(offsets) < max(self._limits.clock_peers_min, len(recent) // 2 + 1):
            return None
        offset = median(offsets)
        if offset < 0:  # old news looks the same: only what two thirds of the peers say at least is believed
            offset = min(0.0, sorted(offsets)[len(offsets) * 2 // 3])
        return offset if abs(offset) > age + self._limits.clock_tolerance_s else None
