"""The worker's main program: `python -m swarmd.tasks.worker`. Reads requests on stdin, answers on stdout.

It imports the sources once, locks itself in and forks a child for every piece of work, so it stays warm and
never runs a scorer itself. The children that regenerate questions run the sources' code; those that score run
it on text chosen by peers. Answers to one question share a child if the task says what it admits. Otherwise a
text that is not a plain literal gets a child to itself. Answers that are programs run in processes of the
`nursery`, and a child that has not run them judges what they gave.

    -> ("questions", (spec, ...))              <- (outcome, ...)   outcome = (True, text)
    -> ("answers", (spec, ...))                <- (outcome, ...)   outcome = (True, text or None)
    -> ("score", spec, (answer in UTF-8, ...)) <- (outcome, ...)   outcome = (True, (millionths, bare))
    -> ("score plain", (group, ...))           <- ((outcome, ...) or None, ...)
       group = (spec, (answer, ...)); None: ask for it with "score", by itself. So it is with programs
    -> ("score ours", (group, ...))            the same for any answers: nobody else chose them
       spec = (source, dataset, config, version or None for the installed one, seed, index)
       an outcome without a result = (False, kind, detail, option or None)
    A reply is (CPU microseconds that the request took, outcomes).

While it starts and while it works it sends a beat every second: a worker that is silent for long is frozen.
"""

from __future__ import annotations

import gc
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import compress
from typing import Any

from swarmd.tasks.answers import is_bounded, is_plain_literal
from swarmd.tasks.bare import Budget, is_tight
from swarmd.tasks.children import ENDS_CHILD, Job, Limits, Lost, attempt, run_jobs
from swarmd.tasks.frames import BEAT, read_frame, write_frame
from swarmd.tasks.launch import BEAT_S, WorkerOptions
from swarmd.tasks.nursery import CALLS_MAX, Nursery
from swarmd.tasks.rewards import score_micro
from swarmd.tasks.sandbox import Sandbox, kernel, seccomp
from swarmd.tasks.source import (
    Outputs,
    Program,
    Task,
    TaskSource,
    UnknownSourceError,
    WrongVersionError,
    find_sources,
    source_directories,
)

# Numbers, dates, words: no bracket, quote, underscore or operator that evaluated text could call or hide
# anything with. Most answers are like that, and all of a request can share one child: a fork of the warm
# worker takes 4 ms or more, a score microseconds.
_PLAIN = re.compile(rb"[A-Za-z0-9 ,.:/+\n-]*")

_SHARED_BYTES_MAX = 512  # longer text takes a scorer longer, and a child that is lost costs all that share it

_RESULT_BYTES_MAX = 4_096  # a score, or why there is none: 300 characters
_RESULT_ITEMS_MAX = 8

WORTHLESS = (0, False)

Outcome = tuple[object, ...]
RawSpec = tuple[str, str, str, str | None, int, int]
Group = tuple[RawSpec, Sequence[bytes]]


class Bench:
    """Questions and scores from the sources, each computed in a child."""

    def __init__(
        self,
        sources: dict[str, TaskSource],
        sandbox: Sandbox,
        nursery: Nursery | None,
        options: WorkerOptions,
    ) -> None:
        """Without a nursery no program runs: each scores 0."""
        self._sources = sources
        self._sandbox = sandbox
        self._nursery = nursery
        self._options = options

    def cpu_micro(self) -> int:
        """CPU microseconds so far of this process, its children and all programs."""
        return _cpu_micro() + (0 if self._nursery is None else self._nursery.cpu_micro)

    def answer(self, request: Any) -> Sequence[object]:
        match request:
            case ("questions", specs):
                return self._each(self._question, specs)
            case ("answers", specs):
                return self._each(self._expected, specs)
            case ("score", spec, answers):
                return self._score(spec, answers)
            case ("score plain", groups):
                return self._score_in_one(groups, [all(map(_shares, answers)) for _, answers in groups])
            case ("score ours", groups):
                return self._score_in_one(groups, [True] * len(groups))
            case _:
                raise ValueError(f"no such request: {request!r:.200}")

    def _each(self, work: Callable[[RawSpec], object], specs: Sequence[RawSpec]) -> list[Outcome]:
        jobs: list[Job] = [partial(work, spec) for spec in specs]
        limits = Limits(self._options.question_s)
        return [_outcome(result) for result in run_jobs(jobs, limits, self._sandbox.confine_generator)]

    def _score_in_one(self, groups: Sequence[Group], share: Sequence[bool]) -> list[Sequence[Outcome] | None]:
        """Scores the groups that `share` in one child. None for the others, for programs, and for all if it
        is lost."""
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
        """Builds all questions first: then the child locks itself in, and could not build another."""
        scorers = [self._scorer(spec) for spec, _ in groups]
        self._sandbox.confine_scorer(self._options.score_cpu_s)
        return [
            None
            if scorer.must_run(answers)
            else [attempt(partial(scorer.score, answer)) for answer in answers]
            for scorer, (_, answers) in zip(scorers, groups, strict=True)
        ]

    def _score(self, spec: RawSpec, answers: Sequence[bytes]) -> list[Outcome]:
        """Each distinct answer is scored once. Programs are run in between, away from what is right."""
        found = self._in_child(partial(self._score_all, spec, answers), len(answers))
        if isinstance(found, Lost):
            return [_outcome(found)] * len(answers)
        kind, outcomes = found
        return self._score_programs(spec, answers, outcomes) if kind == "programs" else list(outcomes)

    def _score_programs(
        self, spec: RawSpec, answers: Sequence[bytes], programs: Sequence[Any]
    ) -> list[Outcome]:
        """Each answer with the program to run for it, or None."""
        performed = self._perform(answers, programs)
        if not performed:
            return [(True, WORTHLESS)] * len(answers)
        judged = self._in_child(partial(self._judge_all, spec, performed), len(answers))
        if isinstance(judged, Lost):
            return [_outcome(judged)] * len(answers)
        outcomes = dict(zip(performed, judged, strict=True))
        return [outcomes.get(answer, (True, WORTHLESS)) for answer in answers]

    def _in_child(self, job: Job, answers: int) -> Any | Lost:
        """What `job` gives in a child that rebuilds a question and forks the scorers of its answers."""
        seconds = self._options.question_s + self._options.group_s + self._options.score_s + 2 * answers
        [found] = run_jobs([job], Limits(seconds), self._sandbox.confine_generator)
        return found

    def _score_all(self, spec: RawSpec, answers: Sequence[bytes]) -> tuple[str, Sequence[object]]:
        """("scores", outcomes), or ("programs", one per answer that has to be run first; None for others)."""
        scorer = self._scorer(spec)
        if scorer.runs_programs:
            return "programs", [scorer.program(answer) for answer in answers]
        # An answer that the scorer may not see costs no child.
        found: dict[bytes, Outcome] = {
            answer: (True, WORTHLESS) for answer in answers if not scorer.admits(answer.decode())
        }
        rest = [answer for answer in dict.fromkeys(answers) if answer not in found]
        found |= dict.fromkeys(rest, _outcome(Lost("skipped")))
        together = [answer for answer in rest if scorer.knows_forms or _shares(answer)]
        alone = [[answer] for answer in rest if answer not in together]
        limits = self._limits()
        for batch in [together, *alone]:
            jobs: list[Job] = [partial(scorer.score, answer) for answer in batch]
            results = run_jobs(jobs, limits, self._sandbox.confine_scorer)
            found |= zip(batch, map(_outcome, results), strict=True)
            lost = any(isinstance(result, Lost) and result.kind in ENDS_CHILD for result in results)
            if lost and self._options.stop_at_loss:
                break
        return "scores", [found[answer] for answer in answers]

    def _perform(self, answers: Sequence[bytes], programs: Sequence[Any]) -> dict[bytes, Outputs | Lost]:
        """What each program gave. This process only hands it on."""
        if self._nursery is None:
            return {}
        asked = {a: Program(*each) for a, each in zip(answers, programs, strict=True) if each is not None}
        limits = replace(self._limits(), cpu_seconds=self._options.program_cpu_s)
        return dict(zip(asked, self._nursery.run_all(list(asked.values()), limits), strict=True))

    def _judge_all(self, spec: RawSpec, performed: Mapping[bytes, Outputs | Lost]) -> list[Outcome]:
        """The outputs come from strangers, as answers do, and their judge is confined as a scorer is."""
        scorer = self._scorer(spec)
        judged = {a: outputs for a, outputs in performed.items() if not isinstance(outputs, Lost)}
        jobs: list[Job] = [partial(scorer.judge, answer, outputs) for answer, outputs in judged.items()]
        results = run_jobs(jobs, self._limits(), self._sandbox.confine_scorer)
        found: dict[bytes, object] = {**performed, **dict(zip(judged, results, strict=True))}
        return [_outcome(found[answer]) for answer in performed]

    def _limits(self) -> Limits:
        """Of the jobs that score the answers to one question, from now on."""
        return Limits(
            self._options.score_s,
            cpu_seconds=self._options.score_cpu_s,
            deadline=time.monotonic() + self._options.group_s,
            stop_at_loss=self._options.stop_at_loss,
            result_bytes_max=_RESULT_BYTES_MAX,
            result_items_max=_RESULT_ITEMS_MAX,
        )

    def _scorer(self, spec: RawSpec) -> _Scorer:
        task = self._task(spec)
        _, entry = task.question(spec[4], spec[5])
        return _Scorer(task, entry, literals_only=self._sandbox.literals_only)

    def _question(self, spec: RawSpec) -> str:
        text, _ = self._task(spec).question(spec[4], spec[5])
        return text

    def _expected(self, spec: RawSpec) -> str | None:
        task = self._task(spec)
        _, entry = task.question(spec[4], spec[5])
        expected: Callable[[Any], str | None] | None = getattr(task, "expected", None)
        return None if expected is None else expected(entry)

    def _task(self, spec: RawSpec) -> Task:
        source, dataset, config, version, _, _ = spec
        if source not in self._sources:
            raise UnknownSourceError(
                f"no source {source!r} is installed; there are {', '.join(self._sources)}"
            )
        installed = self._sources[source].version
        if version not in (None, installed):
            raise WrongVersionError(f"{source} is installed as {installed}, but {version} is asked for")
        return self._sources[source].build(dataset, json.loads(config))


class _Scorer:
    """Scores answers to one question, if they are admitted, and says whether they are bare."""

    def __init__(self, task: Task, entry: Any, *, literals_only: bool) -> None:
        self._task = task
        self._entry = entry
        self._literals_only = literals_only
        self._form: Callable[[str, Any], bool] | None = getattr(task, "admits", None)
        self._bare: Callable[[str, Any], bool | None] | None = getattr(task, "is_bare", None)
        self._program: Callable[[str, Any], Program] | None = getattr(task, "program", None)
        self._budget = Budget()

    @property
    def knows_forms(self) -> bool:
        """Whether the task says what it admits, so that its answers may share a child."""
        return self._form is not None

    @property
    def runs_programs(self) -> bool:
        """Whether the task's answers are programs."""
        return self._program is not None

    def must_run(self, raw: Sequence[bytes]) -> bool:
        """Whether any of these answers is a program that may be run. If not, `score` gives 0 for each."""
        return self.runs_programs and any(self.program(each) is not None for each in raw)

    def program(self, raw: bytes) -> Program | None:
        """What to run for an answer; None if it is not admitted, or if nothing holds a program back here."""
        answer = raw.decode()
        if self._program is None or self._literals_only or not self.admits(answer):
            return None
        program = self._program(answer, self._entry)
        if len(program.calls) > CALLS_MAX:
            raise ValueError(f"the task makes {len(program.calls)} calls of a program, {CALLS_MAX} at most")
        return program

    def judge(self, raw: bytes, outputs: Outputs) -> tuple[int, bool]:
        """As `score`, of a program that gave `outputs`. Its shorter forms are not tried: each costs a run."""
        micro = score_micro(self._task.judge(outputs, self._entry))  # type: ignore[attr-defined]  # see Task
        known = self._bare(raw.decode(), self._entry) if micro > 0 and self._bare else None
        return micro, known is True

    def admits(self, answer: str) -> bool:
        if self._literals_only and not is_plain_literal(answer):
            return False
        return is_bounded(answer) if self._form is None else self._form(answer, self._entry)

    def score(self, raw: bytes) -> tuple[int, bool]:
        """The score in millionths, 0 if not admitted; and whether the answer is bare and worth anything."""
        answer = raw.decode()
        micro = self._micro(answer)
        return (micro, self._is_bare(answer, micro)) if micro > 0 else WORTHLESS

    def _is_bare(self, answer: str, micro: int) -> bool:
        known = self._bare(answer, self._entry) if self._bare else None
        return is_tight(answer, micro, self._micro_of_rival, self._budget) if known is None else known

    def _micro(self, answer: str) -> int:
        return score_micro(self._task.score(answer, self._entry)) if self.admits(answer) else 0

    def _micro_of_rival(self, answer: str) -> int:
        try:
            return self._micro(answer)
        except Exception:  # noqa: BLE001  a scorer may raise anything: as everywhere, the text is worth nothing
            return 0


def _shares(answer: bytes) -> bool:
    """Whether `answer` may be scored in one child with others."""
    if len(answer) > _SHARED_BYTES_MAX:
        return False
    return _PLAIN.fullmatch(answer) is not None or is_plain_literal(answer.decode())


def _outcome(result: object) -> Outcome:
    return (False, result.kind, result.detail, result.option) if isinstance(result, Lost) else (True, result)


def _cpu_micro() -> int:
    """CPU microseconds of this process and of all children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(usage.ru_utime + usage.ru_stime for usage in used) * 1e6)


@contextmanager
def _beating(replies: int) -> Iterator[None]:
    """Send beats while the block runs, and none afterwards, so that no beat cuts a reply in two.

    A timer sends them instead of a thread, which a fork would lose in the middle of anything. Children have
    their own timers.
    """
    signal.signal(signal.SIGALRM, lambda *_: os.write(replies, BEAT))
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, BEAT_S, BEAT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # after it ran for the last time, if one was due


def main() -> None:
    """argv: the parent's pid, the options."""
    parent, options = int(sys.argv[1]), WorkerOptions.from_argument(sys.argv[2])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the daemon, which closes us
    if sys.platform == "linux":
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() != parent:
            return  # the parent ended before the line above
    requests, replies = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)  # a source that prints must not write into our frames
    os.close(null)
    gc.freeze()  # the nursery shares these pages
    nursery = Nursery.start(options.priority) if seccomp.is_supported() else None
    with _beating(replies):
        sources = find_sources(options.sources)
    sandbox = Sandbox(source_directories(sources), priority=options.priority)
    sandbox.confine_worker()
    gc.collect()
    gc.freeze()  # the children share these pages; a collection there would copy them
    versions = {name: (source.version, sorted(source.datasets())) for name, source in sources.items()}
    write_frame(replies, (versions, sandbox.missing))
    bench = Bench(sources, sandbox, nursery, options)
    while True:
        try:
            request = read_frame(requests)
        except EOFError:
            return
        before = bench.cpu_micro()
        with _beating(replies):
            outcomes = bench.answer(request)
        write_frame(replies, (bench.cpu_micro() - before, tuple(outcomes)))


if __name__ == "__main__":
    main()
