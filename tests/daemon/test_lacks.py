"""What a peer lacks to learn from is told once, with what to do, and again only when it is news."""

from __future__ import annotations

from swarmd.daemon.lacks import (
    ENOUGH_STEPS,
    FIRST_STEPS,
    FRUITLESS_STEPS,
    LAST_STEPS,
    NOTHING_TO_LEARN_FROM,
    SHOWN_CHARS,
    UNENDED_STEPS,
    AnswerLack,
    EndLack,
    ExternalLack,
    OwnLacks,
    UnendedLack,
)


def test_too_few_groups_by_others_are_told_once() -> None:
    lack = ExternalLack()
    told = [lack.see(4, had, 4) for had in (0, 0, 2, 0)]
    assert told == [
        "no external groups yet: training on own groups alone until some arrive",
        None,
        None,
        None,
    ]
    assert lack.reason is None, "a peer that trains alone learns"


def test_a_lack_after_a_long_time_of_plenty_is_told_again() -> None:
    lack = ExternalLack()
    lack.see(4, 0, 4)
    for _ in range(ENOUGH_STEPS - 1):
        lack.see(4, 4, 4)
    assert lack.see(4, 3, 4) is None, "it comes and goes"
    for _ in range(ENOUGH_STEPS):
        lack.see(4, 4, 4)
    assert lack.see(4, 3, 4) == "3 of 4 external groups: training with these until more arrive"


def test_a_peer_without_groups_of_its_own_learns_nothing_until_some_come() -> None:
    lack = ExternalLack()
    assert [lack.see(4, 0, 0), lack.see(4, 0, 0)] == [NOTHING_TO_LEARN_FROM, None]
    assert lack.reason == NOTHING_TO_LEARN_FROM
    lack.see(4, 1, 0)
    assert lack.reason is None


def test_completions_without_an_answer_are_told_after_some_steps_and_one_is_shown() -> None:
    lack = AnswerLack()
    told = [lack.see([["I am\x1b[31m " + "x" * 500]], [[0.0]]) for _ in range(FRUITLESS_STEPS + 5)]
    [(step, text)] = [(step, text) for step, text in enumerate(told, 1) if text is not None]
    assert step == FRUITLESS_STEPS
    assert text.startswith(f"no completion had an answer tag for {FRUITLESS_STEPS} steps")
    assert "use a --model that follows instructions" in text
    assert "I am" in text
    assert "\x1b" not in text
    assert len(text) < SHOWN_CHARS + 400
    assert lack.reason is not None
    assert f"for {FRUITLESS_STEPS + 5} steps" in lack.reason


def test_answers_that_are_all_wrong_are_another_lack() -> None:
    lack = AnswerLack()
    told = [lack.see([["<answer>7</answer>"]], [[0.0]]) for _ in range(FRUITLESS_STEPS)]
    assert (told[-1] or "").startswith(f"no answer was right for {FRUITLESS_STEPS} steps")


def test_answers_that_no_judge_judged_are_not_wrong() -> None:
    lack = AnswerLack()
    answers = [["<answer>7</answer>"]]
    assert [lack.see(answers, []) for _ in range(2 * FRUITLESS_STEPS)] == [None] * (2 * FRUITLESS_STEPS)
    told = [lack.see(answers, [[0.0]]) for _ in range(FRUITLESS_STEPS)]
    assert (told[-1] or "").startswith(f"no answer was right for {FRUITLESS_STEPS} steps")


def test_one_right_answer_ends_the_lack_and_the_next_one_is_told_again() -> None:
    lack = AnswerLack()
    for _ in range(FRUITLESS_STEPS):
        lack.see([["no"]], [[0.0]])
    assert lack.see([["no", "<answer>7</answer>"]], [[0.0, 1.0]]) is None
    assert lack.reason is None
    told = [lack.see([["no"]], [[0.0]]) for _ in range(FRUITLESS_STEPS)]
    assert told[-1] is not None


def test_a_step_without_own_groups_says_nothing_about_answers() -> None:
    lack = AnswerLack()
    assert all(lack.see([], []) is None for _ in range(2 * FRUITLESS_STEPS))
    assert lack.reason is None


def test_texts_that_stop_ending_are_told_once_with_both_shares() -> None:
    lack = EndLack()
    for _ in range(FIRST_STEPS):
        assert lack.see([True, True, True, False]) is None
    told = [lack.see([False, False, False, True]) for _ in range(2 * LAST_STEPS)]
    found = [each for each in told if each is not None]
    assert len(found) == 1
    assert "25% end by themselves" in found[0]
    assert "75% did at first" in found[0]
    assert "--stop '</answer>'" in found[0]
    assert told.index(found[0]) == LAST_STEPS - 1, "a few odd steps are no rule"


def test_texts_that_end_again_end_the_lack() -> None:
    lack = EndLack()
    for share in [[True, True]] * FIRST_STEPS + [[False, False]] * LAST_STEPS:
        lack.see(share)
    assert lack.reason is not None
    for _ in range(LAST_STEPS):
        lack.see([True, True])
    assert lack.reason is None


def test_a_model_whose_texts_never_ended_lacks_nothing_that_it_had() -> None:
    lack = EndLack()
    assert all(lack.see([False, False]) is None for _ in range(FIRST_STEPS + 2 * LAST_STEPS))
    assert lack.reason is None


def test_right_answers_that_earn_nothing_because_their_texts_go_on_are_told_once_with_what_to_do() -> None:
    lack = UnendedLack()
    told = [lack.see(withheld=3, rewarded=1) for _ in range(3 * UNENDED_STEPS)]
    [text] = [each for each in told if each is not None]
    assert told.index(text) == UNENDED_STEPS - 1
    assert f"{3 * UNENDED_STEPS} of {4 * UNENDED_STEPS} right answers" in text
    assert "--stop '</answer>'" in text
    assert 'learning.unended = "scored"' in text
    assert lack.reason is not None


def test_it_is_well_as_soon_as_most_right_answers_earn_again() -> None:
    lack = UnendedLack()
    for _ in range(UNENDED_STEPS):
        lack.see(withheld=3, rewarded=1)
    for _ in range(UNENDED_STEPS):
        lack.see(withheld=1, rewarded=1)
    assert lack.reason is None


def test_a_step_is_looked_at_for_all_that_own_groups_may_lack() -> None:
    lacks = OwnLacks()
    cut_off = {"scored": [[1.0, 0.0]], "earned": [[0.0, 0.0]], "ended": [False, False]}
    told = [lacks.see([["<answer>7</answer> and", "no"]], **cut_off) for _ in range(UNENDED_STEPS)]
    assert [len(each) for each in told] == [0] * (UNENDED_STEPS - 1) + [1]
    assert lacks.reasons == tuple(told[-1])
    assert lacks.see([], scored=[], earned=[], ended=[]) == []
