"""Judges for the tasks of `starter`, trained from the embedded model: a reward model, a generative verifier.

    python examples/train_judges.py reward_model examples/models/reward-model
    python examples/train_judges.py generative examples/models/judge

Each learns from training questions (no held-out one) with their right answers and with wrong ones: the answer
to another question of the task, the systematic mistake of the embedded model, or one changed digit. Both are
small and often wrong, which makes them useful for measuring how a policy exploits its judge. A few minutes on
one core. Use them with `--reward-model examples/models/reward-model` and `--judge examples/models/judge`.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from imitation import Stage
from starter_items import Item, habit, load_tasks, training_items
from transformers import LlamaForSequenceClassification

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.judges.wording import NO, YES, messages, plain
from swarmd.model import load_model, locate

PER_TASK = 1_500  # questions drawn of each task, repeats included
BATCH = 64
PART = 16  # rows per pass; a batch is sorted by length and split, so that little of it is padding


def wrong(item: Item, others: Sequence[Item], rng: random.Random) -> str:
    """A wrong answer, of one of three kinds."""
    kind = rng.random()
    if kind < 0.4:
        return habit(item.answer)
    digits = [i for i, c in enumerate(item.answer) if c.isdigit()]
    if kind < 0.7 and digits:
        place = rng.choice(digits)
        return item.answer[:place] + rng.choice("0123456789") + item.answer[place + 1 :]
    return rng.choice(others).answer


def labelled(items: dict[str, list[Item]], rng: random.Random) -> tuple[Item, str, bool]:
    """A question, an answer, and whether it is right: half of them are."""
    of_task = items[rng.choice(list(items))]
    item = rng.choice(of_task)
    answer = item.answer if rng.random() < 0.5 else wrong(item, of_task, rng)
    return item, answer, item.is_right(f"<answer>{answer}</answer>")


class RewardModel:
    """Logistic loss on the last token's score."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.model: Any = LlamaForSequenceClassification.from_pretrained(
            EMBEDDED_MODEL_DIR, num_labels=1, dtype=torch.float32
        )

    def row(self, question: str, answer: str, right: bool) -> tuple[list[int], bool]:
        prompt = self.tokenizer.prompt([{"role": "user", "content": question}])
        return prompt + list(self.tokenizer.encode_completion(plain(answer), False, 1_024)), right

    def loss(self, rows: Sequence[tuple[list[int], bool]]) -> torch.Tensor:
        ids, lengths = padded([ids for ids, _ in rows], self.tokenizer.pad_id)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        logits = self.model(input_ids=ids, attention_mask=mask).logits[:, 0]
        right = torch.tensor([float(right) for _, right in rows])
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, right, reduction="sum")


class Generative:
    """Likelihood of "yes" behind right answers, and of "no" behind wrong ones."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.model: Any = load_model(locate("embedded"), torch.float32)[0]
        self.words = {
            True: list(tokenizer.encode_completion(YES[0], False, 8)),
            False: list(tokenizer.encode_completion(NO[0], False, 8)),
        }

    def row(self, question: str, answer: str, right: bool) -> tuple[list[int], bool]:
        return self.tokenizer.prompt(messages(question, answer)) + self.words[right], right

    def loss(self, rows: Sequence[tuple[list[int], bool]]) -> torch.Tensor:
        ids, lengths = padded([ids for ids, _ in rows], self.tokenizer.pad_id)
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        logprobs = self.model(input_ids=ids, attention_mask=mask).logits.log_softmax(-1)
        total = torch.zeros(())
        for index, (row, right) in enumerate(rows):
            for place in range(len(row) - len(self.words[right]), len(row)):
                total = total - logprobs[index, place - 1, row[place]]
        return total


def padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(map(len, rows))
    return (
        torch.tensor([[*row, *[pad] * (longest - len(row))] for row in rows]),
        torch.tensor([len(row) for row in rows]),
    )


def train(judge: Any, items: dict[str, list[Item]], stage: Stage) -> None:
    rng, began, mean = random.Random(0), time.monotonic(), 0.0
    optimizer = torch.optim.AdamW(judge.model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    judge.model.train()
    for step in range(stage.steps):
        stage.set_rate(optimizer, step)
        drawn = [labelled(items, rng) for _ in range(stage.batch)]
        rows = sorted((judge.row(i.question, a, r) for i, a, r in drawn), key=lambda row: len(row[0]))
        optimizer.zero_grad()
        total = 0.0
        for start in range(0, stage.batch, PART):
            loss = judge.loss(rows[start : start + PART]) / stage.batch
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(judge.model.parameters(), 1.0)
        optimizer.step()
        mean += (total - mean) / min(step + 1, 50)
        if step % 50 == 49:
            print(f"step {step + 1}: loss {mean:.3f} nats, {time.monotonic() - began:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=("reward_model", "generative"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rate", type=float, default=1e-3)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = load_model(locate("embedded"), torch.float32)[1]
    judge = (RewardModel if given.kind == "reward_model" else Generative)(tokenizer)
    stage = Stage(steps=given.steps, batch=BATCH, learning_rate=given.rate, warmup=20)
    train(judge, training_items(load_tasks(), PER_TASK), stage)
    judge.model.eval().save_pretrained(given.out)
    tokenizer.hf.save_pretrained(given.out)
    print(f"saved to {given.out}")


if __name__ == "__main__":
    main()
