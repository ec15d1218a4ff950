"""Back-off from peers that could not deliver. This is not a penalty."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import PeerId
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits


@dataclass(frozen=True)
class BackOff:
    """No pulls from the peer before `until`. It failed `times` times in a row."""

    until: float
    times: int


class BackOffs:
    """Each consecutive back-off of a peer is twice as long as the one before, up to `back_off_s_max`."""

    def __init__(self, limits: GossipLimits) -> None:
        self._limits = limits
        self._back_offs: Kept[PeerId, BackOff] = Kept(limits.peers_max)

    def begin(self, peer: PeerId, now: float, *, again: bool, close: bool) -> BackOff:
        """Start a back-off. `again`: count one more consecutive failure. `close`: the peer is a contact."""
        before = self._back_offs.get(peer)
        times = (before.times if before else 0) + (1 if again else 0)
        seconds = min(
            self._limits.back_off_s_max, self._limits.pull_retry_s * 2.0 ** min(max(0, times - 1), 16)
        )
        back_off = BackOff(now + seconds, times)
        self._back_offs.put(peer, back_off, close=close)
        return back_off

    def end(self, peer: PeerId) -> None:
        """End the back-off of a peer that delivered or returned."""
        self._back_offs.pop(peer)

    def end_all(self) -> None:
        """End all back-offs, because this machine itself was offline."""
        self._back_offs = Kept(self._limits.peers_max)

    def holds(self, peer: PeerId, now: float) -> bool:
        """Return whether pulls from the peer are suspended."""
        found = self._back_offs.get(peer)
        return found is not None and now < found.until <= now + self._limits.back_off_s_max

    def __len__(self) -> int:
        return len(self._back_offs)
