"""How our plots look: size, fonts, colours, dashes. The only place to change any of it.

Colours are from the palette of Okabe and Ito (2008), which people with any kind of colour blindness can tell
apart. We leave out its black, because text is black, and its yellow and sky blue, which are too pale for
lines on white. Each colour has its own dashes, so a plot can be read in greyscale.

An SVG is drawn for light pages, and contains rules that turn it dark if the reader prefers dark. A PNG is
always light.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swarmd.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "png")

INK, QUIET, GRID, PAPER = "#1f2328", "#656d76", "#e4e7ea", "#ffffff"
"""Titles and axes; notes and reference lines; the grid; the page."""
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
"""Blue, vermilion, bluish green, reddish purple, orange."""
DASHES: tuple[Any, ...] = ("-", (0, (6, 1.6)), (0, (2.4, 1.2)), (0, (6, 1.4, 1.2, 1.4)), (0, (1, 1)))
"""One for each colour of SERIES: on and off, in line widths."""
DARK = {
    INK: "#e6edf3", QUIET: "#9198a1", GRID: "#30363d", PAPER: "#0d1117",
    "#0072b2": "#4aa8e0", "#d55e00": "#f0803c", "#009e73": "#33c39b", "#cc79a7": "#dc94ba",
    "#e69f00": "#f0b429",
}  # fmt: skip
"""What each colour becomes on a dark page: the same hue, lighter."""

WIDTH_INCHES = 7.2  # a text column of a page, in which 8-point text has the size of a caption
PNG_DOTS_PER_INCH = 160  # sharp on a double-density screen at half size
FONTS = ("Inter", "Source Sans 3", "Helvetica Neue", "Arial", "Liberation Sans", "DejaVu Sans")
"""The first that the machine has. matplotlib ships with the last."""
SMALL, NORMAL, LARGE = 7.5, 8.5, 11.0
"""Points: labels and notes, axes and panels, the title."""
LINE, THIN = 1.6, 0.8
"""Points: a line, and a reference line."""
DOT = 3.5  # points: where something was measured
HALO = 2.5  # points of paper around a name
BAND_ALPHA = 0.16  # overlapping bands of five configurations stay visible


def write_figure(path: Path, height_inches: float, draw: Callable[[Figure], None]) -> list[Path]:
    """Write what `draw` puts on a figure to `path`, once per suffix of FORMATS. Returns the files.

    Raises ConfigError without matplotlib, OSError.
    """
    settings = _settings()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    files = [path.with_name(f"{path.name}.{ending}") for ending in FORMATS]
    with mpl.rc_context(settings):
        figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
        draw(figure)
        for file in files:
            figure.savefig(file, dpi=PNG_DOTS_PER_INCH, metadata=_undated(file))
    for file in files:
        if file.suffix == ".svg":
            file.write_text(with_dark_rules(file.read_text(encoding="utf-8")), encoding="utf-8")
    return files


def _settings() -> Any:
    """Our settings for matplotlib. Raises ConfigError without matplotlib."""
    try:
        from matplotlib import font_manager
    except ImportError as error:
        raise ConfigError(
            'plots need matplotlib: pip install "swarmd[experiment]", or use --no-plots'
        ) from error
    there = set(font_manager.get_font_names())
    return {
        "font.family": [name for name in FONTS if name in there],
        "font.size": NORMAL,
        "text.parse_math": False,  # a dollar sign in a name is a dollar sign
        "text.color": INK,
        "figure.facecolor": PAPER,
        "axes.facecolor": PAPER,
        "axes.edgecolor": QUIET,
        "axes.labelcolor": QUIET,
        "axes.labelsize": SMALL,
        "axes.titlesize": NORMAL,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.linewidth": THIN,
        "grid.color": GRID,
        "grid.linewidth": THIN,
        "lines.linewidth": LINE,
        "lines.solid_capstyle": "round",
        "xtick.color": QUIET,
        "ytick.color": QUIET,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "xtick.major.size": 3,
        "ytick.major.size": 0,
        "svg.fonttype": "path",  # the same picture on machines with other fonts
        "svg.hashsalt": "swarmd",  # the same results give the same file
    }


def with_dark_rules(svg: str) -> str:
    """Return `svg` with rules that replace our colours on dark pages. Viewers that ignore them show it
    light.
    """
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark} !important}}'
        for light, dark in DARK.items()
        for what in ("fill", "stroke")
    )
    head, opening, rest = svg.partition("<defs>")
    return f"{head}<style>@media (prefers-color-scheme: dark){{{rules}}}</style>{opening}{rest}"


def _undated(file: Path) -> dict[str, Any]:
    return {"Date": None} if file.suffix == ".svg" else {}
