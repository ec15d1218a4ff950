"""How figures are drawn: whole rounds, names at the ends of lines, colours for everybody."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.experiment.reporting.figures import Figure, Line
from swarmd.experiment.reporting.panels import LINES_MAX, Panel
from swarmd.experiment.reporting.plots import draw_figure, spread
from swarmd.experiment.reporting.style import DARK, DASHES, GRID, INK, PAPER, QUIET, SERIES, with_dark_rules

pytest.importorskip("matplotlib")
from matplotlib import figure as mpl

ROUNDS = np.array([1.0, 2.0, 3.0])


def drawn(lines: list[Line], *, title: str = "Own reward") -> mpl.Figure:
    what = Figure("x", title, "Mean.", "round", "reward", {line.label: [line] for line in lines})
    figure = mpl.Figure(figsize=(7, 4), layout="constrained")
    draw_figure(figure, what, [Panel("", lines)])
    return figure


def test_there_are_no_half_rounds_on_the_axis() -> None:
    [axes] = drawn([Line("8/0", ROUNDS, ROUNDS / 10)]).axes
    ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= 3]
    assert ticks == [0, 1, 2, 3]


def test_each_line_is_named_at_its_end_and_no_name_lies_on_another() -> None:
    figure = drawn([Line(f"n{number}", ROUNDS, ROUNDS / 10) for number in range(LINES_MAX)])
    [axes] = figure.axes
    assert [text.get_text() for text in axes.texts] == [f"n{number}" for number in range(LINES_MAX)]
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 for below, above in pairwise(boxes))
    assert all(box.x0 > axes.get_window_extent().x1 for box in boxes)


def test_a_long_name_leaves_room_for_the_lines() -> None:
    [axes] = drawn([Line("n" * 40, ROUNDS, ROUNDS)]).axes
    assert axes.texts[0].get_text() == f"{'n' * 23}…"


@given(st.lists(st.floats(-50, 150), min_size=1, max_size=6))
def test_names_are_moved_apart_in_order_and_stay_in_the_axes(wanted) -> None:
    places = spread(wanted, 10, 0, 100)
    in_order = [places[index] for index in sorted(range(len(wanted)), key=wanted.__getitem__)]
    assert all(later - earlier >= 10 - 1e-6 for earlier, later in pairwise(in_order))
    assert min(places) >= 0
    assert max(places) <= 100


def test_names_that_have_room_stay_where_they_are() -> None:
    assert spread([80, 20, 50], 10, 0, 100) == [80, 20, 50]


def test_there_is_a_colour_and_there_are_dashes_for_every_line_of_a_panel() -> None:
    assert len(set(SERIES)) == len(set(map(str, DASHES))) == LINES_MAX


def test_an_svg_turns_dark_on_dark_pages_and_stays_light_elsewhere() -> None:
    assert DARK.keys() == {INK, QUIET, GRID, PAPER, *SERIES}
    light = f'<svg><defs></defs><path style="fill: {PAPER}"/></svg>'
    both = with_dark_rules(light)
    assert f'[style*="fill: {PAPER}"]{{fill:{DARK[PAPER]} !important}}' in both
    assert "@media (prefers-color-scheme: dark)" in both
    assert re.sub("<style>.*</style>", "", both) == light
