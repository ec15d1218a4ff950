"""The tables of a report: as plain values for report.json, and from these as Markdown. Writes no files."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from swarmd.experiment.intervals import Estimate, estimate, gain
from swarmd.experiment.measures import GAINS, MEASURES, Common, common_budget
from swarmd.experiment.results import Results, RunResults

Table = dict[str, Any]

UNITS = {"tokens": "{:,.0f}", "seconds": "{:,.0f}", "mixed": "{:.2f}", "own": "{:.2f}"}
RATIO = "{:.3f}"  # of everything else


def make_tables(results: Results) -> Table:
    """Everything that report.md says, as JSON holds it: NaN is None."""
    config = results.config
    labels = [arm.label for arm in config.configurations if results.of(arm.label)]
    common = common_budget([run for label in labels for run in results.of(label)]) if labels else None
    rows = [] if common is None else [_configuration(results, label, common) for label in labels]
    return {
        "experiment": config.name,
        "nodes": config.nodes,
        "unfinished_runs": results.unfinished,
        "superseded_runs": results.superseded,
        "baseline": config.baseline_label,
        "common_budget": None if common is None else asdict(common),
        "measures": {key: {"title": m.title, "meaning": m.meaning} for key, m in MEASURES.items()},
        "configurations": rows,
        "sweep": _sweep(results),
    }


def _configuration(results: Results, label: str, common: Common) -> Table:
    runs = results.of(label)
    baseline = {run.seed: run for run in results.of(results.config.baseline_label or "")}
    is_baseline = label == results.config.baseline_label
    pairs = [(run, baseline[run.seed]) for run in runs if run.seed in baseline and not is_baseline]
    return {
        "label": label,
        "learning_rate": runs[0].rate,
        "rounds": len(runs[0].reward_own),
        "seeds": [run.seed for run in runs],
        "measures": {
            key: _plain(estimate([measure.of(run, common) for run in runs]))
            for key, measure in MEASURES.items()
        },
        "gains": {key: _plain(_gain(key, pairs, common)) for key in GAINS} if pairs else {},
        "tasks": {
            name: _plain(estimate([float(run.held_out.tasks[name][-1]) for run in runs]))
            for name in runs[0].held_out.tasks
        },
    }


def _gain(key: str, pairs: list[tuple[RunResults, RunResults]], common: Common) -> Estimate:
    of = MEASURES[key].of
    return gain([of(run, common) for run, _ in pairs], [of(base, common) for _, base in pairs])


def _sweep(results: Results) -> list[Table]:
    """Mean cumulative own reward of every learning rate that was tried."""
    found = []
    for arm in results.config.configurations:
        runs = results.of(arm.label, sweep=True)
        for rate in dict.fromkeys(run.rate for run in runs):
            own = estimate([float(run.reward_own.sum()) for run in runs if run.rate == rate])
            found.append({"label": arm.label, "learning_rate": rate, "own": _plain(own)})
    return found


def _plain(estimated: Estimate) -> Table:
    values = [value if math.isfinite(value) else None for value in estimated.values]
    mean = estimated.mean if math.isfinite(estimated.mean) else None
    return {"mean": mean, "low": estimated.low, "high": estimated.high, "values": values}


def to_markdown(tables: Table, plots: list[str]) -> str:
    """report.md."""
    rows = tables["configurations"]
    parts = [
        f"# {tables['experiment']}",
        f"{tables['nodes']} nodes. Means over seeds with 95 % bootstrap intervals; gains are paired by seed. "
        "With fewer than five seeds the intervals are too narrow.",
    ]
    if tables["unfinished_runs"]:
        parts.append(f"**{tables['unfinished_runs']} runs are not finished and not in here.**")
    if tables["superseded_runs"]:
        parts.append(
            f"{tables['superseded_runs']} runs are left out: their configuration or learning rate is not the "
            "experiment's any more."
        )
    parts += ["## Results", _measures_table(rows, tables["measures"])]
    if any(row["gains"] for row in rows):
        parts += [f"## Gain against {tables['baseline']}", _gains_table(rows, tables["measures"])]
    parts += ["## Held-out success by task, at the end", _tasks_table(rows)]
    if tables["sweep"]:
        parts += ["## Learning rates tried, on other seeds", _sweep_table(tables["sweep"])]
    parts += ["## What the columns are", _meanings(tables["measures"])]
    parts += [f"![{name}]({name}.png)" for name in plots]
    return "\n\n".join(parts) + "\n"


def _measures_table(rows: list[Table], measures: Table) -> str:
    keys = [key for key in measures if any(row["measures"][key]["mean"] is not None for row in rows)]
    head = ["", "rate", "rounds", "seeds", *(measures[key]["title"] for key in keys)]
    body = [
        [row["label"], f"{row['learning_rate']:g}", str(row["rounds"]), str(len(row["seeds"]))]
        + [_shown(row["measures"][key], UNITS.get(key, RATIO)) for key in keys]
        for row in rows
    ]
    return _table(head, body)


def _gains_table(rows: list[Table], measures: Table) -> str:
    head = ["", *(measures[key]["title"] for key in GAINS)]
    return _table(
        head,
        [[row["label"], *(_percent(row["gains"][key]) for key in GAINS)] for row in rows if row["gains"]],
    )


def _tasks_table(rows: list[Table]) -> str:
    names = list(rows[0]["tasks"]) if rows else []
    body = [[row["label"], *(_shown(row["tasks"][name], RATIO) for name in names)] for row in rows]
    return _table(["", *names], body)


def _sweep_table(sweep: list[Table]) -> str:
    body = [[row["label"], f"{row['learning_rate']:g}", _shown(row["own"], UNITS["own"])] for row in sweep]
    return _table(["", "rate", "cumulative own reward"], body)


def _meanings(measures: Table) -> str:
    return "\n".join(f"- **{measure['title']}**: {measure['meaning']}" for measure in measures.values())


def _shown(estimated: Table, form: str) -> str:
    if estimated["mean"] is None:
        return "–"
    text = form.format(estimated["mean"])
    if estimated["low"] is None:
        return text
    return f"{text} ({form.format(estimated['low'])} to {form.format(estimated['high'])})"


def _percent(estimated: Table) -> str:
    in_percent = {
        key: None if estimated[key] is None else 100 * estimated[key] for key in ("mean", "low", "high")
    }
    return _shown(in_percent, "{:+.1f} %")


def _table(head: list[str], body: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
