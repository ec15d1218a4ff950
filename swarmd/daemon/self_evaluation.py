"""How often this peer answers right on its swarm's held-out questions, which are the same for every peer.

Answers are greedy and use none of the peer's own randomness. So a step that is repeated after a kill is the
same step whether or not an evaluation came before it. Evaluation decides nothing about learning.

It costs three times the completions of a default step. With the embedded model it takes 0.27 s, 0.05 s of
which is scoring, and a step takes 0.11 s: 1 % of the time at one evaluation every 200 steps. Drawing the
questions takes another second, once (the starter tasks).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

from protocol import Manifest, TaskSpec
from swarmd.config import LearningConfig
from swarmd.observe import EventLog, SelfEvaluation
from swarmd.rollout import GenerationStoppedError, StopSignal
from swarmd.step.evaluation import Answers, evaluate
from swarmd.tasks import (
    NoHeldOutQuestionError,
    Question,
    Score,
    TaskFailure,
    TaskRunner,
    held_out_questions,
    held_out_seed,
)
from swarmd.tasks.runner import GROUPS_PER_REQUEST

QUESTIONS = 100  # half the 95 % interval is then 0.10 at most; three times a default step's completions


def worth_steps(learning: LearningConfig) -> float:
    """How many steps an evaluation is worth, by its number of completions; at least 1."""
    return max(1.0, QUESTIONS / (max(1, learning.local) * learning.group_size))


class SelfEvaluator:
    """Asks the same questions every time. They are drawn when they are first needed."""

    def __init__(
        self, *, manifest: Manifest, policy: Answers, tasks: TaskRunner, events: EventLog, stop: StopSignal
    ) -> None:
        self._manifest = manifest
        self._policy = policy
        self._tasks = _UntilStopped(tasks, stop)
        self._events = events
        self._stop = stop
        self._questions: list[Question] | None = None

    async def evaluate(
        self, step: int, in_model_thread: Callable[[Callable[[], list[str]]], Awaitable[list[str]]]
    ) -> SelfEvaluation | None:
        """Evaluate the policy after `step`. Returns None if the swarm's tasks have no held-out question.

        Raises GenerationStoppedError soon after the stop signal, ModelError and TaskError as a step does.
        """
        began = time.monotonic()
        if self._questions is None:
            self._questions = await self._draw()
        if not self._questions:
            return None
        found = await evaluate(
            self._policy,
            self._tasks,
            self._questions,
            manifest=self._manifest,
            should_stop=self._stop,
            in_model_thread=in_model_thread,
        )
        total = found.total
        self._events.emit(
            "evaluated",
            step=step,
            success=total.success,
            interval=total.interval,
            questions=total.questions,
            unscored=found.unscored or None,
            seconds=time.monotonic() - began,
        )
        return SelfEvaluation(
            step=step,
            success=total.success,
            interval=total.interval,
            questions=total.questions,
            tasks={name: result.success for name, result in found.tasks.items()},
        )

    async def _draw(self) -> list[Question]:
        manifest = self._manifest
        try:
            return await held_out_questions(self._tasks, manifest.tasks, held_out_seed(manifest), QUESTIONS)
        except NoHeldOutQuestionError as error:
            self._events.emit("warning", message=f"this peer cannot evaluate itself: {error}")
            return []


class _UntilStopped:
    """The task worker until the daemon is told to stop: a stop waits for at most one request."""

    def __init__(self, tasks: TaskRunner, stop: StopSignal) -> None:
        self._tasks = tasks
        self._stop = stop

    async def questions(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]:
        self._check()
        return await self._tasks.questions(specs)

    async def score(self, items: Sequence[tuple[TaskSpec, Sequence[str]]]) -> list[list[Score]]:
        rows: list[list[Score]] = []
        for start in range(0, len(items), GROUPS_PER_REQUEST):
            self._check()
            rows += await self._tasks.score(items[start : start + GROUPS_PER_REQUEST])
        return rows

    def _check(self) -> None:
        if self._stop.is_set():
            raise GenerationStoppedError
