"""Tracks which peers answer, ask, fail to answer, and are away. Pure.

It judges nobody. A peer that did not answer is pinged and probed until it does (`in_touch.py`). A peer that
is away is not asked for anything in the meantime: p2pd waits longer after every failed dial (5 s plus the
square of the number of failures, up to 5 minutes), and would still be waiting when the peer returns.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from protocol import PeerId
from swarmd.network.newest import put_newest

PEERS_MAX = 1_024
"""Entries in each table: peers that answered, asked, are in use, in doubt, did not answer, or visit."""

FRESH_S = 4.0
"""Seconds for which an answer proves that a connection works. This is longer than two peers take to ping each
other, so one ping does not trigger the next forever.
"""

LATELY_S = 5.0
"""Seconds for which a request proves that its sender is there."""


class Hearing:
    """Times are in seconds of `monotonic`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._answered: OrderedDict[PeerId, float] = OrderedDict()
        self._asked: OrderedDict[PeerId, float] = OrderedDict()
        self._doubted: OrderedDict[PeerId, None] = OrderedDict()
        self._unheard: OrderedDict[PeerId, int] = OrderedDict()
        self._visitors: OrderedDict[PeerId, None] = OrderedDict()
        self._used: OrderedDict[PeerId, float] = OrderedDict()
        self.away: frozenset[PeerId] = frozenset()
        """Peers that are not connected and are being probed."""
        self.answered_at: float | None = None
        """When a peer last answered this one."""
        self.asked_at: float | None = None
        """When a peer last sent this one a request."""

    @property
    def unheard(self) -> frozenset[PeerId]:
        """Peers that did not answer their last request, or are away."""
        return frozenset(self._unheard) | self.away

    @property
    def ever_heard(self) -> frozenset[PeerId]:
        return frozenset((*self._answered, *self._asked))

    @property
    def uncertain(self) -> tuple[PeerId, ...]:
        """Peers that did not answer their last request, and peers in doubt."""
        return (*self._unheard, *(peer for peer in self._doubted if peer not in self._unheard))

    def visits(self, peer: PeerId) -> None:
        """The peer only visits: it states no DHT place (SPEC section 7.6.3), so nobody waits for it."""
        put_newest(self._visitors, peer, None, PEERS_MAX)
        for table in (self._answered, self._asked, self._doubted, self._unheard):
            table.pop(peer, None)

    def stays(self, peer: PeerId) -> None:
        """The peer states its DHT place."""
        self._visitors.pop(peer, None)

    def is_visitor(self, peer: PeerId) -> bool:
        return peer in self._visitors

    def answered(self, peer: PeerId) -> None:
        """The peer answered, whatever the answer."""
        self.used(peer)
        if peer in self._visitors:
            return
        self.answered_at = self._now()
        self._hear(self._answered, peer)

    def asked(self, peer: PeerId) -> None:
        """The peer sent a request."""
        self.used(peer)
        if peer in self._visitors:
            return
        self.asked_at = self._now()
        self._hear(self._asked, peer)

    def used(self, peer: PeerId) -> None:
        """The connection to the peer, or to a visitor, is in use: a request begins or ends."""
        put_newest(self._used, peer, self._now(), PEERS_MAX)

    def greeted(self, peer: PeerId) -> None:
        """The peer sent a ping, perhaps over a new connection, so check that the old one still works."""
        if self.unanswering_s(peer) > FRESH_S:
            self.doubt(peer)

    def unanswered(self, peer: PeerId) -> None:
        """The peer did not answer at all."""
        if peer in self._visitors:
            return
        put_newest(self._unheard, peer, self._unheard.get(peer, 0) + 1, PEERS_MAX)
        self._doubted.pop(peer, None)

    def times_unanswered(self, peer: PeerId) -> int:
        """How many times in a row the peer did not answer."""
        return self._unheard.get(peer, 0)

    def doubt(self, peer: PeerId) -> None:
        """The peer did not do what it was asked, so check whether it answers at all."""
        if peer in self._visitors:
            return
        put_newest(self._doubted, peer, None, PEERS_MAX)

    def unanswering_s(self, peer: PeerId) -> float:
        """Seconds since the peer last answered; infinite if it never did."""
        return self._now() - self._answered.get(peer, float("-inf"))

    def unused_s(self, peer: PeerId) -> float:
        """Seconds since the connection to the peer was last in use; infinite if it never was."""
        return self._now() - self._used.get(peer, float("-inf"))

    def asked_lately(self, peer: PeerId) -> bool:
        """Whether the peer sent a request recently. It is then there, even if it does not answer."""
        return self._now() - self._asked.get(peer, float("-inf")) < LATELY_S

    def _hear(self, table: OrderedDict[PeerId, float], peer: PeerId) -> None:
        put_newest(table, peer, self._now(), PEERS_MAX)
        self._unheard.pop(peer, None)
        self._doubted.pop(peer, None)
        if peer in self.away:
            self.away -= {peer}
