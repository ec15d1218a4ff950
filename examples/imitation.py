"""Train a small language model on questions and replies, supervised; save and load it."""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from starter_items import Item
from transformers import AutoModelForCausalLM, AutoTokenizer

END = "<|im_end|>"  # ends a reply
PART = 32  # rows per pass; a batch is sorted by length and split, to keep padding low


@dataclass(frozen=True)
class Stage:
    """How long and how hard to train. The learning rate warms up, then decays as a cosine to a tenth."""

    steps: int
    batch: int
    learning_rate: float
    warmup: int = 50

    def set_rate(self, optimiser: torch.optim.Optimizer, step: int) -> None:
        """Set the learning rate of this step in `optimiser`."""
        share = min((step + 1) / self.warmup, 0.55 + 0.45 * math.cos(math.pi * step / self.steps))
        for group in optimiser.param_groups:
            group["lr"] = self.learning_rate * share


def prompt_ids(tokenizer: Any, question: str) -> list[int]:
    """Return the token ids of a chat that asks `question` and waits for the reply."""
    chat = [{"role": "user", "content": question}]
    return list(tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False))


def save(model: Any, tokenizer: Any, out: Path) -> None:
    """Write the model in float16 to save space. The config asks for float32, because float16 is slow on a
    CPU.
    """
    out.mkdir(parents=True, exist_ok=True)
    model.generation_config.update(do_sample=True, temperature=1.0, top_k=0, max_new_tokens=16)
    model.half().save_pretrained(out)
    tokenizer.save_pretrained(out)
    config = json.loads((out / "config.json").read_text())
    config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    model.float()


def load(directory: Path) -> tuple[Any, Any]:
    """Return the model, in float32, and the tokenizer saved in `directory`."""
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(directory)


Row = tuple[list[int], list[int]]  # prompt ids, completion ids


def answer_loss(model: Any, rows: list[Row]) -> torch.Tensor:
    """Return the summed cross-entropy of the completions given the prompts."""
    width = max(len(prompt) + len(reply) for prompt, reply in rows)
    ids = torch.full((len(rows), width), model.config.pad_token_id)
    labels = torch.full((len(rows), width), -100)
    for row, (prompt, reply) in enumerate(rows):
        ids[row, : len(prompt) + len(reply)] = torch.tensor(prompt + reply)
        labels[row, len(prompt) : len(prompt) + len(reply)] = torch.tensor(reply)
    logits = model(input_ids=ids).logits[:, :-1]  # padding is on the right: causal attention never sees it
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels[:, 1:], reduction="sum")


def train(model: Any, stage: Stage, draw: Callable[[], Row], name: str) -> None:
    """Train the model in place for one stage, on the rows that `draw` returns."""
    optimiser = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    model.train()
    started = time.monotonic()
    for step in range(stage.steps):
        stage.set_rate(optimiser, step)
        rows = sorted((draw() for _ in range(stage.batch)), key=lambda row: len(row[0]))
        tokens = sum(len(reply) for _, reply in rows)
        total = 0.0
        for start in range(0, stage.batch, PART):
            loss = answer_loss(model, rows[start : start + PART]) / tokens
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        if step % 100 == 99 or step + 1 == stage.steps:
            seconds = time.monotonic() - started
            print(f"{name} {step + 1}/{stage.steps} loss {total:.3f} {seconds:.0f} s", flush=True)


def rows_of(
    items: Mapping[str, Sequence[Item]],
    tokenizer: Any,
    rng: random.Random,
    target: Callable[[Item], str],
    tasks: Sequence[str] = (),
) -> Callable[[], Row]:
    """Return a function that draws training rows of `tasks` with `target`. No tasks means all; a task listed
    twice is drawn twice as often.
    """
    names = tasks or sorted(items)
    prompt = cache(lambda question: prompt_ids(tokenizer, question))

    def draw() -> Row:
        item = rng.choice(items[rng.choice(names)])
        return prompt(item.question), list(tokenizer(target(item) + END)["input_ids"])

    return draw
