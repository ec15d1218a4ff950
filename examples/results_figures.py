"""The three figures at the head of docs/results.md, from the folders of finished experiments.

    python examples/results_figures.py --alike DIR... --specialists DIR... --out docs/plots

`--alike`: folders of `rivals.toml`, `rivals_rare.toml` and `rivals_dense.toml`. `--specialists`: folders
of `sapo_specialists_long.toml`. It writes, as SVG and PNG:

- gain-by-rarity: what our defaults gain over nodes that train alone, by success at the start;
- specialists-by-round: what nodes know of others' tasks and of their own, round by round;
- rivals: what each published method gains over nodes that train alone.

Needs matplotlib (`pip install "swarmd[experiment]"`).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from swarmd.errors import ConfigError
from swarmd.experiment.reporting.equal_cost import Against, Basis, against, bases_of
from swarmd.experiment.reporting.figures import Line
from swarmd.experiment.reporting.measures import split
from swarmd.experiment.reporting.plots import name_at_end, spread_labels, title_and_note
from swarmd.experiment.reporting.results import Results, RunResults, read_results
from swarmd.experiment.reporting.style import BAND_ALPHA, DASHES, DOT, QUIET, SERIES, THIN, write_figure

OURS = "ours"
NAMES: dict[Basis, str] = {"rounds": "equal rounds", "tokens": "equal tokens", "cpu": "equal CPU"}
INCHES = 3.6
LINEAR_PERCENT = 100  # beyond it the axis is logarithmic: one gain hides no others


def base_success(results: Results) -> float:
    """Mean own reward in the first round, before anybody has learned; half of one right try if none was."""
    runs = alone(results)
    tries = sum(float(np.nansum(run.completions[0])) for run in runs)
    return max(float(np.mean([run.reward_own[0].mean() for run in runs])), 0.5 / max(1.0, tries))


def alone(results: Results) -> list[RunResults]:
    """The runs that gains are measured against. Raises ConfigError if there are none."""
    found = results.of(results.config.baseline_label or "")
    if not found:
        raise ConfigError(f"{results.config.name}: no finished run of nodes that train alone")
    return found


def gain_of(results: Results, label: str, basis: Basis) -> Against | None:
    """What `label` gained over nodes that train alone; None without runs, or if costs were not counted."""
    runs, control = results.of(label), alone(results)
    return against(runs, control, basis) if runs and basis in bases_of([*runs, *control]) else None


def in_seeds(counts: Sequence[int]) -> str:
    """How many seeds, in words for a note."""
    least, most = min(counts), max(counts)
    return f"{most} seed{'s' * (most > 1)}" if least == most else f"{least} to {most} seeds"


def draw_gain_by_rarity(figure: Any, folders: Sequence[Results]) -> None:
    axes = figure.subplots()
    folders = sorted(folders, key=base_success)
    texts, counts = [], []
    for (basis, name), colour, dashes in zip(NAMES.items(), SERIES, DASHES, strict=False):
        found = [(base_success(one), gain_of(one, OURS, basis)) for one in folders]
        there = [(base, one) for base, one in found if one is not None]
        if not there:
            continue
        bases = np.array([base for base, _ in there])
        gains = [one.own_gain for _, one in there]
        counts += [len(one.seeds) for _, one in there]
        mean = 100 * np.array([each.mean for each in gains])
        axes.plot(bases, mean, color=colour, linestyle=dashes, marker="o", markersize=DOT)
        low = 100 * np.array([each.mean if each.low is None else each.low for each in gains])
        high = 100 * np.array([each.mean if each.high is None else each.high for each in gains])
        axes.fill_between(bases, low, high, color=colour, alpha=BAND_ALPHA, linewidth=0)
        texts.append(name_at_end(axes, Line(name, bases, mean), colour))
    axes.axhline(0, color=QUIET, linewidth=THIN)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_yscale("symlog", linthresh=LINEAR_PERCENT)
    axes.yaxis.set_major_formatter("{x:+,.0f} %")
    axes.set(xlabel="success before training", ylabel="gain in own reward")
    note = (
        "Our defaults with 4 own and 4 external groups, against 8 own groups alone: 8 nodes, 40 rounds, mean "
        f"over {in_seeds(counts)} with 95 % bootstrap intervals. Grey: no gain."
    )
    title_and_note(figure, "The rarer success is, the more sharing gains", note)
    figure.draw_without_rendering()
    spread_labels(axes, texts)


def draw_specialists(figure: Any, folders: Sequence[Results]) -> None:
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    drawn = [
        (arm.label, runs, results)
        for results in folders
        for arm in results.config.configurations
        if (runs := results.of(arm.label))
    ]
    texts: list[tuple[Any, list[Any]]] = [(axes, []) for axes in both]
    for (label, runs, results), colour, dashes in zip(drawn, SERIES, DASHES, strict=False):
        parts = [split(run, results.config.specialities) for run in runs]
        across = np.array(runs[0].held_out.rounds, dtype=np.float64)
        curves = [[part.others for part in parts], [part.own for part in parts]]
        for (axes, names), seeds in zip(texts, curves, strict=True):
            mean = np.mean(seeds, axis=0)
            axes.plot(across, mean, color=colour, linestyle=dashes, marker="o", markersize=DOT)
            axes.fill_between(across, np.min(seeds, axis=0), np.max(seeds, axis=0), color=colour,
                              alpha=BAND_ALPHA, linewidth=0)  # fmt: skip
            names.append(name_at_end(axes, Line(f"{label} ({len(runs)})", across, mean), colour))
    firsts = [split(runs[0], results.config.specialities).own[0] for _, runs, results in drawn]
    for axes, title in zip(both, ("others' tasks", "own tasks"), strict=True):
        axes.axhline(float(np.mean(firsts)), color=QUIET, linewidth=THIN, linestyle=":")
        axes.set_title(title)
        axes.set(ylim=(0, None))
    figure.supxlabel("rounds done", size="small", color=QUIET)
    figure.supylabel("success on held-out questions", size="small", color=QUIET)
    note = (
        "Four nodes, each good at one or two of seven tasks, silent on the others. In brackets: seeds. The "
        "band is from the lowest to the highest. Dotted: own tasks at the start."
    )
    title_and_note(figure, "Specialists teach each other", note)
    figure.draw_without_rendering()
    for axes, names in texts:
        spread_labels(axes, names)


def draw_rivals(figure: Any, folders: Sequence[Results]) -> None:
    folders = sorted(folders, key=base_success)
    panels = figure.subplots(1, len(folders), sharey=True, squeeze=False)[0]
    labels = [arm.label for arm in folders[0].config.configurations if arm.external]
    counts = []
    shown: list[tuple[Basis, str, str]] = [("rounds", "o", SERIES[0]), ("cpu", "s", SERIES[1])]
    for axes, results in zip(panels, folders, strict=True):
        for basis, marker, colour in shown:
            nudge = -0.14 if basis == "rounds" else 0.14  # two marks on one row
            for row, label in enumerate(labels):
                if (one := gain_of(results, label, basis)) is None:
                    continue
                counts.append(len(one.seeds))
                mean, low, high = one.own_gain.mean, one.own_gain.low, one.own_gain.high
                axes.plot([100 * mean], [row + nudge], color=colour, marker=marker, markersize=DOT)
                if low is not None and high is not None:
                    axes.plot([100 * low, 100 * high], [row + nudge] * 2, color=colour, linewidth=THIN)
        axes.axvline(0, color=QUIET, linewidth=THIN)
        axes.set_yticks(range(len(labels)), labels)
        axes.xaxis.set_major_formatter("{x:+.0f} %")
        axes.set_title(f"{base_success(results):.2g} at the start")
    panels[0].invert_yaxis()
    note = (
        f"Own reward against 8 own groups alone, 8 nodes, 40 rounds, mean over {in_seeds(counts)} with 95 % "
        "bootstrap intervals. Blue circles: equal rounds. Orange squares: equal CPU. Grey: no gain."
    )
    title_and_note(figure, "Published methods among nodes that are alike", note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--alike", nargs="+", type=Path, required=True)
    parser.add_argument("--specialists", nargs="+", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        alike = [read_results(folder) for folder in given.alike]
        specialists = [read_results(folder) for folder in given.specialists]
        given.out.mkdir(parents=True, exist_ok=True)
        for name, draw, folders in (
            ("gain-by-rarity", draw_gain_by_rarity, alike),
            ("specialists-by-round", draw_specialists, specialists),
            ("rivals", draw_rivals, alike),
        ):
            print(*write_figure(given.out / name, INCHES, partial(draw, folders=folders)), sep="\n")
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
