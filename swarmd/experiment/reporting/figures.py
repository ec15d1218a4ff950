"""The curves of a report as numbers: what each shows, how it is smoothed, what its band is.

A line is the mean over seeds of the mean over the nodes that learn. Its band goes from the lowest to the
highest seed or, if no configuration has two seeds, from the lowest to the highest node. The note of a figure
says which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from swarmd.experiment.reporting.measures import split
from swarmd.experiment.reporting.results import Array, Results, RunResults
from swarmd.experiment.reporting.statistics import smoothed

ROUND = "round"
ROUNDS_DONE = "rounds done"
WINDOWS = 10  # a curve is a moving mean over a tenth of the rounds, because single rounds are mostly noise


@dataclass(frozen=True)
class Line:
    """One line. All arrays are [points]; `low` and `high` are None without a band."""

    label: str
    across: Array
    mean: Array
    low: Array | None = None
    high: Array | None = None


@dataclass(frozen=True)
class Figure:
    """Lines over one pair of axes, by configuration. `note` says what line and band are."""

    name: str
    title: str
    note: str
    across: str
    up: str
    lines: Mapping[str, Sequence[Line]]
    """One per configuration; two for specialists."""
    whole: bool = True
    """Whether the values on the x axis are whole numbers."""
    level: tuple[str, float] | None = None
    """A value to compare with, and its name."""
    measured_at_points: bool = False
    """Whether only the points of the lines are measured, not the segments between them."""
    by_attack: bool = False
    """Whether values can only be compared for the same attack, made or searched for."""


@dataclass(frozen=True)
class _Kind:
    title: str
    up: str
    of: Callable[[RunResults], Array]
    """[rounds, nodes]"""
    untrained: bool = False
    """Whether to show the value of the first round, in which no node has learned yet."""


SMOOTHED: Mapping[str, _Kind] = {
    "reward_own": _Kind(
        "Own reward", "mean reward of own groups", lambda run: run.reward_own, untrained=True
    ),
    "length": _Kind("Length of completions", "tokens per completion", lambda run: run.length, untrained=True),
    "finished": _Kind(
        "Completions that end by themselves",
        "share of own completions",
        lambda run: run.finished,
        untrained=True,
    ),
    "entropy": _Kind("Entropy of own completions", "nats per token", lambda run: run.entropy, untrained=True),
    "payload": _Kind(
        "Completions that carry the payload", "share of own completions", lambda run: run.payload
    ),
    "external_share": _Kind(
        "Share of external groups among those trained on", "share", lambda run: run.external_share
    ),
    "surprisal": _Kind("Surprisal of external text", "nats per byte", lambda run: run.surprisal),
}
"""By name, over rounds. Those for which no run has values are left out."""

CUMULATIVE: Mapping[str, tuple[str, Callable[[RunResults], Array]]] = {
    "cumulative_mixed": (
        "Cumulative reward of what was trained on, the paper's",
        lambda run: run.reward_mixed,
    ),
    "cumulative_own": ("Cumulative own reward", lambda run: run.reward_own),
}

COSTS: Mapping[str, tuple[str, str, Callable[[RunResults], Array]]] = {
    "reward_by_cpu": (
        "Own reward by CPU time",
        "CPU seconds per node, by unit prices",
        lambda run: run.charged() if run.counts else np.full_like(run.tokens, np.nan),
    ),
    "reward_by_tokens": ("Own reward by tokens", "tokens generated per node", lambda run: run.tokens),
    "reward_by_time": ("Own reward by time", "seconds per node", lambda run: run.seconds),
}


def figures(results: Results) -> list[Figure]:
    """Return all figures that `results` has values for, the most important first."""
    runs = {arm.label: found for arm in results.config.configurations if (found := results.of(arm.label))}
    if not runs:  # only the sweep is finished
        return []
    made = _Maker(runs, max(1, results.config.rounds // WINDOWS))
    drawn = [made.smoothed("reward_own"), made.held_out()]
    if results.config.specialities:
        drawn.append(made.specialists(results.config.specialities))
    drawn += [made.smoothed(name) for name in SMOOTHED if name != "reward_own"]
    drawn += [made.by_cost(name) for name in COSTS]
    drawn += [made.cumulative(name) for name in CUMULATIVE]
    return [figure for figure in drawn if figure.lines]


def plain_figure(figure: Figure) -> dict[str, Any]:
    """Return a figure as report.json holds it."""
    return {
        "title": figure.title,
        "note": figure.note,
        "across": figure.across,
        "up": figure.up,
        "level": dict([figure.level]) if figure.level else None,
        "lines": {label: [_plain_line(line) for line in lines] for label, lines in figure.lines.items()},
    }


def _plain_line(line: Line) -> dict[str, Any]:
    arrays = {name: getattr(line, name) for name in ("across", "mean", "low", "high")}
    return {"label": line.label} | {
        name: None if values is None else [float(value) for value in values]
        for name, values in arrays.items()
    }


class _Maker:
    """Builds the figures of the same runs, smoothed over the same window."""

    def __init__(self, runs: Mapping[str, list[RunResults]], window: int) -> None:
        self._runs = runs
        self._window = window
        self._seeds = sorted({len(found) for found in runs.values()})
        self._band_of_seeds = self._seeds[-1] > 1

    def smoothed(self, name: str) -> Figure:
        kind = SMOOTHED[name]
        lines = {}
        for label, runs in self._runs.items():
            line = self._line(label, [self._smooth(kind.of(run)) for run in runs])
            if line is not None:
                lines[label] = [line]
        firsts = [_mean(kind.of(run)[0], axis=0) for runs in self._runs.values() for run in runs]
        level = float(_mean(np.array(firsts), axis=0)) if kind.untrained and lines else np.nan
        return Figure(
            name, kind.title, f"{self._mean_of()} {self._smoothing()} {self._band()}", ROUND, kind.up, lines,
            level=None if np.isnan(level) else ("untrained", level), by_attack=name == "payload",
        )  # fmt: skip

    def held_out(self) -> Figure:
        lines, firsts = {}, []
        for label, runs in self._runs.items():
            across = np.array(runs[0].held_out.rounds, dtype=np.float64)
            line = self._line(label, [run.held_out.success for run in runs], across)
            if line is not None:
                lines[label] = [line]
            firsts += [float(run.held_out.success[0].mean()) for run in runs]
        return Figure(
            "held_out", "Success on held-out questions", f"{self._mean_of()} {self._band()}", ROUNDS_DONE,
            "share of questions", lines, level=("untrained", float(np.mean(firsts))) if firsts else None,
            measured_at_points=True,
        )  # fmt: skip

    def specialists(self, specialities: Sequence[Sequence[str]]) -> Figure:
        lines = {}
        for label, runs in self._runs.items():
            parts = [split(run, specialities) for run in runs]
            across = np.array(runs[0].held_out.rounds, dtype=np.float64)
            both = [
                self._line(name, [getattr(part, which)[:, None] for part in parts], across)
                for name, which in (("own tasks", "own"), ("others' tasks", "others"))
            ]
            if found := [line for line in both if line is not None]:
                lines[label] = found
        return Figure(
            "specialists", "Held-out success of specialists", f"{self._mean_of()} {self._band(nodes=False)}",
            ROUNDS_DONE, "share of questions", lines, measured_at_points=True,
        )  # fmt: skip

    def cumulative(self, name: str) -> Figure:
        title, of = CUMULATIVE[name]
        lines = {}
        for label, runs in self._runs.items():
            sums = [np.nancumsum(np.nansum(of(run), axis=1))[:, None] for run in runs]
            if (line := self._line(label, sums)) is not None:
                lines[label] = [line]
        note = f"Sum over the nodes that learn, mean over {self._count()}. {self._band(nodes=False)}"
        return Figure(name, title, note, ROUND, "sum of rewards", lines)

    def by_cost(self, name: str) -> Figure:
        title, across, of = COSTS[name]
        lines = {}
        for label, runs in self._runs.items():
            spent = np.mean([np.cumsum(of(run).mean(axis=1)) for run in runs], axis=0)
            rewards = [self._smooth(run.reward_own) for run in runs]
            if (line := self._line(label, rewards, spent)) is not None:
                lines[label] = [replace(line, low=None, high=None)]  # seeds spent different amounts
        return Figure(
            name, title, f"{self._mean_of()} {self._smoothing()}", across, "mean reward of own groups", lines,
            whole=False,
        )  # fmt: skip

    def _smooth(self, values: Array) -> Array:
        return smoothed(values, self._window)

    def _line(self, label: str, runs: Sequence[Array], across: Array | None = None) -> Line | None:
        """Build a line from one array [points, nodes] per seed; None if there is no value at all. Points
        without a value are left out.
        """
        seeds = np.array([_mean(run, axis=1) for run in runs])  # [seeds, points]
        spread = seeds if self._band_of_seeds else runs[0].T
        at = np.arange(1.0, seeds.shape[1] + 1) if across is None else across
        there = ~np.isnan(seeds).all(axis=0) & ~np.isnan(at)
        if not there.any():
            return None
        spread, mean = spread[:, there], _mean(seeds[:, there], axis=0)
        if len(spread) == 1:
            return Line(label, at[there], mean)
        return Line(label, at[there], mean, np.nanmin(spread, axis=0), np.nanmax(spread, axis=0))

    # Words of the notes

    def _count(self) -> str:
        few, many = self._seeds[0], self._seeds[-1]
        return f"{few} to {many} seeds" if few < many else f"{many} seed{'s' if many > 1 else ''}"

    def _nodes(self) -> str:
        counts = sorted({len(run.learners) for runs in self._runs.values() for run in runs})
        few, many = counts[0], counts[-1]
        return f"the {few} to {many} nodes that learn" if few < many else f"{many} nodes"

    def _mean_of(self) -> str:
        return f"Mean of {self._nodes()} and {self._count()}."

    def _smoothing(self) -> str:
        if self._window == 1:
            return "Not smoothed."
        return f"Each point: mean of the last {self._window} rounds."

    def _band(self, *, nodes: bool = True) -> str:
        if self._band_of_seeds:
            return "Band: lowest to highest seed."
        return "Band: lowest to highest node." if nodes else ""


def _mean(values: Array, axis: int) -> Array:
    """Return the mean of what is not NaN; NaN where everything is."""
    there = ~np.isnan(values)
    totals = np.where(there, values, 0.0).sum(axis=axis)
    counts = there.sum(axis=axis)
    means: Array = np.divide(totals, counts, out=np.full(np.shape(totals), np.nan), where=counts > 0)
    return means
