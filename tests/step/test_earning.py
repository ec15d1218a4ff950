"""What a completion earns that was cut off."""

from __future__ import annotations

import pytest

from swarmd.step.earning import earned

ANSWER = "<answer>7</answer>"


@pytest.mark.parametrize(
    "text", [f"{ANSWER} and so on", f"{ANSWER}<answer>8</answer>!", f"{ANSWER}\n<answer>"]
)
def test_a_text_that_goes_on_behind_its_answer_until_it_is_cut_off_earns_nothing(text) -> None:
    assert earned(1.0, text, ended=False, unended="wrong") == 0.0


@pytest.mark.parametrize("text", [f"{ANSWER} and so on", ANSWER])
def test_a_text_that_ends_earns_what_it_scores(text) -> None:
    assert earned(0.5, text, ended=True, unended="wrong") == 0.5


@pytest.mark.parametrize("text", [ANSWER, f"so {ANSWER} \n", "no answer yet", ""])
def test_a_text_that_is_cut_off_with_nothing_behind_an_answer_earns_what_it_scores(text) -> None:
    assert earned(0.5, text, ended=False, unended="wrong") == 0.5


def test_it_can_be_told_to_score_all_alike() -> None:
    assert earned(1.0, f"{ANSWER} and so on", ended=False, unended="scored") == 1.0
