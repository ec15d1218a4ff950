"""Drawings: what the painter draws is right, and whatever changes the shapes is less right."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.tasks import BadOptionError, UnknownDatasetError
from swarmd.tasks.answers import is_plain_literal
from swarmd.tasks.bare import Budget, is_tight
from swarmd.tasks.chance import Chance
from swarmd.tasks.drawing import Drawing
from swarmd.tasks.drawing.grid import LETTERS, likeness, read_grid, read_square, shapes_on, write_grid
from swarmd.tasks.drawing.painter import paint
from swarmd.tasks.drawing.shapes import SHAPES
from swarmd.tasks.drawing.source import DrawingTask
from swarmd.tasks.rewards import score_micro

seeds = st.integers(0, 2**32 - 1)
kinds = st.lists(st.sampled_from(sorted(SHAPES)), min_size=1, max_size=5, unique=True)


def task(**config: Any) -> DrawingTask:
    return Drawing().build("shapes", config)


@given(seeds, st.integers(5, 16), st.integers(1, 12), kinds)
def test_what_the_painter_draws_scores_1_whatever_it_draws(
    seed: int, size: int, shapes: int, chosen: list[str]
) -> None:
    made = task(size=size, shapes=shapes, kinds=chosen)
    text, entry = made.question(seed, 0)
    assert made.score(made.expected(entry), entry) == 1.0
    assert 1 <= entry.wanted.total() <= shapes
    assert {kind for _, kind in entry.wanted} <= set(chosen)
    assert text.startswith("Draw ")


@given(seeds, st.data())
def test_a_changed_cell_scores_1_only_if_the_same_shapes_are_left(seed: int, data: st.DataObject) -> None:
    made = task(kinds=sorted(SHAPES))
    _, entry = made.question(seed, 0)
    answer = made.expected(entry)
    at = data.draw(st.sampled_from([i for i, letter in enumerate(answer) if letter != "\n"]))
    changed = answer[:at] + data.draw(st.sampled_from(sorted(LETTERS))) + answer[at + 1 :]
    grid = read_grid(changed, 8)
    assert grid is not None
    same = shapes_on(grid) == entry.wanted
    assert (made.score(changed, entry) == 1.0) == same


@given(seeds)
def test_a_missing_or_an_added_shape_scores_less(seed: int) -> None:
    made = task(size=8, shapes=4)
    _, entry = made.question(seed, 0)
    one = next(iter(entry.wanted))
    total = entry.wanted.total()
    assert likeness(entry.wanted - Counter([one]), entry.wanted) == (total - 1) / total
    assert likeness(entry.wanted + Counter([one]), entry.wanted) == total / (total + 1)


@given(
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9)),
    st.dictionaries(st.sampled_from("abcd"), st.integers(1, 9)),
)
def test_likeness_is_1_for_equal_counts_alone_and_the_same_both_ways(
    one: dict[Any, int], other: dict[Any, int]
) -> None:
    assert likeness(one, other) == likeness(other, one)
    assert 0.0 <= likeness(one, other) <= 1.0
    assert (likeness(one, other) == 1.0) == (one == other)


@pytest.mark.parametrize(
    ("rows", "shapes"),
    [
        (("R--", "---", "--R"), {("red", "dot"): 2}),
        (("RG-", "---", "---"), {("red", "dot"): 1, ("green", "dot"): 1}),
        (("R--", "-R-", "---"), {("red", "dot"): 2}),  # a corner does not connect
        (("RR-", "---", "-B-"), {("red", "line"): 1, ("blue", "dot"): 1}),
        (("R--", "R--", "R--"), {("red", "line"): 1}),
        (("YY-", "YY-", "---"), {("yellow", "square"): 1}),
        (("YYY", "YYY", "YYY"), {("yellow", "square"): 1}),
        (("-Y-", "YYY", "-Y-"), {("yellow", "cross"): 1}),
        (("RR-", "R--", "---"), {("red", None): 1}),
        (("RRR", "R-R", "RRR"), {("red", None): 1}),  # not filled
        (("RRR", "RGR", "RRR"), {("red", None): 1, ("green", "dot"): 1}),
        (("-BB-", "BBBB", "BBBB", "-BB-"), {("blue", "circle"): 1}),
        (("-BB-", "BBBB", "BBB-", "-BB-"), {("blue", None): 1}),
        (("----", "----", "----", "----"), {}),
    ],
)  # fmt: skip
def test_cells_that_share_a_side_are_one_shape_or_none(rows: tuple[str, ...], shapes: dict[Any, int]) -> None:
    assert shapes_on(rows) == Counter(shapes)


@pytest.mark.parametrize(
    "text",
    [
        "", "R", "RR\nR", "RR\nRR\n", " RR\nRR", "RR\r\nRR", "rr\nrr", "RX\nRR", "R.\nRR", "ＲＲ\nＲＲ",
        "RR\nRR\nRR", "\n\n",
    ],
)  # fmt: skip
def test_what_is_no_grid_scores_0(text: str) -> None:
    made = task(size=2, kinds=["dot"])
    assert read_grid(text, 2) is None
    assert made.score(text, made.question(7, 0)[1]) == 0.0


@given(st.text())
def test_any_text_is_a_grid_or_none_and_a_grid_is_written_as_it_was_read(text: str) -> None:
    grid = read_square(text)
    assert grid is None or write_grid(grid) == text


@given(seeds)
def test_a_right_drawing_may_be_learned_from_others_and_is_scored_without_a_filter(seed: int) -> None:
    made = task(size=4, shapes=3, kinds=["dot", "line"])
    _, entry = made.question(seed, 0)
    own = made.expected(entry)
    other = own[::-1]  # turned by half: the same shapes
    assert made.is_bare(own, entry) is True
    assert made.score(other, entry) == 1.0
    if other != own:
        assert made.is_bare(other, entry) is None
        worth = score_micro(1.0)
        assert is_tight(other, worth, lambda text: score_micro(made.score(text, entry)), Budget(lambda: 0.0))
    assert is_plain_literal(own)


def test_the_question_says_what_is_wanted_and_every_rule() -> None:
    text, entry = task().question(7, 0)
    assert text == (
        "Draw two red lines and one green circle on a grid of 8 x 8 cells, and nothing else.\n"
        "Write 8 lines of 8 letters: R red, G green, B blue, Y yellow, - empty. A line is one cell wide and "
        "two or more long, across or down; a square is filled, 2x2, 3x3 or 4x4; a circle is a filled 4x4 or "
        "5x5 without its four corners. Shapes of one colour must not touch side by side."
    )
    assert entry.painted == (
        *("RR-GGG--", "--GGGGG-", "--GGGGG-", "--GGGGG-"),
        *("---GGG--", "-RRRRRRR", "--------", "--------"),
    )


def test_a_full_grid_holds_fewer_shapes_and_one_at_least() -> None:
    for seed in range(20):
        grid = paint(Chance(seed), 2, 12, ["square"], ["R"])
        assert shapes_on(grid) == {("red", "square"): 1}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": 1}, "size must be a whole number from 2 to 16"),
        ({"shapes": 0}, "shapes must be a whole number from 1 to 12"),
        ({"kinds": ["blob"]}, "kinds must be a list of some of dot, line, square, circle, cross"),
        ({"kinds": []}, "kinds must be a list"),
        ({"colours": "red"}, "colours must be a list of some of red, green, blue, yellow"),
        ({"size": 3, "kinds": ["circle"]}, "a circle does not fit into a grid of size 3"),
        ({"sise": 3}, "did you mean 'size'"),
    ],
)
def test_a_wrong_option_is_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOptionError, match=message):
        task(**config)


def test_a_dataset_that_is_none_is_refused() -> None:
    with pytest.raises(UnknownDatasetError, match="there is 'shapes'"):
        Drawing().build("portraits", {})
