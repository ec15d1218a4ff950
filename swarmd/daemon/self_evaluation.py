"""How often this peer is right on its swarm's held-out questions, which are the same for every peer.

Before its first step a peer answers all of them, with the model as it came. Later, each evaluation answers
the next part, and current success is computed from the newest answer to each question. The history is in the
home's database.

Answers are greedy and use none of the peer's own randomness, so a step repeated after a kill is the same step
whether or not an evaluation preceded it. Evaluation does not affect learning.

With the embedded model a part takes 0.27 s, of which scoring takes 0.05 s; a step takes 0.11 s.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from protocol import Manifest, TaskSpec
from swarmd.config import LearningConfig
from swarmd.daemon import held_out_parts
from swarmd.daemon.evaluation_schedule import EvaluationSchedule
from swarmd.daemon.held_out_parts import HeldOutParts, Part
from swarmd.daemon.learning_view import LearningView, describe
from swarmd.observe import EventLog, Learning, SelfEvaluation
from swarmd.rollout import GenerationStoppedError, StopSignal
from swarmd.step.evaluation import Answers, Evaluation, evaluate
from swarmd.step.learned import counts
from swarmd.step.playing import InModelThread
from swarmd.storage import Database
from swarmd.storage.held_out import HeldOutPoint, Sitting
from swarmd.tasks import Item, NoHeldOutQuestionError, Question, Score, TaskFailure, TaskRunner
from swarmd.tasks.requests import GROUPS_PER_REQUEST

UNTRAINED_S = 30.0
"""Seconds after which the untrained model gets no further part. A slow machine then measures its start on
fewer questions, and begins its first step.
"""


def worth_steps(learning: LearningConfig) -> float:
    """Return how many steps an evaluation costs, by its number of completions; at least 1."""
    questions = held_out_parts.QUESTIONS / held_out_parts.PARTS
    return max(1.0, questions / (max(1, learning.local) * learning.group_size))


class SelfEvaluator:
    """Asks the parts in turn. `schedule` says when, and `view` holds the results so far."""

    def __init__(
        self,
        *,
        manifest: Manifest,
        parts: HeldOutParts,
        policy: Answers,
        model: str,
        tasks: TaskRunner,
        database: Database,
        events: EventLog,
        stop: StopSignal,
        schedule: EvaluationSchedule,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`model`: its name. The history of a different model is not compared with this one's."""
        self._manifest = manifest
        self._parts = parts
        self._policy = policy
        self._model = model
        self._tasks = _UntilStopped(tasks, stop)
        self._database = database
        self._events = events
        self._stop = stop
        self._clock = clock
        self._has_questions = True
        self.schedule = schedule
        self.view = LearningView(database, model)

    async def heed_rules(self) -> None:
        """Leave results on the questions of earlier rules out of `view`. Draws the present ones, unless an
        earlier run did.

        Raises GenerationStoppedError after the stop signal, and TaskError.
        """
        if asked := self._database.facts.asked(self._manifest.swarm_id):
            self.view.asks(asked)
        else:
            await self._draw()

    async def examine_untrained(self, in_model_thread: InModelThread) -> None:
        """Measure the model as it came, before the first step: once in the life of a home, with the parts in
        order.

        Raises GenerationStoppedError soon after the stop signal, and ModelError and TaskError as a step does.
        """
        began = time.monotonic()
        parts = await self._draw()
        done = {sitting.part for sitting in self.view.first() if sitting.untrained}
        wanted = [part for part in parts if part.number not in done]
        unscored, sat = 0, 0
        for part in wanted:
            if (done or sat) and time.monotonic() - began >= UNTRAINED_S:
                break
            found = await self._sit(part, in_model_thread)
            self._keep(part, found, step=0, untrained=True)
            unscored, sat = unscored + found.unscored, sat + 1
        if sat:
            self.schedule.took(time.monotonic() - began, sat)
            self._tell(0, unscored, time.monotonic() - began)

    async def evaluate(self, step: int, in_model_thread: InModelThread) -> SelfEvaluation | None:
        """Let the policy after `step` answer the next part. Returns success over the newest answer to each
        question; None if the swarm's tasks have no held-out question. Raises as `examine_untrained`.
        """
        began = time.monotonic()
        parts = await self._draw()
        if not parts:
            return None
        newest = self.view.latest()
        part = parts[(newest[0].part + 1) % len(parts) if newest else 0]
        found = await self._sit(part, in_model_thread)
        self._keep(part, found, step=step, untrained=False)
        self.schedule.took(time.monotonic() - began)
        return _as_evaluation(self._tell(step, found.unscored, time.monotonic() - began))

    async def _sit(self, part: Part, in_model_thread: InModelThread) -> Evaluation:
        return await evaluate(
            self._policy,
            self._tasks,
            part.questions,
            manifest=self._manifest,
            should_stop=self._stop,
            in_model_thread=in_model_thread,
        )

    def _keep(self, part: Part, found: Evaluation, *, step: int, untrained: bool) -> None:
        """Store the sitting, with the success over the newest answer to each question."""
        sitting = Sitting(step, part.number, part.asked, self._model, found.right, untrained)
        others = self.view.first() if untrained else self.view.latest()
        tasks = counts([sitting, *(other for other in others if other.part != part.number)])
        self._database.held_out.add(
            sitting,
            HeldOutPoint(
                step=step,
                at=self._clock(),
                right=sum(right for right, _ in tasks.values()),
                questions=sum(asked for _, asked in tasks.values()),
                tasks=tasks,
            ),
        )
        self.view.changed()

    def _tell(self, step: int, unscored: int, seconds: float) -> Learning:
        learning = self.view.learning()
        shown, change = learning.now or learning.untrained, learning.trend
        if shown is None:
            raise RuntimeError("an evaluation left no result")
        self._events.emit(
            "evaluated",
            message=describe(learning),
            step=step,
            success=shown.success,
            interval=shown.interval,
            questions=shown.questions,
            untrained=None if learning.untrained is None else learning.untrained.success,
            trend=None if change is None else change.word,
            difference=None if change is None else change.difference,
            difference_interval=None if change is None else change.interval,
            unscored=unscored or None,
            seconds=seconds,
        )
        return learning

    async def _draw(self) -> Sequence[Part]:
        if not self._has_questions:
            return ()
        try:
            parts = await self._parts.draw(self._tasks)
        except NoHeldOutQuestionError as error:
            self._has_questions = False
            self._events.emit("warning", message=f"this peer cannot evaluate itself: {error}")
            return ()
        self.view.asks(part.asked for part in parts)
        self._database.facts.set_asked(self._manifest.swarm_id, self.view.asked)
        return parts


def _as_evaluation(learning: Learning) -> SelfEvaluation | None:
    now = learning.now
    if now is None:
        return None
    return SelfEvaluation(
        step=now.step,
        success=now.success,
        interval=now.interval,
        questions=now.questions,
        tasks={name: task.now.success for name, task in learning.tasks.items() if task.now is not None},
    )


class _UntilStopped:
    """The task worker until the daemon is told to stop, so that a stop waits for at most one request."""

    def __init__(self, tasks: TaskRunner, stop: StopSignal) -> None:
        self._tasks = tasks
        self._stop = stop

    async def held_out(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]:
        self._check()
        return await self._tasks.held_out(specs)

    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> Sequence[str | TaskFailure | None]:
        self._check()
        return await self._tasks.replies(items)

    async def score(self, items: Sequence[Item]) -> list[list[Score]]:
        rows: list[list[Score]] = []
        for start in range(0, len(items), GROUPS_PER_REQUEST):
            self._check()
            rows += await self._tasks.score(items[start : start + GROUPS_PER_REQUEST])
        return rows

    def _check(self) -> None:
        if self._stop.is_set():
            raise GenerationStoppedError
