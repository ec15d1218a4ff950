"""How many right answers does it take to teach a specialist the tasks of the others?

    python examples/make_base_policies.py specialists       (once, minutes)
    python examples/right_answers.py                         (half an hour of CPU time)

The first specialist is trained, supervised, on right answers to about 2,700 questions of each task: to all of
them, to those that the specialists answer right in eight tries or in one, or to only 400 of the latter. The
last row trains four times as long on those in eight. A swarm gives a node nothing else. The command prints
how many questions were answered, how many of them differ, and the held-out success of the specialists and of
the trained policy, greedy and, in brackets, in one sampled try. Downloads nothing.
"""

from __future__ import annotations

import argparse
import random
from dataclasses import replace
from pathlib import Path

import torch
from dilution import SEED
from imitation import Stage, load, rows_of, train
from make_base_policies import MODELS, SPECIALISING, SPECIALIST_TASKS, SPECIALITIES
from model_figures import by_task, replies
from starter_items import Item, completion, load_tasks, training_items

PER_TASK, QUICK_PER_TASK = 3000, 8  # questions drawn per task; a tenth of them are held out
TRIES = 8
FEW = 400  # questions per task of the last row
QUESTIONS, QUICK_QUESTIONS = 300, 1  # held-out questions per task: a standard error of .025
LONGER = 4  # times the steps of the last row
QUICK = Stage(steps=2, batch=8, learning_rate=5e-4, warmup=1)

Items = dict[str, list[Item]]


def answered(models: Path, items: Items) -> tuple[Items, Items]:
    """Return the items that their specialist answers right in one try, and in any of `TRIES`."""
    once: Items = {}
    often: Items = {}
    for node, tasks in enumerate(SPECIALITIES):
        model, tokenizer = load(models / str(node))
        torch.manual_seed(SEED)
        for task in tasks:
            tries = list(zip(items[task], replies(model, tokenizer, items[task], TRIES), strict=True))
            once[task] = [item for item, texts in tries if item.is_right(texts[0])]
            often[task] = [item for item, texts in tries if any(map(item.is_right, texts))]
    return once, often


def print_counts(name: str, items: Items) -> None:
    """Print how many answers there are per task, and to how many different questions."""
    for task, answers in sorted(items.items()):
        questions = {item.question for item in answers}
        print(f"{name:12} {task:24} {len(answers):5} answers, {len(questions):5} different questions")


def print_levels(models: Path, questions: int) -> None:
    """Print the held-out success of the specialists, each on its own tasks."""
    levels = {
        task: row
        for node, tasks in enumerate(SPECIALITIES)
        for task, row in by_task(*load(models / str(node)), TRIES, questions, SPECIALIST_TASKS).items()
        if task in tasks
    }
    print_success("specialists", levels)


def print_success(name: str, rows: dict[str, dict[str, float]]) -> None:
    """Print greedy success by task and, in brackets, that of one sampled try."""
    cells = [f"{task} {row['greedy']:.2f} ({row['pass@1']:.2f})" for task, row in rows.items()]
    print(f"{name:12} " + "  ".join(cells), flush=True)


def taught(models: Path, items: Items, stage: Stage, name: str, questions: int) -> None:
    """Train the first specialist on right answers to `items`, and print its success on all tasks."""
    torch.manual_seed(SEED)
    model, tokenizer = load(models / "0")
    filled = {task: answers for task, answers in items.items() if answers}
    draw = rows_of(filled, tokenizer, random.Random(SEED), lambda item: completion(item.answer))
    train(model, stage, draw, name)
    print_success(name, by_task(model, tokenizer, TRIES, questions, SPECIALIST_TASKS))


def main() -> None:
    """Parse the command line, train, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", type=Path, default=MODELS / "specialists", help="folder of the specialists"
    )
    parser.add_argument("--quick", action="store_true", help="takes seconds: tests the code, teaches nothing")
    given = parser.parse_args()
    torch.set_num_threads(1)
    stage, questions = (QUICK, QUICK_QUESTIONS) if given.quick else (SPECIALISING, QUESTIONS)
    print_levels(given.models, questions)
    everything = training_items(load_tasks(SPECIALIST_TASKS), QUICK_PER_TASK if given.quick else PER_TASK)
    once, often = answered(given.models, everything)
    few = {task: answers[:FEW] for task, answers in once.items()}
    longer = replace(stage, steps=LONGER * stage.steps)
    for name, items, length in (
        ("all", everything, stage),
        ("in eight", often, stage),
        ("in one", once, stage),
        ("only 400", few, stage),
        ("longer", often, longer),
    ):
        print_counts(name, items)
        taught(given.models, items, length, name, questions)


if __name__ == "__main__":
    main()
