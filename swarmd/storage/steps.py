"""The history of this peer's policy updates: metrics per step, the reward curve, and its best window."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import JsonValue

from swarmd.finite import finite
from swarmd.storage.connection import Connection
from swarmd.storage.reward_history import RewardHistory

STEPS_MAX = 100_000
"""Steps kept: over two months at one per minute, 100 MiB at 1 KiB per step. Drops the oldest first."""

STEP_NUMBER_MAX = 2**63 - 1
"""The largest integer SQLite holds."""

WINDOW_STEPS = 20
"""Steps in a mean of rewards, because a single step's reward is mostly luck."""


@dataclass(frozen=True)
class Rewards:
    """The reward of own groups. A value is None until there is one."""

    last: float | None
    mean_20: float | None
    """Mean over the last WINDOW_STEPS steps, or over all if there are fewer."""
    best_20: float | None
    """Best mean over any WINDOW_STEPS consecutive steps, or the mean over all if there are fewer."""


class Steps:
    """One row per step. A step that is repeated after a restart replaces its row."""

    def __init__(self, connection: Connection, history: RewardHistory) -> None:
        """`history`: receives each step's reward, for the curve over the home's life."""
        self._connection = connection
        self._history = history

    def record(
        self, step: int, *, reward: float | None, metrics: Mapping[str, JsonValue], now: float
    ) -> None:
        """Store the metrics of a step; numbers that are not finite become null. `reward`: the mean reward of
        its own groups, if it had any.
        """
        text = json.dumps(finite(dict(metrics)), allow_nan=False)
        with self._connection.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO steps VALUES (?, ?, ?, NULL, ?)", (step, now, reward, text)
            )
            if reward is not None:
                self._history.add(step, reward)
            window = self._window(step)
            if reward is not None and len(window) == WINDOW_STEPS:
                mean = sum(window) / WINDOW_STEPS
                self._connection.execute("UPDATE steps SET window_mean = ? WHERE step = ?", (mean, step))
            self._connection.execute("DELETE FROM steps WHERE step <= ?", (step - STEPS_MAX,))

    def last(self) -> int:
        """Return the highest step recorded, or 0."""
        [(step,)] = self._connection.execute("SELECT MAX(step) FROM steps")
        return int(step or 0)

    def rewards(self) -> Rewards:
        window = self._window()
        if not window:
            return Rewards(None, None, None)
        mean = sum(window) / len(window)
        [(best,)] = self._connection.execute("SELECT MAX(window_mean) FROM steps")
        return Rewards(last=window[0], mean_20=mean, best_20=mean if best is None else best)

    def curve(self, limit: int) -> list[tuple[int, float]]:
        """Return (step, reward) of the last `limit` steps that have a reward, oldest first."""
        rows = self._connection.execute(
            "SELECT step, reward FROM steps WHERE reward IS NOT NULL ORDER BY step DESC LIMIT ?", (limit,)
        )
        return [(step, reward) for step, reward in reversed(rows)]

    def metrics(self, limit: int) -> list[tuple[int, dict[str, JsonValue]]]:
        """Return (step, metrics) of the last `limit` steps, newest first."""
        rows = self._connection.execute(
            "SELECT step, metrics FROM steps ORDER BY step DESC LIMIT ?", (limit,)
        )
        return [(step, json.loads(text)) for step, text in rows]

    def forget_after(self, step: int) -> int:
        """Drop the rows of steps after `step`. Return how many."""
        return self._connection.changed("DELETE FROM steps WHERE step > ?", (step,))

    def _window(self, last_step: int = STEP_NUMBER_MAX) -> list[float]:
        """Return the rewards of the last WINDOW_STEPS steps up to `last_step`, newest first."""
        rows = self._connection.execute(
            "SELECT reward FROM steps WHERE reward IS NOT NULL AND step <= ? ORDER BY step DESC LIMIT ?",
            (last_step, WINDOW_STEPS),
        )
        return [reward for (reward,) in rows]
