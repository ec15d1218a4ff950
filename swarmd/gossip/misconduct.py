"""Offences that the transport reports: all are counted, and few are logged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from protocol import PeerId
from swarmd.gossip.commands import Change, Command, StandingChanged
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits
from swarmd.network.interface import Misbehaviour

TOLD_EVERY_S = 60.0  # between two log entries for the same offence by the same peer
_CHANGES: Mapping[Misbehaviour, Change] = {
    Misbehaviour.FLOOD: "flood",
    Misbehaviour.LIES: "lies",
    Misbehaviour.REFUSES: "refuses",
}


class Misconduct:
    """Counts of offences by kind."""

    def __init__(self, limits: GossipLimits) -> None:
        self.counts: Counter[str] = Counter()
        self._told: Kept[tuple[PeerId, str], float] = Kept(limits.peers_judged_max)

    def reported(self, peer: PeerId, what: Misbehaviour, now: float) -> list[Command]:
        """Count an offence. Return what to log, at most once in TOLD_EVERY_S, as there can be hundreds."""
        self.counts[what.value] += 1
        before = self._told.get((peer, what.value))
        if before is not None and abs(now - before) < TOLD_EVERY_S:
            return []
        self._told.put((peer, what.value), now, close=False)
        return [StandingChanged(peer, _CHANGES[what], "to the transport")]
