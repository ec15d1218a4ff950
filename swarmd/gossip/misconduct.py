"""What the transport reports of peers: all of it is counted, little of it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from protocol import PeerId
from swarmd.gossip.events import Change, Command, StandingChanged
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits
from swarmd.network.interface import Misbehaviour

TOLD_EVERY_S = 60.0  # between two reports of the same misbehaviour of the same peer
_CHANGES: Mapping[Misbehaviour, Change] = {
    Misbehaviour.FLOOD: "flood",
    Misbehaviour.LIES: "lies",
    Misbehaviour.REFUSES: "refuses",
}


class Misconduct:
    """Counts by kind of misbehaviour."""

    def __init__(self, limits: GossipLimits) -> None:
        self.counts: Counter[str] = Counter()
        self._told: Kept[tuple[PeerId, str], float] = Kept(limits.peers_judged_max)

    def reported(self, peer: PeerId, what: Misbehaviour, now: float) -> list[Command]:
        """Count the report. Returns what is to be told of it, once in TOLD_EVERY_S: they may be hundreds."""
        self.counts[what.value] += 1
        before = self._told.get((peer, what.value))
        if before is not None and abs(now - before) < TOLD_EVERY_S:
            return []
        self._told.put((peer, what.value), now, close=False)
        return [StandingChanged(peer, _CHANGES[what], "to the transport")]
