"""Which peers came later than others, and how long they must wait for their turns.

Time of arrival is the one advantage that a later identity cannot acquire. A peer that comes while others
already deliver is on trial from its first delivery, for a multiple of the delay with which it came. It came
when it was connected, or when it first delivered if it was never connected; a slow peer that was connected
from the start is not late. Peers found together, as when this peer starts, wait only seconds. The first peer
is never on trial, and no peer is if no earlier one still delivers. Sharing an address with an older identity
does not shorten the trial.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.limits import GossipLimits

LOOK_EVERY_S = 1.0  # the eldest peer need not be known more precisely, and there may be thousands


@dataclass(frozen=True)
class _Taught:
    """When a peer came, and when it first and last delivered over its own connection, in Unix seconds."""

    came: float
    first: float
    last: float


class Trials:
    """A bounded memory of when peers delivered. Pure; `now` is Unix time in seconds."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._taught: OrderedDict[PeerId, _Taught] = OrderedDict()
        """Ordered by last delivery, newest last."""
        self._came: OrderedDict[PeerId, float] = OrderedDict()
        """When peers were first connected, ordered by their latest connection, newest last."""
        self._eldest = math.inf
        self._looked_at = -math.inf

    def connected(self, peers: Iterable[PeerId], now: float) -> None:
        """These peers are connected."""
        for peer in peers:
            self._came[peer] = self._came.pop(peer, now)
        while len(self._came) > self._limits.acquaintances_max:
            self._came.popitem(last=False)

    def taught(self, peer: PeerId, first: float, last: float) -> None:
        """The peer delivered over its own connection, first at `first` and last at `last`."""
        came = min(first, self._came.get(peer, first))
        before = self._taught.pop(peer, None)
        if before is not None:
            came, first, last = min(before.came, came), min(before.first, first), max(before.last, last)
        self._taught[peer] = _Taught(came, first, last)
        if len(self._taught) > self._limits.acquaintances_max:
            self._taught.popitem(last=False)

    def forget(self, peer: PeerId) -> None:
        """The peer lied. If it delivers again, it starts over."""
        self._taught.pop(peer, None)
        self._came.pop(peer, None)

    def is_on_trial(self, peer: PeerId, now: float) -> bool:
        """Whether the peer waits for an earlier one that delivered recently. False before it delivers."""
        entry = self._taught.get(peer)
        if entry is None:
            return False
        delay = entry.came - self._first_of_all(now)
        return now - entry.first < min(self._limits.trial_s_max, self._limits.trial_delays * delay)

    def _first_of_all(self, now: float) -> float:
        """When the earliest peer that still delivers came; infinite if there is none."""
        if not 0 <= now - self._looked_at < LOOK_EVERY_S:
            self._looked_at = now
            lately = self._limits.trial_elder_s
            self._eldest = min(
                (entry.came for entry in self._taught.values() if abs(now - entry.last) < lately),
                default=math.inf,
            )
        return self._eldest
