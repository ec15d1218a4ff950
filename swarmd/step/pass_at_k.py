"""pass@k: how often at least one of k sampled answers is right (Chen et al. 2021, arXiv 2107.03374).

`evaluation` measures what the policy answers; this measures what it could answer. A reward that never occurs
teaches nothing. It draws no questions and loads no model.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from protocol import Manifest
from swarmd.images import Images
from swarmd.step.asking import Prompts, Scorer, put
from swarmd.step.evaluation import RIGHT_FROM, Stop, task_name, wilson_interval
from swarmd.step.playing import InModelThread, Text
from swarmd.tasks import Exchange, Question

if TYPE_CHECKING:
    from torch import Generator

SAMPLES_MAX = 64  # per question: the largest group, because scoring is limited to that
SAMPLED_AT_ONCE = 1_024  # completions per call; their random numbers take 32 MiB at 8192 tokens


class Sampler(Protocol):
    """The part of `swarmd.policy.Policy` needed here."""

    def fits(self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()) -> bool: ...
    def render(
        self, question: str, exchanges: Sequence[Exchange] = (), images: Images = ()
    ) -> Sequence[int]: ...
    def generate(
        self,
        prompts: Prompts,
        group_size: int,
        max_new_tokens: int | None = None,
        *,
        rng: Generator,
        should_stop: Stop | None = None,
    ) -> Sequence[Sequence[Text]]: ...


@dataclass(frozen=True)
class Chance:
    """The mean of pass@k over some questions, with a 95% interval.

    The interval is Wilson's, with one trial per question. It is never too narrow: a question's pass@k is in
    0..1, so it varies between questions at most as much as a coin with the same mean. More samples per
    question do not narrow it, because they do not replace questions that were not asked.
    """

    success: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class PassAtK:
    """k -> chance, for k = 1, 2, 4, ... up to the number of samples, over all questions and per task."""

    total: Mapping[int, Chance]
    tasks: Mapping[str, Mapping[int, Chance]]


async def pass_at_k(
    policy: Sampler,
    scorer: Scorer,
    questions: Sequence[Question],
    *,
    manifest: Manifest,
    samples: int,
    rng: Generator,
    should_stop: Stop | None = None,
    in_model_thread: InModelThread = asyncio.to_thread,
) -> PassAtK:
    """Sample each question `samples` times at the policy's temperature. Only `rng` determines the draws.

    A question too long for the policy counts as never right. Raises GenerationStoppedError if `should_stop`
    is set during generation, ModelError if memory runs out, TaskError if the sandbox cannot run, and
    ValueError if there are no questions or `samples` is not in 1..SAMPLES_MAX.
    """
    if not questions or not 1 <= samples <= SAMPLES_MAX:
        raise ValueError(f"{samples} samples of each of {len(questions)} questions")
    by_task: defaultdict[str, list[int]] = defaultdict(list)
    together = SAMPLED_AT_ONCE // samples

    def sample(prompts: Prompts, count: int) -> Sequence[Sequence[Text]]:
        limit = manifest.max_new_tokens
        return policy.generate(prompts, count, limit, rng=rng, should_stop=should_stop)

    for start in range(0, len(questions), together):
        part = questions[start : start + together]
        answered = await put(
            part, samples, sample, policy=policy, scorer=scorer, in_model_thread=in_model_thread
        )
        for each in answered:
            right = sum(score.reward >= RIGHT_FROM for score in each.scores)
            by_task[task_name(manifest, each.question.spec)].append(right)
    return PassAtK(
        total=_chances([right for of_task in by_task.values() for right in of_task], samples),
        tasks={task: _chances(of_task, samples) for task, of_task in sorted(by_task.items())},
    )


def chance_of_any(right: int, samples: int, k: int) -> float:
    """The chance that k of `samples` answers, drawn without replacement, include one of the `right` ones.

    This is an unbiased estimate of the policy's pass@k: 1 - C(n - c, k) / C(n, k). Raises ValueError for
    counts out of range.
    """
    if not (0 <= right <= samples and 1 <= k <= samples):
        raise ValueError(f"{k} of {samples} samples, {right} of them right")
    return 1.0 - math.comb(samples - right, k) / math.comb(samples, k)


def _chances(right: Sequence[int], samples: int) -> dict[int, Chance]:
    """The mean pass@k for each k. `right` holds the number of right samples per question."""
    chances: dict[int, Chance] = {}
    for k in (2**power for power in range(samples.bit_length())):
        passed = math.fsum(chance_of_any(each, samples, k) for each in right)
        chances[k] = Chance(passed / len(right), wilson_interval(passed, len(right)))
    return chances
