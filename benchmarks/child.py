"""One process of the benchmark: `python -m benchmarks.child TASK`, JSON in, JSON out.

Every measurement gets a fresh process, so that nothing is warm, cached or fragmented by an earlier one.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.memory import peak_bytes, peak_device_bytes, present_bytes
from benchmarks.sides import SIDES

Payload = dict[str, Any]


def run(payload: Payload) -> Payload:
    """{side, job}: the times of the steps, and the memory that this process used."""
    from benchmarks.job import Job, require_length

    side = importlib.import_module(SIDES[payload["side"]].module)
    imported = present_bytes()
    job = Job.from_plain(payload["job"])
    steps = side.run(job)
    require_length(job, [step["tokens"] for step in steps])
    return {
        "steps": steps,
        "peak_bytes": peak_bytes(),
        "imported_bytes": imported,
        "peak_device_bytes": peak_device_bytes(),
    }


def predict(payload: Payload) -> Payload:
    """{job}: the peak that our plan predicts for a fresh process."""
    from benchmarks.job import Job
    from benchmarks.ours import make_plan

    return {"predicted_bytes": make_plan(Job.from_plain(payload["job"])).predicted_peak_bytes}


def profile(payload: Payload) -> Payload:
    """{job}: where the time of one of our steps goes, as in `profiling.profile_step`."""
    from benchmarks.job import Job
    from benchmarks.profiling import profile_step

    return profile_step(Job.from_plain(payload["job"]))


def prepare(payload: Payload) -> Payload:
    """{model, lengths, preset, groups, cache}: the fields of `prepare.Prepared`."""
    from benchmarks.prepare import prepare as prepared

    return prepared(**{**payload, "cache": Path(payload["cache"])}).plain()


def batch(payload: Payload) -> Payload:
    """{job, ends, path}: write the batch that gradients are compared on."""
    from benchmarks.batch import make_batch, write_batch
    from benchmarks.job import Job

    write_batch(make_batch(Job.from_plain(payload["job"]), payload["ends"]), Path(payload["path"]))
    return {}


def gradients(payload: Payload) -> Payload:
    """{side, job, batch, path}: write the gradients of the batch and return its loss."""
    from safetensors.torch import save_file

    from benchmarks.batch import read_batch
    from benchmarks.job import Job

    side = importlib.import_module(SIDES[payload["side"]].module)
    loss, found = side.gradients(Job.from_plain(payload["job"]), read_batch(Path(payload["batch"])))
    save_file({name: gradient.contiguous() for name, gradient in found.items()}, payload["path"])
    return {"loss": loss}


def compare(payload: Payload) -> Payload:
    """{ours, theirs}: compare two files of gradients; the fields of `agreement.Difference`."""
    from benchmarks.agreement import difference

    found = difference(Path(payload["ours"]), Path(payload["theirs"]))
    return {**asdict(found), "agrees": found.agrees}


def rates(payload: Payload) -> Payload:
    """{device, threads}: the fields of `floor.Rates`."""
    from benchmarks.floor import measure_rates

    return asdict(measure_rates(payload["device"], payload["threads"]))


TASKS: dict[str, Callable[[Payload], Payload]] = {
    task.__name__: task for task in (run, predict, profile, prepare, batch, gradients, compare, rates)
}


def main() -> None:
    """Read the payload from standard input; print the answer as the last line of standard output."""
    answer = TASKS[sys.argv[1]](json.loads(sys.stdin.read()))
    sys.stdout.write("\n" + json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
