"""The part of a snapshot that says whether the peer learns."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

AS_READ = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null", defer_build=True)
"""Configuration of every part of a snapshot. A status command may read a newer daemon. NaN has no JSON form
and is written as null. Few commands need every part, so each is built on first use.
"""


class _Part(BaseModel):
    model_config = AS_READ


class SelfEvaluation(_Part):
    """Greedy success on the swarm's held-out questions, which nobody trains on, as the peer measured it."""

    step: int
    """The step after which it was measured; for several sittings, the last one."""
    success: float
    """Share of questions answered right, 0..1."""
    interval: tuple[float, float]
    """95% Wilson interval of `success`."""
    questions: int
    tasks: dict[str, float] = {}
    """Success by the task's name in the manifest."""


class Measured(_Part):
    """Success on held-out questions, over all sittings from `first_step` to `step`."""

    first_step: int
    step: int
    success: float
    """Share of questions answered right, 0..1."""
    interval: tuple[float, float]
    """95% Wilson interval of `success`."""
    questions: int


class Trend(_Part):
    """Success now minus success at the start, on the same questions."""

    since_step: int
    """0 unless measuring began later in the home's life."""
    difference: float
    """-1..1."""
    interval: tuple[float, float]
    """95% interval of `difference`."""
    questions: int
    """Number of questions asked both times."""
    word: str
    """learned (the interval is above 0), worse (below 0) or not yet clear."""


class TaskLearning(_Part):
    """What was learned of one task of the manifest."""

    untrained: Measured | None = None
    now: Measured | None = None
    trend: Trend | None = None


class HeldOutCurve(_Part):
    """Held-out success over the life of the home, at most 200 points, oldest first, one list per column.

    A point pools the sittings that were recent at that moment, as `Learning.now` does.
    """

    step: tuple[int, ...] = ()
    success: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    """Lower end of the 95% Wilson interval."""
    high: tuple[float, ...] = ()
    questions: tuple[int, ...] = ()
    tasks: dict[str, tuple[float | None, ...]] = {}
    """Success by task; null where none of its questions was asked."""


class RewardCurve(_Part):
    """Mean reward of own groups over the life of the home, at most 400 points, oldest first.

    Each point covers a stretch of steps, all of equal length.
    """

    step: tuple[int, ...] = ()
    """The last step of the stretch."""
    mean: tuple[float, ...] = ()
    """0..1."""
    low: tuple[float, ...] = ()
    """`mean` minus the standard deviation between the steps of the stretch, at least 0."""
    high: tuple[float, ...] = ()
    """`mean` plus the standard deviation, at most 1."""


class Learning(_Part):
    """Whether the peer learns: held-out success at the start and now, and its reward, over its whole life."""

    untrained: Measured | None = None
    """Before the first step. Null if unknown: evaluation is off, or the home did not start with this version
    and an untrained model.
    """
    now: Measured | None = None
    """The newest sitting on each part of the questions, pooled; null before the first."""
    trend: Trend | None = None
    """Null until some questions have been asked twice."""
    tasks: dict[str, TaskLearning] = {}
    """The same, by the task's name in the manifest."""
    held_out: HeldOutCurve = HeldOutCurve()
    reward: RewardCurve = RewardCurve()
    evaluation_share: float | None = None
    """Share of the time since the daemon's first step spent on evaluations, 0..1; null before the first."""
