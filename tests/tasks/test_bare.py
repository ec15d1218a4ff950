"""An answer is bare if its writer chose nothing in it: payloads inside right answers are found."""

from __future__ import annotations

import ast
import random
from collections.abc import Callable
from decimal import Decimal, InvalidOperation

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.tasks.bare import CPU_S_MAX, SCORINGS_MAX, Budget, is_plain, is_tight, rivals
from swarmd.tasks.gym import SEVERAL_ANSWERS, ReasoningGym
from swarmd.tasks.rewards import score_micro

WORTH = 1_000_000
DIGITS = st.text("123456789", min_size=1, max_size=6)


def free() -> Budget:
    return Budget(lambda: 0.0)


def number(right: str, *, tolerance: str = "0") -> Callable[[str], int]:
    """A scorer that reads numbers as most do: commas, signs, zeros, exponents and digits of any script."""

    def score(answer: str) -> int:
        try:
            found = Decimal(answer.replace(",", ""))
        except InvalidOperation:
            return 0
        return WORTH * (found.is_finite() and abs(found - Decimal(right)) <= Decimal(tolerance))

    return score


def formula(right: int) -> Callable[[str], int]:
    """A scorer that evaluates sums and products, like those of countdown and puzzle24."""

    def score(answer: str) -> int:
        try:
            tree = ast.parse(answer, mode="eval")
        except (SyntaxError, ValueError):
            return 0
        if any(isinstance(node, ast.Call | ast.Name | ast.Pow) for node in ast.walk(tree)):
            return 0
        try:
            value = eval(compile(tree, "answer", "eval"), {})  # noqa: S307  numbers and operators only
            return WORTH * (value == right)
        except (TypeError, ZeroDivisionError):
            return 0

    return score


def is_bare(answer: str, score: Callable[[str], int], budget: Budget | None = None) -> bool:
    assert score(answer) == WORTH, "only what is right is asked about"
    return is_tight(answer, WORTH, score, budget or free())


# What can be left out of an answer ------------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        "0012", "12.0", "12.", "+12", "1,2", "0_12", "12e0", "1.2e1", "120e-1", "12000000E-6", "1_2",
        "١٢", "１２",
    ],
)  # fmt: skip
def test_another_spelling_of_a_number_is_not_bare(payload: str) -> None:
    score = number("12")
    assert is_bare("12", score)
    assert not is_bare(payload, score)


@pytest.mark.parametrize(
    "payload",
    [
        "(3 + 4)",
        "((3)) + 4",
        "3 + 4 + 0",
        "3 + 4*1",
        "--3 + 4",
        "+3 + 4",
        "3 + +4",
        "3 +  4",
        "3\t+ 4",
        "0x3 + 4",
    ],
)
def test_a_formula_with_more_than_it_needs_is_not_bare(payload: str) -> None:
    score = formula(7)
    assert is_bare("3 + 4", score)
    assert is_bare("14 - 7", score), "which right answer is its writer's choice"
    assert not is_bare(payload, score)


@pytest.mark.parametrize("text", ["hAiL", "Monday"])
def test_letters_of_a_case_that_does_not_matter_are_not_bare(text: str) -> None:
    def score(answer: str) -> int:
        return WORTH * (answer.lower() == text.lower())

    assert is_bare(text.lower(), score)
    assert is_bare(text.upper(), score)
    assert not is_bare(text, score)
    assert is_bare(text, lambda answer: WORTH * (answer == text))


@pytest.mark.parametrize("text", ["x\u200by", "ｘ", "a  b", "a\n\nb", "a\tb", "²", "५", "x" * 257])
def test_text_that_could_look_different_is_not_plain(text: str) -> None:
    assert not is_plain(text)


@given(DIGITS, st.text("0+,. _", min_size=1, max_size=4), st.sampled_from(["before", "inside", "after"]))
def test_nothing_that_a_scorer_of_numbers_passes_over_is_bare(right: str, payload: str, place: str) -> None:
    score = number(right)
    answer = {
        "before": f"{payload}{right}",
        "after": f"{right}{payload}",
        "inside": f"{right[0]}{payload}{right[1:]}",
    }[place].strip()
    if score(answer) == WORTH and answer != right:
        assert not is_bare(answer, score)


@given(DIGITS, st.integers(0, 9))
def test_within_a_tolerance_an_answer_is_bare_only_if_its_last_digit_counts(right: str, more: int) -> None:
    """The writer may choose a value, but no digits beyond it."""
    score = number(f"{right}.5", tolerance="0.1")
    answer = f"{right}.5{more}7"
    if score(answer) == WORTH:
        assert not is_bare(answer, score)


@given(st.text(max_size=20))
def test_rivals_are_shorter_or_of_the_other_case_and_few(answer: str) -> None:
    found = list(rivals(answer))
    assert all(len(rival) < len(answer) or rival == answer.swapcase() for rival in found)
    assert len(found) <= 3 * len(answer) + 2


# What the trials may cost ---------------------------------------------------------------------------


def test_once_a_groups_scorings_are_spent_no_answer_is_bare() -> None:
    asked: list[str] = []

    def score(answer: str) -> int:
        asked.append(answer)
        return 0

    budget = free()
    answers = [f"{n:04d}" for n in range(200)]
    bare = [is_tight(answer, WORTH, score, budget) for answer in answers]
    assert (bare[0], bare[-1]) == (True, False)
    assert len(asked) == SCORINGS_MAX


def test_once_a_groups_cpu_time_is_spent_no_answer_is_bare() -> None:
    now = [0.0]
    budget = Budget(lambda: now[0])

    def slow(_: str) -> int:
        now[0] += CPU_S_MAX / 10
        return 0

    assert is_tight("12", WORTH, slow, budget)
    assert not is_tight("1234567", WORTH, slow, budget)


# The datasets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(ReasoningGym().datasets()) - {"composite"}))
def test_the_answer_that_a_dataset_gives_is_bare_and_nothing_added_to_it_is(name: str) -> None:
    task = ReasoningGym().build(name, {})
    _, entry = task.question(11, 0)
    own = entry[1]["answer"]
    if own is None:
        assert task.is_bare("1", entry) is None
        return
    own = own.strip()
    assert score_micro(task.score(own, entry)) > 990_000
    assert task.is_bare(own, entry) is True
    verdict = None if name in SEVERAL_ANSWERS else False
    changes = [f"0{own}", f"+{own}", f"{own}.0", f"({own})", f"{own} ", own.swapcase() + "!", f"{own}\u200b"]
    assert {task.is_bare(changed, entry) for changed in changes} == {verdict}


def test_a_question_of_a_composite_is_judged_as_one_of_its_dataset() -> None:
    parts = [{"name": "gcd"}, {"name": "countdown"}]
    task = ReasoningGym().build("composite", {"datasets": parts})
    found = {}
    for index in range(12):
        _, entry = task.question(3, index)
        name = entry[1]["metadata"]["source_dataset"]
        found[name] = task.is_bare(f"0{entry[1]['answer']}", entry)
    assert found == {"gcd": False, "countdown": None}


@pytest.mark.parametrize("name", ["countdown", "n_queens", "word_ladder", "sokoban", "jugs"])
def test_if_several_answers_are_right_another_can_be_bare(name: str) -> None:
    """Here the dataset's own answer stands for another right one."""
    task = ReasoningGym().build(name, {})
    rng = random.Random(5)
    _, entry = task.question(rng.randrange(100), 0)

    def score(answer: str) -> int:
        return score_micro(task.score(answer, entry)) if task.admits(answer, entry) else 0

    own = entry[1]["answer"].strip()
    assert is_tight(own, score(own), score, free())
