"""Decides whose turn is next. Identities are free, so turns are taken by party, not by identity.

The same rules apply wherever external groups compete for a slot:

- all strangers together get at most one slot for every four that met or known peers got, if such a peer
  delivered recently; slots denied to strangers stay empty;
- parties on trial, which came later than others (`trials.py`), get at most a fifth of the pulls while those
  others have candidates; in draws they share the strangers' portion;
- newcomers (met but not known yet, and strangers) get at most half while known peers have candidates;
- otherwise parties are equal, and so are the peers of one party.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import TypeVar

from swarmd.gossip.contacts import Party
from swarmd.network.interface import Standing

T = TypeVar("T")

STRANGERS_PER_MET = 1 / 4  # so that they get at most a fifth of all
STRANGERS_SAVED_MAX = 4.0  # unused turns are not saved up for long, which prevents bursts
NEWCOMERS_SHARE_MAX = 1 / 2  # while known peers have candidates
TRIAL_SHARE_MAX = 1 / 5  # while earlier peers have candidates: as much as strangers get


class StrangersShare:
    """The strangers' share: a fraction of what others got, plus `trickle_per_s` per second."""

    def __init__(self, trickle_per_s: float = 0.0) -> None:
        self._trickle_per_s = trickle_per_s
        self._credit = 0.0
        self._at: float | None = None

    def left(self, now: float) -> int:
        """Return how many strangers can have a turn now."""
        if self._at is not None and now > self._at:
            self._credit += self._trickle_per_s * (now - self._at)
        self._at = now
        self._credit = min(self._credit, STRANGERS_SAVED_MAX)
        return int(self._credit)

    def proved(self) -> None:
        """Refund one turn, because the peer that got it is no longer a stranger."""
        self._credit = min(self._credit + 1.0, STRANGERS_SAVED_MAX)

    def took(self, *, is_held_back: bool) -> None:
        """Record a turn of a stranger (or a peer that shares with strangers), or of any other peer."""
        change = -1.0 if is_held_back else STRANGERS_PER_MET
        self._credit = min(max(0.0, self._credit + change), STRANGERS_SAVED_MAX)


def next_parties(parties: Sequence[Party], rng: random.Random) -> Sequence[Party]:
    """Return the parties from which the next turn is drawn. All `parties` have something to offer."""
    on_trial = [party for party in parties if party.on_trial]
    parties = _either(on_trial, [party for party in parties if not party.on_trial], TRIAL_SHARE_MAX, rng)
    newcomers = [party for party in parties if party.standing < Standing.KNOWN]
    known = [party for party in parties if party.standing >= Standing.KNOWN]
    return _either(newcomers, known, NEWCOMERS_SHARE_MAX, rng)


def _either(
    held_back: Sequence[Party], others: Sequence[Party], share_max: float, rng: random.Random
) -> Sequence[Party]:
    """Choose one of the two: `held_back` by its share of parties, with probability at most `share_max`."""
    if not held_back or not others:
        return held_back or others
    even = len(held_back) / (len(held_back) + len(others))
    return held_back if rng.random() < min(even, share_max) else others


def allot(places: int, available: Mapping[T, int], rng: random.Random) -> dict[T, int]:
    """Deal `places` in turns, giving no taker more than it can use. Chance decides who gets the remainder."""
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
