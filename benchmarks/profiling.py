"""`python -m benchmarks.profiling`: how one step of ours spends its time, by kind of operation.

Each case runs under torch's profiler in a fresh process: one step, after one warm-up step. The profiler
itself costs a few microseconds per operation, so the share of many small operations is somewhat overstated.
Use this for shares, and `benchmarks.trainer` for times.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity

from benchmarks.arguments import positive
from benchmarks.cases import cases_on, matching
from benchmarks.job import Job
from benchmarks.measure import Settings, job_of, prepare_case
from benchmarks.ours import Run
from benchmarks.processes import ProcessError, call
from benchmarks.trainer import CACHE, THREADS

KINDS = {
    "matrix products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise"),
    "attention": ("scaled_dot_product", "_flash_attention", "_efficient_attention"),
    "copies": ("aten::copy_", "aten::cat", "aten::index", "aten::clone", "aten::roll", "aten::gather"),
}
"""Parts of operator names. An operator that matches none is elementwise arithmetic or a view."""
BY_ELEMENT, PYTHON = "by element, views", "outside operators"
MICROSECONDS = 1e6


@dataclass(frozen=True)
class Operator:
    """One operator's calls in a phase."""

    name: str
    calls: int
    seconds: float
    """Its own time, without the operators that it calls."""


def kind_of(name: str) -> str:
    """Return the kind of operator `name`, such as "aten::addmm_"."""
    return next((kind for kind, parts in KINDS.items() if any(part in name for part in parts)), BY_ELEMENT)


def shares(operators: Iterable[Operator], wall_s: float) -> dict[str, float]:
    """Return seconds by kind. `PYTHON` is the rest of the wall time: the interpreter, and waiting."""
    seconds = dict.fromkeys((*KINDS, BY_ELEMENT), 0.0)
    for operator in operators:
        seconds[kind_of(operator.name)] += operator.seconds
    return {**seconds, PYTHON: max(0.0, wall_s - sum(seconds.values()))}


def profile_step(job: Job) -> dict[str, Any]:
    """{phase: {wall_s, calls, seconds by kind}} for generation and for the rest of one step."""
    ours = Run(job)
    ours.train(ours.generate())
    found: dict[str, Any] = {}
    groups = _profiled("generation", ours.generate, found)
    _profiled("loss, backward, optimiser", lambda: ours.train(groups), found)
    return found


def _profiled(phase: str, call_: Callable[[], Any], found: dict[str, Any]) -> Any:
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        began = time.perf_counter()
        result = call_()
        wall_s = time.perf_counter() - began
    operators = [
        Operator(event.key, event.count, event.self_cpu_time_total / MICROSECONDS)
        for event in profiler.key_averages()
    ]
    found[phase] = {
        "wall_s": wall_s,
        "calls": sum(operator.calls for operator in operators),
        "seconds": shares(operators, wall_s),
    }
    return result


def rows(name: str, found: dict[str, Any]) -> list[str]:
    """Return a case's rows of the table."""
    kinds = (*KINDS, BY_ELEMENT, PYTHON)
    return [
        f"| {name} | {phase} | {part['calls']} | "
        + " | ".join(f"{part['seconds'][kind] / part['wall_s']:.0%}" for kind in kinds)
        + " |"
        for phase, part in found.items()
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. The exit status is 1 if a process failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiling", description=__doc__)
    parser.add_argument(
        "--cases", nargs="*", default=["fixed"], help='words of names, such as "smollm2 fixed"'
    )
    parser.add_argument("--threads", type=positive, default=THREADS)
    options = parser.parse_args(arguments)
    settings = Settings(("ours",), 1, options.threads, CACHE, checkpointing=False)
    settings.cache.mkdir(parents=True, exist_ok=True)
    heads = ("case", "phase", "operators called", *KINDS, BY_ELEMENT, PYTHON)
    sys.stdout.write(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}\n")
    try:
        for case in matching(cases_on("cpu"), options.cases):
            job = job_of(case, prepare_case(case, settings), settings, 0)
            found = call("profile", {"job": job.plain()}, threads=options.threads)
            sys.stdout.write("\n".join(rows(case.name, found)) + "\n")
            sys.stdout.flush()
    except ProcessError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
