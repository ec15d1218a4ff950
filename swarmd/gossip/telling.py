"""This peer's status: a new one every 40 s to tell peers that ask, and one in the DHT from time to time.

In a small swarm every status is in the DHT at all times. A larger one is listed by samples, so about
`statuses_listed` of them are enough, and each peer puts its own there for a part of the time. While its shard
of the DHT has no room, it is offered at growing intervals. A last one is published when the peer leaves.
"""

from __future__ import annotations

import random
from dataclasses import replace

from protocol import MEMBERSHIP_SHARDS, KeyPair, Manifest
from swarmd.gossip.commands import Command, PublishStatus, TellStatus
from swarmd.gossip.limits import GossipLimits, status_shards_in
from swarmd.gossip.membership import LEFT
from swarmd.gossip.namesake import NamesakeWatch
from swarmd.gossip.own_status import OwnStatus
from swarmd.gossip.status import sign_own_status
from swarmd.gossip.timer import Timer


class Telling:
    """This peer's status, as of the last `own`."""

    def __init__(
        self,
        key: KeyPair,
        manifest: Manifest,
        limits: GossipLimits,
        rng: random.Random,
        namesake: NamesakeWatch,
    ) -> None:
        self._key = key
        self._manifest = manifest
        self._limits = limits
        self._rng = rng
        self._namesake = namesake
        self.own: OwnStatus | None = None
        self.timer = Timer()
        """When the status is signed anew."""
        self._publish_timer = Timer()
        self._refused = 0
        """How many times in a row there was no room for the status."""
        self._shards = MEMBERSHIP_SHARDS
        """The number of shards among which it was published last."""

    def due(self, now: float, swarm_size: int = 1) -> list[Command]:
        """Return the status to tell and to publish, if it is time. Raises InvalidLocal for numbers out of
        bounds.
        """
        is_to_publish = self._publish_timer.due(now)
        if self.own is None or not (is_to_publish or self.timer.due(now)):
            return []
        chance = self._rng.uniform(0.75, 1.25)  # peers must not publish in step
        self.timer.pause(now, chance * self._limits.status_interval_s)
        envelope, full, with_credits = sign_own_status(self._key, self._manifest, self._limits, self.own, now)
        told: list[Command] = [TellStatus(full, with_credits)]
        if not is_to_publish:
            return told
        self._publish_timer.pause(now, chance * self._interval_s(swarm_size))
        self._namesake.signed(envelope, now)
        self._shards = MEMBERSHIP_SHARDS if self._refused else status_shards_in(swarm_size)
        return [PublishStatus(envelope, self._shards), *told]

    def _interval_s(self, swarm_size: int) -> float:
        """Return the seconds between two publications, on average."""
        interval = self._limits.status_interval_in(swarm_size) * 4.0**self._refused
        return min(self._limits.status_interval_s_max, interval)

    def answered(self, *, kept: bool) -> None:
        """Note whether there was room for the status.

        In a swarm of thousands a shard can be full. Asking its holders every half minute would burden them,
        and would only be refused. A status that was refused is next published among the fewest shards,
        because older peers accept no other.
        """
        self._refused = 0 if kept else min(self._refused + 1, 16)

    def wake(self) -> None:
        """Publish at once, because what was stored before may be gone."""
        self._refused = 0
        self.timer.wake()
        self._publish_timer.wake()

    def goodbye(self, now: float) -> PublishStatus | None:
        """Return the last status, to be published where the one before is; None before the first status.

        It is dated one second ahead, because a status replaces only an older one.
        """
        if self.own is None:
            return None
        own = replace(self.own, phase=LEFT)
        envelope, *_ = sign_own_status(self._key, self._manifest, self._limits, own, now + 1.0)
        return PublishStatus(envelope, self._shards)
