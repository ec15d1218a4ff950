"""One step of gensyn-genrl's GRPOLanguageTrainerModule, driven as its game loop drives it.

It runs its own `generate` (one call of transformers' `generate` per completion) and `step`. As in the other
trainers, the whole batch is one minibatch, gradient checkpointing is off, and there is no top-k
(transformers' default of 50 would apply). What it has no option for is unchanged: weights, moments and
advantages are in `dtype` (no float32 copy), the gradient norm is not clipped, and logprobs are computed once
more before the update.

genrl trains on re-encoded text, whose length differs from what was sampled. Here a completion's text
remembers its tokens (`CompletionText`), so that all three trainers train on the same number of tokens, except
the end token, which genrl drops.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from genrl.trainer.grpo_trainer import GRPOLanguageTrainerModule, GRPOTrainerConfig
from torch import Tensor
from transformers import AutoModelForCausalLM, BatchEncoding
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from benchmarks.batch import FixedGroup, loss_and_gradients, pad_left
from benchmarks.job import CLIP_HIGH, CLIP_LOW, LEARNING_RATE, TEMPERATURE, Job, reward_of
from benchmarks.loading import load_tokenizer
from benchmarks.stopwatch import Stopwatch
from swarmd.tasks import prompt_messages


class CompletionText(str):
    """A completion's text that remembers the tokens it was decoded from."""

    __slots__ = ("token_ids",)
    token_ids: list[int]


class RememberingTokenizer:
    """A tokenizer whose decoding and re-encoding give the same tokens."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, end_ids: Sequence[int]) -> None:
        self._tokenizer: Any = tokenizer
        self._dropped = torch.tensor(sorted({*end_ids, *tokenizer.all_special_ids}))
        self.eos_token_id = list(end_ids)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def batch_decode(self, ids: Tensor, skip_special_tokens: bool) -> list[CompletionText]:
        """Texts of ids [B, T], without the special tokens."""
        found = []
        for row in ids.cpu():
            kept = row[~torch.isin(row, self._dropped)]
            text = CompletionText(self._tokenizer.decode(kept, skip_special_tokens=skip_special_tokens))
            text.token_ids = kept.tolist()
            found.append(text)
        return found

    def __call__(self, text: Sequence[str], **options: Any) -> BatchEncoding:
        if not isinstance(text[0], CompletionText):
            encoded: BatchEncoding = self._tokenizer(text=text, **options)
            return encoded
        rows = [{"input_ids": row.token_ids} for row in text if isinstance(row, CompletionText)]
        padded: BatchEncoding = self._tokenizer.pad(rows, return_tensors="pt")
        return padded


class _Group:
    """The parts of a game's state that a training step reads: prompts, completions, rewards."""

    def __init__(self, prompts: Sequence[Any], completions: Sequence[Sequence[str]]) -> None:
        self._prompts = prompts
        self._completions = completions

    def get_stage_state(self, _stage: int) -> Any:
        return self._prompts

    def get_stage_actions(self, _stage: int) -> Any:
        return {0: {index: {0: texts} for index, texts in enumerate(self._completions)}}

    def prepare_input(self, inputs: Any, _stage: int) -> Any:
        return inputs, {index: (0, index, 0) for index in range(len(inputs))}

    def __getitem__(self, _stage: int) -> Any:
        """Return the rewards, as genrl's reward manager does."""
        return {
            0: {
                index: {0: [reward_of(row) for row in range(len(texts))]}
                for index, texts in enumerate(self._completions)
            }
        }


def run(job: Job) -> list[dict[str, float]]:
    """Return the times of the warm-up step and of the timed steps."""
    watch = Stopwatch(job.device)
    prompts = [{"prompt": [dict(message) for message in prompt_messages(text)]} for text in job.questions]
    with tempfile.TemporaryDirectory() as directory:
        trainer = make_trainer(job, directory)
        torch.manual_seed(job.seed)
        trainer.model.train()
        for step in range(1 + job.timed_steps):
            watch.begin_step()
            with watch.generation():
                texts, token_ids = trainer.generate(prompts, return_completion_ids=True)
            group = _Group(prompts, texts)
            trainer.step(0, group, group, group, step)
            watch.end_step()
            watch.count_tokens(_written(token_ids, trainer.processing_class.eos_token_id))
    return [times.plain() for times in watch.steps]


def _written(groups: Sequence[Sequence[Tensor]], end_ids: Sequence[int]) -> int:
    """Return the number of tokens in all rows, each up to and including its first end token."""
    ends = torch.tensor(end_ids)
    count = 0
    for group in groups:
        for row in group:
            ended = torch.isin(row.cpu(), ends).nonzero()
            count += len(row) if len(ended) == 0 else int(ended[0]) + 1
    return count


def gradients(job: Job, batch: Sequence[FixedGroup]) -> tuple[float, dict[str, Tensor]]:
    """Return the loss of a fixed batch, and its gradient for every weight."""
    with tempfile.TemporaryDirectory() as directory:
        trainer = make_trainer(job, directory)
    return loss_and_gradients(trainer, _inputs(batch))


def _inputs(batch: Sequence[FixedGroup]) -> dict[str, Tensor]:
    """Return the batch as `step` prepares it: all padded on the left, advantages (r - mean) / (std +
    1e-8).
    """
    rows = [row for group in batch for row in group.rows]
    prompts = [group.prompt_ids for group in batch for _ in group.rows]
    rewards = torch.tensor([[row.reward for row in group.rows] for group in batch])
    advantages = rewards - rewards.mean(dim=1, keepdim=True)
    advantages /= rewards.std(dim=1, keepdim=True) + 1e-8
    return {
        "prompt_ids": torch.tensor(pad_left(prompts)),
        "prompt_mask": torch.tensor(pad_left([[1.0] * len(prompt) for prompt in prompts])),
        "completion_ids": torch.tensor(pad_left([row.token_ids for row in rows])),
        "completion_mask": torch.tensor(pad_left([[1.0] * len(row.token_ids) for row in rows])),
        "advantages": advantages.flatten(),
        "old_per_token_logps": torch.tensor(pad_left([row.old_logprobs for row in rows])),
    }


def make_trainer(job: Job, directory: str) -> Any:
    """Return the trainer with the job's model."""
    torch.set_num_threads(job.threads)
    model = AutoModelForCausalLM.from_pretrained(job.path, dtype=torch.float32)
    ends = model.generation_config.eos_token_id
    config = GRPOTrainerConfig(
        epsilon=CLIP_LOW,
        epsilon_high=CLIP_HIGH,
        beta=0.0,
        temperature=TEMPERATURE,
        dtype=job.dtype,
        enable_gradient_checkpointing=job.checkpointing,
        max_new_tokens=job.new_tokens,
        num_generations=job.group_size,
        learning_rate=LEARNING_RATE,
        top_k=0,
        minibatch_size=job.completions,
    )
    tokenizer = RememberingTokenizer(load_tokenizer(job.path), [ends] if isinstance(ends, int) else ends)
    return GRPOLanguageTrainerModule([model], config, processing_class=tokenizer, log_dir=directory)
