"""Who came later than others, and for how long that counts.

Whoever was there first cannot be overtaken later. So a peer that comes while others deliver is on trial from
its first delivery on, for some times the delay with which it came. It came when it was connected, or when it
delivered if it never was: a slow peer that was there from the start is not late. Those that are found
together, as at a peer's start, wait for seconds. The first is never on trial, nor is anybody while no earlier
one delivers. An address does not help: a new name beside an old one waits as it would elsewhere.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.limits import GossipLimits

LOOK_EVERY_S = 1.0  # the eldest need not be known more exactly; there may be thousands of peers


@dataclass(frozen=True)
class _Taught:
    """When a peer came, delivered over its own connection for the first time, and for the last; unix
    seconds."""

    came: float
    first: float
    last: float


class Trials:
    """Bounded memory of when peers delivered; pure, `now` is unix time in seconds."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._taught: OrderedDict[PeerId, _Taught] = OrderedDict()
        """The one that delivered last is last."""
        self._came: OrderedDict[PeerId, float] = OrderedDict()
        """When peers were connected for the first time. The one that was connected last is last."""
        self._eldest = math.inf
        self._looked_at = -math.inf

    def connected(self, peers: Iterable[PeerId], now: float) -> None:
        """These peers are connected."""
        for peer in peers:
            self._came[peer] = self._came.pop(peer, now)
        while len(self._came) > self._limits.acquaintances_max:
            self._came.popitem(last=False)

    def taught(self, peer: PeerId, first: float, last: float) -> None:
        """The peer delivered over its own connection at `last`, and at `first` before that."""
        came = min(first, self._came.get(peer, first))
        before = self._taught.pop(peer, None)
        if before is not None:
            came, first, last = min(before.came, came), min(before.first, first), max(before.last, last)
        self._taught[peer] = _Taught(came, first, last)
        if len(self._taught) > self._limits.acquaintances_max:
            self._taught.popitem(last=False)

    def forget(self, peer: PeerId) -> None:
        """The peer lied: if it delivers again, it begins anew."""
        self._taught.pop(peer, None)
        self._came.pop(peer, None)

    def is_on_trial(self, peer: PeerId, now: float) -> bool:
        """Whether the peer waits because an earlier one delivered lately; not before its first delivery."""
        entry = self._taught.get(peer)
        if entry is None:
            return False
        delay = entry.came - self._first_of_all(now)
        return now - entry.first < min(self._limits.trial_s_max, self._limits.trial_delays * delay)

    def _first_of_all(self, now: float) -> float:
        """When the first of those came that delivered lately; infinite without any."""
        if not 0 <= now - self._looked_at < LOOK_EVERY_S:
            self._looked_at = now
            lately = self._limits.trial_elder_s
            self._eldest = min(
                (entry.came for entry in self._taught.values() if abs(now - entry.last) < lately),
                default=math.inf,
            )
        return self._eldest
