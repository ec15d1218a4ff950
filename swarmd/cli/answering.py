"""Answers to one question: of the trained policy and, if wanted, of the untrained one beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from protocol import Manifest, TaskFamily
from swarmd.cli.subject import Subject
from swarmd.errors import ConfigError
from swarmd.images import Images
from swarmd.step.evaluation import RIGHT_FROM, Stop
from swarmd.tasks import Question, TaskRunner, held_out_questions

if TYPE_CHECKING:
    from torch import Generator


Progress = Callable[[int], None]


class Listener(Protocol):
    """Hears one answer as it grows."""

    def write(self, text: str) -> None:
        """All of it so far."""

    def end(self, answer: Answer) -> None:
        """It is whole."""


Listen = Callable[[bool], Listener]
"""(whether the untrained model answers) -> who hears it. Only for a single answer of each."""


@dataclass(frozen=True)
class Answer:
    """One completion. `reward`, in 0..1, is None for a question that no task asked."""

    text: str
    finished: bool
    """False if the limit of new tokens cut it off."""
    tokens: int
    reward: float | None = None

    @property
    def is_right(self) -> bool | None:
        return None if self.reward is None else self.reward >= RIGHT_FROM


@dataclass(frozen=True)
class Reply:
    """What was asked and answered. `untrained` is None if it was not wanted."""

    question: str
    answers: Sequence[Answer]
    untrained: Sequence[Answer] | None
    task: str | None = None
    expected: str | None = None
    """A right answer; None if the task gives none, or if no task asked."""
    images: Images = ()
    """What the question shows."""


@dataclass(frozen=True)
class Manner:
    """How it answers: greedily without `samples`, else that often at the policy's temperature."""

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
    images: Images = (),
) -> Reply:
    """Ask the trained policy, and the untrained one with the same random numbers.

    Raises ModelError, also for a question that is too long, and GenerationStoppedError after `should_stop`.
    """
    policy, state = subject.policy, rng.get_state()
    prompt = policy.render(question, (), images)

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
        answers = [Answer(each.text, each.finished, len(each.token_ids)) for each in samples]
        if listener is not None:
            listener.end(answers[0])
        return answers

    answers = complete(untrained=False)
    if not manner.both:
        return Reply(question, answers, None, images=images)
    rng.set_state(state)
    with subject.untrained():
        return Reply(question, answers, complete(untrained=True), images=images)


async def draw(runner: TaskRunner, family: TaskFamily, seed: int) -> tuple[Question, str | None]:
    """A held-out question of the task, and a right answer if the task gives one. Raises TaskError."""
    [question] = await held_out_questions(runner, [family], seed, 1)
    [expected] = await runner.expected([question.spec])
    return question, expected


async def score(runner: TaskRunner, question: Question, reply: Reply) -> Reply:
    """`reply` with the rewards of all its answers. Raises TaskError."""
    untrained = reply.untrained or ()
    texts = [each.text for each in (*reply.answers, *untrained)]
    [scores] = await runner.score([(question.spec, texts)])
    scored = [
        replace(each, reward=score.reward)
        for each, score in zip((*reply.answers, *untrained), scores, strict=True)
    ]
    count = len(reply.answers)
    return replace(
        reply,
        answers=scored[:count],
        untrained=None if reply.untrained is None else scored[count:],
    )


def family_of(manifest: Manifest, name: str) -> TaskFamily:
    """The task of that name. Raises ConfigError, which lists those that there are."""
    found = next((family for family in manifest.tasks if family.name == name), None)
    if found is None:
        names = ", ".join(family.name for family in manifest.tasks)
        raise ConfigError(f"--task {name}: the swarm {manifest.name} has no such task; its tasks are {names}")
    return found
