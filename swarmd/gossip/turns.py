"""Whose turn is next. An identity is free, so parties take turns and identities do not.

The rule holds at every stage at which groups of others compete for a place:

- all strangers together get at most one place for every four that met or known peers got, as long as such a
  peer delivered recently; the places that strangers may not have stay empty;
- newcomers (met, not known yet, and strangers) get at most half while known peers have something to offer;
- otherwise parties are equal, and so are the peers of one party.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from swarmd.gossip.contacts import Party
from swarmd.network.interface import Standing

T = TypeVar("T")

STRANGERS_PER_MET = 1 / 4  # so that they are at most a fifth of all
STRANGERS_SAVED_MAX = 4.0  # unused turns are not saved up for long, so there is no burst
NEWCOMERS_SHARE_MAX = 1 / 2  # while known peers offer something


class StrangersShare:
    """What strangers may have: a part of what others got, plus `trickle_per_s` per second."""

    def __init__(self, trickle_per_s: float = 0.0) -> None:
        self._trickle_per_s = trickle_per_s
        self._credit = 0.0
        self._at: float | None = None

    def left(self, now: float) -> int:
        """How many strangers may have now."""
        if self._at is not None and now > self._at:
            self._credit += self._trickle_per_s * (now - self._at)
        self._at = now
        self._credit = min(self._credit, STRANGERS_SAVED_MAX)
        return int(self._credit)

    def proved(self) -> None:
        """Give one back: the peer that got it is a stranger no more."""
        self._credit = min(self._credit + 1.0, STRANGERS_SAVED_MAX)

    def took(self, standing: Standing) -> None:
        """One went to a peer of that standing."""
        change = -1.0 if standing <= Standing.STRANGER else STRANGERS_PER_MET
        self._credit = min(max(0.0, self._credit + change), STRANGERS_SAVED_MAX)


def next_party(parties: Sequence[Party], rng: random.Random) -> Party:
    """Whose turn it is among parties that all have something. Newcomers get at most half of the turns."""
    known = [party for party in parties if party.standing >= Standing.KNOWN]
    newcomers = [party for party in parties if party.standing < Standing.KNOWN]
    if known and newcomers:
        even = len(newcomers) / len(parties)
        return rng.choice(newcomers if rng.random() < min(even, NEWCOMERS_SHARE_MAX) else known)
    return rng.choice(parties)


def allot(places: int, available: Mapping[T, int], rng: random.Random) -> dict[T, int]:
    """Deal `places` to takers in turns, to none more than it can use. Chance assigns the odd ones."""
    dealt = dict.fromkeys(available, 0)
    while places > 0:
        takers = [taker for taker in available if dealt[taker] < available[taker]]
        if not takers:
            break
        rng.shuffle(takers)
        for taker in takers[:places]:
            dealt[taker] += 1
        places -= min(places, len(takers))
    return dealt
