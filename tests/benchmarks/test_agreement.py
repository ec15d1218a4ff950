"""Gradients in files, compared; and ours against genrl's loss as its source states it."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

from benchmarks import ours
from benchmarks.agreement import difference
from benchmarks.batch import make_batch, pad_left, pad_right, read_batch, write_batch
from benchmarks.job import CLIP_HIGH, CLIP_LOW, Job
from swarmd.assets import EMBEDDED_MODEL_DIR

JOB = Job(
    model_dir=str(EMBEDDED_MODEL_DIR),
    questions=("What is 3 + 4?", "What is the greatest common divisor of 12 and 18?"),
    group_size=4,
    new_tokens=6,
    dtype="float32",
    device="cpu",
    threads=1,
    timed_steps=1,
    seed=0,
    lengths="natural",
)


def write(path: Path, **gradients: list[float]) -> Path:
    save_file({name: torch.tensor(values) for name, values in gradients.items()}, path)
    return path


def test_the_difference_is_relative_and_names_the_weight_that_differs_most(tmp_path):
    a = write(tmp_path / "a", one=[3.0, 4.0], two=[1.0])
    b = write(tmp_path / "b", one=[3.0, 4.0], two=[2.0])
    found = difference(a, b)
    assert found.relative == pytest.approx(1 / 29**0.5)
    assert (found.worst, found.worst_name) == (0.5, "two")
    assert not found.agrees
    assert difference(a, a).agrees


def test_gradients_of_other_weights_are_not_compared(tmp_path):
    with pytest.raises(ValueError, match="two first"):
        difference(write(tmp_path / "a", one=[1.0]), write(tmp_path / "b", one=[1.0], two=[1.0]))


def test_rows_are_padded_on_either_side():
    assert pad_left([[1, 2], [3]]) == [[1, 2], [0, 3]]
    assert pad_right([[1, 2], [3]]) == [[1, 2], [3, 0]]


def test_a_batch_is_the_same_behind_its_file_and_every_time(tmp_path):
    batch = make_batch(JOB, "unequal")
    write_batch(batch, tmp_path / "batch.json")
    assert read_batch(tmp_path / "batch.json") == batch == make_batch(JOB, "unequal")
    assert len({len(row.token_ids) for row in batch[0].rows}) > 1


def genrl_gradients(batch):
    """genrl 0.3.0's `compute_loss`: ratios clipped, token losses clamped, mean over tokens; std + 1e-8."""
    model = AutoModelForCausalLM.from_pretrained(EMBEDDED_MODEL_DIR, dtype=torch.float32)
    total, tokens = torch.zeros(()), 0
    for group in batch:
        rewards = torch.tensor([row.reward for row in group.rows])
        advantages = (rewards - rewards.mean()) / (rewards.std() + 1e-8)
        for row, advantage in zip(group.rows, advantages, strict=True):
            ids = torch.tensor([group.prompt_ids + row.token_ids])
            logits = model(ids).logits[0, len(group.prompt_ids) - 1 : -1]
            logprobs = logits.log_softmax(-1).gather(1, torch.tensor(row.token_ids)[:, None])[:, 0]
            ratio = (logprobs - torch.tensor(row.old_logprobs)).exp()
            clipped = ratio.clamp(1 - CLIP_LOW, 1 + CLIP_HIGH)
            total = total - torch.min(ratio * advantage, clipped * advantage).clamp(-10, 10).sum()
            tokens += len(row.token_ids)
    loss = total / tokens
    loss.backward()
    return loss.item(), {name: p.grad for name, p in model.named_parameters()}


@pytest.mark.parametrize("ends", ["equal", "unequal"])
def test_our_loss_and_gradients_are_those_of_genrl_s_formula(tmp_path, ends):
    batch = make_batch(replace(JOB, group_size=4), ends)
    our_loss, mine = ours.gradients(JOB, batch)
    their_loss, theirs = genrl_gradients(batch)
    save_file({name: g.contiguous() for name, g in mine.items()}, tmp_path / "a")
    save_file(theirs, tmp_path / "b")
    found = difference(tmp_path / "a", tmp_path / "b")
    assert found.agrees, found
    assert our_loss == pytest.approx(their_loss, abs=1e-4)
