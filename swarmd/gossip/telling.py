"""Publishes this peer's status: a signed one every 40 s, and a last one when it leaves.

While its shard of the DHT has no room, the status is offered at growing intervals.
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
        self._refused = 0
        """How many times in a row there was no room for the status."""

    def due(self, now: float) -> list[Command]:
        """Return the status to publish, if it is time. Raises InvalidLocal for numbers out of bounds."""
        if self.own is None or not self.timer.due(now):
            return []
        limits = self._limits
        pause = min(limits.status_interval_s_max, limits.status_interval_s * 4.0**self._refused)
        self.timer.pause(now, pause * self._rng.uniform(0.75, 1.25))  # peers must not publish in step
        envelope, full, with_credits = sign_own_status(self._key, self._manifest, self._limits, self.own, now)
        self._namesake.signed(envelope, now)
        return [PublishStatus(envelope), TellStatus(full, with_credits)]

    def answered(self, *, kept: bool) -> None:
        """Note whether there was room for the status.

        In a swarm of thousands a shard is full. Asking its holders every half minute would burden them, and
        would only be refused.
        """
        self._refused = 0 if kept else min(self._refused + 1, 16)

    def wake(self) -> None:
        """Publish at once, because what was stored before may be gone."""
        self._refused = 0
        self.timer.wake()

    def goodbye(self, now: float) -> bytes | None:
        """Return the last status, to be published when this peer leaves; None before the first status.

        It is dated one second ahead, because a status replaces only an older one.
        """
        if self.own is None:
            return None
        own = replace(self.own, phase=LEFT)
        envelope, *_ = sign_own_status(self._key, self._manifest, self._limits, own, now + 1.0)
        return envelope
