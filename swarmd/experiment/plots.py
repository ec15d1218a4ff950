"""The plots of a report, as PNG and SVG. Needs matplotlib, which only this file imports, and late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from swarmd.errors import ConfigError
from swarmd.experiment.results import Array, Results, RunResults

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg")
SIZE_INCHES = (7.0, 4.2)  # half a page wide at 100 dots an inch
BAND_ALPHA = 0.15  # bands of six configurations still show through each other
WINDOWS = 20  # a smoothed curve is a moving mean over a twentieth of the rounds

Draw = Callable[["Axes", list[RunResults], str], None]


def draw_plots(results: Results, folder: Path) -> list[str]:
    """Write every plot into `folder`; returns their names without ending. Raises ConfigError without
    matplotlib."""
    try:
        import matplotlib as mpl

        mpl.use("agg")  # no display is there, and none is needed
        mpl.rcParams["svg.hashsalt"] = "swarmd"  # the same results give the same file
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ConfigError(
            'plots need matplotlib: pip install "swarmd[experiment]", or use --no-plots'
        ) from error
    for name, (title, across, up, draw) in PLOTS.items():
        figure, axes = plt.subplots(figsize=SIZE_INCHES, layout="constrained")
        for label, runs in _by_label(results):
            draw(axes, runs, label)
        axes.set(title=title, xlabel=across, ylabel=up)
        if axes.lines:
            axes.legend()
        for ending in FORMATS:
            figure.savefig(folder / f"{name}.{ending}", metadata=_undated(ending))
        plt.close(figure)
    return list(PLOTS)


def _undated(ending: str) -> dict[str, Any]:
    return {"Date": None} if ending == "svg" else {}


def _by_label(results: Results) -> Iterator[tuple[str, list[RunResults]]]:
    for arm in results.config.configurations:
        if runs := results.of(arm.label):
            yield arm.label, runs


def smoothed(values: Array) -> Array:
    """Moving mean over the first axis, shorter at the beginning; NaN is left out."""
    window = max(1, len(values) // WINDOWS)
    there = ~np.isnan(values)
    totals = np.cumsum(np.where(there, values, 0.0), axis=0)
    counts = np.cumsum(there, axis=0).astype(np.float64)
    for sums in (totals, counts):
        sums[window:] -= sums[:-window].copy()
    with np.errstate(invalid="ignore"):  # nothing in a window: 0 / 0, which is NaN
        means: Array = totals / counts
    return means


def _cumulative(of: Callable[[RunResults], Array]) -> Draw:
    def draw(axes: Axes, runs: list[RunResults], label: str) -> None:
        curves = np.array([np.nancumsum(np.nansum(of(run), axis=1)) for run in runs])
        _with_band(axes, np.arange(1, curves.shape[1] + 1), curves, label)

    return draw


def _smooth(of: Callable[[RunResults], Array]) -> Draw:
    """Mean over nodes and seeds, and the band from the lowest node to the highest."""

    def draw(axes: Axes, runs: list[RunResults], label: str) -> None:
        curves = np.concatenate([smoothed(of(run)).T for run in runs])
        at = np.flatnonzero((~np.isnan(curves)).all(axis=0))
        if at.size:
            _with_band(axes, at + 1, curves[:, at], label)

    return draw


def _smooth_own_against(cost: Callable[[RunResults], Array]) -> Draw:
    """Mean over nodes and seeds against the mean cost so far, over all nodes."""

    def draw(axes: Axes, runs: list[RunResults], label: str) -> None:
        spent = np.mean([np.cumsum(cost(run).sum(axis=1)) for run in runs], axis=0)
        axes.plot(
            spent, np.mean([smoothed(run.reward_own).mean(axis=1) for run in runs], axis=0), label=label
        )

    return draw


def _held_out(axes: Axes, runs: list[RunResults], label: str) -> None:
    curves = np.array([run.held_out.success.mean(axis=1) for run in runs])
    _with_band(axes, np.array(runs[0].held_out.rounds), curves, label)


def _with_band(axes: Axes, x: Array | Any, curves: Array, label: str) -> None:
    [line] = axes.plot(x, curves.mean(axis=0), label=label)
    axes.fill_between(
        x, curves.min(axis=0), curves.max(axis=0), color=line.get_color(), alpha=BAND_ALPHA, linewidth=0
    )


ROUNDS = "round"

PLOTS: dict[str, tuple[str, str, str, Draw]] = {
    "cumulative_mixed": (
        "Cumulative reward of what was trained on (the paper's)", ROUNDS, "sum over nodes; band: seeds",
        _cumulative(lambda run: run.reward_mixed),
    ),
    "cumulative_own": (
        "Cumulative own reward", ROUNDS, "sum over nodes; band: seeds",
        _cumulative(lambda run: run.reward_own),
    ),
    "reward_own": (
        "Own reward, smoothed", ROUNDS, "mean; band: lowest to highest node",
        _smooth(lambda run: run.reward_own),
    ),
    "held_out": ("Success on held-out questions", ROUNDS, "mean over nodes; band: seeds", _held_out),
    "external_share": (
        "Share of others' groups among those trained on", ROUNDS, "mean; band: lowest to highest node",
        _smooth(lambda run: run.external_share),
    ),
    "surprisal": (
        "Surprisal of others' text, smoothed", ROUNDS, "nats a byte; band: lowest to highest node",
        _smooth(lambda run: run.surprisal),
    ),
    "reward_by_tokens": (
        "Own reward against what it cost", "tokens generated by all nodes", "own reward, smoothed",
        _smooth_own_against(lambda run: run.tokens),
    ),
    "reward_by_time": (
        "Own reward against what it cost", "seconds of all nodes", "own reward, smoothed",
        _smooth_own_against(lambda run: run.seconds),
    ),
}  # fmt: skip
"""File name -> title, x axis, y axis, what draws one configuration."""
