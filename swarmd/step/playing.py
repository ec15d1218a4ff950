"""Completions of several turns: the policy writes, the task replies, the policy writes again.

If a question allows only one turn, a completion is over after it, and the task is not asked for a reply.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Generic, Protocol, TypeVar

from protocol import TaskSpec
from swarmd.images import Images
from swarmd.tasks import Exchange, Item, Question, Score, TaskFailure, Written

UNSTEADY = "unsteady"
"""The failure of a completion whose task replies differently when it is replayed."""


class Text(Protocol):
    """The part of `swarmd.policy.Sample` needed here."""

    @property
    def text(self) -> str: ...


class Prompter(Protocol):
    """The part of `swarmd.policy.Policy` needed here."""

    def fits(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> bool: ...
    def render(
        self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()
    ) -> Sequence[int]: ...


class Replier(Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""

    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> Sequence[str | TaskFailure | None]: ...


class Scorer(Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""

    async def score(self, items: Sequence[Item]) -> list[list[Score]]: ...


S = TypeVar("S", bound=Text)
T = TypeVar("T")


@dataclass
class Episode(Generic[S]):
    """A completion in progress: its turns, and the task's reply to each turn except the last."""

    question: Question
    samples: list[S]
    observations: list[str] = field(default_factory=list)
    prompts: list[int] = field(default_factory=list)
    """Number of prompt tokens before each turn."""

    @classmethod
    def begin(cls, question: Question, first: S, prompt: int = 0) -> Episode[S]:
        """Start a completion with its first turn, written after a prompt of `prompt` tokens."""
        return cls(question, [first], prompts=[prompt])

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each turn."""
        return tuple(sample.text for sample in self.samples)

    @property
    def written(self) -> Written:
        """The texts in the form in which they are scored: a single text if the task has one turn."""
        return self.samples[0].text if self.question.is_plain else self.texts

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """The turns and replies so far, which the next prompt repeats."""
        return tuple(map(Exchange, self.texts, self.observations))

    def hears(self, said: str | TaskFailure | None, policy: Prompter) -> bool:
        """Add the task's reply. Returns False if the task is over or the policy's context is full."""
        if not isinstance(said, str):
            return False
        exchanges = (*self.exchanges, Exchange(self.samples[-1].text, said))
        if not policy.fits(self.question.text, exchanges, self.question.images):
            return False
        self.observations.append(said)
        return True


Sampling = Callable[[list[Sequence[int]], int], Sequence[Sequence[S]]]
"""(prompts as token ids, completions per prompt) -> samples of each prompt. Runs in the model thread."""


class InModelThread(Protocol):
    """Calls a function in the model thread and waits for its result."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


async def in_this_thread(call: Callable[[], T]) -> T:
    """Run the call directly, for a caller that uses the model only from its own thread."""
    return call()


async def play(
    questions: Sequence[Question],
    num_completions: int,
    sample: Sampling[S],
    *,
    tasks: Replier,
    policy: Prompter,
    in_model_thread: InModelThread,
) -> list[list[Episode[S]]]:
    """Write `num_completions` complete answers to each question. Prompts are rendered in the model thread.

    All unfinished completions are continued together, and may end at different times. Calls the model at most
    `protocol.TURNS_MAX` times. Raises TaskError if the sandbox cannot run, and whatever `sample` raises.
    """
    episodes: list[list[Episode[S]]] = await in_model_thread(
        partial(_first_turns, questions, num_completions, sample, policy)
    )
    live = [episode for group in episodes for episode in group if episode.question.turns > 1]
    while live:
        said = await tasks.replies([(episode.question.spec, episode.texts) for episode in live])
        live = await in_model_thread(partial(_next_turns, live, said, sample, policy))
    return episodes


def _first_turns(
    questions: Sequence[Question], num_completions: int, sample: Sampling[S], policy: Prompter
) -> list[list[Episode[S]]]:
    prompts = [policy.render(question.text, (), question.images) for question in questions]
    return [
        [Episode.begin(question, each, len(prompt)) for each in group]
        for question, prompt, group in zip(questions, prompts, sample(prompts, num_completions), strict=True)
    ]


def _next_turns(
    live: Sequence[Episode[S]],
    said: Sequence[str | TaskFailure | None],
    sample: Sampling[S],
    policy: Prompter,
) -> list[Episode[S]]:
    """Write one more turn for each completion that continues after its reply, and return these
    completions."""
    live = [episode for episode, reply in zip(live, said, strict=True) if episode.hears(reply, policy)]
    prompts = [
        policy.render(episode.question.text, episode.exchanges, episode.question.images) for episode in live
    ]
    for episode, prompt, [turn] in zip(live, prompts, sample(prompts, 1) if prompts else (), strict=True):
        episode.samples.append(turn)
        episode.prompts.append(len(prompt))
    return live


async def score(
    scorer: Scorer, questions: Sequence[Question], episodes: Sequence[Sequence[Episode[S]]]
) -> list[list[Score]]:
    """The scores of each question's completions. Raises TaskError if the sandbox cannot run."""
    items = [
        (question.spec, [episode.written for episode in group])
        for question, group in zip(questions, episodes, strict=True)
    ]
    return [_steady(group, row) for group, row in zip(episodes, await scorer.score(items), strict=True)]


def _steady(episodes: Sequence[Episode[S]], scores: Sequence[Score]) -> list[Score]:
    """Mark as failed the scores of episodes that went differently when replayed for scoring.

    No receiver could reproduce such a completion's observations.
    """
    return [
        replace(score, reward=0.0, failure=score.failure or UNSTEADY)
        if episode.question.turns > 1 and score.observations != tuple(episode.observations)
        else score
        for episode, score in zip(episodes, scores, strict=True)
    ]
