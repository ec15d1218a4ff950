"""Judges trained from the embedded model: a reward model, a generative verifier.

    python examples/train_judges.py reward_model examples/models/reward-model
    python examples/train_judges.py generative examples/models/judge
    python examples/train_judges.py reward_model examples/models/game-judge --guessing

The first two judge the tasks of `starter`. They learn from training questions (none held out) with right
answers and with wrong ones: the answer to another question of the task, the systematic mistake of the
embedded model, or one changed digit. The third judges the games of `guessing_tasks.toml`, and learns from
games won and lost (`guessing_games.py`). All are small and often wrong, which makes them useful for measuring
how a policy exploits its judge. Takes minutes on one core. Use them with `--reward-model
examples/models/reward-model` and `--judge examples/models/judge`.

A judge that was hacked can learn from the answers that hacked it:

    python examples/train_judges.py reward_model examples/models/reward-model-2 --steps 150 --rate 3e-4 \
        --start examples/models/reward-model --policy judged-reward-model/runs/RUN
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from chosen_judge import generative_verifier, reward_model
from guessing_games import Games, print_games
from imitation import Stage
from judged_answers import policy_of
from model_figures import replies
from reasoning_gym.utils import extract_answer
from starter_items import (
    HELD_OUT_PER_TASK,
    Item,
    completion,
    evaluation_items,
    habit,
    load_tasks,
    training_items,
)
from transformers import AutoConfig, LlamaForCausalLM, LlamaForSequenceClassification

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.judges.interface import ModelJudge, Pair
from swarmd.judges.wording import NO, YES, chat, conversation, messages
from swarmd.model import load_model, locate

PER_TASK = 1_500  # questions drawn per task, including repeats
BATCH = 48
NEW_LAYERS = 2
PART = 16  # rows per pass; a batch is sorted by length and split, to keep padding low


def wrong(item: Item, others: Sequence[Item], rng: random.Random) -> str:
    """Return a wrong answer, of one of three kinds."""
    kind = rng.random()
    if kind < 0.4:
        return habit(item.answer)
    digits = [i for i, c in enumerate(item.answer) if c.isdigit()]
    if kind < 0.7 and digits:
        place = rng.choice(digits)
        return item.answer[:place] + rng.choice("0123456789") + item.answer[place + 1 :]
    return rng.choice(others).answer


@dataclass(frozen=True)
class Answers:
    """Questions, and answers to them, about half of which are right."""

    items: dict[str, list[Item]]
    rng: random.Random
    of_policy: dict[str, list[str]] | None = None
    """By task, one answer of a trained policy to each item: what the judge must learn to distinguish next."""

    def draw(self) -> tuple[Pair, bool]:
        """Return a question with an answer, and whether it is right."""
        task = self.rng.choice(list(self.items))
        of_task = self.items[task]
        place = self.rng.randrange(len(of_task))
        item = of_task[place]
        if self.of_policy is not None and self.rng.random() < 0.5:
            answer = self.of_policy[task][place]
        else:
            answer = item.answer if self.rng.random() < 0.5 else wrong(item, of_task, self.rng)
        return Pair(item.question, answer), item.is_right(completion(answer))


def answers_of(run: Path, items: dict[str, list[Item]], tokenizer: Any) -> dict[str, list[str]]:
    """Return, by task, what node 0 of an experiment's run answers to each of `items`, sampled."""
    policy = policy_of(run)
    return {
        task: [extract_answer(row[0]) or "" for row in replies(policy, tokenizer, of_task, 1)]
        for task, of_task in items.items()
    }


@dataclass(frozen=True)
class Row:
    """Token ids, of which the last `tail` are the answer or the judge's word; whether the answer is right."""

    ids: list[int]
    tail: int
    right: bool


def deeper(kind: Any, start: Path | None) -> Any:
    """Return the embedded model as a `kind` of transformers, with `NEW_LAYERS` more layers that are the
    identity at first.

    The original has the answer only in its last layer, too late to compare it with the one that it reads.
    With `start`, returns the judge in that folder unchanged.
    """
    if start is not None:
        return kind.from_pretrained(start, dtype=torch.float32)
    config = AutoConfig.from_pretrained(EMBEDDED_MODEL_DIR)
    old = config.num_hidden_layers
    config.update({"num_hidden_layers": old + NEW_LAYERS, "num_labels": 1})
    model = kind.from_pretrained(EMBEDDED_MODEL_DIR, config=config, dtype=torch.float32)
    for layer in model.model.layers[old:]:
        for part in (layer.self_attn.o_proj, layer.mlp.down_proj):
            for parameter in part.parameters():
                torch.nn.init.zeros_(parameter)
    return model


class RewardModel:
    """Logistic loss on the last token's score, plus the likelihood of right answers (arXiv 2406.10216).

    The latter teaches it to answer, which it needs in order to judge.
    """

    def __init__(self, tokenizer: Any, start: Path | None) -> None:
        self.tokenizer = tokenizer
        self.model = deeper(LlamaForSequenceClassification, start)

    def row(self, pair: Pair, right: bool) -> Row:
        whole = self.tokenizer.conversation(conversation(pair))
        return Row(whole, len(whole) - len(self.tokenizer.prompt(chat(pair))), right)

    def loss(self, rows: Sequence[Row]) -> torch.Tensor:
        ids, mask = padded(rows, self.tokenizer.pad_id)
        hidden = self.model.model(input_ids=ids, attention_mask=mask).last_hidden_state
        last = hidden[torch.arange(len(rows)), mask.sum(1) - 1]
        right = torch.tensor([float(row.right) for row in rows])
        judged = torch.nn.functional.binary_cross_entropy_with_logits(
            self.model.score(last)[:, 0], right, reduction="sum"
        )
        logits = hidden @ self.model.model.embed_tokens.weight.T
        return judged + tail_loss(logits, [(i, row) for i, row in enumerate(rows) if row.right])


class Generative:
    """Likelihood of "yes" after right answers, and of "no" after wrong ones."""

    def __init__(self, tokenizer: Any, start: Path | None) -> None:
        self.tokenizer = tokenizer
        self.model = deeper(LlamaForCausalLM, start)
        self.words = {
            True: list(tokenizer.encode_completion(YES[0], False, 8)),
            False: list(tokenizer.encode_completion(NO[0], False, 8)),
        }

    def row(self, pair: Pair, right: bool) -> Row:
        word = self.words[right]
        return Row(self.tokenizer.prompt(messages(pair)) + word, len(word), right)

    def loss(self, rows: Sequence[Row]) -> torch.Tensor:
        ids, mask = padded(rows, self.tokenizer.pad_id)
        return tail_loss(self.model(input_ids=ids, attention_mask=mask).logits, list(enumerate(rows)))


def padded(rows: Sequence[Row], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask, (rows, longest row)."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.tensor([[*row.ids, *[pad] * (longest - len(row.ids))] for row in rows])
    return ids, (torch.arange(longest) < torch.tensor([[len(row.ids)] for row in rows])).long()


def tail_loss(logits: torch.Tensor, rows: Sequence[tuple[int, Row]]) -> torch.Tensor:
    """Return the nats of the tails of `rows`, which are at these positions of `logits` (rows, tokens,
    vocabulary).
    """
    places = [(i, at, row.ids[at]) for i, row in rows for at in range(len(row.ids) - row.tail, len(row.ids))]
    if not places:
        return torch.zeros(())
    of_row, at, token = torch.tensor(places).unbind(1)
    return torch.nn.functional.cross_entropy(logits[of_row, at - 1], token, reduction="sum")


def train(judge: Any, draw: Callable[[], tuple[Pair, bool]], stage: Stage) -> None:
    began, mean = time.process_time(), 0.0
    optimizer = torch.optim.AdamW(judge.model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
    judge.model.train()
    for step in range(stage.steps):
        stage.set_rate(optimizer, step)
        drawn = [draw() for _ in range(stage.batch)]
        rows = sorted((judge.row(pair, right) for pair, right in drawn), key=lambda row: len(row.ids))
        optimizer.zero_grad()
        total = 0.0
        for start in range(0, stage.batch, PART):
            loss = judge.loss(rows[start : start + PART]) / stage.batch
            loss.backward()
            total += loss.item()
        torch.nn.utils.clip_grad_norm_(judge.model.parameters(), 1.0)
        optimizer.step()
        mean += (total - mean) / min(step + 1, 25)
        if step % 25 == 24:
            spent = time.process_time() - began
            print(f"step {step + 1}: loss {mean:.3f} nats, {spent:.0f} CPU s", flush=True)


def print_agreement(judge: ModelJudge, tasks: list[dict[str, Any]]) -> None:
    """Print, per task, the share of held-out answers that the judge calls right, before calibration."""
    print(f"{'called right':24} right  one up  another's  agreement")
    items = evaluation_items(tasks, HELD_OUT_PER_TASK)
    for task in tasks:
        asked = [item for item in items if item.task == task["name"]]
        others = [item.answer for item in [*asked[1:], asked[0]]]
        said = []
        for answers in ([i.answer for i in asked], [habit(i.answer) for i in asked], others):
            pairs = [Pair(item.question, a) for item, a in zip(asked, answers, strict=True)]
            wanted = [
                p >= 0.5
                for item, a, p in zip(asked, answers, judge.probabilities(pairs), strict=True)
                if answers is not others or not item.is_right(completion(a))
            ]
            said.append(sum(wanted) / len(wanted))
        agreement = (said[0] + 1 - (said[1] + said[2]) / 2) / 2
        print(
            f"{task['name']:24} {said[0]:5.2f}  {said[1]:6.2f}  {said[2]:9.2f}  {agreement:9.2f}", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=("reward_model", "generative"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--tasks", default="", help="tasks of starter, comma-separated (default: all)")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--rate", type=float, default=7e-4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="a judge to continue from")
    parser.add_argument("--guessing", action="store_true", help="judge the games of guessing_tasks.toml")
    parser.add_argument("--policy", type=Path, help="run of an experiment whose answers it learns to judge")
    given = parser.parse_args()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    tokenizer = load_model(locate("embedded"), torch.float32)[1]
    judge = (RewardModel if given.kind == "reward_model" else Generative)(tokenizer, given.start)
    stage = Stage(steps=given.steps, batch=BATCH, learning_rate=given.rate, warmup=20)
    tasks = [task for task in load_tasks() if not given.tasks or task["name"] in given.tasks.split(",")]
    rng = random.Random(given.seed)
    if given.guessing:
        train(judge, Games(rng).draw, stage)
    else:
        items = training_items(tasks, PER_TASK)
        own = answers_of(given.policy, items, tokenizer.hf) if given.policy else None
        train(judge, Answers(items, rng, own).draw, stage)
    judge.model.eval().save_pretrained(given.out)
    tokenizer.hf.save_pretrained(given.out)
    print(f"saved to {given.out}")
    saved = (reward_model if given.kind == "reward_model" else generative_verifier)(str(given.out))
    if given.guessing:
        print_games(saved)
    else:
        print_agreement(saved, tasks)


if __name__ == "__main__":
    main()
