"""`python -m benchmarks.prediction`: compare the peak memory that our plan predicts with the measured peak.

Each comes from a fresh process that works like the daemon: one plans, the other loads, generates and trains.
They may differ by 25%.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.arguments import positive
from benchmarks.cases import Case, cases_on, matching
from benchmarks.job import Job
from benchmarks.processes import call
from benchmarks.trainer import CACHE, THREADS

ERROR_MAX = 0.25  # share of the measured peak
GB = 1e9


@dataclass(frozen=True)
class Prediction:
    """Bytes on the device; on a CPU, of the whole process."""

    name: str
    predicted: int
    measured: int

    @property
    def ratio(self) -> float:
        return self.predicted / self.measured

    @property
    def holds(self) -> bool:
        return abs(self.ratio - 1) <= ERROR_MAX

    def row(self) -> str:
        """Return a row of the table in docs/benchmarks.md."""
        return f"| {self.name} | {self.predicted / GB:.2f} | {self.measured / GB:.2f} | {self.ratio:.2f} |"


def compare_case(case: Case, cache: Path, threads: int) -> Prediction:
    """Prepare and compare a case, in fresh processes. Raises ProcessError."""
    prepared = call(
        "prepare",
        {
            "model": case.model,
            "lengths": case.lengths,
            "preset": case.preset,
            "groups": case.groups,
            "cache": str(cache),
        },
        threads=threads,
    )
    job = Job(
        model_dir=prepared["model_dir"],
        questions=tuple(prepared["questions"]),
        group_size=case.group_size,
        new_tokens=case.new_tokens,
        dtype=case.dtype,
        device=case.device,
        threads=threads,
        timed_steps=1,
        seed=0,
        lengths=case.lengths,
    )
    return compare_job(case.name, job)


def compare_job(name: str, job: Job) -> Prediction:
    """Compare a prepared job, in two fresh processes. Raises ProcessError."""

    def ask(task: str) -> dict[str, Any]:
        payload = {"side": "ours", "job": job.plain()}
        return call(task, payload, threads=job.threads, device=job.device)

    predicted, measured = ask("predict"), ask("run")
    peak = measured["peak_bytes"] if job.device == "cpu" else measured["peak_device_bytes"]
    return Prediction(name, predicted["predicted_bytes"], peak)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. The exit status is 1 if a prediction is too far off."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument(
        "--cases", nargs="*", default=["fixed"], help='words of names, such as "smollm2 fixed"'
    )
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=positive, default=THREADS)
    parser.add_argument("--cache", type=Path, default=CACHE)
    options = parser.parse_args(arguments)
    options.cache.mkdir(parents=True, exist_ok=True)
    sys.stdout.write("| case | predicted, GB | measured, GB | ratio |\n|---|---|---|---|\n")
    held = True
    for case in matching(cases_on(options.device), options.cases):
        found = compare_case(case, options.cache, options.threads)
        sys.stdout.write(f"{found.row()}\n")
        sys.stdout.flush()
        held = held and found.holds
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
