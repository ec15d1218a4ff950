"""Chooses which announcement keys to read next, and when.

Keys are drawn at random from (recent round, task by its weight, shard). Peers that read different keys pull
different groups, and no holder is asked by all peers at once. Half of the draws look in the shard of a
contact, which finds it even if it estimates a different swarm size. The other half look for newcomers, in as
many shards as the estimate suggests. A key that could gain no more entries when it was read is not read
again. The pace follows demand: each read asks only for as many keys as recent reads suggest. Pauses grow
while reads return little that is new, but not beyond the length of a step.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

from protocol import SHARDS_MAX, Manifest, announcement_key, shard_of
from swarmd.gossip.contacts import Contacts
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.shards import spread_s
from swarmd.gossip.timer import Timer

# for this long after the last announcement of its round, a key can still gain entries: batches, slow stores,
# late clocks
SETTLE_S = 10.0
DRAWS_PER_KEY = 8  # attempts to find a key that is worth reading
CONTACT_DRAWS = 1 / 2  # of the draws use the shard of a contact
WIDER_DRAWS = 1 / 8  # of the others use twice as many shards, half of these four times as many, and so on
WORTHWHILE = 1.0  # new candidates per key; a read that returns fewer doubles the pause


@dataclass(frozen=True)
class Topic:
    """What one announcement key stands for."""

    round: int
    task_id: bytes
    shard: int


class Reader:
    """One read at a time. Remembers which keys were fully read."""

    def __init__(
        self, swarm: bytes, manifest: Manifest, limits: GossipLimits, rng: random.Random, contacts: Contacts
    ) -> None:
        self._swarm = swarm
        self._contacts = contacts
        self._manifest = manifest
        self._limits = limits
        self._rng = rng
        self._task_ids = [t.task_id for t in manifest.tasks]
        self._weights = [t.weight for t in manifest.tasks]
        self._finished: dict[Topic, None] = {}
        self._asked: dict[Topic, bytes] = {}
        self._announced_until = 0.0
        """Keys of rounds that ended by then could gain no more entries when the pending read began."""
        self._pause = limits.read_interval_s_min
        self._new_per_key = 1.0
        self._hurried = False
        self._step_s = math.inf  # no trainer is waiting for groups
        self.timer = Timer()

    def demand(self, step_seconds: float) -> None:
        """Set how long a step of the trainer takes that uses external groups."""
        self._step_s = step_seconds

    def keys(self, missing: int, shards: int, now: float) -> tuple[bytes, ...]:
        """Return the keys to read now to find about `missing` new candidates; empty if none are needed."""
        if missing <= 0 or not self.due(now):
            return ()
        count = min(self._limits.read_keys_max, max(1, round(missing / self._new_per_key)))
        self._asked = {topic: self._key(topic) for topic in self._draw(count, shards, now)}
        late_s = spread_s(shards, self._manifest.round_seconds, self._limits) + SETTLE_S
        self._announced_until = now - late_s
        if self._asked:
            self.timer.pause(now, self._limits.read_answer_s)
        else:
            self.timer.pause(now, self._limits.read_interval_s_min)
        return tuple(self._asked.values())

    def due(self, now: float) -> bool:
        """Whether it is time for a read, if candidates are missing."""
        return self.timer.due(now)

    def topics_read(self) -> tuple[Topic, ...]:
        """The topics of the pending read."""
        return tuple(self._asked)

    def answered(self, new: int, now: float, *, failed: bool = False) -> None:
        """The pending read returned `new` candidates, or failed."""
        is_full = not failed and not self._hurried  # hurried: it may have begun while nobody could be reached
        for topic in self._asked if is_full else ():
            if self._manifest.round_start(topic.round + 1) <= self._announced_until:
                self._finished[topic] = None
        oldest = self._oldest(now)
        self._finished = {topic: None for topic in self._finished if topic.round >= oldest}
        while len(self._finished) > self._limits.keys_remembered:
            del self._finished[next(iter(self._finished))]
        per_key = new / max(1, len(self._asked))
        self._new_per_key = max(1 / 4, self._new_per_key + (per_key - self._new_per_key) / 4)
        slowest = min(
            self._limits.read_interval_s_max, max(self._limits.read_interval_s_hungry, self._step_s)
        )
        worthwhile = per_key >= WORTHWHILE
        self._pause = self._limits.read_interval_s_min if worthwhile else min(slowest, self._pause * 2)
        self._asked = {}
        self.timer.pause(now, self._pause)
        if self._hurried:
            self.hurry()

    def start_over(self) -> None:
        """Nobody could be reached for a while: read at once, and read again what was read meanwhile."""
        self._finished.clear()
        self.hurry()

    def hurry(self) -> None:
        """Something changed (new neighbours, a new transport): read at once, and return to the fastest pace.

        A pending read may have started before the change, so the next one follows as soon as it ends.
        """
        self._pause = self._limits.read_interval_s_min
        self._hurried = bool(self._asked)
        if not self._asked:
            self.timer.wake()

    def _draw(self, count: int, shards: int, now: float) -> list[Topic]:
        newest = self._manifest.round_at(now)
        if newest < 0:  # before genesis
            return []
        oldest = self._oldest(now)
        drawn: dict[Topic, None] = {}
        is_spread = spread_s(shards, self._manifest.round_seconds, self._limits) > 0
        for _ in range(count * DRAWS_PER_KEY):
            round_ = self._rng.randint(oldest, newest)
            if is_spread and round_ == newest:  # little of it is announced yet
                round_ = self._rng.randint(oldest, newest)
            task_id = self._rng.choices(self._task_ids, self._weights)[0]
            topic = Topic(round_, task_id, self._shard(task_id, shards, now))
            if topic not in self._finished:
                drawn[topic] = None
            if len(drawn) == count:
                break
        return list(drawn)

    def _oldest(self, now: float) -> int:
        """The first round whose keys are read."""
        return max(0, self._manifest.round_at(now) - self._limits.read_rounds_back)

    def _shard(self, task_id: bytes, shards: int, now: float) -> int:
        """Return the shard of a contact, or any of the `shards` believed to be in use."""
        rng = self._rng
        if rng.random() < CONTACT_DRAWS and (peer := self._contacts.drawn(rng, now)) is not None:
            width = self._contacts.width(peer)
            if width is None:  # never read: it may or may not estimate the same swarm size
                width = shards if rng.random() < 1 / 2 else 1 << rng.randrange(SHARDS_MAX.bit_length())
            return shard_of(peer, task_id, width)
        if rng.random() < WIDER_DRAWS:
            shards *= 2
            while shards < SHARDS_MAX and rng.random() < 1 / 2:
                shards *= 2
        return rng.randrange(min(SHARDS_MAX, shards))

    def _key(self, topic: Topic) -> bytes:
        return announcement_key(self._swarm, topic.round, topic.task_id, topic.shard)
