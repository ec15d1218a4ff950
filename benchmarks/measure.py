"""Measure one case with every trainer, in turn and in fresh processes, and summarise the results."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.floor import Rates, Shape, floor
from benchmarks.job import Job
from benchmarks.prepare import Prepared
from benchmarks.processes import ProcessError, call
from benchmarks.sides import OTHERS, OURS, SIDES

SECONDS = ("step", "cpu", "generation", "loss_backward", "optimizer")
Result = dict[str, Any]
"""The result of a trainer in a case, or of a whole case: plain values, as in the JSON."""


@dataclass(frozen=True)
class Settings:
    """The options of the command line."""

    sides: tuple[str, ...]
    runs: int
    threads: int
    cache: Path
    checkpointing: bool


def prepare_case(case: Case, settings: Settings) -> Prepared:
    """Return the case's model and questions. Raises ProcessError."""
    payload = {
        "model": case.model,
        "lengths": case.lengths,
        "preset": case.preset,
        "groups": case.groups,
        "cache": str(settings.cache),
    }
    return Prepared.from_plain(call("prepare", payload, threads=settings.threads))


def job_of(case: Case, prepared: Prepared, settings: Settings, seed: int) -> Job:
    """Return the job that every trainer gets in run `seed`."""
    return Job(
        model_dir=prepared.model_dir,
        questions=prepared.questions,
        group_size=case.group_size,
        new_tokens=case.new_tokens,
        dtype=case.dtype,
        device=case.device,
        threads=settings.threads,
        timed_steps=case.timed_steps,
        seed=seed,
        lengths=case.lengths,
        checkpointing=settings.checkpointing,
    )


def measure_case(
    case: Case, settings: Settings, rates: Rates | None, progress: Callable[[str], None]
) -> Result:
    """Run the case `settings.runs` times. Another trainer that fails is left out of it.

    Raises ProcessError if ours fails.
    """
    prepared = prepare_case(case, settings)
    found: dict[str, list[Result]] = {side: [] for side in settings.sides}
    for index in range(settings.runs):
        # Every other run is in reverse order, so that drift on the machine affects all trainers equally.
        for side in [side for side in settings.sides[:: 1 if index % 2 == 0 else -1] if side in found]:
            job = replace(job_of(case, prepared, settings, index), engine=SIDES[side].engine)
            payload = {"side": side, "job": job.plain()}
            try:
                answer = call("run", payload, threads=settings.threads, device=case.device)
            except ProcessError as error:
                if side == OURS:
                    raise
                del found[side]
                progress(f"{case.name}: run {index + 1}, {side} failed and is left out of this case: {error}")
                continue
            found[side].append(answer)
            progress(f"{case.name}: run {index + 1}, {side} {_run_values(answer)['step']:.3g} s per step")
    return summarise(case, {side: summary(answers) for side, answers in found.items()}, prepared, rates)


def summary(answers: Sequence[Result]) -> Result:
    """Return median, minimum and maximum over the runs. The value of a run is the median of its timed
    steps.
    """
    runs = [_run_values(answer) for answer in answers]
    result: Result = {f"{key}_s": _spread([run[key] for run in runs]) for key in SECONDS}
    result["tokens"] = _spread([run["tokens"] for run in runs])
    result["tokens_per_s"] = _spread([run["tokens"] / run["step"] for run in runs])
    result["peak_bytes"] = _spread([answer["peak_bytes"] for answer in answers])
    device = [answer["peak_device_bytes"] for answer in answers]
    result["peak_device_bytes"] = None if None in device else _spread(device)
    return result


def summarise(case: Case, sides: dict[str, Result], prepared: Prepared, rates: Rates | None) -> Result:
    """Return the case's entry in the JSON. Trainers that were not requested are null, and so are ratios to
    them.
    """
    ours = sides.get(OURS)
    result: Result = {"name": case.name, "ours": ours, **{side: sides.get(side) for side in OTHERS}}
    result["ratio"] = {side: ratio(ours, sides.get(side), case.device) for side in OTHERS}
    result["prompt_tokens"] = prepared.prompt_tokens
    result["floor"] = None
    if rates is not None and ours is not None:
        least = floor(_shape(case, prepared, ours), rates)
        result["floor"] = {
            "step_s": least.step,
            "generation_s": least.generation,
            "loss_backward_s": least.loss_backward,
            "optimizer_s": least.optimizer,
        }
    return result


def ratio(ours: Result | None, theirs: Result | None, device: str = "cpu") -> Result | None:
    """step: how many times as fast ours is; cpu: the same by CPU time. memory: our peak divided by theirs, on
    the device if there is one.
    """
    if ours is None or theirs is None:
        return None
    memory = "peak_bytes" if device == "cpu" else "peak_device_bytes"
    return {
        "step": theirs["step_s"]["median"] / ours["step_s"]["median"],
        "cpu": theirs["cpu_s"]["median"] / ours["cpu_s"]["median"],
        "memory": ours[memory]["median"] / theirs[memory]["median"],
    }


def _shape(case: Case, prepared: Prepared, ours: Result) -> Shape:
    return Shape(
        layer_weights=prepared.layer_weights,
        head_weights=prepared.head_weights,
        groups=case.groups,
        group_size=case.group_size,
        prompt_tokens=prepared.prompt_tokens,
        completion_tokens=round(ours["tokens"]["median"]),
        dtype=case.dtype,
    )


def _run_values(answer: Result) -> dict[str, float]:
    """Return medians over a run's steps after the warm-up step."""
    timed = answer["steps"][1:]
    return {key: statistics.median(step[key] for step in timed) for key in (*SECONDS, "tokens")}


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
