"""Whether this peer learns, from the home's history: for the status, and as a sentence for the log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from swarmd import observe
from swarmd.daemon.held_out_parts import PARTS
from swarmd.observe import HeldOutCurve, Learning, RewardCurve, TaskLearning
from swarmd.step.evaluation import wilson_interval
from swarmd.step.learned import Measured, Trend, measured, tasks_of, trend
from swarmd.storage import Database
from swarmd.storage.held_out import Sitting

CURVE_POINTS = 200  # of held-out success: about 15 kB of JSON with eight tasks
DIGITS = 4  # after the decimal point in curves: finer than one question, or than a reward needs


class LearningView:
    """Reads the history. The part that only evaluations change is read again after each of them."""

    def __init__(self, database: Database, model: str) -> None:
        self._database = database
        self._model = model
        self._asked: tuple[bytes, ...] = ()
        self._held_out: Learning | None = None

    @property
    def asked(self) -> tuple[bytes, ...]:
        """Digests of the questions that count (`Sitting.asked`); empty until they were drawn."""
        return self._asked

    def asks(self, asked: Iterable[bytes]) -> None:
        """Leave out answers to any other questions than `asked`: an earlier version of the swarm's rules may
        have had others. Until this is called, none are left out.
        """
        if self._asked != (asked := tuple(asked)):
            self._asked = asked
            self.changed()

    def changed(self) -> None:
        """Note that there was an evaluation."""
        self._held_out = None

    def first(self) -> list[Sitting]:
        """Return the earliest sitting on each part, by part."""
        return self._of_these_rules(self._database.held_out.first(self._model))

    def latest(self) -> list[Sitting]:
        """Return the newest sitting on each part since the model began training, newest first."""
        return self._of_these_rules(self._database.held_out.latest(self._model, PARTS))

    def _of_these_rules(self, sittings: Sequence[Sitting]) -> list[Sitting]:
        return [each for each in sittings if not self._asked or each.asked in self._asked]

    def learning(self, evaluation_share: float | None = None) -> Learning:
        """Return the whole view at this moment."""
        if self._held_out is None:
            self._held_out = self._read_held_out()
        return self._held_out.model_copy(
            update={"reward": self._reward_curve(), "evaluation_share": evaluation_share}
        )

    def _read_held_out(self) -> Learning:
        first, now = self.first(), self.latest()
        untrained = [sitting for sitting in first if sitting.untrained]
        return Learning(
            untrained=_measured(untrained),
            now=_measured(now),
            trend=_trend(first, now),
            tasks={
                name: TaskLearning(
                    untrained=_measured(untrained, name),
                    now=_measured(now, name),
                    trend=_trend(first, now, name),
                )
                for name in tasks_of([*untrained, *now])
            },
            held_out=self._held_out_curve(),
        )

    def _held_out_curve(self) -> HeldOutCurve:
        points = self._database.held_out.curve(CURVE_POINTS)
        ends = [wilson_interval(point.right, point.questions) for point in points]
        names = sorted({name for point in points for name in point.tasks})
        return HeldOutCurve(
            step=tuple(point.step for point in points),
            success=tuple(round(point.right / point.questions, DIGITS) for point in points),
            low=tuple(round(low, DIGITS) for low, _ in ends),
            high=tuple(round(high, DIGITS) for _, high in ends),
            questions=tuple(point.questions for point in points),
            tasks={name: tuple(_share(point.tasks.get(name)) for point in points) for name in names},
        )

    def _reward_curve(self) -> RewardCurve:
        points = self._database.reward_history.points()
        return RewardCurve(
            step=tuple(point.step for point in points),
            mean=tuple(round(point.mean, DIGITS) for point in points),
            low=tuple(round(max(0.0, point.mean - point.deviation), DIGITS) for point in points),
            high=tuple(round(min(1.0, point.mean + point.deviation), DIGITS) for point in points),
        )


def describe(learning: Learning) -> str:
    """Return one sentence for people: success now, at the start, and what the difference on the same
    questions says. Intervals of 95% are in parentheses.
    """
    now, untrained, change = learning.now, learning.untrained, learning.trend
    if now is None:
        return "" if untrained is None else f"{_words(untrained)} before any training"
    sentence = _words(now)
    if change is None:
        return sentence
    before = f"since step {change.since_step}" if untrained is None else f"untrained {untrained.success:.3f}"
    low, high = change.interval
    return f"{sentence}, {before}: {change.word}, {change.difference:+.3f} ({low:+.3f} to {high:+.3f})"


def _words(found: observe.Measured) -> str:
    low, high = found.interval
    return f"{found.success:.3f} of {found.questions} held-out questions right ({low:.3f} to {high:.3f})"


def _measured(sittings: Sequence[Sitting], task: str | None = None) -> observe.Measured | None:
    found: Measured | None = measured(sittings, task)
    if found is None:
        return None
    return observe.Measured(
        first_step=found.first_step,
        step=found.step,
        success=found.success,
        interval=found.interval,
        questions=found.questions,
    )


def _trend(first: Sequence[Sitting], now: Sequence[Sitting], task: str | None = None) -> observe.Trend | None:
    found: Trend | None = trend(first, now, task)
    if found is None:
        return None
    return observe.Trend(
        since_step=found.since_step,
        difference=found.difference,
        interval=found.interval,
        questions=found.questions,
        word=found.word,
    )


def _share(counts: tuple[int, int] | None) -> float | None:
    return None if counts is None else round(counts[0] / counts[1], DIGITS)
