"""One step of TRL's GRPOTrainer, as fast as its options make it.

It runs its own training loop, with transformers' `generate` or with vLLM inside its process. Nothing is
logged or saved, and the whole batch goes through the model at once. Gradient checkpointing, its default, is
off because it costs time (`--checkpointing` turns it on). bfloat16 works as by default in TRL: autocast
over float32 weights. vLLM stays awake between steps, as by default. The correction of its logprobs, a
default, is off because it costs a forward pass.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, TrainerCallback

from benchmarks.batch import FixedGroup, loss_and_gradients, pad_left, pad_right
from benchmarks.job import CLIP_HIGH, CLIP_LOW, LEARNING_RATE, TEMPERATURE, Job, reward_of
from benchmarks.loading import load_tokenizer
from benchmarks.stopwatch import Stopwatch
from swarmd.tasks import prompt_messages

# genrl installs Weights & Biases, and TRL imports it if present. Its time and memory are not TRL's.
sys.modules.setdefault("wandb", None)  # type: ignore[arg-type]

from datasets import Dataset  # noqa: E402  after the line above
from trl import GRPOConfig, GRPOTrainer  # noqa: E402


class _WholeSteps(TrainerCallback):
    """Starts and stops the stopwatch when the training loop reports that a step begins and ends."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._watch.begin_step()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._watch.end_step()


def run(job: Job) -> list[dict[str, float]]:
    """Return the times of the warm-up step and of the timed steps."""
    watch = Stopwatch(job.device)
    with tempfile.TemporaryDirectory() as directory:
        trainer = make_trainer(job, directory)
        generate = watch.generating(trainer._generate)

        def generate_and_count(prompts: Any) -> Any:
            produced = generate(prompts)
            watch.count_tokens(sum(len(ids) for ids in produced[1]))
            return produced

        trainer._generate = generate_and_count
        trainer.add_callback(_WholeSteps(watch))
        trainer.train()
    return [step.plain() for step in watch.steps]


def gradients(job: Job, batch: Sequence[FixedGroup]) -> tuple[float, dict[str, Tensor]]:
    """Return the loss of a fixed batch, and its gradient for every weight."""
    with tempfile.TemporaryDirectory() as directory:
        trainer = make_trainer(job, directory)
    trainer.current_gradient_accumulation_steps = 1
    return loss_and_gradients(trainer, _inputs(batch))


def _inputs(batch: Sequence[FixedGroup]) -> dict[str, Tensor]:
    """Return the batch as the trainer prepares it, with its own advantages: (r - mean) / (std + 1e-4)."""
    rows = [row for group in batch for row in group.rows]
    prompts = [group.prompt_ids for group in batch for _ in group.rows]
    rewards = torch.tensor([[row.reward for row in group.rows] for group in batch])
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    mask = torch.tensor(pad_right([[1] * len(row.token_ids) for row in rows]))
    return {
        "prompt_ids": torch.tensor(pad_left(prompts)),
        "prompt_mask": torch.tensor(pad_left([[1] * len(prompt) for prompt in prompts])),
        "completion_ids": torch.tensor(pad_right([row.token_ids for row in rows])),
        "completion_mask": mask,
        "advantages": (centred / (rewards.std(dim=1, keepdim=True) + 1e-4)).flatten(),
        "old_per_token_logps": torch.tensor(pad_right([row.old_logprobs for row in rows])),
        "num_items_in_batch": mask.sum(),
    }


def make_trainer(job: Job, directory: str) -> Any:
    """Return the trainer with the job's model and questions."""
    torch.set_num_threads(job.threads)
    model = AutoModelForCausalLM.from_pretrained(job.model_dir, dtype=torch.float32)
    prompts = [[dict(message) for message in prompt_messages(text)] for text in job.questions]

    def rewards(completions: Sequence[Any], **_: Any) -> list[float]:
        return [reward_of(index % job.group_size) for index in range(len(completions))]

    return GRPOTrainer(
        model=model,
        processing_class=load_tokenizer(job.path),
        reward_funcs=rewards,
        train_dataset=Dataset.from_dict({"prompt": prompts}),
        args=GRPOConfig(
            output_dir=directory,
            use_cpu=job.device == "cpu",
            bf16=job.dtype == "bfloat16",
            gradient_checkpointing=job.checkpointing,
            report_to=[],
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
            dataloader_pin_memory=False,
            seed=job.seed,
            max_steps=1 + job.timed_steps,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            loss_type="dapo",
            beta=0.0,
            epsilon=CLIP_LOW,
            epsilon_high=CLIP_HIGH,
            temperature=TEMPERATURE,
            max_completion_length=job.new_tokens,
            num_generations=job.group_size,
            per_device_train_batch_size=job.completions,
            gradient_accumulation_steps=1,
            shuffle_dataset=False,
            use_vllm=job.engine == "vllm",
            vllm_mode="colocate",
            vllm_importance_sampling_correction=False,
        ),
    )
