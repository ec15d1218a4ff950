"""Solved questions of a swarm's tasks, which show a model how to format its answers.

A pre-trained model may know an answer but write it in its own format. Without a right answer inside the tags,
there is nothing to reinforce. A few solved questions before each question show the format (in-context
examples, arXiv 2005.14165). They affect this peer's prompts only: it still shares just the question and its
completions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle, islice
from typing import Protocol

from protocol import Manifest, TaskFamily, TaskSpec
from swarmd.images import IMAGES_MAX
from swarmd.tasks.draw import example_specs
from swarmd.tasks.episodes import Solution
from swarmd.tasks.outcomes import Question, TaskFailure
from swarmd.tasks.prompt import Example, Exchange, tagged

CHARS_MAX = 600  # of a question and its answers: a paragraph, because every prompt carries all examples
TRIED_MAX = 32  # questions per example: enough to find a short one that is not held out


class Solver(Protocol):
    """The part of `TaskRunner` needed here."""

    async def questions(self, specs: Sequence[TaskSpec]) -> Sequence[Question | TaskFailure]: ...

    async def solutions(self, specs: Sequence[TaskSpec]) -> Sequence[Solution | None]: ...


async def solved_examples(runner: Solver, manifest: Manifest, count: int) -> tuple[Example, ...]:
    """At most `count` examples, taken from the tasks in turn, the same for the same manifest on every
    machine.

    None is held out. For a task of several turns, an example has all turns. A task is left out if it has no
    short questions or its source provides no answers. The images of all examples together are at most
    `IMAGES_MAX`; examples beyond that are left out.
    """
    used = [0] * len(manifest.tasks)
    found: list[Example] = []
    for index, family in islice(cycle(enumerate(manifest.tasks)), count):
        room = IMAGES_MAX - sum(len(example.images) for example in found)
        candidates = await _candidates(runner, family, used[index])
        used[index] += TRIED_MAX
        found += [each for each in candidates if len(each.images) <= room][:1]
    return tuple(found)


async def _candidates(runner: Solver, family: TaskFamily, start: int) -> list[Example]:
    drawn = await runner.questions(example_specs(family, start, TRIED_MAX))
    asked = [question for question in drawn if isinstance(question, Question) and not question.held_out]
    solutions = await runner.solutions([question.spec for question in asked])
    return [
        _example(question, solution)
        for question, solution in zip(asked, solutions, strict=True)
        if solution is not None and len(question.text) + solution.chars <= CHARS_MAX
    ]


def _example(question: Question, solution: Solution) -> Example:
    *before, last = solution.answers
    exchanges = tuple(map(Exchange, map(tagged, before), solution.observations))
    return Example(question.text, last, exchanges, question.images)
