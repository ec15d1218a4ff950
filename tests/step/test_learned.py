"""Success before and now, compared on the same questions."""

from __future__ import annotations

import pytest

from swarmd.step.learned import counts, measured, paired_interval, trend
from swarmd.storage.held_out import Sitting


def sitting(step: int, gcd: str, products: str = "", part: int = 0, asked: bytes = b"a") -> Sitting:
    rows = {"gcd": gcd, "products": products}
    right = {name: tuple(each == "1" for each in row) for name, row in rows.items() if row}
    return Sitting(step, part, asked, "tiny", right, untrained=step == 0)


def test_sittings_on_different_parts_are_taken_together() -> None:
    found = measured([sitting(10, "1100", part=0), sitting(20, "1110", part=1)])
    assert found is not None
    assert (found.first_step, found.step, found.right, found.questions) == (10, 20, 5, 8)
    assert found.interval[0] < found.success < found.interval[1]


def test_nothing_asked_is_nothing_measured() -> None:
    assert measured([]) is None
    assert measured([sitting(1, "11")], "products") is None


def test_the_counts_are_by_task() -> None:
    assert counts([sitting(1, "10", "1"), sitting(2, "11", part=1)]) == {"gcd": (3, 4), "products": (1, 1)}


def test_the_same_400_questions_show_what_two_separate_intervals_hide() -> None:
    before, after = sitting(0, "1" * 120 + "0" * 280), sitting(900, "1" * 155 + "0" * 245)
    first, now = measured([before]), measured([after])
    assert first is not None
    assert now is not None
    assert first.interval[1] > now.interval[0], "apart, nobody could tell"
    found = trend([before], [after])
    assert found is not None
    assert found.difference == pytest.approx(35 / 400)
    assert found.word == "learned"


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ("0" * 40 + "1" * 10, "1" * 50, "learned"),
        ("1" * 50, "0" * 40 + "1" * 10, "worse"),
        ("0" * 25 + "1" * 25, "0" * 24 + "1" * 26, "not yet clear"),
        ("1" * 50, "1" * 50, "not yet clear"),
    ],
)
def test_the_word_is_what_the_interval_says(before: str, after: str, word: str) -> None:
    found = trend([sitting(0, before)], [sitting(9, after)])
    assert found is not None
    assert found.word == word


def test_only_questions_asked_both_times_are_compared() -> None:
    before = [sitting(0, "0000", part=0), sitting(0, "0000", part=1)]
    found = trend(before, [sitting(9, "1111", part=1), sitting(9, "1111", part=2)])
    assert found is not None
    assert found.questions == 4


def test_other_questions_of_the_same_number_are_not_compared() -> None:
    assert trend([sitting(0, "0000", asked=b"a")], [sitting(9, "11", asked=b"b")]) is None


def test_the_first_sitting_is_no_trend_against_itself() -> None:
    first = sitting(500, "0101")
    assert trend([first], [first]) is None


def test_a_task_has_a_trend_of_its_own() -> None:
    before, after = sitting(0, "0" * 30, "1" * 30), sitting(9, "1" * 30, "0" * 30)
    words = [found.word for name in ("gcd", "products") if (found := trend([before], [after], name))]
    assert words == ["learned", "worse"]


@pytest.mark.parametrize(
    ("gained", "lost", "questions"), [(0, 0, 1), (5, 0, 5), (0, 400, 400), (20, 10, 400)]
)
def test_the_interval_holds_the_difference_and_stays_in_range(gained: int, lost: int, questions: int) -> None:
    low, high = paired_interval(gained, lost, questions)
    assert -1 <= low < high <= 1
    assert low <= (gained - lost) / questions + 2 / questions
    assert high >= (gained - lost) / questions - 2 / questions


def test_the_interval_is_that_of_agresti_and_min() -> None:
    """Their method by hand: n = 100, 12 gained, 4 lost; (8 +- 1.96 sqrt(17 - 64 / 102)) / 102."""
    low, high = paired_interval(12, 4, 100)
    assert (low, high) == (pytest.approx(0.00063, abs=1e-4), pytest.approx(0.1562, abs=1e-4))
