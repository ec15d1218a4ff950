"""How many shards a task's announcements are spread over, so that no key grows with the swarm.

Counts are powers of two and a publisher's index under the smaller count is its index under the larger
one modulo the smaller, so a reader with the larger count also finds every publisher with a smaller one.
Nobody has to agree on the count. A wrong one costs fuller keys or emptier reads for a few rounds. Only the
contacts' part of a key is observed (`contacts.py`), so nobody widens the spread by announcing in many names.
"""

from __future__ import annotations

from protocol import SHARD_ENTRIES_MAX, SHARDS_MAX, Manifest
from swarmd.gossip.limits import GossipLimits

CROWDED = SHARD_ENTRIES_MAX // 2  # a key this full in a finished round: the count must double now
SPARSE = SHARD_ENTRIES_MAX // 16  # keys never fuller than this: half as many would do


class ShardCount:
    """Follows the swarm's size and the fullest key that was read, both as far as contacts vouch for them."""

    def __init__(self, manifest: Manifest, limits: GossipLimits) -> None:
        self._limits = limits
        self._largest_task_share = max(t.weight for t in manifest.tasks) / sum(
            t.weight for t in manifest.tasks
        )
        self._round = -1
        self._by_load = 1
        self._fullest = 0
        self._keys_read = 0
        self.publish = 1
        """Shards over which we publish."""

    def observe(self, load: int) -> None:
        """A key was read; its load is the number of announcements that more shards could have spread."""
        self._keys_read += 1
        self._fullest = max(self._fullest, load)

    def update(self, round_: int, swarm_size: int, own_per_round: int) -> None:
        """Follow the keys read by at most one step per round, and the swarm's size at once."""
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
        """Records each peer may announce in one round so that all the shards together hold everybody's."""
        capacity = SHARDS_MAX * CROWDED / self._largest_task_share
        return max(1, min(records_per_round_max, int(capacity / max(1, swarm_size))))
