"""One step of swarmd, through the daemon's own calls: `Policy.generate` and `Trainer.step`.

It runs under the hardware plan for this model, dtype, device and threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from benchmarks.batch import FixedGroup, FixedRow
from benchmarks.job import CLIP_HIGH, CLIP_LOW, LEARNING_RATE, TEMPERATURE, Job, reward_of
from benchmarks.loading import load_tokenizer
from benchmarks.stopwatch import Stopwatch
from swarmd.config import LearningConfig, PolicyConfig
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.hardware.arrangement import Workload
from swarmd.hardware.plan import HardwarePlan
from swarmd.learning import Trainer
from swarmd.policy import Policy, Sample, load_policy, prepare_plan
from swarmd.tasks import prompt_messages

NO_CLIPPING = 1e9  # a gradient norm that is never reached
UPDATE = "swarmd.learning.optimizer.adamw"


class Run:
    """A policy, its trainer and the job's questions: one step in two halves."""

    def __init__(self, job: Job) -> None:
        self._questions = job.questions
        self._group_size = job.group_size
        self._policy = make_policy(job)
        self._trainer = Trainer(self._policy, learning_config())
        self._rng = torch.Generator().manual_seed(job.seed)

    def generate(self) -> list[list[Sample]]:
        """Return the completions of every question."""
        prompts = [self._policy.render(question) for question in self._questions]
        groups = self._policy.generate(prompts, self._group_size, rng=self._rng)
        return [list(group) for group in groups]

    def train(self, groups: Sequence[Sequence[Sample]]) -> None:
        """Score, then loss, backward and optimiser."""
        metrics = self._trainer.step(score(self._policy, self._questions, groups), [])
        if not metrics.updated:
            raise RuntimeError(f"the step did not update the weights: {metrics.note}")


def run(job: Job) -> list[dict[str, float]]:
    """Return the times of the warm-up step and of the timed steps."""
    watch = Stopwatch(job.device)
    ours = Run(job)
    with mock.patch(UPDATE, watch.optimizing(adamw)):
        for _ in range(1 + job.timed_steps):
            watch.begin_step()
            with watch.generation():
                groups = ours.generate()
            watch.count_tokens(sum(len(sample.token_ids) for group in groups for sample in group))
            ours.train(groups)
            watch.end_step()
    return [step.plain() for step in watch.steps]


def make_policy(job: Job) -> Policy:
    """Load the job's model as the daemon would."""
    return load_policy(policy_config(job), make_plan(job), max_new_tokens=job.new_tokens)


def make_plan(job: Job) -> HardwarePlan:
    """Plan the job's step as the daemon would, including memory. All weights are trained, as in the other
    trainers.
    """
    tokenizer: Any = load_tokenizer(job.path)
    prompts = [
        tokenizer.apply_chat_template(
            [dict(message) for message in prompt_messages(question)],
            add_generation_prompt=True,
            return_dict=False,
        )
        for question in job.questions
    ]
    work = Workload(
        own_groups=len(job.questions),
        external_groups=0,
        group_size=job.group_size,
        new_tokens=job.new_tokens,
        prompt_tokens=max(map(len, prompts)),
    )
    return prepare_plan(policy_config(job), work).plan


def policy_config(job: Job) -> PolicyConfig:
    """Return the settings that an operator would choose."""
    return PolicyConfig.model_validate(
        {
            "model": job.model_dir,
            "device": job.device,
            "dtype": job.dtype,
            "threads": job.threads,
            "temperature": TEMPERATURE,
            "lora_rank": None,
            "engine": job.engine,
        }
    )


def gradients(job: Job, batch: Sequence[FixedGroup]) -> tuple[float, dict[str, Tensor]]:
    """Return the loss of a fixed batch, and its gradient for every weight, as the optimiser gets it."""
    policy = make_policy(job)
    trainer = Trainer(policy, learning_config(max_grad_norm=NO_CLIPPING))
    taken: dict[str, Tensor] = {}

    def take(*_: Any, **__: Any) -> None:
        for name, parameter in policy.trainable_parameters():
            if parameter.grad is not None:
                taken[name] = parameter.grad.detach().clone()  # its memory may be reused

    groups = [
        own_group(policy, group.question, [_completion(policy, row) for row in group.rows]) for group in batch
    ]
    with mock.patch(UPDATE, take):
        metrics = trainer.step(groups, [])
    if metrics.loss is None:
        raise RuntimeError(f"the step trained nothing: {metrics.note}")
    return metrics.loss, taken


def _completion(policy: Policy, row: FixedRow) -> ScoredCompletion:
    text = policy.tokenizer.decode_completion(row.token_ids)
    return ScoredCompletion(text, row.reward, False, row.token_ids, row.old_logprobs)


def learning_config(max_grad_norm: float = 1.0) -> LearningConfig:
    """Return the other trainers' settings in our terms. 1.0 is TRL's gradient norm."""
    return LearningConfig(
        learning_rate=LEARNING_RATE,
        warmup_steps=0,
        clip_low=CLIP_LOW,
        clip_high=CLIP_HIGH,
        max_grad_norm=max_grad_norm,
    )


def score(policy: Policy, questions: Sequence[str], groups: Sequence[Sequence[Sample]]) -> list[ScoredGroup]:
    """Return own groups with the benchmark's rewards."""
    return [
        own_group(
            policy,
            question,
            [ScoredCompletion.from_sample(sample, reward_of(n)) for n, sample in enumerate(samples)],
        )
        for question, samples in zip(questions, groups, strict=True)
    ]


def own_group(policy: Policy, question: str, completions: Sequence[ScoredCompletion]) -> ScoredGroup:
    """Return a group that this policy wrote and did not publish."""
    return ScoredGroup(
        publisher="",
        task_id=bytes(16),
        task_name="benchmark",
        question=question,
        completions=tuple(completions),
        round=0,
        step=0,
        model=policy.family,
        tokenizer=policy.tokenizer_fingerprint,
        digest=None,
        external=False,
    )
