"""Where the answer is in a completion."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarmd.tasks import extract_answer, prompt_messages


@pytest.mark.parametrize(
    ("completion", "answer"),
    [
        ("<answer>4</answer>", "4"),
        ("I think.\n<answer>\n 4 \n</answer> done", "4"),
        ("<answer>1</answer> no: <answer>2</answer>", "2"),
        ("<answer>1</answer> <answer>2", "1"),
        ("<answer>1<answer>2</answer>", "2"),
        ("<answer>1</answer></answer>", "1"),
        ("<answer></answer>", ""),
        ("4", None),
        ("<answer>4", None),
        ("4</answer>", None),
        ("</answer>4<answer>", None),
        ("<ANSWER>4</ANSWER>", None),
        ("", None),
    ],
)
def test_the_last_complete_tag_holds_the_answer(completion: str, answer: str | None) -> None:
    assert extract_answer(completion) == answer


@given(st.lists(st.sampled_from(["<answer>", "</answer>", " ", "x", "\n"])).map("".join))
def test_any_text_gives_a_stripped_answer_without_tags_or_none(completion: str) -> None:
    answer = extract_answer(completion)
    assert answer is None or (
        answer == answer.strip() and "<answer>" not in answer and "</answer>" not in answer
    )


def test_the_prompt_asks_for_the_tags_and_leaves_the_question_alone() -> None:
    system, user = prompt_messages("What is 2+2?")
    assert system["role"] == "system"
    assert "<answer></answer>" in system["content"]
    assert user == {"role": "user", "content": "What is 2+2?"}
