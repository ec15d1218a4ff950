"""The interface of a task source, and the discovery of installed sources.

A source runs only in the sandboxed worker, never in the daemon. A package provides one with an entry point:

    [project.entry-points."swarmd.tasks"]
    my_tasks = "my_package.module:MySource"

The name on the left is the `source` in a manifest. The value is a class that is called without arguments.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from swarmd.errors import TaskError
from swarmd.quoting import quoted
from swarmd.tasks.versions import outside_versions

ENTRY_POINT_GROUP = "swarmd.tasks"
BUILT_IN = {
    "reasoning_gym": "swarmd.tasks.gym:ReasoningGym",
    "coding": "swarmd.tasks.coding:Coding",
    "games": "swarmd.tasks.games:Games",
    "drawing": "swarmd.tasks.drawing:Drawing",
    "pictures": "swarmd.tasks.pictures:Pictures",
}
FROM_OUTSIDE = {
    "textarena": "swarmd.tasks.outside.arena:TextArena",
    "verifiers": "swarmd.tasks.outside.tasksets:Verifiers",
}
"""Sources that belong to an extra of the same name and exist if its package is installed."""


class RefusedTaskError(TaskError):
    """A task spec that is not valid here. `kind` names the invalid part."""

    kind: ClassVar[str]
    option: str | None = None


class UnknownSourceError(RefusedTaskError):
    """No source of that name is installed."""

    kind = "source"

    @classmethod
    def named(cls, source: str, known: Collection[str]) -> UnknownSourceError:
        """The error for `source`, which is not among `known`."""
        if source in FROM_OUTSIDE:
            return cls(f"{source} is not installed: pip install 'swarmd[{source}]'")
        return cls(f"no source {quoted(source)} is installed; there are {', '.join(known)}")


class WrongVersionError(RefusedTaskError):
    """The installed source has a different version."""

    kind = "version"


class UnknownDatasetError(RefusedTaskError):
    """The source has no dataset of that name."""

    kind = "dataset"


class BadOptionError(RefusedTaskError):
    """A dataset's option is unknown, or has a value that the dataset refuses."""

    kind = "option"

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class Program(NamedTuple):
    """A stranger's Python program with the calls to make. It runs in its own process."""

    text: str
    """Executed once. `calls` can use what it defines."""
    calls: tuple[str, ...]
    """Expressions, evaluated in order."""


Outputs = Sequence[str | None]
"""The `ascii` of each call's result. None if the call raised or its result was too long."""


class Task(Protocol):
    """A dataset with its options: asks questions and scores answers.

    Optional methods:

    `admits(answer, entry) -> bool`: whether `score` may see the answer at all. An answer that is not admitted
    scores 0. Without `admits`, only answers with numbers that take too long to convert are withheld. Whatever
    is admitted, the sandbox evaluates only literals and arithmetic while `score` runs.

    `is_bare(answer, entry) -> bool | None`: whether `answer` is the only text that a right answer should
    have; None if other texts may be just as right. For None, and without `is_bare`, the sandbox scores
    shorter variants of the answer to decide (`bare`). An answer that is not bare is rewarded, but other peers
    do not learn from it.

    `expected(entry) -> str | None`: a right answer, shown to people, and to models as an example.

    `images(entry) -> Sequence[numpy.ndarray]`, for a task about images: each uint8 [height, width, 3], drawn
    with integer arithmetic, so that every peer gets the same pixels (`swarmd.images` has the limits). Such a
    task can also have `hidden`, as in `TurnsTask`.

    `program(answer, entry) -> Program` and `judge(outputs, entry) -> float`, for a task whose answers are
    programs. `score` is then not called. The program runs in a process that knows nothing else. `judge`
    compares its `Outputs` with the right ones, in another process.
    """

    def question(self, seed: int, index: int) -> tuple[str, Any]:
        """The question's text, and the entry that `score` needs to score an answer.

        Must be a pure function of (seed, index): every peer regenerates the question and must get the same
        text. seed is in 0..2**32-1, index in 0..2**20. The iteration order of sets is safe, because the
        worker fixes PYTHONHASHSEED; the clock, the network and `id` are not.
        """
        ...

    def score(self, answer: str, entry: Any) -> float:
        """How right `answer` is, in [0, 1]. It can be any text. May raise, which scores 0."""
        ...


class TurnsTask(Protocol):
    """A task of several turns: the policy writes, gets an observation, and writes again.

    Only what policies write is sent between peers. Each receiver computes the observations itself, so they
    must depend on nothing but the entry and the answers so far. `admits` and `is_bare` are optional, as in
    `Task`; `is_bare` gets all answers. Often all seeds give the same question text. A task can therefore have
    `hidden(entry) -> str`, which distinguishes questions with the same text, for example by the number to
    guess. Without it, every seed and index counts as a different question.

    Optional: `solution(entry) -> Sequence[str]`, right answers, one per turn. They are shown to models as an
    example, so they should be answers of someone who knows only what the task has said so far. Models that
    judge conversations (`swarmd.judges`) are calibrated on them.
    """

    turns: int
    """The most turns that a policy may write, 2 to `protocol.TURNS_MAX`."""

    def question(self, seed: int, index: int) -> tuple[str, Any]:
        """As in `Task`. The text explains how the task proceeds."""
        ...

    def reply(self, answers: Sequence[str | None], entry: Any) -> str | None:
        """The reply to the policy's answers so far, at most `OBSERVATION_BYTES_MAX` bytes of UTF-8.

        None if the task is over. `answers` has one element per turn, None for a turn without an answer. Not
        called after the last of `turns`.
        """
        ...

    def score(self, answers: Sequence[str | None], entry: Any) -> float:
        """How good the answers are together, in [0, 1]. They may end before the task is over."""
        ...


@runtime_checkable
class TaskSource(Protocol):
    """Provides tasks.

    A source can also have `prepare()`, for slow imports. It is called when the source's first task is
    requested.
    """

    @property
    def version(self) -> str:
        """Must change whenever the same seed may give a different question; at most 64 bytes."""
        ...

    def datasets(self) -> Collection[str]:
        """The dataset names that `build` accepts."""
        ...

    def build(self, dataset: str, config: Mapping[str, Any]) -> Task | TurnsTask:
        """The task of `dataset` with these options. Raises UnknownDatasetError and BadOptionError."""
        ...


def find_sources(extra: Sequence[str] = ()) -> dict[str, TaskSource]:
    """Every source by name: built-in ones, those of entry points, and `extra` ("name=module:attribute").

    Raises TaskError if one cannot be imported or is not a source.
    """
    there = BUILT_IN | {name: value for name, value in FROM_OUTSIDE.items() if name in outside_versions()}
    found = [EntryPoint(name, value, ENTRY_POINT_GROUP) for name, value in there.items()]
    found += entry_points(group=ENTRY_POINT_GROUP)
    for text in extra:
        name, _, value = text.partition("=")
        found.append(EntryPoint(name, value, ENTRY_POINT_GROUP))
    return {point.name: _load(point) for point in found}


def _load(point: EntryPoint) -> TaskSource:
    try:
        source = point.load()()
    except (ImportError, AttributeError, TypeError) as error:
        raise TaskError(
            f"the task source {point.name!r} ({point.value}) cannot be loaded: {error}"
        ) from error
    if not isinstance(source, TaskSource):
        raise TaskError(f"the task source {point.name!r} ({point.value}) lacks version, datasets or build")
    return source


def source_directories(sources: Mapping[str, TaskSource]) -> list[str]:
    """Paths that the sandbox must let the sources read: the directories of packages, the files of modules."""
    modules = {type(source).__module__.partition(".")[0] for source in sources.values()}
    paths: list[str] = []
    for module in map(importlib.import_module, modules):
        paths += getattr(module, "__path__", None) or [f for f in [getattr(module, "__file__", None)] if f]
    return paths
