"""`swarmd experiment curve`: what sharing gains, against how good the base policy was, over many experiments.

The base success is the own reward in the first round of the baseline, before anybody has learned.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarmd.errors import ConfigError
from swarmd.experiment.reporting.equal_cost import BASES, Against, against, against_solo
from swarmd.experiment.reporting.markdown import NOTHING, percent, plain, shown, table
from swarmd.experiment.reporting.plots import draw_figure
from swarmd.experiment.reporting.results import Results, read_results
from swarmd.experiment.reporting.statistics import estimate
from swarmd.experiment.reporting.tables import PROMISED
from swarmd.storage.durable import disk_error

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]

NAME = "curve"
GAINS = {
    "rounds": "own reward against the baseline, equal rounds",
    "tokens": "equal tokens",
    "time": "equal time",
    "solo_tokens": "own reward against the strongest solo, equal tokens",
    "solo_time": "equal time",
}
"""Columns: the gains, by how they are measured."""
LINEAR_PERCENT = (
    100  # beyond twice the control's reward the plot is logarithmic: one such gain hides no others
)


def write_curve(folders: Sequence[Path], out: Path, *, with_plot: bool = True) -> list[Path]:
    """Write curve.json, curve.md and the plot into `out`; returns their paths.

    Raises ConfigError for a folder without results, baseline or sharing, StorageError.
    """
    rows = [row for folder in folders for row in _rows(folder, read_results(folder))]
    rows.sort(key=lambda row: (row["base"]["mean"], row["folder"]))
    texts = {f"{NAME}.json": json.dumps(rows, indent=1, allow_nan=False), f"{NAME}.md": to_markdown(rows)}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (out / name).write_text(text, encoding="utf-8")
        drawn = draw_figure(out / NAME, partial(_draw, rows=rows)) if with_plot else []
    except OSError as error:
        raise disk_error(f"write the curve into {out}", error) from error
    return [*(out / name for name in texts), *drawn]


def _rows(folder: Path, results: Results) -> list[Row]:
    """One per configuration that shares."""
    label = results.config.baseline_label
    baseline = results.of(label) if label is not None else []
    sharing = [arm.label for arm in results.config.configurations if arm.external and results.of(arm.label)]
    if not baseline or not sharing:
        raise ConfigError(f"{folder} has no finished runs of both a baseline and a configuration that shares")
    base = {
        "base": plain(estimate([float(run.reward_own[0].mean()) for run in baseline])),
        "base_held_out": plain(estimate([float(run.held_out.success[0].mean()) for run in baseline])),
    }
    return [
        {"folder": str(folder), "experiment": results.config.name, **base, "label": arm}
        | {"gains": _gains(results, arm, label or "")}
        for arm in sharing
    ]


def _gains(results: Results, label: str, baseline: str) -> Row:
    """By the keys of GAINS; None without a common seed."""
    found: dict[str, Against | None] = {
        basis: against(results.of(label), results.of(baseline), basis) for basis in BASES
    }
    for basis in PROMISED:
        found[f"solo_{basis}"] = next(iter(against_solo(results, label, basis)), None)
    return {key: None if one is None else plain(one.own_gain) for key, one in found.items()}


def to_markdown(rows: Sequence[Row]) -> str:
    """curve.md."""
    head = ["experiment", "", "own reward, first round", "held-out before", *GAINS.values()]
    body = [
        [row["folder"], row["label"], shown(row["base"], "{:.4f}"), shown(row["base_held_out"])]
        + [NOTHING if row["gains"][key] is None else percent(row["gains"][key]) for key in GAINS]
        for row in rows
    ]
    return (
        "# Gain against base success\n\nMeans over seeds with 95 % bootstrap intervals, paired by seed. "
        "Nobody has learned before the first round: its own reward is the success of the base policy. What "
        "equal cost and the strongest solo control are is in each experiment's report.md.\n\n"
        f"{table(head, body)}\n"
    )


def _draw(axes: Axes, rows: Sequence[Row]) -> None:
    """One line per configuration, over all experiments; dashed: against the strongest solo control."""
    for label in dict.fromkeys(row["label"] for row in rows):
        points = [row for row in rows if row["label"] == label]
        colour = None
        for key, style, name in (("rounds", "o-", label), ("solo_tokens", "o--", None)):
            there = [row for row in points if row["gains"][key] and row["gains"][key]["mean"] is not None]
            gains = [100 * row["gains"][key]["mean"] for row in there]
            [line] = axes.plot([row["base"]["mean"] for row in there], gains, style, color=colour, label=name)
            colour = line.get_color()
    axes.axhline(0, color="grey", linewidth=0.5)
    if all(row["base"]["mean"] > 0 for row in rows):
        axes.set_xscale("log")
    axes.set(
        title="Gain against base success",
        xlabel="own reward in the first round",
        ylabel="gain, %; dashed: equal tokens, strongest solo",
    )
    axes.set_yscale("symlog", linthresh=LINEAR_PERCENT)
