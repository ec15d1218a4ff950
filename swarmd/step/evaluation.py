"""Measures how often a policy's greedy answer is right on held-out questions.

Answers are greedy, so the result has no sampling noise. They are scored in the same sandbox as all answers.
This module draws no questions (`swarmd.tasks` does) and loads no model.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from protocol import Manifest, TaskSpec
from protocol.limits import MICRO
from swarmd.images import Images
from swarmd.step.asking import Answered, Prompts, Scorer, put
from swarmd.step.playing import InModelThread, Text
from swarmd.tasks import Exchange, Question, Score, extract_answer
from swarmd.tasks.rewards import EXACT_FROM_MICRO

Z_95 = 1.959964  # two-sided 95% quantile of the normal distribution
RIGHT_FROM = EXACT_FROM_MICRO / MICRO  # what counts as right in a swarm with all-or-nothing rewards
CONSTANTS_MAX = 16  # per task: the policy's most frequent answers, tested as constants
SMALL_NUMBERS = tuple(str(number) for number in range(11))  # also tested as constants


class Answers(Protocol):
    """The part of `swarmd.policy.Policy` needed here."""

    def fits(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> bool: ...
    def render(
        self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()
    ) -> Sequence[int]: ...
    def greedy(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int | None = None,
        *,
        should_stop: Stop | None = None,
    ) -> Sequence[Text]: ...


class Stop(Protocol):
    """The part of `threading.Event` needed here."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True)
class Result:
    """Success over some questions, with its 95% Wilson interval."""

    success: float
    """Share of questions answered right, 0..1."""
    questions: int
    interval: tuple[float, float]
    reward: float
    """Mean reward, 0..1; above `success` if a swarm rewards partly right answers."""
    constant: float | None
    """Success of one constant answer for all questions of a task: the best among the policy's most frequent
    answers and small numbers. A policy that has only learned the most common answer has this success. None if
    not requested."""


@dataclass(frozen=True)
class Evaluation:
    """Results over all questions, and per task by its name in the manifest."""

    total: Result
    tasks: Mapping[str, Result]
    unscored: int
    """Answers on which the scorer failed, because of junk or overload. They count as wrong."""
    right: Mapping[str, tuple[bool, ...]] = field(default_factory=dict)
    """Task -> whether each of its questions was answered right, in the order given."""
    answered: Sequence[Answered] = field(default=(), repr=False)
    """The completions, question by question."""


async def evaluate(
    policy: Answers,
    scorer: Scorer,
    questions: Sequence[Question],
    *,
    manifest: Manifest,
    with_constant: bool = False,
    should_stop: Stop | None = None,
    in_model_thread: InModelThread = asyncio.to_thread,
) -> Evaluation:
    """Answer `questions` greedily and score the answers. `in_model_thread` runs the model off the event loop.

    `with_constant` adds the constant-answer baseline, which takes about twenty times as much scoring.

    A question too long for the policy counts as wrong. Raises GenerationStoppedError if `should_stop` is set
    during generation, ModelError if memory runs out, TaskError if the sandbox cannot run, and ValueError if
    there are no questions or `manifest` lacks a question's task.
    """
    if not questions:
        raise ValueError("no questions to evaluate on")

    def sample(prompts: Prompts, _one: int) -> list[list[Text]]:
        return [[each] for each in policy.greedy(prompts, manifest.max_new_tokens, should_stop=should_stop)]

    answered = await put(questions, 1, sample, policy=policy, scorer=scorer, in_model_thread=in_model_thread)
    names = [task_name(manifest, question.spec) for question in questions]
    scores = [each.scores[0] if each.scores else Score(0.0) for each in answered]
    rewards = [score.reward for score in scores]
    constants = await _constant_successes(scorer, names, answered) if with_constant else {}
    by_task: defaultdict[str, list[float]] = defaultdict(list)
    for name, reward in zip(names, rewards, strict=True):
        by_task[name].append(reward)
    right_by_constant = sum(share * len(by_task[task]) for task, share in constants.items())
    return Evaluation(
        total=_result(rewards, right_by_constant / len(rewards) if with_constant else None),
        tasks={task: _result(of_task, constants.get(task)) for task, of_task in sorted(by_task.items())},
        unscored=sum(score.failure is not None for score in scores),
        right={task: tuple(map(_is_right, of_task)) for task, of_task in sorted(by_task.items())},
        answered=answered,
    )


def wilson_interval(right: float, questions: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a binomial proportion, (low, high) in 0..1 (Wilson 1927, JASA 22:209).

    Unlike the normal approximation, it stays within 0..1 and is not empty if none or all are right. `right`
    is the sum over questions, each 0 or 1. For values in between (pass@k) the interval is wider than needed.
    Raises ValueError for a sum out of range, or if there are no questions.
    """
    if not 0 <= right <= questions or questions == 0:
        raise ValueError(f"{right} right of {questions} questions")
    share = right / questions
    denominator = 1 + z * z / questions
    centre = (share + z * z / (2 * questions)) / denominator
    half = z / denominator * math.sqrt(share * (1 - share) / questions + z * z / (4 * questions * questions))
    low = 0.0 if right == 0 else centre - half
    high = 1.0 if right == questions else centre + half
    return low, high


async def _constant_successes(
    scorer: Scorer, names: Sequence[str], answered: Sequence[Answered]
) -> dict[str, float]:
    """Each task's success with its best constant answer, given in the first turn if there are several."""
    texts: defaultdict[str, list[str]] = defaultdict(list)
    for name, each in zip(names, answered, strict=True):
        texts[name] += each.texts
    candidates = {name: _constants(written) for name, written in texts.items()}
    scores = await scorer.score(
        [(each.question.spec, candidates[name]) for name, each in zip(names, answered, strict=True)]
    )
    right: defaultdict[str, list[list[bool]]] = defaultdict(list)
    for name, row in zip(names, scores, strict=True):
        right[name].append([score.reward >= RIGHT_FROM for score in row])
    return {
        task: max(sum(column) for column in zip(*rows, strict=True)) / len(rows)
        for task, rows in right.items()
    }


def _constants(texts: Sequence[str]) -> list[str]:
    answers = Counter(answer for text in texts if (answer := extract_answer(text)))
    common = [answer for answer, _ in answers.most_common(CONSTANTS_MAX)]
    return [f"<answer>{answer}</answer>" for answer in dict.fromkeys([*common, *SMALL_NUMBERS])]


def task_name(manifest: Manifest, spec: TaskSpec) -> str:
    """The name of the spec's task. Raises ValueError if the manifest has no such task."""
    family = manifest.family(spec.task_id)
    if family is None:
        raise ValueError(f"the manifest has no task {spec.dataset} of this configuration")
    return family.name


def _result(rewards: Sequence[float], constant: float | None) -> Result:
    right = sum(map(_is_right, rewards))
    return Result(
        success=right / len(rewards),
        questions=len(rewards),
        interval=wilson_interval(right, len(rewards)),
        reward=sum(rewards) / len(rewards),
        constant=constant,
    )


def _is_right(reward: float) -> bool:
    return reward >= RIGHT_FROM
