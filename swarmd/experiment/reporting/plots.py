"""Draw figures: their panels, and the name of each line at its end. Needs matplotlib, which is imported only
when something is drawn. The look is defined in `style`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from swarmd.experiment.config import ExperimentConfig
from swarmd.experiment.reporting.figures import Figure, Line
from swarmd.experiment.reporting.panels import Panel, panels_of
from swarmd.experiment.reporting.style import (
    BAND_ALPHA,
    DASHES,
    DOT,
    HALO,
    LARGE,
    PAPER,
    QUIET,
    SERIES,
    SMALL,
    THIN,
    WIDTH_INCHES,
    write_figure,
)

if TYPE_CHECKING:
    from matplotlib import figure as mpl
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

ONE_INCHES = 3.6  # height of a figure with one panel: half its width
ROW_INCHES = 1.75  # height of a row of small panels
HEAD_INCHES = 0.9  # height of title, note and x label, in addition to the rows
COLUMNS = {False: 4, True: 2}
"""Small panels per row; fewer if lines are named at their ends."""
NOTE_CHARACTERS = 132  # of SMALL text that fit the width of a figure
LABEL_CHARACTERS = 24  # a longer name would crowd out the lines; the tables show it in full
LABEL_OFFSET = 6.0  # points from the end of a line to its name
LABEL_GAP = 1.25  # between two names, in text heights
LINE_SPACING = 1.35  # of the note, in text heights
MARGIN = 5.0  # points around the title
POINTS_PER_INCH = 72


def draw_figures(figures: Sequence[Figure], config: ExperimentConfig, folder: Path) -> list[Path]:
    """Write every figure into `folder`. Returns the files. Raises ConfigError without matplotlib, OSError."""
    files = []
    for figure in figures:
        panels = panels_of(figure, config)
        draw = partial(draw_figure, what=figure, panels=panels)
        files += write_figure(folder / figure.name, height_of(panels), draw)
    return files


def height_of(panels: Sequence[Panel]) -> float:
    """Return the height in inches."""
    if len(panels) == 1:
        return ONE_INCHES
    return HEAD_INCHES + ROW_INCHES * math.ceil(len(panels) / _columns(panels))


def _columns(panels: Sequence[Panel]) -> int:
    return min(len(panels), COLUMNS[_named(panels)])


def _named(panels: Sequence[Panel]) -> bool:
    """Whether lines are named at their ends. The only line of a panel has the panel's title instead."""
    return any(len(panel.lines) > 1 or not panel.title for panel in panels)


def draw_figure(figure: mpl.Figure, what: Figure, panels: Sequence[Panel]) -> None:
    """Draw `what` on an empty figure."""
    columns = _columns(panels)
    rows = math.ceil(len(panels) / columns)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    named = _named(panels)
    labels = []
    for axes, panel in zip(grid.flat, panels, strict=False):
        labels.append((axes, _draw_panel(axes, what, panel, named=named)))
        axes.set_title(panel.title)
    _scales(grid.flat[0], what)
    for unused in grid.flat[len(panels) :]:
        unused.set_visible(False)
    for column in range(columns):  # the lowest panel of each column shows the x axis labels
        last = max(row for row in range(rows) if row * columns + column < len(panels))
        grid[last, column].tick_params(labelbottom=True)
    title_and_note(figure, what.title, _note(what, panels))
    figure.supxlabel(what.across, size=SMALL, color=QUIET)
    figure.supylabel(what.up, size=SMALL, color=QUIET)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # the layout is known now, and computing it costs most of the drawing
    for axes, texts in labels:
        spread_labels(axes, texts)


def title_and_note(figure: mpl.Figure, title: str, note: str) -> None:
    """Write the title of a figure and, smaller, what its lines are, above the space left for the axes."""
    lines = wrap(note, NOTE_CHARACTERS)
    height = figure.get_size_inches()[1] * POINTS_PER_INCH
    below_title = 1 - (MARGIN + LARGE * LABEL_GAP) / height
    below_note = below_title - (len(lines) * SMALL * LINE_SPACING + MARGIN) / height
    figure.text(MARGIN / (WIDTH_INCHES * POINTS_PER_INCH), 1 - MARGIN / height, title, size=LARGE,
                weight="bold", va="top")  # fmt: skip
    figure.text(MARGIN / (WIDTH_INCHES * POINTS_PER_INCH), below_title, "\n".join(lines), size=SMALL,
                color=QUIET, va="top", linespacing=LINE_SPACING)  # fmt: skip
    figure.set_layout_engine("constrained", rect=(0, 0, 1, below_note))


def _note(what: Figure, panels: Sequence[Panel]) -> str:
    """Return the note of the figure, and what its grey lines are."""
    parts = [what.note]
    behind = dict.fromkeys(short(panel.behind.label) for panel in panels if panel.behind is not None)
    if behind:
        parts.append(f"Grey, for comparison: {', '.join(behind)}.")
    if what.level is not None:
        name, value = what.level
        parts.append(f"Dotted: {name}, {float(f'{value:.3g}'):g}.")
    return " ".join(part for part in parts if part)


def _draw_panel(axes: Axes, what: Figure, panel: Panel, *, named: bool) -> list[Annotation]:
    """Draw a panel. Returns the names at the ends of its lines."""
    if what.level is not None:
        axes.axhline(what.level[1], color=QUIET, linewidth=THIN, linestyle=":")
    dots: dict[str, Any] = (
        {"marker": "o", "markersize": DOT, "clip_on": False} if what.measured_at_points else {}
    )
    coloured = zip(panel.lines, SERIES, DASHES, strict=False)
    looks: list[tuple[Line, str, Any]] = list(coloured)
    if panel.behind is not None:
        looks.insert(0, (panel.behind, QUIET, "-"))
    for line, colour, dashes in looks:
        axes.plot(line.across, line.mean, color=colour, linestyle=dashes, **dots)
        if line.low is not None and line.high is not None:
            axes.fill_between(line.across, line.low, line.high, color=colour, alpha=BAND_ALPHA, linewidth=0)
    # Only lines that end at different points can have names that overlap other lines.
    halo = 0 if what.whole else HALO
    return [name_at_end(axes, line, colour, halo) for line, colour, _ in looks] if named else []


def name_at_end(axes: Axes, line: Line, colour: str, halo: float = HALO) -> Annotation:
    """Write the label of `line` to the right of its last point; a halo of `halo` points sets it off from
    lines.
    """
    from matplotlib.patheffects import withStroke

    return axes.annotate(
        short(line.label), (line.across[-1], line.mean[-1]), (LABEL_OFFSET, 0),
        textcoords="offset points", va="center", size=SMALL, color=colour, annotation_clip=False,
        path_effects=[withStroke(linewidth=halo, foreground=PAPER)] if halo else None,
    )  # fmt: skip


def short(label: str) -> str:
    """Return `label`, or its beginning."""
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}…"


def spread_labels(axes: Axes, texts: Sequence[Annotation]) -> None:
    """Move overlapping names apart. The layout of the figure must be known."""
    to_points = POINTS_PER_INCH / axes.figure.dpi
    low, high = (float(axes.transData.transform((0, end))[1]) * to_points for end in axes.get_ylim())
    wanted = [float(axes.transData.transform(text.xy)[1]) * to_points for text in texts]
    for text, before, now in zip(texts, wanted, spread(wanted, SMALL * LABEL_GAP, low, high), strict=True):
        text.set_position((LABEL_OFFSET, now - before))


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return positions as close to the wanted ones as `gap` between any two allows, in the same order, within
    `low` and `high` while there is room.
    """
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    # The wanted position minus its rank times the gap must not decrease. Pooling neighbours that would
    # decrease gives the positions nearest to the wanted ones by least squares (isotonic regression).
    blocks: list[tuple[float, int]] = []  # mean, count
    for rank, index in enumerate(order):
        mean, count = wanted[index] - rank * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    free = [mean for mean, count in blocks for _ in range(count)]
    top = max(low, high - (len(wanted) - 1) * gap)
    places = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        places[index] = min(max(free[rank], low), top) + rank * gap
    return places


def _scales(axes: Axes, what: Figure) -> None:
    """Set the limits and ticks of the axes, which all panels share."""
    from matplotlib.ticker import EngFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=what.whole, steps=[1, 2, 5, 10]))
    if not what.whole:
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    lines = [line for lines in what.lines.values() for line in lines]
    axes.set_xlim(0, max(float(line.across[-1]) for line in lines) or 1)
    if min(float((line.mean if line.low is None else line.low).min()) for line in lines) >= 0:
        axes.set_ylim(bottom=0)
