"""Completions of several turns: the policy writes, the task says what came of it, the policy writes on.

A completion of a question that allows one turn is over after the first. Nothing is asked for it here.
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
"""How the score of a completion failed that the task answers differently when it is played again."""


class Text(Protocol):
    """The part of `swarmd.policy.Sample` that is needed."""

    @property
    def text(self) -> str: ...


class Prompter(Protocol):
    """The part of `swarmd.policy.Policy` that is needed."""

    def fits(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> bool: ...
    def render(
        self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()
    ) -> Sequence[int]: ...


class Replier(Protocol):
    """The part of `swarmd.tasks.TaskRunner` that is needed."""

    async def replies(
        self, items: Sequence[tuple[TaskSpec, Sequence[str]]]
    ) -> Sequence[str | TaskFailure | None]: ...


class Scorer(Protocol):
    """The part of `swarmd.tasks.TaskRunner` that is needed."""

    async def score(self, items: Sequence[Item]) -> list[list[Score]]: ...


S = TypeVar("S", bound=Text)
T = TypeVar("T")


@dataclass
class Episode(Generic[S]):
    """A completion while it is written: its turns, and what the task said after each but the last."""

    question: Question
    samples: list[S]
    observations: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, question: Question, first: S) -> Episode[S]:
        """A completion of which one turn is written."""
        return cls(question, [first])

    @property
    def texts(self) -> tuple[str, ...]:
        """What the policy wrote, turn by turn."""
        return tuple(sample.text for sample in self.samples)

    @property
    def written(self) -> Written:
        """The same in the form in which it is scored: one text if its task has one turn."""
        return self.samples[0].text if self.question.is_plain else self.texts

    @property
    def exchanges(self) -> tuple[Exchange, ...]:
        """What has been said so far, which the next prompt repeats."""
        return tuple(map(Exchange, self.texts, self.observations))

    def hears(self, said: str | TaskFailure | None, policy: Prompter) -> bool:
        """Take in what the task said. False if it is over, or if nothing more fits the policy's context."""
        if not isinstance(said, str):
            return False
        exchanges = (*self.exchanges, Exchange(self.samples[-1].text, said))
        if not policy.fits(self.question.text, exchanges, self.question.images):
            return False
        self.observations.append(said)
        return True


Sampling = Callable[[list[Sequence[int]], int], Sequence[Sequence[S]]]
"""(prompts as token ids, completions of each) -> samples of each prompt. Runs in the model's thread."""


class InModelThread(Protocol):
    """Call it in the model's thread, and wait for what it returns."""

    def __call__(self, call: Callable[[], T], /) -> Awaitable[T]: ...


async def in_this_thread(call: Callable[[], T]) -> T:
    """For a caller that uses the model from one thread only, its own."""
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
    """`num_completions` of each question, all written to their ends. Prompts are made in the model's thread.

    All that go on are written together, so they may end at different times. At most `protocol.TURNS_MAX`
    calls of the model. Raises TaskError if the sandbox cannot run, and what `sample` raises.
    """
    first = await in_model_thread(
        lambda: sample(
            [policy.render(question.text, (), question.images) for question in questions], num_completions
        )
    )
    episodes: list[list[Episode[S]]] = [
        [Episode.begin(question, each) for each in group]
        for question, group in zip(questions, first, strict=True)
    ]
    live = [episode for group in episodes for episode in group if episode.question.turns > 1]
    while live:
        said = await tasks.replies([(episode.question.spec, episode.texts) for episode in live])
        live = await in_model_thread(partial(_next_turns, live, said, sample, policy))
    return episodes


def _next_turns(
    live: Sequence[Episode[S]],
    said: Sequence[str | TaskFailure | None],
    sample: Sampling[S],
    policy: Prompter,
) -> list[Episode[S]]:
    """Write one more turn of those that go on after what the task said. Returns them."""
    live = [episode for episode, reply in zip(live, said, strict=True) if episode.hears(reply, policy)]
    prompts = [
        policy.render(episode.question.text, episode.exchanges, episode.question.images) for episode in live
    ]
    for episode, [turn] in zip(live, sample(prompts, 1) if prompts else (), strict=True):
        episode.samples.append(turn)
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
    """The scores, without those of episodes that went otherwise when they were played again to be scored.

    No receiver could make such a completion's observations again.
    """
    return [
        replace(score, reward=0.0, failure=score.failure or UNSTEADY)
        if episode.question.turns > 1 and score.observations != tuple(episode.observations)
        else score
        for episode, score in zip(episodes, scores, strict=True)
    ]
