"""The problems of the source `coding`: every solution is right, and nothing else is easily so."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.tasks import BadOptionError, UnknownDatasetError
from swarmd.tasks.chance import Chance
from swarmd.tasks.coding import Coding
from swarmd.tasks.coding.families import FAMILIES
from swarmd.tasks.coding.problem import LEVELS
from swarmd.tasks.coding.source import CodingTask
from swarmd.tasks.performing import perform

SEEDS = (0, 7, 2**31)
EVERY = [(family, level) for family in FAMILIES for level in LEVELS]


def task(family: str, **config: Any) -> CodingTask:
    return Coding().build(family, config)


def score(made: CodingTask, answer: str, entry: Any) -> float:
    """As the worker scores it, without its walls: these programs are ours."""
    return made.judge(perform(made.program(answer, entry)), entry) if made.admits(answer, entry) else 0.0


@pytest.mark.parametrize(("family", "level"), EVERY)
def test_the_solution_of_every_problem_is_right_and_bare(family: str, level: int) -> None:
    made = task(family, level=level)
    for seed in SEEDS:
        _, entry = made.question(seed, 0)
        solution = made.expected(entry)
        assert score(made, solution, entry) == 1.0, solution
        assert made.is_bare(solution, entry)
        assert not made.is_bare(f"{solution}  # and a word of mine", entry)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "branch"])
def test_every_family_but_one_can_be_asked_for_as_an_expression(family: str) -> None:
    made = task(family, form="expression")
    text, entry = made.question(7, 0)
    assert text.startswith("Write one Python expression of ")
    assert not made.admits(text, entry)
    assert score(made, made.expected(entry), entry) == 1.0


@pytest.mark.parametrize(("family", "level"), EVERY)
def test_no_constant_is_right(family: str, level: int) -> None:
    made = task(family, level=level)
    for seed in SEEDS:
        _, entry = made.question(seed, 0)
        shares = [score(made, f"def solve(*_): return {output}", entry) for output in set(entry.outputs)]
        assert max(shares) <= 0.5


@pytest.mark.parametrize(("family", "level"), EVERY)
def test_the_question_shows_an_example_that_is_none_of_the_hidden_inputs(family: str, level: int) -> None:
    made = task(family, level=level)
    for seed in SEEDS:
        text, entry = made.question(seed, 0)
        shown = text.partition("For example, solve(")[2].partition(") returns ")[0]
        arguments = ast.literal_eval(f"({shown},)")
        assert arguments not in entry.inputs
        assert len(entry.inputs) == 8
        value = text.partition(") returns ")[2].partition(". Answer")[0]
        assert perform(made.program(made.expected(entry), entry)._replace(calls=(f"solve({shown})",))) == (
            value,
        )


def test_the_same_seed_gives_the_same_question_on_every_machine_and_others_another() -> None:
    text, entry = task("linear", level=2).question(1, 0)
    assert text == (
        "Write a Python function solve(a, b) that returns 4 times a minus 7 times b.\n"
        "For example, solve(16, -2) returns 78. Answer with the code alone."
    )
    assert entry.inputs[:3] == ((17, -19), (9, 15), (-15, -6))
    assert entry.outputs[:3] == ("201", "-69", "-18")
    assert len({task("linear").question(seed, 0)[0] for seed in range(200)}) > 150


def test_code_may_be_fenced_as_chat_models_write_it() -> None:
    made = task("linear")
    _, entry = made.question(7, 0)
    assert score(made, f"```python\n{made.expected(entry)}\n```", entry) == 1.0


@pytest.mark.parametrize("answer", ["", "0", "banana", "solve", "def other(n): return 1", "x" * 5_000])
def test_what_cannot_be_right_is_not_run(answer: str) -> None:
    for form in ("function", "expression"):
        made = task("linear", form=form)
        assert not made.admits(answer, made.question(7, 0)[1])


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("linear", {"level": 4}, "level must be a whole number from 1 to 3"),
        ("linear", {"level": True}, "level must be a whole number"),
        ("linear", {"cases": 99}, "cases must be a whole number from 1 to 32"),
        ("linear", {"form": "poem"}, "form must be one of function, expression"),
        ("linear", {"levle": 1}, "did you mean 'level'"),
        ("branch", {"form": "expression"}, "level 1 needs more than one expression"),
    ],
)
def test_a_wrong_option_is_named(family: str, config: dict[str, Any], message: str) -> None:
    with pytest.raises(BadOptionError, match=message):
        task(family, **config)


def test_a_family_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownDatasetError, match="did you mean 'series'"):
        task("serie")


@given(st.text(max_size=20), st.integers(0, 2**32), st.integers(1, 10**6))
def test_chance_is_within_its_bounds_and_the_same_for_the_same_parts(
    name: str, seed: int, bound: int
) -> None:
    drawn = [Chance(name, seed).below(bound) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert 0 <= drawn[0] < bound
    chance = Chance(name, seed)
    assert sorted(chance.shuffled(range(9))) == list(range(9))
    assert -3 <= chance.between(-3, 5) <= 5


def test_chance_is_spread_evenly() -> None:
    chance = Chance("even")
    counts = [0] * 8
    for _ in range(8_000):
        counts[chance.below(8)] += 1
    assert min(counts) > 850
    assert max(counts) < 1_150
