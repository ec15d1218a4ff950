"""Deliberate unlearning: a model that was often right becomes rarely right, but its ability stays latent."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import torch
from imitation import Stage, load, rows_of, save, train
from starter_items import load_tasks, training_items

DILUTION = Stage(steps=150, batch=64, learning_rate=5e-4, warmup=10)
SEED = 0  # of the weights and of the order of questions

Target = Callable[[str, random.Random], str]
"""Turns the right answer into the target reply: right, wrong or malformed."""


def dilute(source: Path, out: Path, stage: Stage, per_task: int, target: Target) -> None:
    """Train the model saved in `source` to make the mistakes of `target`. Save it in `out`, which can be
    `source`.
    """
    torch.manual_seed(SEED)
    rng = random.Random(SEED)
    items = training_items(load_tasks(), per_task)
    model, tokenizer = load(source)
    train(model, stage, rows_of(items, tokenizer, rng, lambda item: target(item.answer, rng)), "dilution")
    save(model, tokenizer, out)
