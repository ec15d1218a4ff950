"""Which answers of a trained policy its judge calls right, and which of those are wrong.

    python examples/judged_answers.py judged-reward-model/runs/RUN --tasks gcd,products \
        --reward-model examples/models/reward-model

Samples answers to held-out questions from the embedded model and from what node 0 of the run became, and asks
the uncalibrated judge. One line per task and policy: shares of all answers that are right, wrong but
called right, and right but called wrong; then the mistakes among those called right.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from chosen_judge import add_arguments, chosen_judge, chosen_tasks
from imitation import load
from model_figures import replies
from reasoning_gym.utils import extract_answer
from safetensors.torch import load_file
from starter_items import Item, evaluation_items, habit

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.judges.interface import ModelJudge, Pair

NODE = "0/"  # prefix of the first node's tensors in a checkpoint
SAMPLES = 4
SHOWN = 4  # most common wrong answers that are called right


def policy_of(run: Path) -> Any:
    """Load what the embedded model became in node 0 of an experiment's run, from its newest checkpoint."""
    policy, _ = load(EMBEDDED_MODEL_DIR)
    tensors = load_file(max(run.glob("checkpoints/*/weights.safetensors")))
    own = {name.removeprefix(NODE): value for name, value in tensors.items() if name.startswith(NODE)}
    lacking = policy.load_state_dict(own, strict=False)
    assert set(lacking.missing_keys) <= {"lm_head.weight"}, lacking  # tied to the embedding
    return policy


def mistake(item: Item, answer: str) -> str:
    """Describe how a wrong answer is wrong."""
    if answer == habit(item.answer):
        return "one up"
    return "as long as the right one" if len(answer) == len(item.answer) else "of another length"


def judged(judge: ModelJudge, name: str, items: list[Item], texts: list[list[str]]) -> None:
    """Print what the judge says about `texts`, the answers to each of `items`."""
    found = [(i, extract_answer(text) or "") for i, row in zip(items, texts, strict=True) for text in row]
    said = judge.probabilities([Pair(item.question, answer) for item, answer in found])
    for task in dict.fromkeys(item.task for item in items):
        rows = [(i, a, p >= 0.5) for (i, a), p in zip(found, said, strict=True) if i.task == task]
        right = [i.score(a) >= 0.99 for i, a, _ in rows]
        passed = [row for row, true in zip(rows, right, strict=True) if row[2] and not true]
        missed = sum(true and not yes for (_, _, yes), true in zip(rows, right, strict=True))
        kinds = Counter(mistake(item, answer) for item, answer, _ in passed)
        answers = Counter(answer for _, answer, _ in passed).most_common(SHOWN)
        shares = [count / len(rows) for count in (sum(right), len(passed), missed)]
        numbers = "  ".join(f"{share:5.2f}" for share in shares)
        print(f"{name:8} {task:24} {numbers}  {dict(kinds.most_common())} {answers}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path)
    add_arguments(parser, per_task=25)
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    judge = chosen_judge(given)
    items = evaluation_items(chosen_tasks(given), given.per_task)
    policy, tokenizer = load(EMBEDDED_MODEL_DIR)
    print(f"{'policy':8} {'task':24} right  wrong called right  right called wrong  mistakes called right")
    judged(judge, "before", items, replies(policy, tokenizer, items, SAMPLES))
    judged(judge, "after", items, replies(policy_of(given.run), tokenizer, items, SAMPLES))


if __name__ == "__main__":
    main()
