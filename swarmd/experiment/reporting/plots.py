"""The plots of a report, as PNG and SVG. Needs matplotlib, which is imported only when something is drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swarmd.errors import ConfigError
from swarmd.experiment.reporting.measures import split
from swarmd.experiment.reporting.results import Array, Results, RunResults
from swarmd.experiment.reporting.statistics import smoothed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg")
SIZE_INCHES = (7.0, 4.2)  # half a page wide at 100 dots an inch
BAND_ALPHA = 0.15  # the bands of six configurations still show through each other

Draw = Callable[["Axes", list[RunResults], str], None]
Plot = tuple[str, str, str, Draw]
"""Title, x axis, y axis, and what draws one configuration."""


def draw_plots(results: Results, folder: Path) -> list[str]:
    """Write every plot into `folder`; returns their names without suffix.

    Raises ConfigError without matplotlib, OSError.
    """
    plots = PLOTS | (_of_specialists(results.config.specialities) if results.config.specialities else {})
    for name, plot in plots.items():
        draw_figure(folder / name, partial(_draw, results=results, plot=plot))
    return list(plots)


def _draw(axes: Axes, results: Results, plot: Plot) -> None:
    title, across, up, draw = plot
    for label, runs in _by_label(results):
        draw(axes, runs, label)
    axes.set(title=title, xlabel=across, ylabel=up)


def _by_label(results: Results) -> Iterator[tuple[str, list[RunResults]]]:
    for arm in results.config.configurations:
        if runs := results.of(arm.label):
            yield arm.label, runs


def _cumulative(of: Callable[[RunResults], Array]) -> Draw:
    def draw(axes: Axes, runs: list[RunResults], label: str) -> None:
        curves = np.array([np.nancumsum(np.nansum(of(run), axis=1)) for run in runs])
        _with_band(axes, np.arange(1, curves.shape[1] + 1), curves, label)

    return draw


def _smooth(of: Callable[[RunResults], Array]) -> Draw:
    """The mean over all nodes and seeds that have a value, and the band from the lowest to the highest."""

    def draw(axes: Axes, runs: list[RunResults], label: str) -> None:
        curves = np.concatenate([smoothed(of(run)).T for run in runs])
        at = np.flatnonzero((~np.isnan(curves)).any(axis=0))
        if at.size:
            _with_band(axes, at + 1, curves[:, at], label)

    return draw


def _smooth_own_against(cost: Callable[[RunResults], Array]) -> Draw:
    """The mean over nodes and seeds, against the mean cost so far over all nodes."""

    def draw(axes: Axes, runs: list[RunResults], label: str) -> None:
        spent = np.mean([np.cumsum(cost(run).sum(axis=1)) for run in runs], axis=0)
        axes.plot(
            spent, np.mean([smoothed(run.reward_own).mean(axis=1) for run in runs], axis=0), label=label
        )

    return draw


def _held_out(axes: Axes, runs: list[RunResults], label: str) -> None:
    curves = np.array([run.held_out.success.mean(axis=1) for run in runs])
    _with_band(axes, np.array(runs[0].held_out.rounds), curves, label)


def _with_band(axes: Axes, x: NDArray[Any], curves: Array, label: str) -> None:
    """`curves` is [curves, points]; at each point, at least one is not NaN."""
    [line] = axes.plot(x, np.nanmean(curves, axis=0), label=label)
    low, high = np.nanmin(curves, axis=0), np.nanmax(curves, axis=0)
    axes.fill_between(x, low, high, color=line.get_color(), alpha=BAND_ALPHA, linewidth=0)


def _of_specialists(specialities: Sequence[Sequence[str]]) -> dict[str, Plot]:
    def draw(axes: Axes, runs: list[RunResults], label: str) -> None:
        parts = [split(run, specialities) for run in runs]
        rounds = runs[0].held_out.rounds
        [line] = axes.plot(rounds, np.mean([part.others for part in parts], axis=0), label=label)
        own = np.mean([part.own for part in parts], axis=0)
        axes.plot(rounds, own, color=line.get_color(), linestyle="--")

    return {"specialists": ("Held-out success of specialists", ROUNDS, "others' tasks; dashed: own", draw)}


ROUNDS = "round"

PLOTS: dict[str, Plot] = {
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
"""By file name."""


# A figure -----------------------------------------------------------------------------------------


def draw_figure(path: Path, draw: Callable[[Axes], None]) -> list[Path]:
    """Write what `draw` puts on the axes to `path`, once per suffix of FORMATS; returns the files.

    Raises ConfigError without matplotlib, OSError.
    """
    try:
        import matplotlib as mpl

        mpl.use("agg")  # there may be no display
        mpl.rcParams["svg.hashsalt"] = "swarmd"  # the same results give the same file
        from matplotlib import pyplot as plt
    except ImportError as error:
        raise ConfigError(
            'plots need matplotlib: pip install "swarmd[experiment]", or use --no-plots'
        ) from error
    figure, axes = plt.subplots(figsize=SIZE_INCHES, layout="constrained")
    draw(axes)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    files = [path.with_name(f"{path.name}.{ending}") for ending in FORMATS]
    for file in files:
        figure.savefig(file, metadata=_undated(file))
    plt.close(figure)
    return files


def _undated(file: Path) -> dict[str, Any]:
    return {"Date": None} if file.suffix == ".svg" else {}
