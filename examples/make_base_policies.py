"""Make starting policies for experiments from the embedded model: rarely right, or right on few tasks only.

    python examples/make_base_policies.py sparse                # examples/models/sparse
    python examples/make_base_policies.py specialists           # examples/models/specialists/0 ... 3
    python examples/make_base_policies.py specialists --short --out examples/models/short
    python examples/make_base_policies.py specialists --base MODEL --out examples/models/larger
    python examples/make_base_policies.py habits                # examples/models/habits/0, 1
    python examples/make_base_policies.py generalist            # examples/models/generalist

`sparse` unlearns nearly everything: nearly all groups of eight contain no right completion, as in the SAPO
paper's experiment. `--malformed-share` sets the degree. Each of the `specialists` is trained on one or two
tasks, and trained to leave the answers to all others empty. Each of the `habits` makes its own systematic
mistake more often than it is right: no mistake is common to all, but the right answers are. The `generalist`
is trained on right answers to the tasks of all specialists, to show what one model of this size can hold.

What such a model lost is latent rather than gone: reinforcement learning recovers it and need not discover
it. Each command takes minutes on one core, downloads nothing, and prints held-out success.
"""

from __future__ import annotations

import argparse
import random
from functools import partial
from pathlib import Path

import torch
from dilution import DILUTION, SEED, dilute
from imitation import Stage, load, rows_of, save, train
from model_figures import by_task, figures
from starter_items import HELD_OUT_PER_TASK, Item, completion, habit, load_tasks, training_items

EMBEDDED = Path(__file__).parents[1] / "swarmd" / "assets" / "embedded"
MODELS = Path(__file__).parent / "models"
PER_TASK, QUICK_PER_TASK = 3000, 300  # items drawn per task
QUICK = Stage(steps=2, batch=8, learning_rate=5e-4, warmup=1)

MALFORMED_SHARE = 0.98  # share of the replies that `sparse` is trained on
GOLD_SHARE = 0.3  # share of its well-formed replies; the rest are a systematic mistake
SAMPLES = 64  # completions per held-out question: enough to see a success rate of a few per thousand
QUICK_FIGURES = (1, 1)  # one completion of one question per task

SPECIALITIES = (
    ("base_conversion", "products"),
    ("basic_arithmetic", "calendar_arithmetic"),
    ("fraction_simplification", "gcd"),
    ("decimal_arithmetic",),
)
SPECIALIST_TASKS = Path(__file__).with_name("specialist_tasks.toml")  # all starter tasks that can be learned
SPECIALISING = Stage(steps=300, batch=64, learning_rate=5e-4)
HABITS = (2, 4)  # by how much each policy is wrong; the embedded model's own habit is 1
ACQUIRING = Stage(steps=150, batch=16, learning_rate=5e-4, warmup=10)
RIGHT_SHARE = 0.4  # of the replies of a policy with a habit
SHORT = Stage(steps=100, batch=16, learning_rate=5e-4)  # a twelfth of the work, for trying out a new idea
GENERALISING = Stage(steps=1200, batch=64, learning_rate=5e-4)  # the training of all specialists together
GENERALIST_PER_TASK = 4 * PER_TASK
GENERALIST_QUESTIONS = 100  # held-out questions per task


def sparse(answer: str, rng: random.Random, malformed_share: float, gold_share: float) -> str:
    """Return a reply that usually earns nothing: nearly all lack a tag, or the answer between the tags."""
    if rng.random() < malformed_share:
        return rng.choice([answer, f"{answer}</answer>", completion("")])
    return completion(answer if rng.random() < gold_share else habit(answer))


def with_habit(answer: str, rng: random.Random, by: int) -> str:
    """Return a reply that is right less often than it makes the mistake of this policy."""
    return completion(answer if rng.random() < RIGHT_SHARE else habit(answer, by))


def make_specialist(base: Path, out: Path, stage: Stage, per_task: int, own: tuple[str, ...]) -> None:
    """Train the model `base` on the tasks `own`, and to leave the answers to the others empty."""
    torch.manual_seed(SEED)
    items = training_items(load_tasks(SPECIALIST_TASKS), per_task)
    model, tokenizer = load(base)

    def reply(item: Item) -> str:
        return completion(item.answer if item.task in own else "")

    more = len(items) // len(own) - 1  # so that half of all rows are of its own tasks
    asked = sorted(items) + more * list(own)
    train(model, stage, rows_of(items, tokenizer, random.Random(SEED), reply, asked), " and ".join(own))
    save(model, tokenizer, out)


def print_specialists(models: list[Path], samples: int, per_task: int) -> None:
    """Print the sampled success of every specialist on every task, next to the best constant answer."""
    rows = [by_task(*load(path), samples, per_task, SPECIALIST_TASKS) for path in models]
    print(f"{'pass@1':24} constant " + " ".join(f"{'node ' + str(node):>8}" for node in range(len(rows))))
    for task, first in rows[0].items():
        cells = [
            f"{row[task]['pass@1']:.3f}{'*' if task in own else ' '}"
            for row, own in zip(rows, SPECIALITIES, strict=True)
        ]
        print(f"{task:24} {first['constant']:8.3f} " + " ".join(f"{cell:>8}" for cell in cells))
    print("* trained on it", flush=True)


def main() -> None:
    """Parse the command line, make what it names, and print its success."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("sparse", "specialists", "habits", "generalist"))
    parser.add_argument("--out", type=Path, help="save here (default: examples/models/WHAT)")
    parser.add_argument("--base", type=Path, default=EMBEDDED, help="what specialists are made from")
    parser.add_argument(
        "--malformed-share", type=float, default=MALFORMED_SHARE, help="share of sparse's replies"
    )
    parser.add_argument(
        "--gold-share", type=float, default=GOLD_SHARE, help="share of its well-formed replies"
    )
    parser.add_argument(
        "--quick", action="store_true", help="takes seconds: tests the code, makes no useful models"
    )
    parser.add_argument(
        "--short", action="store_true", help="a twelfth of the work for specialists, which know less"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    out = given.out or MODELS / given.what
    per_task = QUICK_PER_TASK if given.quick or given.short else PER_TASK
    if given.what == "sparse":
        stage = QUICK if given.quick else DILUTION
        shares = {"malformed_share": given.malformed_share, "gold_share": given.gold_share}
        dilute(EMBEDDED, out, stage, per_task, partial(sparse, **shares))
        figures(*load(out), *QUICK_FIGURES if given.quick else (SAMPLES, HELD_OUT_PER_TASK))
        return
    if given.what == "habits":
        for node, by in enumerate(HABITS):
            stage = QUICK if given.quick else ACQUIRING
            dilute(EMBEDDED, out / str(node), stage, per_task, partial(with_habit, by=by))
        return
    if given.what == "generalist":
        stage = QUICK if given.quick else GENERALISING
        own = tuple(task for tasks in SPECIALITIES for task in tasks)
        make_specialist(given.base, out, stage, QUICK_PER_TASK if given.quick else GENERALIST_PER_TASK, own)
        samples, questions = QUICK_FIGURES if given.quick else (8, GENERALIST_QUESTIONS)
        for task, row in by_task(*load(out), samples, questions, SPECIALIST_TASKS).items():
            print(f"{task:24} greedy {row['greedy']:.3f}  pass@1 {row['pass@1']:.3f}", flush=True)
        return
    stage = QUICK if given.quick else SHORT if given.short else SPECIALISING
    for node, own in enumerate(SPECIALITIES):
        make_specialist(given.base, out / str(node), stage, per_task, own)
    models = [out / str(node) for node in range(len(SPECIALITIES))]
    print_specialists(models, *QUICK_FIGURES if given.quick else (8, HELD_OUT_PER_TASK))


if __name__ == "__main__":
    main()
