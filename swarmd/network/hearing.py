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


class Hearing:
    """Times are seconds of `monotonic`."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._heard: OrderedDict[PeerId, float] = OrderedDict()
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
        return frozenset(self._heard)

    @property
    def uncertain(self) -> tuple[PeerId, ...]:
        """The unheard, and those of whom it is to be found out whether they answer."""
        return (*self._unheard, *(peer for peer in self._doubted if peer not in self._unheard))

    def answered(self, peer: PeerId) -> None:
        """An answer came, whatever it says."""
        self.answered_at = self._now()
        self._hear(peer)

    def asked(self, peer: PeerId) -> None:
        """It asked this peer for something."""
        self.asked_at = self._now()
        self._hear(peer)

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

    def silent_s(self, peer: PeerId) -> float:
        """Seconds since it was heard; infinite if it never was."""
        return self._now() - self._heard.get(peer, float("-inf"))

    def forget(self, peer: PeerId) -> None:
        """It is not connected, and nobody waits for it."""
        self._unheard.pop(peer, None)
        self._doubted.pop(peer, None)

    def _hear(self, peer: PeerId) -> None:
        self._heard.pop(peer, None)
        _put(self._heard, peer, self._now())
        self._unheard.pop(peer, None)
        self._doubted.pop(peer, None)
        if peer in self.away:
            self.away -= {peer}


def _put(table: OrderedDict[PeerId, V], peer: PeerId, value: V) -> None:
    table[peer] = value
    if len(table) > PEERS_MAX:
        table.popitem(last=False)
