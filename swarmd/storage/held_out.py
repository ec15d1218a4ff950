"""The history of this peer's answers to held-out questions, over the life of the home.

A sitting answers one part of the held-out questions once. The first sitting on each part is kept permanently,
so that what the peer knew at the start can be compared with what it knows now, question by question. Later
sittings are thinned evenly, never truncated at one end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from swarmd.storage.connection import Connection

POINTS_MAX = 2_000
"""Sittings kept: about 1 MiB, and ten times what a curve on a screen can show."""

POINTS_SLACK = 200
"""Sittings above the bound before they are thinned; thinning each time would always read the table."""

_ONE_PER_STRETCH = """
    SELECT MAX(id) FROM held_out, (SELECT MIN(step) AS low, MAX(step) AS high FROM held_out)
    GROUP BY (step - low) * ? / (high - low + 1)
"""
"""The last sitting in each of the given number of equally long ranges of steps."""

_POINT = "step, at, questions, right_answers, tasks"
_SITTING = "step, part, asked, model, untrained, answers"


@dataclass(frozen=True)
class Sitting:
    """Answers to one part of the held-out questions, with the weights after `step`."""

    step: int
    part: int
    """The index of the part, from 0."""
    asked: bytes
    """A digest of the questions' texts. Only sittings with equal questions are compared."""
    model: str
    """The model that answered. Answers by a different model are not the starting point of this one."""
    right: Mapping[str, tuple[bool, ...]]
    """Task -> whether each of its questions was answered right, in the order asked."""
    untrained: bool = False
    """Whether the weights were the model's original ones."""


@dataclass(frozen=True)
class HeldOutPoint:
    """One point of the curve: success over the sittings that were recent at that moment."""

    step: int
    at: float
    """Unix time in seconds."""
    questions: int
    right: int
    tasks: Mapping[str, tuple[int, int]]
    """Task -> (right, questions)."""


class HeldOut:
    """Sittings in chronological order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, sitting: Sitting, point: HeldOutPoint) -> None:
        """Store a sitting and the resulting point of the curve."""
        answers = {name: "".join("01"[right] for right in row) for name, row in sitting.right.items()}
        tasks = {name: list(counts) for name, counts in point.tasks.items()}
        with self._connection.transaction():
            self._connection.execute(
                "INSERT INTO held_out (step, at, part, asked, model, untrained, answers, questions,"
                " right_answers, tasks) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    sitting.step,
                    point.at,
                    sitting.part,
                    sitting.asked,
                    sitting.model,
                    int(sitting.untrained),
                    json.dumps(answers),
                    point.questions,
                    point.right,
                    json.dumps(tasks),
                ),
            )
            self._thin()

    def first(self, model: str) -> list[Sitting]:
        """Return the earliest sitting of `model` on each part, by part."""
        return self._sittings(
            "id IN (SELECT MIN(id) FROM held_out GROUP BY model, part, asked) ORDER BY part", model
        )

    def latest(self, model: str, parts: int) -> list[Sitting]:
        """Return the newest sitting on each of the newest `parts` parts since `model` began training,
        newest first.
        """
        return self._sittings(
            "NOT untrained AND id IN (SELECT MAX(id) FROM held_out GROUP BY model, part)"
            " ORDER BY id DESC LIMIT ?",
            model,
            parts,
        )

    def curve(self, points: int) -> list[HeldOutPoint]:
        """Return at most `points` points, spread evenly over the steps of the home's life, oldest first."""
        rows = self._connection.execute(
            f"SELECT {_POINT} FROM held_out WHERE id IN ({_ONE_PER_STRETCH}) ORDER BY id",  # noqa: S608  ours
            (points,),
        )
        return [
            HeldOutPoint(
                step,
                at,
                questions,
                right,
                {name: (counts[0], counts[1]) for name, counts in json.loads(tasks).items()},
            )
            for step, at, questions, right, tasks in rows
        ]

    def forget_after(self, step: int) -> None:
        """Drop the sittings after `step`, whose weights are lost."""
        self._connection.execute("DELETE FROM held_out WHERE step > ?", (step,))

    def _thin(self) -> None:
        [(count,)] = self._connection.execute("SELECT COUNT(*) FROM held_out")
        if count < POINTS_MAX + POINTS_SLACK:
            return
        self._connection.execute(
            f"DELETE FROM held_out WHERE id NOT IN ({_ONE_PER_STRETCH})"  # noqa: S608  ours
            " AND id NOT IN (SELECT MIN(id) FROM held_out GROUP BY model, part, asked)"
            " AND id NOT IN (SELECT MAX(id) FROM held_out GROUP BY model, part)",
            (POINTS_MAX,),
        )

    def _sittings(self, which: str, model: str, *parameters: object) -> list[Sitting]:
        rows = self._connection.execute(
            f"SELECT {_SITTING} FROM held_out WHERE model = ? AND {which}",  # noqa: S608  ours
            (model, *parameters),
        )
        return [
            Sitting(
                step,
                part,
                asked,
                model,
                {name: tuple(each == "1" for each in row) for name, row in json.loads(answers).items()},
                bool(untrained),
            )
            for step, part, asked, model, untrained, answers in rows
        ]
