"""One right answer that is published again and again does not crowd out the others."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.step.repeated_answers import (
    REPEATS_ALWAYS,
    REPEATS_MAX,
    right_answer,
    without_repeated_answers,
)
from tests.learning.candidates import group

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def answered(answers: Sequence[str], task: bytes = bytes(16), publisher: str = "a") -> list[ScoredGroup]:
    """One group per answer: right once, wrong once."""
    return [
        replace(
            group(publisher, 1.0, 0.0, task_id=task, number=number),
            completions=(
                ScoredCompletion("<answer>wrong</answer>", 0.0, finished=True),
                ScoredCompletion(f"so <answer> {answer} </answer>", 1.0, finished=True, bare=True),
            ),
        )
        for number, answer in enumerate(answers)
    ]


def counts(groups: Sequence[ScoredGroup]) -> Counter[str]:
    return Counter(answer for each in groups for answer in right_answer(each))


def thinned(groups: Sequence[ScoredGroup]) -> list[ScoredGroup]:
    return without_repeated_answers(groups, random.Random(0))


def test_an_answer_that_is_published_all_the_time_is_thinned_to_twice_the_others() -> None:
    found = counts(thinned(answered(["Monday"] * 60 + list(DAYS[1:]) * 3)))
    assert found == Counter({"Monday": 6} | dict.fromkeys(DAYS[1:], 3))


def test_where_only_one_answer_is_published_two_groups_are_left() -> None:
    assert counts(thinned(answered(["Monday"] * 60))) == {"Monday": REPEATS_ALWAYS}


def test_answers_that_are_as_frequent_as_each_other_all_stay_and_so_do_answers_that_differ() -> None:
    even = answered(["yes", "no"] * 30)
    unique = answered([str(number) for number in range(60)])
    assert thinned(even) == even
    assert thinned(unique) == unique


def test_each_task_is_thinned_by_its_own_answers() -> None:
    one, other = answered(["1"] * 20 + ["2"] * 20, bytes(16)), answered(["1"] * 20, bytes([1] * 16))
    kept = thinned(one + other)
    assert [each for each in kept if each.task_id == bytes(16)] == one
    assert sum(each.task_id != bytes(16) for each in kept) == REPEATS_ALWAYS


def test_parties_share_what_is_kept_of_an_answer() -> None:
    flood = answered(["Monday"] * 60, publisher="many")
    honest = answered([*DAYS, *DAYS, *DAYS], publisher="one")
    kept = [each.publisher for each in thinned(flood + honest) if right_answer(each) == ("Monday",)]
    assert Counter(kept) == {"many": 3, "one": 3}


def test_text_that_is_not_trained_on_does_not_hide_the_answer() -> None:
    hidden = ScoredCompletion("<answer>Monday, I guess</answer>", 1.0, finished=True)
    [plain] = answered(["Monday"])
    assert right_answer(replace(plain, completions=(hidden, *plain.completions))) == ("Monday",)


@given(st.lists(st.sampled_from("abcdef"), max_size=80))
def test_no_answer_is_lost_and_none_is_left_much_more_often_than_the_others_were(answers: list[str]) -> None:
    groups = answered(answers)
    kept = thinned(groups)
    before, after = counts(groups), counts(kept)
    assert set(before) == set(after)
    assert [each for each in groups if each in kept] == kept
    for answer, count in after.items():
        others = [before[other] for other in before if other != answer]
        mean = sum(others) / len(others) if others else 0.0
        assert count == min(before[answer], max(REPEATS_ALWAYS, int(REPEATS_MAX * mean)))
