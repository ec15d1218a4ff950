"""A figure from nothing to files. Needs matplotlib, which only this file imports, and late."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarmd.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = ("png", "svg")
SIZE_INCHES = (7.0, 4.2)  # half a page wide at 100 dots an inch


def draw_figure(path: Path, draw: Callable[[Axes], None]) -> list[Path]:
    """Make `path` with each ending of FORMATS from what `draw` puts on the axes; returns the files.

    Raises ConfigError without matplotlib, OSError.
    """
    try:
        import matplotlib as mpl

        mpl.use("agg")  # no display is there, and none is needed
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
