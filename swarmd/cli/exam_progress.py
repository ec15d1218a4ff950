"""Show what `swarmd eval` is doing, on standard error if that is a terminal. Loading can take a minute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from torch import Generator

    from protocol import TaskSpec
    from swarmd.images import Images, Prompt
    from swarmd.policy import Policy, Sample
    from swarmd.tasks import Exchange, Item, Score, TaskFailure, TaskRunner


class ExamProgress:
    """One line that is redrawn several times a second, and removed at the end."""

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}{task.fields[count]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("loading libraries", total=None, count="")
        self._tokens = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def phase(self, name: str) -> None:
        """Set the current phase. Can be called from any thread."""
        self._tokens = 0
        self._progress.reset(self._task, description=name, count="")

    def count(self, tokens: int) -> None:
        """Add newly generated tokens."""
        self._tokens += tokens
        self._progress.update(self._task, count=f": {self._tokens:,} tokens")


@dataclass(frozen=True)
class ToldPolicy:
    """A policy that reports what it generates. Its answers are unchanged."""

    policy: Policy
    told: ExamProgress

    def fits(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> bool:
        return self.policy.fits(question, exchanges, images)

    def render(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> Prompt:
        return self.policy.render(question, exchanges, images)

    def greedy(
        self, prompts: Sequence[Sequence[int]], max_new_tokens: int | None = None, *, should_stop: Any = None
    ) -> list[Sample]:
        self.told.phase(f"answering {len(prompts)} questions")
        return self.policy.greedy(prompts, max_new_tokens, progress=self.told.count, should_stop=should_stop)

    def generate(
        self,
        prompts: Sequence[Sequence[int]],
        group_size: int,
        max_new_tokens: int | None = None,
        *,
        rng: Generator,
        should_stop: Any = None,
    ) -> list[list[Sample]]:
        self.told.phase(f"sampling {group_size} answers to each of {len(prompts)} questions")
        return self.policy.generate(
            prompts, group_size, max_new_tokens, rng=rng, progress=self.told.count, should_stop=should_stop
        )


@dataclass(frozen=True)
class ToldScorer:
    """A task worker that reports when it scores."""

    tasks: TaskRunner
    told: ExamProgress

    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> Sequence[str | TaskFailure | None]:
        return await self.tasks.replies(items)

    async def score(self, items: Sequence[Item]) -> list[list[Score]]:
        self.told.phase(f"scoring {sum(len(texts) for _, texts in items)} answers")
        return await self.tasks.score(items)
