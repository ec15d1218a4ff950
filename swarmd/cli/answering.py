"""Answers to one question, from the trained policy and optionally from the untrained one.

A task's question takes as many turns as the task has; a question of the user's own has one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protocol import Manifest, TaskFamily
from swarmd.cli.subject import Subject
from swarmd.errors import ConfigError
from swarmd.images import Images
from swarmd.step.evaluation import RIGHT_FROM, Stop
from swarmd.step.playing import Episode, play, score
from swarmd.tasks import Question, TaskRunner, held_out_questions, transcript

if TYPE_CHECKING:
    from torch import Generator

    from swarmd.policy import Sample


Progress = Callable[[int], None]


class Listener(Protocol):
    """Receives one answer as it grows."""

    def write(self, text: str) -> None:
        """Receive the whole text so far."""

    def end(self, answer: Answer) -> None:
        """Receive the finished answer."""


Listen = Callable[[bool], Listener]
"""Maps "does the untrained model answer?" to the listener for that answer. Only for a single answer of each.
"""


@dataclass(frozen=True)
class Answer:
    """One completion. `reward`, in 0..1, is None for a question that does not come from a task."""

    text: str
    """In several turns: each turn, followed by > and the observation."""
    finished: bool
    """False if the limit of new tokens cut it off."""
    tokens: int
    reward: float | None = None

    @property
    def is_right(self) -> bool | None:
        return None if self.reward is None else self.reward >= RIGHT_FROM


@dataclass(frozen=True)
class Reply:
    """A question and its answers. `untrained` is None if it was not requested."""

    question: str
    answers: Sequence[Answer]
    untrained: Sequence[Answer] | None
    task: str | None = None
    expected: str | None = None
    """A right answer; None if the task gives none, or if the question does not come from a task."""
    images: Images = ()
    """The images that the question shows."""


@dataclass(frozen=True)
class Manner:
    """How to answer: greedily if `samples` is None, else that many samples at the policy's temperature."""

    samples: int
    both: bool
    """Whether the untrained model answers too."""


def answer(
    subject: Subject,
    question: str,
    manner: Manner,
    *,
    rng: Generator,
    progress: Progress | None = None,
    should_stop: Stop | None = None,
    listen: Listen | None = None,
) -> Reply:
    """Ask the trained policy, and the untrained one with the same random numbers.

    Raises ModelError, for example for a question that is too long, and GenerationStoppedError after
    `should_stop`.
    """
    policy, state = subject.policy, rng.get_state()
    prompt = policy.render(question)

    def complete(*, untrained: bool) -> list[Answer]:
        listener = None if listen is None else listen(untrained)
        written = None if listener is None else listener.write
        if manner.samples:
            [samples] = policy.generate(
                [prompt],
                manner.samples,
                rng=rng,
                progress=progress,
                should_stop=should_stop,
                written=written,
            )
        else:
            samples = policy.greedy([prompt], progress=progress, should_stop=should_stop, written=written)
        answers = [Answer(each.text, policy.has_ended(each), len(each.token_ids)) for each in samples]
        if listener is not None:
            listener.end(answers[0])
        return answers

    answers = complete(untrained=False)
    if not manner.both:
        return Reply(question, answers, None)
    rng.set_state(state)
    with subject.untrained():
        return Reply(question, answers, complete(untrained=True))


async def draw(runner: TaskRunner, family: TaskFamily, seed: int) -> tuple[Question, str | None]:
    """Draw a held-out question of the task, and a right answer if the task gives one. Raises TaskError."""
    [question] = await held_out_questions(runner, [family], seed, 1)
    [expected] = await runner.expected([question.spec])
    return question, expected


async def answer_task(
    subject: Subject,
    question: Question,
    manner: Manner,
    *,
    runner: TaskRunner,
    rng: Generator,
    progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> Reply:
    """As `answer`, turn by turn, and score all answers. The model runs in a thread.

    Also raises TaskError.
    """
    policy, state = subject.policy, rng.get_state()

    def sample(prompts: Sequence[Sequence[int]], copies: int) -> Sequence[Sequence[Sample]]:
        if manner.samples:
            return policy.generate(prompts, copies, rng=rng, progress=progress, should_stop=should_stop)
        return [[each] for each in policy.greedy(prompts, progress=progress, should_stop=should_stop)]

    async def complete() -> list[Answer]:
        [episodes] = await play(
            [question],
            max(1, manner.samples),
            sample,
            tasks=runner,
            policy=policy,
            in_model_thread=asyncio.to_thread,
        )
        [scores] = await score(runner, [question], [episodes])
        return [
            _answer(each, found.reward, has_ended=policy.has_ended(each.samples[-1]))
            for each, found in zip(episodes, scores, strict=True)
        ]

    answers, untrained = await complete(), None
    if manner.both:
        rng.set_state(state)
        with subject.untrained():
            untrained = await complete()
    return Reply(question.text, answers, untrained, images=question.images)


def _answer(episode: Episode[Sample], reward: float, *, has_ended: bool) -> Answer:
    text = transcript(episode.texts, episode.observations[: len(episode.texts) - 1])
    tokens = sum(len(sample.token_ids) for sample in episode.samples)
    return Answer(text, has_ended, tokens, reward)


def family_of(manifest: Manifest, name: str) -> TaskFamily:
    """Return the task of that name. Raises ConfigError, which lists the existing ones."""
    found = next((family for family in manifest.tasks if family.name == name), None)
    if found is None:
        names = ", ".join(family.name for family in manifest.tasks)
        raise ConfigError(f"--task {name}: the swarm {manifest.name} has no such task; its tasks are {names}")
    return found
