"""Tells the swarm about this peer: a signed status every 40 s, and a last one when it leaves.

Where its shard of the DHT has no room, it is offered ever less often.
"""

from __future__ import annotations

import random
from dataclasses import replace

from protocol import KeyPair, Manifest
from swarmd.gossip.events import Command, PublishStatus, TellStatus
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.membership import LEFT
from swarmd.gossip.namesake import NamesakeWatch
from swarmd.gossip.own_status import OwnStatus
from swarmd.gossip.status import sign_own_status
from swarmd.gossip.timer import Timer


class Telling:
    """What this peer says of itself, as of the last `own`."""

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
        self._refused = 0
        """How many times in a row there was no room for the status."""

    def due(self, now: float) -> list[Command]:
        """The status to publish, if it is time. Raises InvalidLocal for numbers out of bounds."""
        if self.own is None or not self.timer.due(now):
            return []
        limits = self._limits
        pause = min(limits.status_interval_s_max, limits.status_interval_s * 2.0**self._refused)
        self.timer.pause(now, pause * self._rng.uniform(0.75, 1.25))  # none in step
        envelope, full, with_credits = sign_own_status(self._key, self._manifest, self._limits, self.own, now)
        self._namesake.signed(envelope, now)
        return [PublishStatus(envelope), TellStatus(full, with_credits)]

    def answered(self, *, kept: bool) -> None:
        """Whether there was room for the status. In a swarm of thousands a shard is full with others', and
        asking its holders every half minute would be a load on them, and nothing but refusals here."""
        self._refused = 0 if kept else min(self._refused + 1, 16)

    def wake(self) -> None:
        """Publish at once: what was stored before may be gone."""
        self._refused = 0
        self.timer.wake()

    def goodbye(self, now: float) -> bytes | None:
        """The last status, for whom this peer leaves behind; None before the first.

        It is dated a second ahead, because a status replaces only one that is older.
        """
        if self.own is None:
            return None
        own = replace(self.own, phase=LEFT)
        envelope, *_ = sign_own_status(self._key, self._manifest, self._limits, own, now + 1.0)
        return envelope
