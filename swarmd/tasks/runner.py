"""The daemon's side of the task worker: provides questions and scores, even if the worker is lost.

The daemon itself loads no source and runs no scorer. The runner sends every request to one sandboxed process,
and restarts that process when it is lost: dead, silent or too slow. If a start fails, it retries with
increasing delays.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import structlog

from protocol import TaskSpec
from protocol.limits import MICRO
from swarmd.errors import TaskError
from swarmd.tasks.episodes import Solution
from swarmd.tasks.launch import WorkerOptions
from swarmd.tasks.outcomes import Question, Score, SourceInfo, TaskFailure
from swarmd.tasks.process import WorkerLostError, WorkerProcess, WorkerStartError
from swarmd.tasks.requests import (
    AnswersTo,
    Written,
    batches,
    encoded,
    fits,
    question_of,
    raw,
    reply_of,
    solution_of,
)
from swarmd.tasks.rewards import RewardRule, reward_of

log = structlog.get_logger(__name__)

Item = tuple[TaskSpec, Sequence[Written]]
"""A question and its completions."""

QUESTIONS_PER_REQUEST = 32  # bounds a reply's size, and how long one request occupies the worker
HELD_OUT_PER_REQUEST = 256  # nine in ten are returned as None, so a reply is no larger than for 32 questions
_NOT_HELD_OUT = (True, None)
_HELD_OUT_AND_LARGE = (True, True)  # request it again, in a smaller batch
_MARGIN_S = 15.0  # beyond the worker's own limits, which take effect first; only a lost worker exceeds it
START_BACK_OFF_S = (0.5, 2.0, 8.0, 30.0)
"""Seconds before each retry of starting the worker. If the last retry fails too, tasks cannot run."""
_PER_JOB_S = 3.0  # forking, killing and reaping a child on a busy machine


class TaskRunner:
    """Owns the sandboxed worker: `async with TaskRunner(reward=manifest.reward) as runner`.

    A runner that is not entered starts its worker at the first call, and must still be closed. Calls may
    overlap; the worker handles one request at a time. Every call raises TaskError if the worker cannot be
    started. The worker's working directory is created in `directory`. `on_problem` receives a message about
    each lost worker.
    """

    def __init__(
        self,
        *,
        reward: RewardRule,
        options: WorkerOptions | None = None,
        directory: Path | None = None,
        on_problem: Callable[[str], None] = log.warning,
    ) -> None:
        self._reward = reward
        self._options = options or WorkerOptions()
        self._directory = directory
        self._on_problem = on_problem
        self._lock = asyncio.Lock()
        self._worker: WorkerProcess | None = None
        self._starts = 0
        self._closed = asyncio.Event()
        self._asked_at: float | None = None
        self.cpu_s = self.clock_s = 0.0
        """Seconds that requests took, without starts. The worker runs at lower priority than the model, so
        wall-clock time depends more on this machine's load than on the request. The CPU time of a lost worker
        is unknown."""

    async def __aenter__(self) -> Self:
        async with self._lock:
            await self._running()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Kill the worker; pending requests raise TaskError. Idempotent."""
        self._closed.set()
        if self._worker is not None:
            await self._worker.close()

    def give_up(self) -> None:
        """End the worker's current job, as if its wall-clock limit were reached. The request continues."""
        if self._worker is not None and self._asked_at is not None:
            self._worker.interrupt()

    @property
    def waiting_s(self) -> float:
        """Seconds that the current request has taken so far; 0 if there is none."""
        return 0.0 if self._asked_at is None else time.monotonic() - self._asked_at

    @property
    def restarts(self) -> int:
        """How often the worker was lost and started again."""
        return max(0, self._starts - 1)

    @property
    def worker_pid(self) -> int | None:
        """The process id of the worker; None before the first start."""
        return self._worker.pid if self._worker else None

    @property
    def sources(self) -> Mapping[str, SourceInfo]:
        """The installed sources by name."""
        versions, _ = self._greeting()
        return {name: SourceInfo(version, tuple(datasets)) for name, (version, datasets) in versions.items()}

    def sandbox_report(self) -> tuple[str, ...]:
        """One sentence for each layer of the sandbox that this platform lacks; empty if it has them all."""
        _, missing = self._greeting()
        return tuple(missing)

    def _greeting(self) -> Any:
        if self._worker is None:
            raise RuntimeError("the runner has not been entered")
        return self._worker.greeting

    async def expected(self, specs: Sequence[TaskSpec]) -> list[str | None]:
        """A right answer to each spec's question, to show to people. None if the source gives none, or fails.
        Never used for scoring."""
        outcomes = await self._made("answers", specs, QUESTIONS_PER_REQUEST)
        return [
            outcome[1] if outcome[0] is True and isinstance(outcome[1], str) else None for outcome in outcomes
        ]

    async def solutions(self, specs: Sequence[TaskSpec]) -> list[Solution | None]:
        """Right answers to each spec's question, one per turn. None if the source gives none, or fails."""
        return list(map(solution_of, await self._made("solutions", specs, QUESTIONS_PER_REQUEST)))

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        """Each spec's question, in order, or why it has none."""
        made = await self._made("questions", specs, QUESTIONS_PER_REQUEST)
        return [question_of(spec, outcome) for spec, outcome in zip(specs, made, strict=True)]

    async def held_out(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        """The held-out questions among `specs`, in order, and the failures.

        Finding them this way costs a quarter of what `questions` does.
        """
        made = await self._made("held out", specs, HELD_OUT_PER_REQUEST)
        large = [at for at, outcome in enumerate(made) if outcome == _HELD_OUT_AND_LARGE]
        again = await self._made("questions", [specs[at] for at in large], QUESTIONS_PER_REQUEST)
        for at, outcome in zip(large, again, strict=True):
            made[at] = outcome
        pairs = zip(specs, made, strict=True)
        return [question_of(spec, outcome) for spec, outcome in pairs if outcome != _NOT_HELD_OUT]

    async def _made(self, kind: str, specs: Sequence[TaskSpec], at_once: int) -> list[Any]:
        """The outcomes of requests of `kind`: questions or answers."""
        outcomes: list[Any] = []
        for start in range(0, len(specs), at_once):
            outcomes += await self._outcomes(
                specs[start : start + at_once],
                lambda some: (kind, tuple(map(raw, some))),
                self._options.question_s,
            )
        return outcomes

    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> list[str | TaskFailure | None]:
        """Each task's reply to the turns so far; None if the task is over, or why it failed."""
        asked = [(raw(spec), tuple(map(encoded, turns))) for spec, turns in items]
        found: list[str | TaskFailure | None] = []
        for start in range(0, len(asked), QUESTIONS_PER_REQUEST):
            part = asked[start : start + QUESTIONS_PER_REQUEST]
            seconds = self._options.question_s + self._options.score_s
            outcomes = await self._outcomes(part, lambda some: ("replies", tuple(some)), seconds)
            specs = [spec for spec, _ in items[start : start + QUESTIONS_PER_REQUEST]]
            found += [reply_of(spec, outcome) for spec, outcome in zip(specs, outcomes, strict=True)]
        return found

    async def score(self, items: Sequence[Item]) -> list[list[Score]]:
        """The score of each completion of each item. One without an answer scores 0, and no scorer sees
        it."""
        return await self._score_as("score plain", items)

    async def score_ours(self, items: Sequence[Item]) -> list[list[Score]]:
        """The same for texts that this program wrote, which do not need a process each."""
        return await self._score_as("score ours", items)

    async def score_shared(self, items: Sequence[Item]) -> list[list[Score] | None]:
        """The scores of each item whose answers may share a process; None for an item to be scored alone.

        Takes one request per `GROUPS_PER_REQUEST` items and is quick, because it skips everything that may
        take long.
        """
        return await self._score_shared("score plain", [AnswersTo.of(*item) for item in items])

    async def score_alone(self, spec: TaskSpec, completions: Sequence[Written]) -> list[Score]:
        """The score of each completion of one item, with a separate process for each answer that needs
        one."""
        return await self._score_alone(AnswersTo.of(spec, completions))

    async def _score_as(self, kind: str, items: Sequence[Item]) -> list[list[Score]]:
        groups = [AnswersTo.of(*item) for item in items]
        rows = await self._score_shared(kind, groups)
        return [
            await self._score_alone(group) if row is None else row
            for group, row in zip(groups, rows, strict=True)
        ]

    async def _score_shared(self, kind: str, groups: Sequence[AnswersTo]) -> list[list[Score] | None]:
        found: list[list[Score] | None] = []
        for batch in batches(groups):
            rows = await self._score_together(kind, [group for group in batch if group.distinct])
            for group in batch:
                row = next(rows) if group.distinct else ()
                found.append(None if row is None else self._scores(group, row))
        return found

    async def _score_together(self, kind: str, groups: Sequence[AnswersTo]) -> Iterator[Sequence[Any] | None]:
        """The outcomes of each group's distinct answers; None for a group that must be scored alone."""
        if not groups:
            return iter(())
        request = (kind, tuple((group.spec, group.distinct) for group in groups))
        seconds = _MARGIN_S + self._options.question_s + self._options.score_s + _PER_JOB_S
        try:
            rows = await self._ask(request, len(groups), seconds)
        except WorkerLostError:
            return iter([None] * len(groups))
        return (row if fits(row, group) else None for row, group in zip(rows, groups, strict=True))

    async def _score_alone(self, group: AnswersTo) -> list[Score]:
        outcomes = await self._outcomes(
            group.distinct,
            lambda some: ("score", group.spec, tuple(some)),
            self._options.score_s,
            lost="timeout",  # no scorer ended the worker: scorers run in children
            once_s=self._options.question_s + self._options.group_s + self._options.score_s,
        )
        return self._scores(group, outcomes)

    def _scores(self, group: AnswersTo, outcomes: Sequence[Any]) -> list[Score]:
        scores = dict(zip(group.distinct, map(self._score, outcomes), strict=True))
        return [Score(0.0) if answer is None else scores[answer] for answer in group.answers]

    def _score(self, outcome: Any) -> Score:
        match outcome:
            case (True, (int(micro), bool(bare))):
                return Score(reward_of(micro, self._reward), bare=bare)
            case (True, (int(micro), bool(bare), tuple(said), bool(over))) if all(
                isinstance(each, str) for each in said
            ):
                return Score(reward_of(micro, self._reward), bare=bare, observations=said, over=over)
            case (False, "hang" | "timeout" | "crash" | "skipped" | "turns" as kind, *_):
                return Score(0.0, kind)
            case _:
                return Score(0.0, "error")

    async def _outcomes(
        self,
        jobs: Sequence[Any],
        request: Callable[[Sequence[Any]], object],
        job_s: float,
        once_s: float = 0.0,
        lost: str | None = None,
    ) -> Sequence[Any]:
        """One outcome per job. If the worker is lost, each job is sent alone. A job on which the worker is
        lost again gets the kind `lost`, or by default the kind of the loss."""
        allowance_s = once_s + _MARGIN_S
        try:
            return await self._ask(request(jobs), len(jobs), allowance_s + len(jobs) * (job_s + _PER_JOB_S))
        except WorkerLostError:
            outcomes: list[Any] = []
        for job in jobs:
            try:
                outcomes += await self._ask(request([job]), 1, allowance_s + job_s + _PER_JOB_S)
            except WorkerLostError as error:
                outcomes.append((False, lost or error.kind, "the worker was lost on this single job", None))
        return outcomes

    async def _ask(self, request: object, count: int, seconds: float) -> Sequence[Any]:
        async with self._lock:
            worker = await self._running()
            began = self._asked_at = time.monotonic()
            try:
                reply = await worker.ask(request, seconds)
            except WorkerLostError as error:
                self._on_problem(f"the task worker (pid {worker.pid}) was lost: {error}; restarting it")
                raise
            finally:
                self.clock_s += time.monotonic() - began
                self._asked_at = None
            match reply:
                case (int(cpu_micro), tuple(outcomes)) if cpu_micro >= 0 and len(outcomes) == count:
                    self.cpu_s += cpu_micro / MICRO
                    return outcomes
            await worker.close()
            raise WorkerLostError("crash", "it sent garbage")

    async def _running(self) -> WorkerProcess:
        """The worker, started if necessary. Call only with the lock held."""
        for wait_s in (*START_BACK_OFF_S, None):
            if self._closed.is_set():
                raise TaskError("the task runner was closed")
            if self._worker is not None and self._worker.is_alive:
                break
            try:
                self._worker = await WorkerProcess.start(self._options, self._directory)
                self._starts += 1
                if self._closed.is_set():  # while it started, so `close` did not find it
                    await self._worker.close()
                    raise TaskError("the task runner was closed")
            except WorkerStartError as error:
                # A worker that never ran and exited with its own error lacks something; waiting does not
                # help.
                if wait_s is None or not (error.passing or self._starts):
                    raise
                self._on_problem(f"{error}; trying again in {wait_s:g} s")
                await self._wait_unless_closed(wait_s)
        assert self._worker is not None  # noqa: S101  the last try raises
        return self._worker

    async def _wait_unless_closed(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()
