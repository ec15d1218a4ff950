"""How often a model is right on held-out questions: greedily, in one of k tries, next to a constant
answer.
"""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from imitation import PART, prompt_ids
from reasoning_gym.utils import extract_answer
from starter_items import (
    HELD_OUT_PER_TASK,
    STARTER,
    Item,
    constant_baseline,
    evaluation_items,
    load_tasks,
)

from swarmd.step.pass_at_k import chance_of_any

TRIES = (1, 8, 64)


@torch.no_grad()
def replies(model: Any, tokenizer: Any, items: list[Item], samples: int) -> list[list[str]]:
    """Return decoded completions per item: `samples` at temperature 1, or one greedy completion if it
    is 0.
    """
    model.eval()
    sampling: dict[str, Any] = {"do_sample": False, "temperature": None, "top_k": None}
    if samples > 0:
        sampling = {"do_sample": True, "temperature": 1.0, "top_k": 0, "num_return_sequences": samples}
    each, out = max(samples, 1), []
    for start in range(0, len(items), PART):
        rows = [prompt_ids(tokenizer, item.question) for item in items[start : start + PART]]
        inputs = tokenizer.pad({"input_ids": rows}, return_tensors="pt")
        new = model.generate(**inputs, **sampling, max_new_tokens=16)[:, inputs["input_ids"].shape[1] :]
        texts = tokenizer.batch_decode(new, skip_special_tokens=True)
        out += [texts[row * each : (row + 1) * each] for row in range(len(rows))]
    return out


def by_task(
    model: Any, tokenizer: Any, samples: int, per_task: int, manifest: Path = STARTER
) -> dict[str, dict[str, float]]:
    """Return success on `per_task` held-out questions per task of the manifest: task -> column -> value."""
    torch.manual_seed(0)
    items = evaluation_items(load_tasks(manifest), per_task)
    single, drawn = replies(model, tokenizer, items, 0), replies(model, tokenizer, items, samples)
    found: dict[str, dict[str, float]] = {}
    for task in dict.fromkeys(item.task for item in items):
        mine = [index for index, item in enumerate(items) if item.task == task]
        hits = [sum(map(items[index].is_right, drawn[index])) for index in mine]
        tagged = [sum(extract_answer(text) is not None for text in drawn[index]) for index in mine]
        tries = {
            f"pass@{k}": fmean(chance_of_any(hit, samples, k) for hit in hits) for k in TRIES if k <= samples
        }
        found[task] = {
            "greedy": fmean(items[index].is_right(single[index][0]) for index in mine),
            **tries,
            "format": fmean(tagged) / samples,
            "constant": constant_baseline([items[index] for index in mine])[1],
        }
    return found


def figures(
    model: Any, tokenizer: Any, samples: int = 8, per_task: int = HELD_OUT_PER_TASK
) -> dict[str, float]:
    """Print success on the held-out questions by task. Returns the means over all tasks."""
    rows = by_task(model, tokenizer, samples, per_task)
    columns = list(next(iter(rows.values())))
    means = {column: fmean(row[column] for row in rows.values()) for column in columns}
    print(f"{'held-out':24} " + " ".join(f"{column:>8}" for column in columns))
    for name, row in (rows | {"all": means}).items():
        print(f"{name:24} " + " ".join(f"{row[column]:8.3f}" for column in columns), flush=True)
    return means
