"""Pauses for peers that could not deliver: they are patience, not punishment."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits


@dataclass(frozen=True)
class Rest:
    """Nothing is pulled from the peer before `until`; it failed `times` times in a row."""

    until: float
    times: int


class Rests:
    """Each rest in a row is twice as long as the one before, up to `rest_s_max`."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._rests: Kept[PeerId, Rest] = Kept(limits.peers_max)

    def begin(self, peer: PeerId, now: float, *, again: bool, close: bool) -> Rest:
        """`again`: count one more failure in a row. `close`: the peer is a contact."""
        before = self._rests.get(peer)
        times = (before.times if before else 0) + (1 if again else 0)
        seconds = min(self._limits.rest_s_max, self._limits.pull_retry_s * 2.0 ** min(max(0, times - 1), 16))
        rest = Rest(now + seconds, times)
        self._rests.put(peer, rest, close=close)
        return rest

    def end(self, peer: PeerId) -> None:
        """The peer delivered, or is back."""
        self._rests.pop(peer)

    def end_all(self) -> None:
        """This machine itself was away."""
        self._rests = Kept(self._limits.peers_max)

    def is_resting(self, peer: PeerId, now: float) -> bool:
        rest = self._rests.get(peer)
        return rest is not None and now < rest.until <= now + self._limits.rest_s_max

    def __len__(self) -> int:
        return len(self._rests)
