"""Tells the swarm about this peer: a signed status every half minute, and a last one when it leaves."""

from __future__ import annotations

import random
from dataclasses import replace

from protocol import KeyPair, Manifest
from swarmd.gossip.events import Command, OwnStatus, PublishStatus, TellStatus
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.membership import LEFT
from swarmd.gossip.namesake import NamesakeWatch
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

    def due(self, now: float) -> list[Command]:
        """The status to publish, if it is time. Raises InvalidLocal for numbers out of bounds."""
        if self.own is None or not self.timer.due(now):
            return []
        self.timer.rest(now, self._limits.status_interval_s * self._rng.uniform(0.75, 1.25))  # none in step
        envelope, full, with_credits = sign_own_status(self._key, self._manifest, self._limits, self.own, now)
        self._namesake.signed(envelope, now)
        return [PublishStatus(envelope), TellStatus(full, with_credits)]

    def goodbye(self, now: float) -> bytes | None:
        """The last status, for whom this peer leaves behind; None before the first.

        It is dated a second ahead, because a status replaces only one that is older.
        """
        if self.own is None:
            return None
        own = replace(self.own, phase=LEFT)
        envelope, *_ = sign_own_status(self._key, self._manifest, self._limits, own, now + 1.0)
        return envelope
