"""The mean reward of own groups over the whole life of the home, in a bounded number of points.

A point covers a stretch of steps. When there are too many points, stretches become twice as long and
neighbours are joined, so that the curve always begins at the first step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from swarmd.storage.connection import Connection

REWARD_POINTS_MAX = 400
"""Points of the curve: a wide screen shows about one per four pixels. There are at least half as many once
the home has taken that many steps."""


@dataclass(frozen=True)
class RewardPoint:
    """The rewards of a stretch of steps."""

    step: int
    """The last step of the stretch so far."""
    mean: float
    """0..1."""
    deviation: float
    """Standard deviation between the steps of the stretch; 0 for a single one."""


class RewardHistory:
    """Sums per stretch: joining two of them, or adding a step, is exact."""

    def __init__(self, connection: Connection) -> None:
        """A home of an earlier version has steps and no history yet: it is made from the steps."""
        self._connection = connection
        [(known,)] = connection.execute("SELECT COUNT(*) FROM reward_history")
        [(last,)] = connection.execute("SELECT COALESCE(MAX(step), 0) FROM steps WHERE reward IS NOT NULL")
        if not known and last:
            self._build(0, _width_for(last))

    def add(self, step: int, reward: float) -> None:
        """Count the mean reward of one step; called by `Steps.record`, in its transaction."""
        width = self._width()
        if step >= width * REWARD_POINTS_MAX:
            self._join(_width_for(step))
            width = self._width()
        self._connection.execute(
            "INSERT INTO reward_history VALUES (?, ?, ?, 1, ?, ?) ON CONFLICT (stretch) DO UPDATE SET"
            " last = MAX(last, excluded.last), n = n + 1, total = total + excluded.total,"
            " squares = squares + excluded.squares",
            (step // width, width, step, reward, reward * reward),
        )

    def points(self) -> list[RewardPoint]:
        """At most REWARD_POINTS_MAX, oldest first."""
        rows = self._connection.execute("SELECT last, n, total, squares FROM reward_history ORDER BY stretch")
        return [
            RewardPoint(last, total / n, math.sqrt(max(0.0, squares / n - (total / n) ** 2)))
            for last, n, total, squares in rows
        ]

    def forget_after(self, step: int) -> None:
        """Drop what came after `step`. The stretch that holds it is summed again from the steps."""
        width = self._width()
        self._connection.execute("DELETE FROM reward_history WHERE stretch >= ?", (step // width,))
        self._build(step // width * width, width)

    def _width(self) -> int:
        """Steps per stretch: the same for all."""
        [(width,)] = self._connection.execute("SELECT MAX(width) FROM reward_history")
        return width or 1

    def _join(self, width: int) -> None:
        joined = self._connection.execute(
            "SELECT stretch * width / ? AS wider, ?, MAX(last), SUM(n), SUM(total), SUM(squares)"
            " FROM reward_history GROUP BY wider",
            (width, width),
        )
        self._connection.execute("DELETE FROM reward_history")
        for row in joined:
            self._connection.execute("INSERT INTO reward_history VALUES (?, ?, ?, ?, ?, ?)", row)

    def _build(self, first: int, width: int) -> None:
        self._connection.execute(
            "INSERT INTO reward_history SELECT step / ?, ?, MAX(step), COUNT(*), SUM(reward),"
            " SUM(reward * reward) FROM steps WHERE reward IS NOT NULL AND step >= ? GROUP BY 1",
            (width, width, first),
        )


def _width_for(step: int) -> int:
    """The shortest stretch, a power of two, with which `step` still has a place."""
    return 1 << max(0, (step // REWARD_POINTS_MAX).bit_length())
