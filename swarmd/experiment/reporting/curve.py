"""`swarmd experiment curve`: what sharing gains, against how good the base policy was, over many experiments.

The base success is the own reward in the first round of the baseline, before any node has learned.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swarmd.errors import ConfigError
from swarmd.experiment.reporting.equal_cost import Against, against, against_solo, bases_of
from swarmd.experiment.reporting.figures import Line
from swarmd.experiment.reporting.markdown import NOTHING, percent, plain, shown, table
from swarmd.experiment.reporting.page import to_page
from swarmd.experiment.reporting.plots import ONE_INCHES, name_at_end, spread_labels, title_and_note
from swarmd.experiment.reporting.results import Results, read_results
from swarmd.experiment.reporting.statistics import estimate
from swarmd.experiment.reporting.style import DOT, QUIET, SERIES, THIN, write_figure
from swarmd.experiment.reporting.tables import PROMISED
from swarmd.storage.durable import OUT, disk_error

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = dict[str, Any]

NAME = "curve"
TITLE = "Gain of sharing against base success"
GAINS = {
    "rounds": "own reward against the baseline, equal rounds",
    "tokens": "equal tokens",
    "time": "equal time",
    "cpu": "equal CPU",
    "solo_tokens": "own reward against the strongest solo, equal tokens",
    "solo_time": "equal time",
    "solo_cpu": "equal CPU",
}
"""Columns: the gains, by how they are measured."""
LINEAR_PERCENT = 100  # beyond twice the control's reward the plot is logarithmic, to keep all gains visible
MARKERS = ("o", "s", "^", "D", "v")
"""By configuration, so that they differ in greyscale: dashes here say what is compared."""


def write_curve(folders: Sequence[Path], out: Path, *, with_plot: bool = True) -> list[Path]:
    """Write curve.json, curve.md, curve.html and the plot into `out`. Returns their paths.

    Raises ConfigError for a folder without results, baseline or sharing, StorageError.
    """
    rows = [row for folder in folders for row in _rows(folder, read_results(folder))]
    rows.sort(key=lambda row: (row["base"]["mean"], row["folder"]))
    text = to_markdown(rows, with_plot=with_plot)
    try:
        out.mkdir(parents=True, exist_ok=True)
        drawn = write_figure(out / NAME, ONE_INCHES, partial(_draw, rows=rows)) if with_plot else []
        pictures = {path.name: path.read_bytes() for path in drawn if path.suffix == ".svg"}
        written = {
            f"{NAME}.json": json.dumps(rows, indent=1, allow_nan=False),
            f"{NAME}.md": text,
            f"{NAME}.html": to_page(TITLE, text, pictures),
        }
        for name, content in written.items():
            (out / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise disk_error(f"write the curve into {out}", error, OUT) from error
    return [*(out / name for name in written), *drawn]


def _rows(folder: Path, results: Results) -> list[Row]:
    """Return one row per configuration that shares."""
    label = results.config.baseline_label
    baseline = results.of(label) if label is not None else []
    sharing = [arm.label for arm in results.config.configurations if arm.external and results.of(arm.label)]
    if not baseline or not sharing:
        raise ConfigError(f"{folder} lacks finished runs of a baseline or of a configuration that shares")
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
    ours, theirs = results.of(label), results.of(baseline)
    found: dict[str, Against | None] = dict.fromkeys(GAINS)
    found |= {basis: against(ours, theirs, basis) for basis in bases_of([*ours, *theirs]) if basis in GAINS}
    for basis in PROMISED:
        if basis in bases_of(results.runs):
            found[f"solo_{basis}"] = next(iter(against_solo(results, label, basis)), None)
    return {key: None if one is None else plain(one.own_gain) for key, one in found.items()}


def to_markdown(rows: Sequence[Row], *, with_plot: bool) -> str:
    """Return curve.md."""
    head = ["experiment", "", "own reward, first round", "held-out before", *GAINS.values()]
    body = [
        [row["folder"], row["label"], shown(row["base"], "{:.4f}"), shown(row["base_held_out"])]
        + [NOTHING if row["gains"][key] is None else percent(row["gains"][key]) for key in GAINS]
        for row in rows
    ]
    parts = [f"# {TITLE}", MEANS, table(head, body)]
    if with_plot:
        parts.insert(2, f"![{TITLE}. {NOTE}]({NAME}.svg)")
    return "\n\n".join(parts) + "\n"


MEANS = """\
Means over seeds with 95% bootstrap intervals, paired by seed. No node has learned before the first round, so
its own reward is the success of the base policy. Equal cost and the strongest solo control are explained in
each experiment's report.md."""

NOTE = (
    "Mean over seeds. Solid: equal rounds, against the baseline. Dashed: equal tokens, against the "
    "strongest solo control. Grey: no gain."
)


def _draw(figure: Figure, rows: Sequence[Row]) -> None:
    """Two lines per configuration, over all experiments."""
    axes = figure.subplots()
    texts = []
    labels = list(dict.fromkeys(row["label"] for row in rows))
    for index, label in enumerate(labels):
        colour = SERIES[index % len(SERIES)]
        points = [row for row in rows if row["label"] == label]
        for key, dashes in (("rounds", "-"), ("solo_tokens", "--")):
            there = [row for row in points if row["gains"][key] and row["gains"][key]["mean"] is not None]
            gains = [100 * row["gains"][key]["mean"] for row in there]
            bases = [row["base"]["mean"] for row in there]
            axes.plot(
                bases,
                gains,
                color=colour,
                linestyle=dashes,
                marker=MARKERS[index % len(MARKERS)],
                markersize=DOT,
            )
            if there and key == "rounds":
                texts.append(name_at_end(axes, Line(label, np.array(bases), np.array(gains)), colour))
    axes.axhline(0, color=QUIET, linewidth=THIN)
    if all(row["base"]["mean"] > 0 for row in rows):
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}")
    axes.set_yscale("symlog", linthresh=LINEAR_PERCENT)
    axes.yaxis.set_major_formatter("{x:,.0f}%")
    axes.set(xlabel="own reward in the first round", ylabel="gain in own reward")
    title_and_note(figure, TITLE, NOTE)
    figure.draw_without_rendering()
    spread_labels(axes, texts)
