"""Questions put to a policy and scored: what every measure of its success is counted from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from swarmd.step import playing
from swarmd.step.playing import Prompter, Replier, Text, play
from swarmd.tasks import Question, Score

Prompts = Sequence[Sequence[int]]
"""Token ids of each."""
Sample = Callable[[Prompts, int], Sequence[Sequence[Text]]]
"""(prompts, completions of each) -> completions."""
InModelThread = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a call of the model off the event loop, and gives its result."""


class Scorer(Replier, playing.Scorer, Protocol):
    """The part of `swarmd.tasks.TaskRunner` that is needed."""


@dataclass(frozen=True)
class Answered:
    """A question with what was written to it; nothing if it does not fit the policy's context."""

    question: Question
    texts: tuple[str, ...]
    """The last turn of each completion."""
    scores: tuple[Score, ...]


async def put(
    questions: Sequence[Question],
    num_completions: int,
    sample: Sample,
    *,
    policy: Prompter,
    scorer: Scorer,
    in_model_thread: InModelThread,
) -> list[Answered]:
    """Every question answered `num_completions` times, each to its end, and scored.

    Raises what `sample` raises, and TaskError if the sandbox cannot run.
    """

    async def write(prompts: list[list[int]]) -> list[Text]:
        rows = await in_model_thread(lambda: sample(prompts, 1))
        return [row[0] for row in rows]

    fitting = [index for index, question in enumerate(questions) if policy.fits(question.text)]
    asked = [questions[index] for index in fitting]
    prompts = [policy.render(question.text) for question in asked]
    first = await in_model_thread(lambda: sample(prompts, num_completions))
    episodes = await play(asked, first, tasks=scorer, policy=policy, write=write)
    rows = await playing.score(scorer, asked, episodes)
    found = [Answered(question, (), ()) for question in questions]
    for index, group, scores in zip(fitting, episodes, rows, strict=True):
        texts = tuple(episode.texts[-1] for episode in group)
        found[index] = Answered(questions[index], texts, tuple(scores))
    return found
