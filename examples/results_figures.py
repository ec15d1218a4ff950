"""The three figures at the head of docs/results.md, from the folders of finished experiments.

    python examples/results_figures.py --alike 0.0011=RARE 0.0025=SPARSE 0.24=DENSE \
        --specialists ASKED LONG --rivals RIVALS_RARE RIVALS_DENSE RIVALS_SPECIALISTS --out docs/plots

It writes, as SVG and PNG:

- gain-by-rarity: the gain of our defaults (`--ours`) over nodes that train alone, by initial success.
  `--alike` has one folder for each policy that nodes start from. In docs/results.md RARE, SPARSE and DENSE
  are of `rivals_rare.toml`, `rivals.toml` and `rivals_dense.toml`, where 4/4 is named `ours`, the default of
  `--ours`;
- specialists-by-round: held-out success of nodes on others' tasks and on their own, round by round, from
  `--specialists`: `sapo_specialists_long.toml`. `--only` chooses its configurations, at most five;
- rivals: the gain of each published method, and what specialists learn with it, from `--rivals`: folders of
  `rivals_rare.toml`, `rivals_dense.toml` and `rivals_specialists.toml`.

Needs matplotlib (`pip install "swarmd[experiment]"`).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from swarmd.errors import ConfigError
from swarmd.experiment.reporting.equal_cost import Against, Basis, against, bases_of
from swarmd.experiment.reporting.figures import Line
from swarmd.experiment.reporting.measures import split
from swarmd.experiment.reporting.panels import LINES_MAX
from swarmd.experiment.reporting.plots import name_at_end, spread_labels, title_and_note
from swarmd.experiment.reporting.results import Results, RunResults, read_results
from swarmd.experiment.reporting.statistics import Estimate, estimate
from swarmd.experiment.reporting.style import BAND_ALPHA, DASHES, DOT, QUIET, SERIES, THIN, write_figure

NAMES: dict[Basis, str] = {"rounds": "equal rounds", "tokens": "equal tokens", "cpu": "equal CPU"}
INCHES = 3.6
LINEAR_PERCENT = 100  # beyond it the axis is logarithmic, so that one gain does not hide the others


def alone(results: Results) -> list[RunResults]:
    """Return the runs that gains are measured against. Raises ConfigError if there are none."""
    found = results.of(results.config.baseline_label or "")
    if not found:
        raise ConfigError(f"{results.config.name}: no finished run of nodes that train alone")
    return found


def gain_of(results: Results, label: str, basis: Basis) -> Against | None:
    """Return the gain of `label` over nodes that train alone; None without runs, or if costs were not
    counted.
    """
    runs, control = results.of(label), alone(results)
    return against(runs, control, basis) if runs and basis in bases_of([*runs, *control]) else None


def how_many(counts: Sequence[int], what: str) -> str:
    """Say in a figure's note how many seeds, nodes or rounds its folders have."""
    least, most = min(counts), max(counts)
    return f"{most} {what}{'s' * (most > 1)}" if least == most else f"{least} to {most} {what}s"


def draw_gain_by_rarity(figure: Any, folders: Sequence[tuple[float, Results]], ours: str) -> None:
    axes = figure.subplots()
    folders = sorted(folders, key=lambda each: each[0])
    texts, counts = [], []
    for (basis, name), colour, dashes in zip(NAMES.items(), SERIES, DASHES, strict=False):
        found = [(success, gain_of(one, ours, basis)) for success, one in folders]
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
    if not counts:
        raise ConfigError(f"--alike: no folder has a finished run of {ours!r}; --ours names another one")
    axes.axhline(0, color=QUIET, linewidth=THIN)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set_yscale("symlog", linthresh=LINEAR_PERCENT)
    axes.yaxis.set_major_formatter("{x:+,.0f}%")
    axes.set(xlabel="success before training", ylabel="gain in own reward")
    nodes = how_many([one.config.nodes for _, one in folders], "node")
    rounds = how_many([one.config.rounds for _, one in folders], "round")
    note = (
        f"Our defaults with 4 own and 4 external groups, against 8 own groups alone: {nodes}, {rounds}, mean "
        f"over {how_many(counts, 'seed')} with 95% bootstrap intervals. Grey: no gain."
    )
    title_and_note(figure, "The rarer success is, the more sharing gains", note)
    figure.draw_without_rendering()
    spread_labels(axes, texts)


def configurations_of(
    folders: Sequence[Results], only: Sequence[str]
) -> list[tuple[str, list[RunResults], Results]]:
    """Return the configurations with finished runs, all if `only` is empty. Raises ConfigError if one of
    `only` is missing, or if there are more than a figure has colours for.
    """
    found = [
        (arm.label, runs, results)
        for results in folders
        for arm in results.config.configurations
        if (runs := results.of(arm.label)) and (not only or arm.label in only)
    ]
    names = [label for label, _, _ in found]
    if missing := [label for label in only if label not in names]:
        raise ConfigError(f"--only: no folder of --specialists has a finished run of {', '.join(missing)}")
    if len(found) > LINES_MAX:
        raise ConfigError(
            f"--specialists has {len(found)} configurations, and the figure room for {LINES_MAX}; "
            f"choose with --only among {', '.join(dict.fromkeys(names))}"
        )
    return found


def draw_specialists(figure: Any, folders: Sequence[Results], only: Sequence[str]) -> None:
    both = figure.subplots(1, 2, sharex=True, sharey=True)
    drawn = configurations_of(folders, only)
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
        "band goes from the lowest to the highest. Dotted: own tasks at the start."
    )
    title_and_note(figure, "Specialists teach each other", note)
    figure.draw_without_rendering()
    for axes, names in texts:
        spread_labels(axes, names)


@dataclass(frozen=True)
class Mark:
    """One number of one method: what it is, how it is drawn, and its offset within the method's row."""

    name: str
    shape: str
    colour: str
    nudge: float
    of: Callable[[Results, str], Estimate | None]


def gain_in(basis: Basis) -> Callable[[Results, str], Estimate | None]:
    def of(results: Results, label: str) -> Estimate | None:
        one = gain_of(results, label, basis)
        return None if one is None else one.own_gain

    return of


def at_the_end(which: str) -> Callable[[Results, str], Estimate | None]:
    def of(results: Results, label: str) -> Estimate | None:
        parts = [split(run, results.config.specialities) for run in results.of(label)]
        return estimate([float(getattr(part, which)[-1]) for part in parts]) if parts else None

    return of


ALIKE = (
    Mark("equal rounds", "o", SERIES[0], -0.14, gain_in("rounds")),
    Mark("equal CPU", "s", SERIES[1], 0.14, gain_in("cpu")),
)
SPECIALISTS = (
    Mark("others' tasks", "o", SERIES[0], -0.14, at_the_end("others")),
    Mark("own tasks", "s", SERIES[1], 0.14, at_the_end("own")),
)


def draw_rivals(figure: Any, folders: Sequence[Results]) -> None:
    panels = figure.subplots(1, len(folders), sharey=True, squeeze=False)[0]
    labels = list(
        dict.fromkeys(arm.label for one in folders for arm in one.config.configurations if one.of(arm.label))
    )
    counts = []
    for axes, results in zip(panels, folders, strict=True):
        of_specialists = bool(results.config.specialities)
        for mark in SPECIALISTS if of_specialists else ALIKE:
            for row, label in enumerate(labels):
                found = mark.of(results, label)
                if found is None:
                    continue
                counts.append(len(found.values))
                axes.plot(
                    [found.mean], [row + mark.nudge], color=mark.colour, marker=mark.shape, markersize=DOT
                )
                if found.low is not None and found.high is not None:
                    ends = [found.low, found.high]
                    axes.plot(ends, [row + mark.nudge] * 2, color=mark.colour, linewidth=THIN)
        axes.set_yticks(range(len(labels)), labels)
        axes.axvline(0, color=QUIET, linewidth=THIN)
        if of_specialists:
            axes.set(title=results.config.name, xlabel="success on held-out questions at the end")
        else:
            axes.xaxis.set_major_formatter(lambda share, _: f"{100 * share:+.3g}%")
            axes.set(title=results.config.name, xlabel="gain in own reward over 8/0")
    panels[0].invert_yaxis()
    note = (
        f"Mean over {how_many(counts, 'seed')}, with 95% bootstrap intervals if there are several. Alike: "
        "blue circles at equal rounds, orange squares at equal CPU. Specialists: blue circles on others' "
        "tasks, orange squares on own."
    )
    title_and_note(figure, "Published methods beside ours", note)


def success_and_folder(given: str) -> tuple[float, Path]:
    """Return both parts of one value of `--alike`. Raises ConfigError."""
    try:
        success, folder = given.split("=", 1)
        return float(success), Path(folder)
    except ValueError:
        raise ConfigError("--alike takes SUCCESS=DIR, for example 0.0011=rivals-rare") from None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--alike", nargs="+", required=True, metavar="SUCCESS=DIR")
    for name in ("--specialists", "--rivals"):
        parser.add_argument(name, nargs="+", type=Path, required=True)
    parser.add_argument("--ours", default="ours")
    parser.add_argument("--only", nargs="+", default=[], metavar="LABEL")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    try:
        pairs = [success_and_folder(each) for each in given.alike]
        alike = [(success, read_results(folder)) for success, folder in pairs]
        specialists, rivals = (
            [read_results(folder) for folder in folders] for folders in (given.specialists, given.rivals)
        )
        given.out.mkdir(parents=True, exist_ok=True)
        for name, draw in (
            ("gain-by-rarity", partial(draw_gain_by_rarity, folders=alike, ours=given.ours)),
            ("specialists-by-round", partial(draw_specialists, folders=specialists, only=given.only)),
            ("rivals", partial(draw_rivals, folders=rivals)),
        ):
            print(*write_figure(given.out / name, INCHES, draw), sep="\n")
    except ConfigError as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    main()
