"""The interface of a source of tasks, and how installed sources are found.

A source runs only in the sandboxed worker, never in the daemon. A package offers one through an entry point:

    [project.entry-points."swarmd.tasks"]
    my_tasks = "my_package.module:MySource"

The name on the left is the `source` that a manifest gives; the value is a class, called without arguments.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

from swarmd.errors import TaskError
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
"""Sources that come with an extra of the same name, and are there if its package is installed."""


class RefusedTaskError(TaskError):
    """A task spec that cannot be a task here; `kind` says which part of it is wrong."""

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
        return cls(f"no source {source!r} is installed; there are {', '.join(known)}")


class WrongVersionError(RefusedTaskError):
    """The source is installed in another version."""

    kind = "version"


class UnknownDatasetError(RefusedTaskError):
    """The source has no dataset of that name."""

    kind = "dataset"


class BadOptionError(RefusedTaskError):
    """An option of a dataset is unknown or has a value that the dataset refuses."""

    kind = "option"

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class Program(NamedTuple):
    """A stranger's program, and what to ask it. It is Python, and runs in a process of its own."""

    text: str
    """Executed once; what it defines is what `calls` may name."""
    calls: tuple[str, ...]
    """Expressions, evaluated in turn."""


Outputs = Sequence[str | None]
"""What each call of a program gave, as `ascii` writes it. None: it raised, or gave too much."""


class Task(Protocol):
    """A dataset with its options: asks questions and judges answers.

    A task may also have `admits(answer, entry) -> bool`: whether `score` may see the answer at all. An answer
    that is not admitted scores 0. A task without `admits` is not shown numbers that take for ever to convert.
    Whatever it admits, the sandbox evaluates only literals and arithmetic while `score` runs.

    It may also have `is_bare(answer, entry) -> bool | None`: whether `answer` is the one text that a right
    answer should have; None if other texts may be as right. For None, and for a task without `is_bare`, the
    sandbox scores shorter texts instead of the answer (`bare`). An answer that is not bare is rewarded, but
    not learned from other peers.

    It may also have `expected(entry) -> str | None`: a right answer. It is shown to people, and to models as
    an example.

    A task about images has `images(entry) -> Sequence[numpy.ndarray]`: each uint8 [height, width, 3], drawn
    in whole numbers, so that every peer has the same pixels (`swarmd.images` has the limits). It may have
    `hidden`, too, as in `TurnsTask`.

    A task whose answers are programs has `program(answer, entry) -> Program` and `judge(outputs, entry) ->
    float`, and its `score` is not called. The program runs in a process that knows nothing but that program.
    `judge` compares `Outputs` with what it knows, in another process.
    """

    def question(self, seed: int, index: int) -> tuple[str, Any]:
        """The question's text, and the entry that `score` needs to judge an answer to it.

        A pure function of (seed, index): every peer regenerates the question and must get the same text.
        seed is in 0..2**32-1, index in 0..2**20. The order of sets is safe (the worker fixes
        PYTHONHASHSEED); the clock, the network and `id` are not.
        """
        ...

    def score(self, answer: str, entry: Any) -> float:
        """How right `answer` is, in [0, 1]. It may be any text. May raise: the answer then scores 0."""
        ...


class TurnsTask(Protocol):
    """A task of several turns: the policy writes, is told what came of it, and writes again.

    Only what policies write travels between peers. Each receiver makes the observations again, so they may
    depend on nothing but the entry and the answers so far. `admits` and `is_bare` may be there as in `Task`;
    `is_bare` gets all answers. A question's text is often the same for all seeds. So a task may have
    `hidden(entry) -> str`, which tells questions of the same text apart, for example the number to guess.
    Without it every seed and index is another question.

    It may also have `solution(entry) -> Sequence[str]`: right answers, one per turn. They are shown
    to models as an example, so they should be those of somebody who knows only what the task has said so far.
    """

    turns: int
    """How many a policy may write at most, 2 to `protocol.TURNS_MAX`."""

    def question(self, seed: int, index: int) -> tuple[str, Any]:
        """As in `Task`. The text says how the task goes on."""
        ...

    def reply(self, answers: Sequence[str | None], entry: Any) -> str | None:
        """What the policy is told after its answers so far, at most `OBSERVATION_BYTES_MAX` bytes of UTF-8.

        None: it is over. One answer per turn; None for a turn without an answer. Not asked after the last of
        `turns`.
        """
        ...

    def score(self, answers: Sequence[str | None], entry: Any) -> float:
        """How well the answers did together, in [0, 1]. They may end before the task is over."""
        ...


@runtime_checkable
class TaskSource(Protocol):
    """Where tasks come from.

    A source may also have `prepare()`: imports that take long, made when the first task of it is asked for.
    """

    @property
    def version(self) -> str:
        """Changes whenever the same seed may give another question; at most 64 bytes."""
        ...

    def datasets(self) -> Collection[str]:
        """The names that `build` takes."""
        ...

    def build(self, dataset: str, config: Mapping[str, Any]) -> Task | TurnsTask:
        """The task of `dataset` with these options. Raises UnknownDatasetError and BadOptionError."""
        ...


def find_sources(extra: Sequence[str] = ()) -> dict[str, TaskSource]:
    """Every source by name: the built-in ones, the entry points', and `extra` ("name=module:attribute").

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
    """What the sandbox must let the sources read: their packages' directories, or single modules' files."""
    modules = {type(source).__module__.partition(".")[0] for source in sources.values()}
    paths: list[str] = []
    for module in map(importlib.import_module, modules):
        paths += getattr(module, "__path__", None) or [f for f in [getattr(module, "__file__", None)] if f]
    return paths
