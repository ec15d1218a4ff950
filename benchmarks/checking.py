"""Compare the gradients of the three losses, on one fixed batch per model, before anything is timed.

This is done on the CPU in float32, and with the size of a CPU case: losses are the same on every device.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks.cases import Case, cases_on
from benchmarks.measure import Result, Settings, job_of, prepare_case
from benchmarks.processes import call
from benchmarks.sides import WITH_GRADIENTS

ENDS = ("equal", "unequal")


def check_gradients(
    cases: Sequence[Case], settings: Settings, progress: Callable[[str], None]
) -> list[Result]:
    """Return one entry per model of `cases`, kind of batch and other trainer. Raises ProcessError."""
    wanted = {case.model for case in cases}
    on_cpu = {case.model: case for case in cases_on("cpu") if case.model in wanted}
    found = []
    for case in [replace(each, dtype="float32", lengths="fixed") for each in on_cpu.values()]:
        prepared = prepare_case(case, settings)
        job = job_of(case, prepared, settings, 0).plain()
        for ends in ENDS:
            with tempfile.TemporaryDirectory(dir=settings.cache) as directory:
                found += _check(case, settings, job, ends, Path(directory))
                progress(f"{case.model}: gradients on completions of {ends} length compared")
    return found


def _check(case: Case, settings: Settings, job: Result, ends: str, directory: Path) -> list[Result]:
    batch = directory / "batch.json"
    call("batch", {"job": job, "ends": ends, "path": str(batch)}, threads=settings.threads)
    ours = directory / "ours.safetensors"
    our_loss = _gradients("ours", job, batch, ours, settings.threads)
    found = []
    for side in WITH_GRADIENTS:
        if side not in settings.sides:
            continue
        theirs = directory / "theirs.safetensors"
        loss = _gradients(side, job, batch, theirs, settings.threads)
        apart = call("compare", {"ours": str(ours), "theirs": str(theirs)}, threads=settings.threads)
        entry = {
            "model": case.model,
            "completions": ends,
            "trainer": side,
            "loss": loss,
            "our_loss": our_loss,
        }
        found.append({**entry, **apart})
    return found


def _gradients(side: str, job: Result, batch: Path, path: Path, threads: int) -> float:
    payload = {"side": side, "job": job, "batch": str(batch), "path": str(path)}
    loss: float = call("gradients", payload, threads=threads)["loss"]
    return loss
