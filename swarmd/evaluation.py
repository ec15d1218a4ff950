"""How often a policy's greedy answer is right on questions that nobody trains on.

Greedy, so that the number has no sampling noise; scored in the same sandbox as everything else. It draws no
questions (that is `swarmd.tasks`) and loads no model.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol import Manifest, TaskSpec
from protocol.limits import MICRO
from swarmd.tasks import Question, Score, extract_answer
from swarmd.tasks.rewards import EXACT_FROM_MICRO

Z_95 = 1.959964  # two-sided 95 % quantile of the normal distribution
RIGHT_FROM = EXACT_FROM_MICRO / MICRO  # what a swarm that rewards all or nothing calls right
CONSTANTS_MAX = 16  # the policy's most frequent answers to a task that are tried as constants
SMALL_NUMBERS = tuple(str(number) for number in range(11))  # tried as constants besides


class Answers(Protocol):
    """The part of `swarmd.policy.Policy` that is needed."""

    def fits(self, question: str) -> bool: ...
    def render(self, question: str) -> list[int]: ...
    def greedy(
        self,
        prompts: Sequence[Sequence[int]],
        max_new_tokens: int | None = None,
        *,
        should_stop: Stop | None = None,
    ) -> Sequence[Text]: ...


class Stop(Protocol):
    """The part of `threading.Event` that is needed."""

    def is_set(self) -> bool: ...


class Text(Protocol):
    """The part of `swarmd.policy.Sample` that is needed."""

    @property
    def text(self) -> str: ...


class Scorer(Protocol):
    """The part of `swarmd.tasks.TaskRunner` that is needed."""

    async def score(self, items: Sequence[tuple[TaskSpec, Sequence[str]]]) -> list[list[Score]]: ...


@dataclass(frozen=True)
class Result:
    """Success over some questions, with its 95 % Wilson interval."""

    success: float
    """Share of questions answered right, 0..1."""
    questions: int
    interval: tuple[float, float]
    reward: float
    """Mean reward, 0..1; above `success` when a swarm rewards partly right answers."""
    constant: float | None
    """Success of giving each task one answer only, the one right most often among those tried: the policy's
    most frequent answers and small numbers. A policy that only learned the commonest answer has this.
    None when it was not asked for."""


@dataclass(frozen=True)
class Evaluation:
    """All questions together, and each task by its name in the manifest."""

    total: Result
    tasks: Mapping[str, Result]
    unscored: int
    """Answers on which the scorer was lost, which count as wrong: junk does that, overload too."""


@dataclass(frozen=True)
class _Answered:
    question: Question
    task: str
    text: str


async def evaluate(
    policy: Answers,
    scorer: Scorer,
    questions: Sequence[Question],
    *,
    manifest: Manifest,
    with_constant: bool = False,
    should_stop: Stop | None = None,
    in_model_thread: Callable[[Callable[[], list[str]]], Awaitable[list[str]]] = asyncio.to_thread,
) -> Evaluation:
    """Answer `questions` greedily and score them. `in_model_thread` runs the model off the event loop.

    `with_constant` adds the baseline of constant answers, at some twenty times the scoring.

    A question too long for the policy counts as answered wrong. Raises GenerationStoppedError once
    `should_stop` is set while the model answers, ModelError when memory runs
    out, TaskError when the sandbox cannot run, ValueError without questions or with a task not in it.
    """
    if not questions:
        raise ValueError("no questions to evaluate on")
    texts = await in_model_thread(lambda: _answer(policy, questions, manifest.max_new_tokens, should_stop))
    answered = [
        _Answered(question, task_name(manifest, question.spec), text)
        for question, text in zip(questions, texts, strict=True)
    ]
    scores = [row[0] for row in await scorer.score([(a.question.spec, [a.text]) for a in answered])]
    rewards = [score.reward for score in scores]
    constants = await _constant_successes(scorer, answered) if with_constant else {}
    by_task: defaultdict[str, list[float]] = defaultdict(list)
    for item, reward in zip(answered, rewards, strict=True):
        by_task[item.task].append(reward)
    right_by_constant = sum(share * len(by_task[task]) for task, share in constants.items())
    return Evaluation(
        total=_result(rewards, right_by_constant / len(rewards) if with_constant else None),
        tasks={task: _result(of_task, constants.get(task)) for task, of_task in sorted(by_task.items())},
        unscored=sum(score.failure is not None for score in scores),
    )


def wilson_interval(right: float, questions: int, z: float = Z_95) -> tuple[float, float]:
    """The score interval of a binomial proportion, (low, high) in 0..1 (Wilson 1927, JASA 22:209).

    Unlike the normal approximation it stays inside 0..1 and is not empty at 0 or all right. `right` is the
    sum of the questions' values, 0 or 1 each; of values between (pass@k) the interval is wider than needed.
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


def _answer(
    policy: Answers, questions: Sequence[Question], max_new_tokens: int, should_stop: Stop | None
) -> list[str]:
    """One text a question; empty where the question does not fit."""
    fitting = [number for number, question in enumerate(questions) if policy.fits(question.text)]
    prompts = [policy.render(questions[number].text) for number in fitting]
    samples = policy.greedy(prompts, max_new_tokens, should_stop=should_stop)
    texts = [""] * len(questions)
    for number, sample in zip(fitting, samples, strict=True):
        texts[number] = sample.text
    return texts


async def _constant_successes(scorer: Scorer, answered: Sequence[_Answered]) -> dict[str, float]:
    """For each task, the success of its best constant answer."""
    candidates = {task: _constants(answered, task) for task in {item.task for item in answered}}
    scores = await scorer.score([(item.question.spec, candidates[item.task]) for item in answered])
    right: defaultdict[str, list[list[bool]]] = defaultdict(list)
    for item, row in zip(answered, scores, strict=True):
        right[item.task].append([score.reward >= RIGHT_FROM for score in row])
    return {
        task: max(sum(column) for column in zip(*rows, strict=True)) / len(rows)
        for task, rows in right.items()
    }


def _constants(answered: Sequence[_Answered], task: str) -> list[str]:
    answers = Counter(
        answer for item in answered if item.task == task if (answer := extract_answer(item.text))
    )
    common = [answer for answer, _ in answers.most_common(CONSTANTS_MAX)]
    return [f"<answer>{answer}</answer>" for answer in dict.fromkeys([*common, *SMALL_NUMBERS])]


def task_name(manifest: Manifest, spec: TaskSpec) -> str:
    """The name of the task that `spec` is of. Raises ValueError when the manifest has no such task."""
    family = manifest.family(spec.task_id)
    if family is None:
        raise ValueError(f"the manifest has no task {spec.dataset} of this configuration")
    return family.name


def _result(rewards: Sequence[float], constant: float | None) -> Result:
    right = sum(reward >= RIGHT_FROM for reward in rewards)
    return Result(
        success=right / len(rewards),
        questions=len(rewards),
        interval=wilson_interval(right, len(rewards)),
        reward=sum(rewards) / len(rewards),
        constant=constant,
    )
