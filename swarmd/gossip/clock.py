"""Does our clock agree with the swarm's? Judged by the creation times of statuses, which are signed.

A status is at least as old as its way to us and at most as old as the pause between two of them, so a
single one says little; the freshest of each peer, and the median over peers, say enough for a warning.
"""

from __future__ import annotations

from statistics import median

from protocol import PeerId
from swarmd.gossip.limits import GossipLimits

REMEMBERED_S = 600.0  # a peer that says nothing for so long no longer counts


class ClockWatch:
    """Offsets of the other peers' clocks against ours, in seconds; positive when theirs is ahead."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._newest: dict[PeerId, tuple[int, float]] = {}

    def observe(self, peer: PeerId, created: int, now: float) -> None:
        """A status of `peer`, created at `created` by its clock, was read at `now` by ours."""
        known = self._newest.get(peer)
        if known is not None and known[0] >= created:
            return  # the same status read again is only older
        self._newest.pop(peer, None)
        if len(self._newest) >= self._limits.clock_peers_max:
            del self._newest[next(iter(self._newest))]
        self._newest[peer] = (created, now)

    def offset_s(self, now: float) -> float | None:
        """By how much the swarm's clock is ahead of ours, or None while it agrees or too few peers are known.

        Half the pause between two statuses is added: the mean age of a status that was read at a random time.
        """
        mean_age = self._limits.status_interval_s / 2
        offsets = [
            created - read + mean_age
            for created, read in self._newest.values()
            if abs(now - read) < REMEMBERED_S
        ]
        if len(offsets) < self._limits.clock_peers_min:
            return None
        offset = median(offsets)
        return offset if abs(offset) > mean_age + self._limits.clock_tolerance_s else None
