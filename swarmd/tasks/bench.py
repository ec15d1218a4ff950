"""The worker's jobs: each question is generated, each answer scored and each program run in its own
process."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import Any, cast

import numpy

from protocol.held_out import is_digest_held_out
from protocol.limits import TURNS_MAX
from swarmd.images import Images
from swarmd.tasks.children import ENDS_CHILD, Job, Limits, Lost, attempt, run_jobs
from swarmd.tasks.episodes import (
    OBSERVATION_BYTES_MAX,
    digest_of,
    hidden_part,
    is_plain,
    require_short,
    solved,
    turns_of,
)
from swarmd.tasks.frames import FRAME_BYTES_MAX
from swarmd.tasks.imaging import images_for
from swarmd.tasks.judge_rules import OPTION, judges_of, why_unfit, without_judges
from swarmd.tasks.launch import WorkerOptions
from swarmd.tasks.nursery import Nursery, cpu_micro
from swarmd.tasks.sandbox import Sandbox
from swarmd.tasks.scorer import WORTHLESS, Answer, Scorer, may_share
from swarmd.tasks.source import (
    BadOptionError,
    Outputs,
    Program,
    RefusedTaskError,
    Task,
    TaskSource,
    TurnsTask,
    UnknownSourceError,
    WrongVersionError,
)
from swarmd.tasks.steady import Facts, facts_of, require_same

_RESULT_BYTES_MAX = 4_096  # a score, or a reason of 300 characters for having none
_RESULT_ITEMS_MAX = 8
_TURNS_RESULT_BYTES_MAX = _RESULT_BYTES_MAX + TURNS_MAX * OBSERVATION_BYTES_MAX
_TURNS_RESULT_ITEMS_MAX = _RESULT_ITEMS_MAX + 2 * TURNS_MAX

_HELD_OUT_BYTES_MAX = FRAME_BYTES_MAX // 2  # a reply covers up to 256 questions and omits nine in ten of them
_EXPECTED_CHARS_MAX = 16_384  # no completion is longer, and one answer is shown to a person

_TOGETHER = (
    64  # questions per job: passing a result through the pipe costs more than generating most questions
)
_TOGETHER_S = 1.0  # after this, each remaining question gets its own job and its own limit

Outcome = tuple[object, ...]
RawSpec = tuple[str, str, str, str | None, int, int]
Group = tuple[RawSpec, Sequence[Answer]]


class Bench:
    """Generates questions and scores answers, each in a child process."""

    def __init__(
        self,
        sources: dict[str, TaskSource],
        sandbox: Sandbox,
        nursery: Nursery | None,
        options: WorkerOptions,
    ) -> None:
        """Without a nursery no program runs, and every program scores 0."""
        self._sources = sources
        self._sandbox = sandbox
        self._nursery = nursery
        self._options = options
        self._prepared: set[str] = set()

    def cpu_micro(self) -> int:
        """CPU microseconds used so far by this process, its children and all programs."""
        return cpu_micro() + (0 if self._nursery is None else self._nursery.cpu_micro)

    def answer(self, request: Any) -> Sequence[object]:
        self._prepare(request)
        match request:
            case ("questions", specs):
                return self._each(self._question, specs)
            case ("held out", specs):
                return self._held_out(specs)
            case ("answers", specs):
                return self._each(self._expected, specs)
            case ("solutions", specs):
                return self._each(self._solution, specs)
            case ("try", specs):
                return [self._try(spec) for spec in specs]
            case ("replies", items):
                return self._replies(items)
            case ("score", spec, answers):
                return self._score(spec, answers)
            case ("score plain", groups):
                return self._score_in_one(groups, [all(map(may_share, answers)) for _, answers in groups])
            case ("score ours", groups):
                return self._score_in_one(groups, [True] * len(groups))
            case _:
                raise ValueError(f"no such request: {request!r:.200}")

    def _prepare(self, request: Any) -> None:
        """Let the sources named in the request import slow modules once, before any child is forked."""
        asked = [request[1]] if request[0] == "score" else request[1]
        specs = (each if isinstance(each[0], str) else each[0] for each in asked)
        for source in {spec[0] for spec in specs} - self._prepared:
            self._prepared.add(source)
            prepare: Callable[[], None] | None = getattr(self._sources.get(source), "prepare", None)
            if prepare is not None:
                prepare()

    def _each(self, work: Callable[[RawSpec], object], specs: Sequence[RawSpec]) -> list[Outcome]:
        jobs: list[Job] = [partial(work, spec) for spec in specs]
        limits = Limits(self._options.question_s)
        return [_outcome(result) for result in run_jobs(jobs, limits, self._sandbox.confine_generator)]

    def _held_out(self, specs: Sequence[RawSpec]) -> list[Outcome]:
        """Generate questions in batches, because nine in ten are not held out. Questions that a lost or slow
        job leaves out are each generated in their own job."""
        parts = [specs[start : start + _TOGETHER] for start in range(0, len(specs), _TOGETHER)]
        jobs: list[Job] = [partial(self._if_held_out_together, part) for part in parts]
        limits = Limits(self._options.question_s + _TOGETHER_S)
        outcomes: list[Outcome] = []
        for part, found in zip(parts, run_jobs(jobs, limits, self._sandbox.confine_generator), strict=True):
            made = found[: len(part)] if isinstance(found, tuple) else ()
            outcomes += [*made, *self._each(self._if_held_out, part[len(made) :])]
        return _within(outcomes)

    def _if_held_out_together(self, specs: Sequence[RawSpec]) -> list[Outcome]:
        """The outcomes for the leading `specs`: as many as can be generated in `_TOGETHER_S`."""
        until = time.monotonic() + _TOGETHER_S
        made: list[Outcome] = []
        for spec in specs:
            made.append(attempt(partial(self._if_held_out, spec)))
            if time.monotonic() >= until:
                break
        return made

    def _if_held_out(self, spec: RawSpec) -> object:
        text, turns, hidden, images = question = self._question(spec)
        return question if is_digest_held_out(digest_of(text, turns, hidden, images)) else None

    def _try(self, spec: RawSpec) -> Outcome:
        """Collect the facts of a task twice, in two children whose random generators start from different
        seeds."""
        found = []
        for beginning in (1, 2):
            jobs: list[Job] = [partial(self._facts, spec, beginning)]
            [facts] = run_jobs(jobs, Limits(self._options.question_s), self._sandbox.confine_generator)
            if isinstance(facts, Lost):
                return _outcome(facts)
            found.append(facts)
        try:
            require_same(*found)
        except RefusedTaskError as error:
            return _outcome(Lost(error.kind, str(error)))
        return True, None

    def _facts(self, spec: RawSpec, beginning: int) -> Facts:
        random.seed(beginning)
        numpy.random.seed(beginning)
        return facts_of(self._task(spec), spec[4], spec[5])

    def _replies(self, items: Sequence[tuple[RawSpec, tuple[bytes | None, ...]]]) -> list[Outcome]:
        """Compute all replies in one child; if that child is lost, compute each reply in its own child."""
        together = self._replies_by_one(items)
        if not isinstance(together, Lost):
            return list(together)
        alone = [self._replies_by_one([item]) for item in items]
        return [_outcome(each) if isinstance(each, Lost) else each[0] for each in alone]

    def _replies_by_one(self, items: Sequence[tuple[RawSpec, tuple[bytes | None, ...]]]) -> Any | Lost:
        limits = Limits(self._options.question_s + self._options.score_s)
        jobs: list[Job] = [partial(self._reply_together, items)]
        [found] = run_jobs(jobs, limits, self._sandbox.confine_generator)
        return found

    def _reply_together(self, items: Sequence[tuple[RawSpec, tuple[bytes | None, ...]]]) -> list[Outcome]:
        scorers = [self._scorer(spec) for spec, _ in items]
        self._sandbox.confine_scorer(self._options.score_cpu_s)
        return [
            attempt(partial(scorer.reply, answers))
            for scorer, (_, answers) in zip(scorers, items, strict=True)
        ]

    def _score_in_one(self, groups: Sequence[Group], share: Sequence[bool]) -> list[Sequence[Outcome] | None]:
        """Score the groups marked in `share` in one child. The result is None for all other groups, for
        programs, and for every group if the child is lost."""
        [outcomes] = run_jobs(
            [partial(self._score_together, list(compress(groups, share)))],
            Limits(self._options.question_s + self._options.score_s),
            self._sandbox.confine_generator,
        )
        if isinstance(outcomes, Lost):
            return [None] * len(groups)
        found = iter(outcomes)
        return [next(found) if shares else None for shares in share]

    def _score_together(self, groups: Sequence[Group]) -> list[list[Outcome] | None]:
        """Build all questions first: once the child has confined itself, it can build no more."""
        scorers = [self._scorer(spec) for spec, _ in groups]
        self._sandbox.confine_scorer(self._options.score_cpu_s)
        return [
            None
            if scorer.must_run(answers)
            else [attempt(partial(scorer.score, answer)) for answer in answers]
            for scorer, (_, answers) in zip(scorers, groups, strict=True)
        ]

    def _score(self, spec: RawSpec, answers: Sequence[Answer]) -> list[Outcome]:
        """Score each distinct answer once. Programs run in a separate step that never sees the right
        outputs."""
        found = self._in_child(partial(self._score_all, spec, answers), len(answers))
        if isinstance(found, Lost):
            return [_outcome(found)] * len(answers)
        kind, outcomes = found
        return self._score_programs(spec, answers, outcomes) if kind == "programs" else list(outcomes)

    def _score_programs(
        self, spec: RawSpec, answers: Sequence[Answer], programs: Sequence[Any]
    ) -> list[Outcome]:
        """`programs` holds, for each answer, the program to run, or None."""
        performed = self._perform(answers, programs)
        if not performed:
            return [(True, WORTHLESS)] * len(answers)
        judged = self._in_child(partial(self._judge_all, spec, performed), len(answers))
        if isinstance(judged, Lost):
            return [_outcome(judged)] * len(answers)
        outcomes = dict(zip(performed, judged, strict=True))
        worthless: Outcome = (True, WORTHLESS)
        return [
            outcomes[each] if isinstance(each, bytes) and each in outcomes else worthless for each in answers
        ]

    def _in_child(self, job: Job, answers: int) -> Any | Lost:
        """The result of `job` in a child that regenerates a question and forks the scorers of its answers."""
        seconds = self._options.question_s + self._options.group_s + self._options.score_s + 2 * answers
        [found] = run_jobs([job], Limits(seconds), self._sandbox.confine_generator)
        return found

    def _score_all(self, spec: RawSpec, answers: Sequence[Answer]) -> tuple[str, Sequence[object]]:
        """("scores", outcomes), or ("programs", one per answer that must run first; None for the others)."""
        scorer = self._scorer(spec)
        if scorer.runs_programs:
            return "programs", [scorer.program(answer) for answer in answers]
        # An answer that the scorer may not see needs no child.
        found: dict[Answer, Outcome] = {
            answer: (True, WORTHLESS)
            for answer in answers
            if isinstance(answer, bytes) and not scorer.admits(answer.decode())
        }
        rest = [answer for answer in dict.fromkeys(answers) if answer not in found]
        found |= dict.fromkeys(rest, _outcome(Lost("skipped")))
        together = [answer for answer in rest if scorer.knows_forms or may_share(answer)]
        alone = [[answer] for answer in rest if answer not in together]
        limits = self._limits(has_turns=scorer.has_turns)
        for batch in [together, *alone]:
            jobs: list[Job] = [partial(scorer.score, answer) for answer in batch]
            results = run_jobs(jobs, limits, self._sandbox.confine_scorer)
            found |= zip(batch, map(_outcome, results), strict=True)
            lost = any(isinstance(result, Lost) and result.kind in ENDS_CHILD for result in results)
            if lost and self._options.stop_at_loss:
                break
        return "scores", [found[answer] for answer in answers]

    def _perform(self, answers: Sequence[Answer], programs: Sequence[Any]) -> dict[bytes, Outputs | Lost]:
        """The outputs of each program. This process only passes them on."""
        if self._nursery is None:
            return {}
        asked = {
            answer: Program(*each)
            for answer, each in zip(answers, programs, strict=True)
            if isinstance(answer, bytes) and each is not None
        }
        limits = replace(self._limits(), cpu_seconds=self._options.program_cpu_s)
        return dict(zip(asked, self._nursery.run_all(list(asked.values()), limits), strict=True))

    def _judge_all(self, spec: RawSpec, performed: Mapping[bytes, Outputs | Lost]) -> list[Outcome]:
        """Score the outputs of programs. They are untrusted, like answers, so their judge is confined too."""
        scorer = self._scorer(spec)
        judged = {a: outputs for a, outputs in performed.items() if not isinstance(outputs, Lost)}
        jobs: list[Job] = [
            partial(scorer.judge, answer.decode(), outputs) for answer, outputs in judged.items()
        ]
        results = run_jobs(jobs, self._limits(), self._sandbox.confine_scorer)
        found: dict[bytes, object] = {**performed, **dict(zip(judged, results, strict=True))}
        return [_outcome(found[answer]) for answer in performed]

    def _limits(self, *, has_turns: bool = False) -> Limits:
        """The limits of the jobs that score the answers to one question. The time starts now."""
        return Limits(
            self._options.score_s,
            cpu_seconds=self._options.score_cpu_s,
            deadline=time.monotonic() + self._options.group_s,
            stop_at_loss=self._options.stop_at_loss,
            result_bytes_max=_TURNS_RESULT_BYTES_MAX if has_turns else _RESULT_BYTES_MAX,
            result_items_max=_TURNS_RESULT_ITEMS_MAX if has_turns else _RESULT_ITEMS_MAX,
        )

    def _scorer(self, spec: RawSpec) -> Scorer:
        task = self._task(spec)
        _, entry = task.question(spec[4], spec[5])
        return Scorer(task, entry, literals_only=self._sandbox.literals_only)

    def _question(self, spec: RawSpec) -> tuple[str, int, str, Images]:
        task = self._task(spec)
        text, entry = task.question(spec[4], spec[5])
        turns, images = turns_of(task), images_for(task, entry)
        hidden = "" if is_plain(turns, images) else hidden_part(task, entry, spec[4], spec[5])
        require_short(text, hidden)
        return text, turns, hidden, images

    def _expected(self, spec: RawSpec) -> str | None:
        task = self._task(spec)
        _, entry = task.question(spec[4], spec[5])
        expected: Callable[[Any], str | None] | None = getattr(task, "expected", None)
        right = None if expected is None else expected(entry)
        return right if isinstance(right, str) and len(right) <= _EXPECTED_CHARS_MAX else None

    def _solution(self, spec: RawSpec) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
        task = self._task(spec)
        _, entry = task.question(spec[4], spec[5])
        found = solved(task, entry)
        if found is None or found.chars > _EXPECTED_CHARS_MAX:
            return None
        return found.answers, found.observations

    def _task(self, spec: RawSpec) -> Task | TurnsTask:
        source, dataset, config, version, _, _ = spec
        if source not in self._sources:
            raise UnknownSourceError.named(source, self._sources)
        installed = self._sources[source].version
        if version not in (None, installed):
            raise WrongVersionError(f"{source} {installed} is installed, but the task needs {version}")
        options = json.loads(config)
        task = self._sources[source].build(dataset, without_judges(options))
        unfit = why_unfit(judges_of(config), turns=turns_of(task), images=hasattr(task, "images"))
        if unfit is not None:
            raise BadOptionError(unfit, OPTION)
        return task


def _within(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Replace held-out questions that might not fit into a frame with True."""
    room, kept = _HELD_OUT_BYTES_MAX, list[Outcome]()
    for outcome in outcomes:
        if outcome[0] is True and outcome[1] is not None:
            text, _, hidden, images = cast(Any, outcome[1])
            room -= len(text.encode()) + len(hidden.encode()) + sum(len(pixels) for _, _, pixels in images)
            outcome = outcome if room >= 0 else (True, True)
        kept.append(outcome)
    return kept


def _outcome(result: object) -> Outcome:
    return (False, result.kind, result.detail, result.option) if isinstance(result, Lost) else (True, result)
