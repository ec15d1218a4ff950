"""The worker's main program: `python -m swarmd.tasks.worker`. Reads requests on stdin, answers on stdout.

It imports the sources once, locks itself in and forks a child for every piece of work, so it stays warm and
never runs a scorer itself. The children that regenerate questions run the sources' code; those that score run
it on text chosen by peers. Answers to one question share a child if the task says what it admits. Otherwise a
text that is not a plain literal gets a child to itself.

    -> ("questions", (spec, ...))              <- (outcome, ...)   outcome = (True, text)
    -> ("held out", (spec, ...))               <- (outcome, ...)   outcome = (True, text, or None if not)
    -> ("answers", (spec, ...))                <- (outcome, ...)   outcome = (True, text or None)
    -> ("score", spec, (answer in UTF-8, ...)) <- (outcome, ...)   outcome = (True, (millionths, bare))
    -> ("score plain", (group, ...))           <- ((outcome, ...) or None, ...)
       group = (spec, (answer, ...)); None: ask for it with "score", by itself
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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import compress
from typing import Any

import swarmd.tasks.spared  # noqa: F401  before what imports the protocol
from protocol.held_out import is_held_out
from swarmd.importing import importing
from swarmd.tasks.answers import is_bounded, is_plain_literal
from swarmd.tasks.bare import Budget, is_tight
from swarmd.tasks.children import ENDS_CHILD, Job, Limits, Lost, attempt, run_jobs
from swarmd.tasks.frames import BEAT, read_frame, write_frame
from swarmd.tasks.launch import BEAT_S, WorkerOptions
from swarmd.tasks.rewards import score_micro
from swarmd.tasks.sandbox import Sandbox, kernel
from swarmd.tasks.source import (
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

_TOGETHER = (
    64  # questions that one job makes: a result and its way through the pipe cost more than most questions
)
_TOGETHER_S = 1.0  # after this the rest of them are jobs of their own, each with its own limit

WORTHLESS = (0, False)

Outcome = tuple[object, ...]
RawSpec = tuple[str, str, str, str | None, int, int]
Group = tuple[RawSpec, Sequence[bytes]]


class Bench:
    """Questions and scores from the sources, each computed in a child."""

    def __init__(self, sources: dict[str, TaskSource], sandbox: Sandbox, options: WorkerOptions) -> None:
        self._sources = sources
        self._sandbox = sandbox
        self._options = options

    def answer(self, request: Any) -> Sequence[object]:
        match request:
            case ("questions", specs):
                return self._each(self._question, specs)
            case ("held out", specs):
                return self._held_out(specs)
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

    def _held_out(self, specs: Sequence[RawSpec]) -> list[Outcome]:
        """Nine of ten questions are not held out, so many are made: some in each job, and those of a job that
        was lost or slow each in one of its own."""
        parts = [specs[start : start + _TOGETHER] for start in range(0, len(specs), _TOGETHER)]
        jobs: list[Job] = [partial(self._if_held_out_together, part) for part in parts]
        limits = Limits(self._options.question_s + _TOGETHER_S)
        outcomes: list[Outcome] = []
        for part, found in zip(parts, run_jobs(jobs, limits, self._sandbox.confine_generator), strict=True):
            made = found[: len(part)] if isinstance(found, tuple) else ()
            outcomes += [*made, *self._each(self._if_held_out, part[len(made) :])]
        return outcomes

    def _if_held_out_together(self, specs: Sequence[RawSpec]) -> list[Outcome]:
        """The outcomes of the first of `specs`, as many as are made in `_TOGETHER_S`."""
        until = time.monotonic() + _TOGETHER_S
        made: list[Outcome] = []
        for spec in specs:
            made.append(attempt(partial(self._if_held_out, spec)))
            if time.monotonic() >= until:
                break
        return made

    def _if_held_out(self, spec: RawSpec) -> object:
        text: object = self._question(spec)
        return text if not isinstance(text, str) or is_held_out(text) else None

    def _score_in_one(self, groups: Sequence[Group], share: Sequence[bool]) -> list[Sequence[Outcome] | None]:
        """Scores the groups that `share` in one child. None for the others, and for all if it is lost."""
        [outcomes] = run_jobs(
            [partial(self._score_together, list(compress(groups, share)))],
            Limits(self._options.question_s + self._options.score_s),
            self._sandbox.confine_generator,
        )
        if isinstance(outcomes, Lost):
            return [None] * len(groups)
        found = iter(outcomes)
        return [next(found) if shares else None for shares in share]

    def _score_together(self, groups: Sequence[Group]) -> list[list[Outcome]]:
        """Builds all questions first: then the child locks itself in, and could not build another."""
        scorers = [self._scorer(spec) for spec, _ in groups]
        self._sandbox.confine_scorer(self._options.score_cpu_s)
        return [
            [attempt(partial(scorer.score, answer)) for answer in answers]
            for scorer, (_, answers) in zip(scorers, groups, strict=True)
        ]

    def _score(self, spec: RawSpec, answers: Sequence[bytes]) -> list[Outcome]:
        """One child rebuilds the question, then forks the scorers. Each distinct answer is scored once."""
        seconds = self._options.question_s + self._options.group_s + self._options.score_s + 2 * len(answers)
        [outcomes] = run_jobs(
            [partial(self._score_all, spec, answers)], Limits(seconds), self._sandbox.confine_generator
        )
        return [_outcome(outcomes)] * len(answers) if isinstance(outcomes, Lost) else list(outcomes)

    def _score_all(self, spec: RawSpec, answers: Sequence[bytes]) -> list[Outcome]:
        scorer = self._scorer(spec)
        # An answer that the scorer may not see costs no child.
        found: dict[bytes, Outcome] = {
            answer: (True, WORTHLESS) for answer in answers if not scorer.admits(answer.decode())
        }
        rest = [answer for answer in dict.fromkeys(answers) if answer not in found]
        found |= dict.fromkeys(rest, _outcome(Lost("skipped")))
        together = [answer for answer in rest if scorer.knows_forms or _shares(answer)]
        alone = [[answer] for answer in rest if answer not in together]
        limits = Limits(
            self._options.score_s,
            cpu_seconds=self._options.score_cpu_s,
            deadline=time.monotonic() + self._options.group_s,
            stop_at_loss=self._options.stop_at_loss,
            result_bytes_max=_RESULT_BYTES_MAX,
            result_items_max=_RESULT_ITEMS_MAX,
        )
        for batch in [together, *alone]:
            jobs: list[Job] = [partial(scorer.score, answer) for answer in batch]
            results = run_jobs(jobs, limits, self._sandbox.confine_scorer)
            found |= zip(batch, map(_outcome, results), strict=True)
            lost = any(isinstance(result, Lost) and result.kind in ENDS_CHILD for result in results)
            if lost and self._options.stop_at_loss:
                break
        return [found[answer] for answer in answers]

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
        self._budget = Budget()

    @property
    def knows_forms(self) -> bool:
        """Whether the task says what it admits, so that its answers may share a child."""
        return self._form is not None

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
    with _beating(replies), importing():
        sources = find_sources(options.sources)
    sandbox = Sandbox(source_directories(sources), priority=options.priority)
    sandbox.confine_worker()
    gc.collect()
    gc.freeze()  # the children share these pages; a collection there would copy them
    versions = {name: (source.version, sorted(source.datasets())) for name, source in sources.items()}
    write_frame(replies, (versions, sandbox.missing))
    bench = Bench(sources, sandbox, options)
    while True:
        try:
            request = read_frame(requests)
        except EOFError:
            return
        before = _cpu_micro()
        with _beating(replies):
            outcomes = bench.answer(request)
        write_frame(replies, (_cpu_micro() - before, tuple(outcomes)))


if __name__ == "__main__":
    main()
