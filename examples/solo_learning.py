"""Does a peer learn alone? Compare held-out success before and after training, over several seeds.

    python examples/solo_learning.py --seeds 3 --steps 60

Each seed has a fresh home: `swarmd eval` on the untrained model, `swarmd join` alone, then `swarmd eval`
again on the same 200 held-out questions. These are never trained on: `protocol/held_out.py` sets them apart
by their text. The constant-answer baseline (the best single answer per task) is printed next to the success,
so that a model that only learned the most common answer does not look like one that learned the task.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

QUESTIONS_SEED = 20_260_101  # of the fixed evaluation questions; any other would do


def swarmd(*arguments: str) -> str:
    """Return the command's standard output. Its errors appear as they are printed. Raises
    CalledProcessError.
    """
    command = [sys.executable, "-m", "swarmd", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def evaluate(home: Path, questions: int, *flags: str) -> dict[str, Any]:
    """Return the greedy success of the home's current weights, as `swarmd eval --json` reports it."""
    options = ["--tasks", "starter", "--questions", str(questions), "--seed", str(QUESTIONS_SEED), "--json"]
    result: dict[str, Any] = json.loads(swarmd("eval", "--home", str(home), *options, *flags))
    return result


def run_seed(seed: int, steps: int, questions: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the evaluation before and after `steps` solo steps in a fresh home."""
    with tempfile.TemporaryDirectory(prefix="swarmd-solo-") as folder:
        home = Path(folder) / "home"
        swarmd("init", "--home", str(home))
        before = evaluate(home, questions)
        options = ["--external", "0", "--local", "8", "--steps", str(steps), "--seed", str(seed)]
        swarmd("join", "--home", str(home), "--host", "127.0.0.1", "--log-format", "json", *options)
        # On the trained model, so that its own favourite answers are among the constants tested.
        return before, evaluate(home, questions, "--constant")


def main() -> None:
    """Print one line per seed, and the median gain."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3, help="how many fresh homes")
    parser.add_argument("--steps", type=int, default=60, help="policy updates in each")
    parser.add_argument("--questions", type=int, default=200, help="held-out questions in each evaluation")
    arguments = parser.parse_args()

    questions = f"{arguments.questions} held-out questions"
    print(f"{arguments.steps} solo steps, {questions}, greedy; {platform.platform()}")
    gains = []
    for seed in range(arguments.seeds):
        before, after = run_seed(seed, arguments.steps, arguments.questions)
        gains.append(after["success"] - before["success"])
        print(
            f"seed {seed}: {before['success']:.3f} -> {after['success']:.3f} ({gains[-1]:+.3f}); "
            f"constant answers {after['constant']:.3f}",
            flush=True,
        )
    print(f"gain: median {statistics.median(gains):+.3f}, from {min(gains):+.3f} to {max(gains):+.3f}")


if __name__ == "__main__":
    main()
