"""The mean reward of own groups over the life of the home, in a bounded number of points.

A point covers a range of steps. When there are too many points, the ranges are doubled and neighbours merged,
so the curve always starts at the first step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from swarmd.storage.connection import Connection

REWARD_POINTS_MAX = 400
"""Points of the curve. A wide screen shows about one per four pixels. Once the home has taken that many
steps, there are at least half as many points.
"""


@dataclass(frozen=True)
class RewardPoint:
    """The rewards in one range of steps."""

    step: int
    """The last step of the range so far."""
    mean: float
    """0..1."""
    deviation: float
    """Standard deviation across the steps of the range; 0 for a single step."""


class RewardHistory:
    """Sums per range, so that merging two ranges or adding a step is exact."""

    def __init__(self, connection: Connection) -> None:
        """Build the history from the steps if a home of an earlier version has none yet."""
        self._connection = connection
        [(known,)] = connection.execute("SELECT COUNT(*) FROM reward_history")
        [(last,)] = connection.execute("SELECT COALESCE(MAX(step), 0) FROM steps WHERE reward IS NOT NULL")
        if not known and last:
            self._build(0, _width_for(last))

    def add(self, step: int, reward: float) -> None:
        """Add the mean reward of one step. Called by `Steps.record`, in its transaction."""
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
        """Return at most REWARD_POINTS_MAX points, oldest first."""
        rows = self._connection.execute("SELECT last, n, total, squares FROM reward_history ORDER BY stretch")
        return [
            RewardPoint(last, total / n, math.sqrt(max(0.0, squares / n - (total / n) ** 2)))
            for last, n, total, squares in rows
        ]

    def forget_after(self, step: int) -> None:
        """Drop everything after `step`. The range that contains it is summed again from the steps."""
        width = self._width()
        self._connection.execute("DELETE FROM reward_history WHERE stretch >= ?", (step // width,))
        self._build(step // width * width, width)

    def _width(self) -> int:
        """The number of steps per range, the same for all."""
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
    """Return the smallest range length, a power of two, with which `step` still fits."""
    return 1 << max(0, (step // REWARD_POINTS_MAX).bit_length())
