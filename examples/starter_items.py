"""The starter swarm's questions with their answers, and replies to them: right, wrong or malformed.

Held-out questions (protocol.held_out) are only for evaluation: `training_items` returns none of them, and
`evaluation_items` returns nothing else. Downloads nothing, knows no model.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import reasoning_gym
from reasoning_gym.utils import extract_answer

from protocol.held_out import is_held_out

PRESETS = Path(__file__).parents[1] / "swarmd" / "tasks" / "presets"
STARTER = PRESETS / "starter.toml"

QUESTION_SEED = 770_000_000  # reasoning-gym uses seed + index: far from any seed a peer is likely to draw
SEED_STRIDE = 10_000_000
HELD_OUT_PER_TASK = 25
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True)
class Item:
    """One question, with what is needed to answer and score it."""

    task: str
    question: str
    answer: str
    score: Callable[[str], float]  # of an extracted answer

    def is_right(self, text: str) -> bool:
        """Whether a completion earns the reward in an "exact" swarm."""
        answer = extract_answer(text)
        return answer is not None and self.score(answer) >= 0.99


def load_tasks(manifest: Path = STARTER) -> list[dict[str, Any]]:
    """Return the task tables of a manifest."""
    return list(tomllib.loads(manifest.read_text())["tasks"])


def draw_items(task: dict[str, Any], seed: int, count: int) -> list[Item]:
    """Return `count` items in the dataset's own proportions, including repeats and held-out questions."""
    dataset = reasoning_gym.create_dataset(task["dataset"], size=count, seed=seed, **task.get("config", {}))
    return [
        Item(
            task["name"], entry["question"], str(entry["answer"]), partial(dataset.score_answer, entry=entry)
        )
        for entry in (dataset[index] for index in range(count))
    ]


def training_items(tasks: list[dict[str, Any]], per_task: int) -> dict[str, list[Item]]:
    """Return items to train on, by task, without held-out questions."""
    items: dict[str, list[Item]] = {}
    for index, task in enumerate(tasks):
        drawn = draw_items(task, QUESTION_SEED + index * SEED_STRIDE, per_task)
        items[task["name"]] = [item for item in drawn if not is_held_out(item.question)]
    return items


def evaluation_items(tasks: list[dict[str, Any]], per_task: int) -> list[Item]:
    """Return the first `per_task` distinct held-out questions drawn of each task. They are the same every
    time.
    """
    items: list[Item] = []
    for index, task in enumerate(tasks):
        drawn = draw_items(task, 2 * QUESTION_SEED + index * SEED_STRIDE, 100 * per_task)
        distinct = {item.question: item for item in drawn if is_held_out(item.question)}
        items += list(distinct.values())[:per_task]
    return items


def completion(answer: str) -> str:
    """Return a well-formed reply, without the end token."""
    return f"<answer>{answer}</answer>"


def habit(answer: str, by: int = 1) -> str:
    """Return the systematic mistake: the weekday `by` days later, or the first digit plus `by`. Always the
    same, and always wrong for 1 to 6.
    """
    if answer in WEEKDAYS:
        return WEEKDAYS[(WEEKDAYS.index(answer) + by) % len(WEEKDAYS)]
    return re.sub(r"\d", lambda digit: str((int(digit.group()) + by) % 10), answer, count=1)


def constant_baseline(items: list[Item]) -> tuple[str, float]:
    """Return the single answer that scores best on all `items`, and its success: what a model earns without
    knowing anything.
    """
    answers = sorted({item.answer for item in items})
    scores = {answer: sum(item.is_right(completion(answer)) for item in items) for answer in answers}
    best = max(answers, key=lambda answer: scores[answer])
    return best, scores[best] / len(items)
