"""Who came later than others, and for how long that counts.

Whoever was there first has taught for longer, and that cannot be bought later. So a peer that comes while
others deliver is on trial, for some times the delay with which it came. Those that are found together, as at
a peer's start, wait for seconds. The first is never on trial, nor is anybody while no earlier one delivers.
An address does not help: a new name beside an old one waits as it would elsewhere.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.limits import GossipLimits

LOOK_EVERY_S = 1.0  # the eldest need not be known more exactly; there may be thousands of peers


@dataclass(frozen=True)
class _Taught:
    """Unix seconds of a peer's first delivery over its own connection, and of its last."""

    first: float
    last: float


class Trials:
    """Bounded memory of when peers delivered; pure, `now` is unix time in seconds."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._taught: OrderedDict[PeerId, _Taught] = OrderedDict()
        """The one that delivered last is last."""
        self._eldest = math.inf
        self._looked_at = -math.inf

    def taught(self, peer: PeerId, first: float, last: float) -> None:
        """The peer delivered over its own connection at `last`, and at `first` before that."""
        before = self._taught.pop(peer, None)
        if before is not None:
            first, last = min(before.first, first), max(before.last, last)
        self._taught[peer] = _Taught(first, last)
        if len(self._taught) > self._limits.acquaintances_max:
            self._taught.popitem(last=False)

    def forget(self, peer: PeerId) -> None:
        """The peer lied: if it delivers again, it begins anew."""
        self._taught.pop(peer, None)

    def is_on_trial(self, peer: PeerId, now: float) -> bool:
        """Whether the peer waits because an earlier one delivered lately; not before its first delivery."""
        entry = self._taught.get(peer)
        if entry is None:
            return False
        delay = entry.first - self._first_of_all(now)
        return now - entry.first < min(self._limits.trial_s_max, self._limits.trial_delays * delay)

    def _first_of_all(self, now: float) -> float:
        """When the first of those began that delivered lately; infinite without any."""
        if not 0 <= now - self._looked_at < LOOK_EVERY_S:
            self._looked_at = now
            lately = self._limits.trial_elder_s
            self._eldest = min(
                (entry.first for entry in self._taught.values() if abs(now - entry.last) < lately),
                default=math.inf,
            )
        return self._eldest
