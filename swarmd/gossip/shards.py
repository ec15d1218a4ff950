"""The number of shards for a task's announcements, chosen so that no key grows with the swarm.

Counts are powers of two, and a publisher's index under a smaller count is its index under a larger one modulo
the smaller. A reader with a larger count therefore also finds every publisher with a smaller one. Peers need
not agree on the count. A wrong count only means fuller keys or emptier reads for a few rounds. Only contacts'
entries under a key are counted (`contacts.py`), so nobody can widen the spread by announcing under many
names.
"""

from __future__ import annotations

from protocol import RECORD_LIFETIME_S_MAX, SHARD_ENTRIES_MAX, SHARDS_MAX, Manifest
from swarmd.gossip.limits import GossipLimits

CROWDED = SHARD_ENTRIES_MAX // 2  # a key this full in a finished round: the count must double
SPARSE = SHARD_ENTRIES_MAX // 16  # no key fuller than this: half the count is enough


def spread_s(shards: int, round_s: float, limits: GossipLimits) -> float:
    """Return the seconds over which a peer that publishes to so many shards spreads its announcements: never
    more than half of what a record lives, and none while more shards spread them. A peer of a large swarm may
    underestimate it threefold, so half of all shards count as all.
    """
    if shards < SHARDS_MAX // 2:
        return 0.0
    return min(limits.spread_rounds * round_s, RECORD_LIFETIME_S_MAX / 2)


class ShardCount:
    """Follows the size of the swarm and the fullest key that was read, both as estimated from contacts."""

    def __init__(self, manifest: Manifest, limits: GossipLimits) -> None:
        self._limits = limits
        self._round_s = manifest.round_seconds
        self._largest_task_share = max(t.weight for t in manifest.tasks) / sum(
            t.weight for t in manifest.tasks
        )
        self._round = -1
        self._by_load = 1
        self._fullest = 0
        self._keys_read = 0
        self.publish = 1
        """The number of shards that this peer publishes to."""

    @property
    def spread_s(self) -> float:
        """Seconds over which this peer spreads its announcements."""
        return spread_s(self.publish, self._round_s, self._limits)

    def observe(self, load: int) -> None:
        """A key was read. `load`: the number of announcements that more shards could have spread."""
        self._keys_read += 1
        self._fullest = max(self._fullest, load)

    def update(self, round_: int, swarm_size: int, own_per_round: int) -> None:
        """Follow the loads by at most one step per round, and the swarm's size immediately."""
        if round_ != self._round:
            self._round = round_
            if self._fullest >= CROWDED:
                self._by_load = min(SHARDS_MAX, self.publish * 2)
            elif self._keys_read and self._fullest <= SPARSE:
                self._by_load = max(1, self._by_load // 2)
            self._fullest = self._keys_read = 0
        entries = swarm_size * max(1, own_per_round) * self._largest_task_share
        needed = max(1, -int(-entries // self._limits.shard_entries_target))
        self.publish = min(SHARDS_MAX, max(self._by_load, 1 << (needed - 1).bit_length()))

    def fair_share(self, swarm_size: int, records_per_round_max: int) -> int:
        """Return how many records each peer can announce per round so that all fit into the shards."""
        capacity = SHARDS_MAX * CROWDED / self._largest_task_share
        return max(1, min(records_per_round_max, int(capacity / max(1, swarm_size))))
