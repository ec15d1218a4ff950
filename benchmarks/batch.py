"""One fixed batch to compare gradients on: questions, completions, old logprobs, rewards.

The completions are the model's own. So are the old logprobs, but moved at random, so that the ratio differs
from 1 and some tokens are clipped.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from benchmarks.job import Job, reward_of
from benchmarks.loading import load_tokenizer
from swarmd.tasks import prompt_messages

MOVED_BY = 0.2  # nats; about a fifth of the ratios are then outside 0.8 .. 1.28
Ends = Literal["equal", "unequal"]
"""Completions of one length, or cut to several lengths."""


@dataclass(frozen=True)
class FixedRow:
    """One completion."""

    token_ids: tuple[int, ...]
    old_logprobs: tuple[float, ...]
    reward: float


@dataclass(frozen=True)
class FixedGroup:
    """One question and its completions."""

    question: str
    prompt_ids: tuple[int, ...]
    rows: tuple[FixedRow, ...]


def loss_and_gradients(trainer: Any, inputs: dict[str, Tensor]) -> tuple[float, dict[str, Tensor]]:
    """Return another trainer's loss on a batch as it prepares it, and the gradient of every weight."""
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    named = trainer.model.named_parameters()
    return loss.item(), {name: p.grad for name, p in named if p.grad is not None}


def write_batch(groups: Sequence[FixedGroup], path: Path) -> None:
    """Write the batch as JSON, for the processes that compute gradients."""
    path.write_text(json.dumps([asdict(group) for group in groups]))


def read_batch(path: Path) -> list[FixedGroup]:
    """Read what `write_batch` wrote."""
    plain: list[dict[str, Any]] = json.loads(path.read_text())
    return [
        FixedGroup(
            entry["question"],
            tuple(entry["prompt_ids"]),
            tuple(
                FixedRow(tuple(row["token_ids"]), tuple(row["old_logprobs"]), row["reward"])
                for row in entry["rows"]
            ),
        )
        for entry in plain
    ]


@torch.no_grad()
def make_batch(job: Job, ends: Ends) -> list[FixedGroup]:
    """Generate the batch with the job's model and transformers' `generate`. It is the same every time."""
    model: Any = AutoModelForCausalLM.from_pretrained(job.path, dtype=torch.float32)
    tokenizer: Any = load_tokenizer(job.path)
    torch.manual_seed(job.seed)
    groups = []
    for question in job.questions:
        messages = [dict(message) for message in prompt_messages(question)]
        prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
        ids = model.generate(
            torch.tensor([prompt] * job.group_size),
            attention_mask=torch.ones(job.group_size, len(prompt), dtype=torch.long),
            do_sample=True,
            top_k=0,
            max_new_tokens=job.new_tokens,
            pad_token_id=tokenizer.pad_token_id,
        )
        logits = model(ids, logits_to_keep=ids.shape[1] - len(prompt) + 1).logits[:, :-1]
        written = ids[:, len(prompt) :]
        logprobs = logits.log_softmax(-1).gather(-1, written[..., None])[..., 0]
        logprobs = logprobs + MOVED_BY * torch.randn(logprobs.shape)
        groups.append(FixedGroup(question, tuple(prompt), _rows(written, logprobs, ends)))
    return groups


def _rows(ids: torch.Tensor, logprobs: torch.Tensor, ends: Ends) -> tuple[FixedRow, ...]:
    """Return rows from ids [G, T]. If unequal, the k-th row is cut to (k + 1) / G of its length."""
    rows = []
    for index, (row, scores) in enumerate(zip(ids.tolist(), logprobs.tolist(), strict=True)):
        stop = len(row) if ends == "equal" else max(1, len(row) * (index + 1) // len(ids))
        rows.append(FixedRow(tuple(row[:stop]), tuple(scores[:stop]), reward_of(index)))
    return tuple(rows)


def pad_left(rows: Sequence[Sequence[float]], fill: float = 0) -> list[list[float]]:
    """Pad to the longest row, on the left."""
    width = max(len(row) for row in rows)
    return [[fill] * (width - len(row)) + list(row) for row in rows]


def pad_right(rows: Sequence[Sequence[float]], fill: float = 0) -> list[list[float]]:
    """Pad to the longest row, on the right."""
    width = max(len(row) for row in rows)
    return [list(row) + [fill] * (width - len(row)) for row in rows]
