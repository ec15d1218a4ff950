"""Whom this peer hears: who answered or asked, who did not answer, and who is away. Pure.

It judges nobody. A peer that is unheard is greeted and knocked at until it answers (`in_touch.py`). A peer
that is away is asked for nothing meanwhile. After every failed dial p2pd waits longer before the next (5 s
and the square of the failures, up to 5 minutes), and it would still be waiting when the peer is back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from protocol import PeerId
from swarmd.network.newest import put_newest

PEERS_MAX = 1_024
"""Peers remembered in each table: who answered, who asked, who is in doubt, who is unheard, who visits."""

FRESH_S = 4.0
"""Seconds for which an answer shows that a connection works. That is longer than two peers take to greet each
other, so that one greeting does not provoke the next for ever."""

LATELY_S = 5.0
"""Seconds for which a question shows that its sender is there."""


class Hearing:
    """Times are seconds of `monotonic`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._answered: OrderedDict[PeerId, float] = OrderedDict()
        self._asked: OrderedDict[PeerId, float] = OrderedDict()
        self._doubted: OrderedDict[PeerId, None] = OrderedDict()
        self._unheard: OrderedDict[PeerId, int] = OrderedDict()
        self._visitors: OrderedDict[PeerId, None] = OrderedDict()
        self.away: frozenset[PeerId] = frozenset()
        """Peers that are not connected, and are knocked at."""
        self.answered_at: float | None = None
        """When a peer last answered this one."""
        self.asked_at: float | None = None
        """When a peer last asked this one for anything."""

    @property
    def unheard(self) -> frozenset[PeerId]:
        """Peers that did not answer when last asked."""
        return frozenset(self._unheard) | self.away

    @property
    def ever_heard(self) -> frozenset[PeerId]:
        return frozenset((*self._answered, *self._asked))

    @property
    def uncertain(self) -> tuple[PeerId, ...]:
        """Peers that are unheard, and peers that may not answer any more."""
        return (*self._unheard, *(peer for peer in self._doubted if peer not in self._unheard))

    def visits(self, peer: PeerId) -> None:
        """It only looks at the swarm (SPEC section 7.6.3: it states no place), so nobody waits for it."""
        put_newest(self._visitors, peer, None, PEERS_MAX)
        for table in (self._answered, self._asked, self._doubted, self._unheard):
            table.pop(peer, None)

    def stays(self, peer: PeerId) -> None:
        """It states its place in the DHT."""
        self._visitors.pop(peer, None)

    def is_visitor(self, peer: PeerId) -> bool:
        return peer in self._visitors

    def answered(self, peer: PeerId) -> None:
        """An answer came, whatever it says."""
        if peer in self._visitors:
            return
        self.answered_at = self._now()
        self._hear(self._answered, peer)

    def asked(self, peer: PeerId) -> None:
        """It asked this peer for something."""
        if peer in self._visitors:
            return
        self.asked_at = self._now()
        self._hear(self._asked, peer)

    def greeted(self, peer: PeerId) -> None:
        """It asked whether this peer is there, perhaps on a new connection: does the old one still work?"""
        if self.unanswering_s(peer) > FRESH_S:
            self.doubt(peer)

    def unanswered(self, peer: PeerId) -> None:
        """It did not answer at all."""
        if peer in self._visitors:
            return
        put_newest(self._unheard, peer, self._unheard.get(peer, 0) + 1, PEERS_MAX)
        self._doubted.pop(peer, None)

    def times_unanswered(self, peer: PeerId) -> int:
        """How often in a row it did not answer."""
        return self._unheard.get(peer, 0)

    def doubt(self, peer: PeerId) -> None:
        """It did not do what it was asked for: does it answer at all?"""
        if peer in self._visitors:
            return
        put_newest(self._doubted, peer, None, PEERS_MAX)

    def unanswering_s(self, peer: PeerId) -> float:
        """Seconds since it answered; infinite if it never did."""
        return self._now() - self._answered.get(peer, float("-inf"))

    def asked_lately(self, peer: PeerId) -> bool:
        """Whether it asked this peer something lately: then it is there, even if it does not answer."""
        return self._now() - self._asked.get(peer, float("-inf")) < LATELY_S

    def _hear(self, table: OrderedDict[PeerId, float], peer: PeerId) -> None:
        put_newest(table, peer, self._now(), PEERS_MAX)
        self._unheard.pop(peer, None)
        self._doubted.pop(peer, None)
        if peer in self.away:
            self.away -= {peer}
