"""Gives the protocol's readers hostile inputs, and prints the results.

    python -m tests.protocol.fuzz --inputs 1000000 --target all

Same seed, same inputs. Ends with an error at the first input that is neither accepted nor refused by name, or
that takes too long; the input is printed. Memory is limited for the process, so that an input that would take
all of it fails here as well.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass

from protocol import RejectedRecord
from tests.protocol.fuzz.targets import TARGETS, Target

INPUT_CPU_S_MAX = 0.5
"""CPU time of one input: the largest honest record takes some 20 ms."""

MEMORY_BYTES_MAX = 2**30
"""Address space of the process; it needs a fifth of that."""


class FuzzError(AssertionError):
    """A reader did something with an input that it may not do."""


@dataclass(frozen=True)
class Outcome:
    """The results of one target's inputs."""

    cpu_seconds: float
    slowest_s: float
    counts: Counter[str]


def fuzz(target: Target, inputs: int, seed: int) -> Outcome:
    """Raises FuzzError at the first input that a reader treats in no allowed way."""
    rng = random.Random(seed)
    counts: Counter[str] = Counter()
    total = slowest = 0.0
    for number in range(inputs):
        made = target.make(rng)
        started = time.process_time()
        try:
            target.read(made)
            outcome = "accepted"
        except target.refusal as refused:
            outcome = refused.reason.value if isinstance(refused, RejectedRecord) else "refused"
        except Exception as error:
            raise FuzzError(f"input {number} of seed {seed}: {made!r:.2000}") from error
        took = time.process_time() - started
        if took > INPUT_CPU_S_MAX:
            raise FuzzError(f"input {number} of seed {seed} took {took:.2f} s: {made!r:.2000}")
        total, slowest = total + took, max(slowest, took)
        counts[outcome] += 1
    return Outcome(total, slowest, counts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--inputs", type=int, default=10_000, help="a target")
    parser.add_argument("--target", choices=["all", *TARGETS], default="all")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    print("| target | inputs | CPU s | slowest, ms | peak MiB | outcomes |\n|---|---|---|---|---|---|")
    for name in TARGETS if options.target == "all" else [options.target]:
        outcome = fuzz(TARGETS[name], options.inputs, options.seed)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == "darwin" else 2**10
        )
        told = ", ".join(f"{what} {count:,}" for what, count in outcome.counts.most_common())
        figures = f"{outcome.cpu_seconds:.0f} | {outcome.slowest_s * 1e3:.0f} | {peak:.0f}"
        print(f"| {name} | {options.inputs:,} | {figures} | {told} |", flush=True)


if __name__ == "__main__":
    main()
