"""Distinguishes peers' failures from our own: if most fail the same way at once, the cause is here."""

from __future__ import annotations

import math
from collections import defaultdict

WINDOW_S = 60.0  # failures with one cause occur within a few pulls of each other
PARTIES_MIN = 2  # that must fail together; a single one does not show whose fault it is
ENTRIES_MAX = 1_024  # parties remembered per way of failing


class Outages:
    """Which parties failed recently and how, and which ones worked."""

    def __init__(self) -> None:
        self._failed: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._worked: dict[str, float] = {}

    def failed(self, party: str, way: str, now: float) -> None:
        _note(self._failed[way], party, now)

    def worked(self, party: str, now: float) -> None:
        _note(self._worked, party, now)

    def most_fail(self, way: str, now: float) -> bool:
        """Whether more than one party failed this way in its last attempt, and more failed than worked."""
        failing, working = self._count(way, now)
        return failing >= PARTIES_MIN and failing > working

    def all_fail(self, way: str, now: float) -> bool:
        """Whether more than one party failed this way in its last attempt, and none worked."""
        failing, working = self._count(way, now)
        return failing >= PARTIES_MIN and working == 0

    def _count(self, way: str, now: float) -> tuple[int, int]:
        failed = {party: at for party, at in self._failed[way].items() if abs(now - at) < WINDOW_S}
        worked = {party: at for party, at in self._worked.items() if abs(now - at) < WINDOW_S}
        failing = sum(at > worked.get(party, -math.inf) for party, at in failed.items())
        working = sum(at >= failed.get(party, -math.inf) for party, at in worked.items())
        return failing, working


def _note(table: dict[str, float], party: str, now: float) -> None:
    table.pop(party, None)
    table[party] = now
    if len(table) > ENTRIES_MAX:
        del table[next(iter(table))]
