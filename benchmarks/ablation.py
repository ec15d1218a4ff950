"""`python -m benchmarks.ablation`: what two parts of the training step gain, each switched off in turn.

Prints the CPU time of a training step without the part, divided by the time with it: above 1, the part pays
off. Both variants run in one process, alternating and on the same groups, so that a busy machine disturbs
both equally.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import torch

from benchmarks.arguments import at_least
from benchmarks.cases import QWEN
from benchmarks.models import prepare_model
from benchmarks.ours import own_group
from benchmarks.trainer import CACHE
from swarmd.config import LearningConfig, PolicyConfig
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.hardware.plan import plan_hardware
from swarmd.hardware.probe import probe_hardware
from swarmd.learning import Trainer
from swarmd.logprobs.factored import FactoredGradients
from swarmd.logprobs.short_attention import Blocks
from swarmd.policy import Policy, load_policy

WARM_UP = 2
WORD_IDS = range(10, 900)  # tokens that every model in this benchmark has


@contextmanager
def without_short_attention() -> Iterator[None]:
    """Use PyTorch's own attention for short completions too."""
    with patch.object(Blocks, "of", lambda *_: None):
        yield


@contextmanager
def without_factored_gradients() -> Iterator[None]:
    """Keep all gradients in `.grad`."""
    with patch.object(FactoredGradients, "begin", lambda self, _tokens: self.clear()):
        yield


PARTS = {"short attention": without_short_attention, "factored gradients": without_factored_gradients}


def ratios(policy: Policy, part: str, batch_shape: tuple[int, int, int], steps: int) -> list[float]:
    """Return CPU time without `part` divided by that with it, per step. batch_shape: groups, completions,
    tokens.
    """
    groups, completions, tokens = batch_shape
    trainer = Trainer(policy, LearningConfig(learning_rate=1e-9))
    found = []
    for step in range(WARM_UP + steps):
        batch = [_group(policy, completions, tokens, random.Random(100 * step + k)) for k in range(groups)]  # noqa: S311
        spent = {}
        for is_off in (False, True) if step % 2 else (True, False):
            with PARTS[part]() if is_off else patch.dict({}):
                began = time.thread_time()
                trainer.step(batch, [])
                spent[is_off] = time.thread_time() - began
        if step >= WARM_UP:
            found.append(spent[True] / spent[False])
    return found


def _group(policy: Policy, count: int, tokens: int, rng: random.Random) -> ScoredGroup:
    """Return completions of random tokens, half of them right."""
    completions = []
    for index in range(count):
        ids = tuple(rng.choices(WORD_IDS, k=tokens))
        text = policy.tokenizer.decode_completion(ids)
        completions.append(ScoredCompletion(text, float(index % 2), False, ids, (-3.0,) * tokens))
    question = "What is " + " + ".join(str(rng.randrange(1000)) for _ in range(10)) + "?"
    return own_group(policy, question, completions)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row of docs/decisions/0013-packed-scoring.md per model and length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--large", action="store_true", help="also the 0.5 B shape: takes 8 GB and some minutes"
    )
    parser.add_argument("--steps", type=at_least(2), default=30, help="per row (default: 30)")
    wanted = parser.parse_args(arguments)
    short = [("short attention", "embedded", (4, 8, tokens), wanted.steps) for tokens in (6, 16, 32, 48)]
    cases = [*short, ("factored gradients", "embedded", (4, 8, 16), wanted.steps)]
    if wanted.large:
        path = str(prepare_model(QWEN, "fixed", Path(CACHE)))
        cases += [("factored gradients", path, (1, completions, 32), 4) for completions in (4, 8)]
    torch.set_num_threads(1)
    for part, model, batch_shape, steps in cases:
        config = PolicyConfig(model=model, dtype="float32", threads=1)
        plan = plan_hardware(config, probe=probe_hardware())
        policy = load_policy(config, plan, max_new_tokens=batch_shape[-1])
        found = ratios(policy, part, batch_shape, steps)
        low, median, high = statistics.quantiles(found, n=4)
        shape = " x ".join(map(str, batch_shape))
        print(
            f"| {part} | {Path(model).name} | {shape} | {median:.2f} ({low:.2f} to {high:.2f}) |", flush=True
        )


if __name__ == "__main__":
    main()
