"""Backing off from peers that could not deliver: patience, not punishment."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits


@dataclass(frozen=True)
class BackOff:
    """Nothing is pulled from the peer before `until`; it failed `times` times in a row."""

    until: float
    times: int


class BackOffs:
    """Each one in a row is twice as long as the one before, up to `back_off_s_max`."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._back_offs: Kept[PeerId, BackOff] = Kept(limits.peers_max)

    def begin(self, peer: PeerId, now: float, *, again: bool, close: bool) -> BackOff:
        """`again`: count one more failure in a row. `close`: the peer is a contact."""
        before = self._back_offs.get(peer)
        times = (before.times if before else 0) + (1 if again else 0)
        seconds = min(
            self._limits.back_off_s_max, self._limits.pull_retry_s * 2.0 ** min(max(0, times - 1), 16)
        )
        back_off = BackOff(now + seconds, times)
        self._back_offs.put(peer, back_off, close=close)
        return back_off

    def end(self, peer: PeerId) -> None:
        """The peer delivered, or is back."""
        self._back_offs.pop(peer)

    def end_all(self) -> None:
        """This machine itself was away."""
        self._back_offs = Kept(self._limits.peers_max)

    def holds(self, peer: PeerId, now: float) -> bool:
        """Whether nothing is pulled from the peer now."""
        found = self._back_offs.get(peer)
        return found is not None and now < found.until <= now + self._limits.back_off_s_max

    def __len__(self) -> int:
        return len(self._back_offs)
