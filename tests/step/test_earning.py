"""What a completion earns that was cut off."""

from __future__ import annotations

import pytest

from swarmd.step.earning import earned

ANSWER = "<answer>7</answer>"


@pytest.mark.parametrize(
    "text", [f"{ANSWER} and so on", f"{ANSWER}<answer>8</answer>!", f"{ANSWER}\n<answer>"]
)
def test_a_text_that_goes_on_behind_its_answer_until_it_is_cut_off_earns_nothing(text) -> None:
    assert earned(1.0, [(text, False)], unended="wrong") == 0.0


@pytest.mark.parametrize("text", [f"{ANSWER} and so on", ANSWER])
def test_a_text_that_ends_earns_what_it_scores(text) -> None:
    assert earned(0.5, [(text, True)], unended="wrong") == 0.5


@pytest.mark.parametrize("text", [ANSWER, f"so {ANSWER} \n", "no answer yet", ""])
def test_a_text_that_is_cut_off_with_nothing_behind_an_answer_earns_what_it_scores(text) -> None:
    assert earned(0.5, [(text, False)], unended="wrong") == 0.5


def test_it_can_be_told_to_score_all_alike() -> None:
    assert earned(1.0, [(f"{ANSWER} and so on", False)], unended="scored") == 1.0


@pytest.mark.parametrize("cut_off", [0, 1, 2])
def test_of_several_turns_none_may_go_on_until_it_is_cut_off(cut_off) -> None:
    turns = [(f"{ANSWER} and so on", index != cut_off) for index in range(3)]
    assert earned(1.0, turns, unended="wrong") == 0.0
    assert earned(1.0, [(text, True) for text, _ in turns], unended="wrong") == 1.0
