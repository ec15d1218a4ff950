"""Asks a policy questions and scores its answers. Every measure of its success is based on this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from swarmd.step import playing
from swarmd.step.playing import InModelThread, Prompter, Replier, Text, play
from swarmd.tasks import Question, Score, Written

Prompts = Sequence[Sequence[int]]
"""Token ids of each prompt."""
Sample = Callable[[Prompts, int], Sequence[Sequence[Text]]]
"""(prompts, completions per prompt) -> completions."""


class Scorer(Replier, playing.Scorer, Protocol):
    """The part of `swarmd.tasks.TaskRunner` needed here."""


@dataclass(frozen=True)
class Answered:
    """A question with the completions for it; none if it does not fit the policy's context."""

    question: Question
    written: tuple[Written, ...]
    """Each completion, in the form in which it is scored."""
    scores: tuple[Score, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The last turn of each completion."""
        return tuple(each if isinstance(each, str) else each[-1] for each in self.written)


async def put(
    questions: Sequence[Question],
    num_completions: int,
    sample: Sample,
    *,
    policy: Prompter,
    scorer: Scorer,
    in_model_thread: InModelThread,
) -> list[Answered]:
    """Generate `num_completions` complete answers to every question, and score them.

    Raises whatever `sample` raises, and TaskError if the sandbox cannot run.
    """
    fitting: list[int] = await in_model_thread(
        lambda: [
            index
            for index, question in enumerate(questions)
            if policy.fits(question.text, (), question.images)
        ]
    )
    asked = [questions[index] for index in fitting]
    episodes = await play(
        asked, num_completions, sample, tasks=scorer, policy=policy, in_model_thread=in_model_thread
    )
    rows = await playing.score(scorer, asked, episodes)
    found = [Answered(question, (), ()) for question in questions]
    for index, group, scores in zip(fitting, episodes, rows, strict=True):
        written = tuple(episode.written for episode in group)
        found[index] = Answered(questions[index], written, tuple(scores))
    return found
