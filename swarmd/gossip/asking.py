"""Asks connected peers for their full status, one at a time. It lists which peers each one learned from.

The answers are claims: they are shown to people and decide nothing. Only connected peers are asked, so a
request never makes the transport dial.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol import CreditStatus, FullStatus, PeerId, RejectedRecord, verify_full_status
from swarmd.gossip.commands import Command, RememberClaim, RememberCredit
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.timer import Timer


@dataclass(frozen=True)
class Told:
    """The full status in a peer's answer."""

    status: FullStatus
    read_at: float


class Asking:
    """At most one request is open. The peer that was asked longest ago is next."""

    def __init__(self, swarm: bytes, limits: GossipLimits) -> None:
        self._swarm = swarm
        self._limits = limits
        self._due: Kept[PeerId, float] = Kept(limits.peers_max)
        """When each peer can be asked again. A peer that is not listed was never asked."""
        self._misses: Kept[PeerId, int] = Kept(limits.peers_max)
        """How many times in a row each peer gave no answer."""
        self._told: Kept[PeerId, Told] = Kept(limits.full_statuses_max)
        self._timer = Timer()
        self._open: PeerId | None = None
        self._connected = 0
        """Peers connected when one was last asked."""
        self._junk: Counter[str] = Counter()

    @property
    def junk(self) -> Mapping[str, int]:
        """Counts of refused answers, by reason."""
        return dict(self._junk)

    def told(self, peer: PeerId) -> Told | None:
        """Return the peer's latest answer."""
        return self._told.get(peer)

    def next(self, connected: Iterable[PeerId], now: float) -> PeerId | None:
        """Return the peer to ask now, or None if it is not time."""
        if not self._timer.due(now):
            return None
        waits = {peer: self._due.get(peer) or 0.0 for peer in connected}
        self._connected = len(waits)
        ready = [peer for peer, due in waits.items() if due <= now or due - now > self._limits.unanswered_s]
        if not ready:
            return None
        self._open = min(ready, key=lambda peer: (waits[peer], peer))
        self._timer.pause(now, self._limits.ask_answer_s)
        self._missed(self._open, now)
        return self._open

    def answered(self, peer: PeerId, envelope: bytes | None, now: float) -> FullStatus | None:
        """Take the answer of `peer` (None: no answer). Return the status if it is valid and new."""
        if peer == self._open:
            self._open = None
            self._timer.pause(now, self._interval())
        if envelope is None:
            return None
        try:
            status = verify_full_status(envelope, swarm=self._swarm, now=now, publisher=peer).status
        except RejectedRecord as error:
            self._junk[error.reason.value] += 1
            return None
        self._misses.pop(peer)
        self._due.put(peer, now + self._limits.ask_peer_interval_s, close=False)
        before = self._told.get(peer)
        if before is not None and before.status.created > status.created:
            return None
        self._told.put(peer, Told(status, now), close=bool(status.used))
        return status

    def _interval(self) -> float:
        """Return the seconds between two requests: longer with many peers, as each takes 4 KB on the wire."""
        limits = self._limits
        enough = limits.ask_peer_interval_s / limits.ask_interval_s
        return min(limits.ask_interval_s_max, limits.ask_interval_s * max(1.0, self._connected / enough) ** 2)

    def forget(self, peer: PeerId) -> None:
        """Forget the answer of a peer that was banned, so it is no longer shown."""
        self._told.pop(peer)

    def _missed(self, peer: PeerId, now: float) -> None:
        """Double the interval between requests until the peer answers."""
        misses = self._misses.get(peer) or 0
        self._misses.put(peer, misses + 1, close=False)
        pause = min(self._limits.unanswered_s, self._limits.ask_peer_interval_s * 2.0**misses)
        self._due.put(peer, now + pause, close=False)


def claims(own: PeerId, peer: PeerId, status: FullStatus) -> list[Command]:
    """Return what `peer` claims to have used of `own`'s groups, and the effect it claims to have measured."""
    found = status.credits if isinstance(status, CreditStatus) else ()
    return [
        *(RememberClaim(peer, use.groups) for use in status.used if use.publisher == own),
        *(RememberCredit(peer, c.people, c.groups, c.gain_milli) for c in found if c.publisher == own),
    ]
