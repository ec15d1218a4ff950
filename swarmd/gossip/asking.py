"""Asks connected peers for their full status, one after the other: whom each says that it learned from.

What they answer is their claim. It is shown to people and decides nothing. Only peers that are connected are
asked, so no question makes the transport dial.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from protocol import CreditStatus, FullStatus, PeerId, RejectedRecord, verify_full_status
from swarmd.gossip.events import Command, RememberClaim, RememberCredit
from swarmd.gossip.kept import Kept
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.timer import Timer


@dataclass(frozen=True)
class Told:
    """The full status that a peer gave."""

    status: FullStatus
    read_at: float


class Asking:
    """At most one question is open. The peer that was asked longest ago is next."""

    def __init__(self, swarm: bytes, limits: GossipLimits) -> None:
        self._swarm = swarm
        self._limits = limits
        self._due: Kept[PeerId, float] = Kept(limits.peers_max)
        """When each peer may be asked again; who is not in here was never asked."""
        self._misses: Kept[PeerId, int] = Kept(limits.peers_max)
        """How often in a row each peer gave nothing."""
        self._told: Kept[PeerId, Told] = Kept(limits.full_statuses_max)
        self._timer = Timer()
        self._open: PeerId | None = None
        self._junk: Counter[str] = Counter()

    @property
    def junk(self) -> Mapping[str, int]:
        """Answers refused, by reason."""
        return dict(self._junk)

    def told(self, peer: PeerId) -> Told | None:
        """What the peer answered last."""
        return self._told.get(peer)

    def next(self, connected: Iterable[PeerId], now: float) -> PeerId | None:
        """Whom to ask now, if it is time."""
        if not self._timer.due(now):
            return None
        waits = {peer: self._due.get(peer) or 0.0 for peer in connected}
        ready = [peer for peer, due in waits.items() if due <= now or due - now > self._limits.unanswered_s]
        if not ready:
            return None
        self._open = min(ready, key=lambda peer: (waits[peer], peer))
        self._timer.pause(now, self._limits.ask_answer_s)
        self._missed(self._open, now)
        return self._open

    def answered(self, peer: PeerId, envelope: bytes | None, now: float) -> FullStatus | None:
        """`peer` answered with `envelope`, or not at all. Returns the status if it is sound and new."""
        if peer == self._open:
            self._open = None
            self._timer.pause(now, self._limits.ask_interval_s)
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

    def forget(self, peer: PeerId) -> None:
        """It is banned: what it said is not shown."""
        self._told.pop(peer)

    def _missed(self, peer: PeerId, now: float) -> None:
        """Until it answers, it is asked half as often each time."""
        misses = self._misses.get(peer) or 0
        self._misses.put(peer, misses + 1, close=False)
        pause = min(self._limits.unanswered_s, self._limits.ask_peer_interval_s * 2.0**misses)
        self._due.put(peer, now + pause, close=False)


def claims(own: PeerId, peer: PeerId, status: FullStatus) -> list[Command]:
    """What `peer` says that it used of `own`'s groups and what that did for it, if it says so."""
    found = status.credits if isinstance(status, CreditStatus) else ()
    return [
        *(RememberClaim(peer, use.groups) for use in status.used if use.publisher == own),
        *(RememberCredit(peer, c.people, c.groups, c.gain_milli) for c in found if c.publisher == own),
    ]
