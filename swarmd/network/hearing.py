"""Whom this peer hears: who answered or asked, who did not answer, and who is away. Pure.

It judges nobody. Who is unheard is greeted and knocked at until it answers (`in_touch.py`); who is away is
asked for nothing meanwhile, because p2pd waits the longer with its next dial the more of them have failed
(5 s and the square of the failures, up to 5 minutes), and would still be waiting when the peer is back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from protocol import PeerId

V = TypeVar("V")

PEERS_MAX = 1_024
"""Peers of which it is remembered when they were heard, and who are unheard."""

FRESH_S = 4.0
"""Seconds for which an answer shows that a connection works. More than two peers take to greet each other, so
that one greeting does not call for the next for ever."""

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
        self.away: frozenset[PeerId] = frozenset()
        """Not connected, and knocked at."""
        self.answered_at: float | None = None
        """When anybody answered this peer."""
        self.asked_at: float | None = None
        """When anybody asked this peer for anything."""

    @property
    def unheard(self) -> frozenset[PeerId]:
        """Those that did not answer when they were asked last."""
        return frozenset(self._unheard) | self.away

    @property
    def ever_heard(self) -> frozenset[PeerId]:
        return frozenset((*self._answered, *self._asked))

    @property
    def uncertain(self) -> tuple[PeerId, ...]:
        """The unheard, and those of whom it is to be found out whether they answer."""
        return (*self._unheard, *(peer for peer in self._doubted if peer not in self._unheard))

    def answered(self, peer: PeerId) -> None:
        """An answer came, whatever it says."""
        self.answered_at = self._now()
        self._hear(self._answered, peer)

    def asked(self, peer: PeerId) -> None:
        """It asked this peer for something."""
        self.asked_at = self._now()
        self._hear(self._asked, peer)

    def greeted(self, peer: PeerId) -> None:
        """It asked whether this peer is there, perhaps on a new connection: does the old one still work?"""
        if self.unanswering_s(peer) > FRESH_S:
            self.doubt(peer)

    def unanswered(self, peer: PeerId) -> None:
        """It did not answer at all."""
        _put(self._unheard, peer, self._unheard.pop(peer, 0) + 1)
        self._doubted.pop(peer, None)

    def times_unanswered(self, peer: PeerId) -> int:
        """How often in a row it did not answer."""
        return self._unheard.get(peer, 0)

    def doubt(self, peer: PeerId) -> None:
        """It did not do what it was asked for: does it answer at all?"""
        _put(self._doubted, peer, None)

    def unanswering_s(self, peer: PeerId) -> float:
        """Seconds since it answered; infinite if it never did."""
        return self._now() - self._answered.get(peer, float("-inf"))

    def asked_lately(self, peer: PeerId) -> bool:
        """It is there, whatever comes of asking it."""
        return self._now() - self._asked.get(peer, float("-inf")) < LATELY_S

    def _hear(self, table: OrderedDict[PeerId, float], peer: PeerId) -> None:
        table.pop(peer, None)
        _put(table, peer, self._now())
        self._unheard.pop(peer, None)
        self._doubted.pop(peer, None)
        if peer in self.away:
            self.away -= {peer}


def _put(table: OrderedDict[PeerId, V], peer: PeerId, value: V) -> None:
    table[peer] = value
    if len(table) > PEERS_MAX:
        table.popitem(last=False)
