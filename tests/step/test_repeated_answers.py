"""One right answer that is published again and again does not crowd out the others."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from swarmd.gossip import Party
from swarmd.groups import ScoredCompletion, ScoredGroup
from swarmd.learning import UniformSampler
from swarmd.network.interface import Standing
from swarmd.step.repeated_answers import MEMORY, REPEATS_ALWAYS, DrawnAnswers, most, right_answer
from swarmd.step.shares import Shares
from tests.learning.candidates import NOW, group

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
TASK, OTHER_TASK = bytes(16), bytes([1] * 16)
STEPS, PER_STEP = 60, 8


def answered(answers: Sequence[str], task: bytes = TASK, publisher: str = "a") -> list[ScoredGroup]:
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


def share_drawn(answer: str, candidates: Sequence[ScoredGroup], own: Sequence[ScoredGroup] = ()) -> float:
    """The share of `answer` in the second half of some steps that each draw from all `candidates`."""
    rng, drawn, seen = random.Random(0), DrawnAnswers(), list[ScoredGroup]()
    [wanted] = {right_answer(each) for each in answered([answer])}
    for step in range(STEPS):
        left = drawn.without_frequent(candidates, rng)
        taken = rng.sample(left, min(PER_STEP, len(left)))
        drawn.see(own, taken)
        seen += taken if step >= STEPS // 2 else []
    return sum(right_answer(each) == wanted for each in seen) / max(1, len(seen))


WEEK = answered(DAYS * 12, publisher="honest")
MONDAYS = answered(["Monday"] * 60, publisher="attacker")


def test_an_answer_that_is_published_all_the_time_is_drawn_twice_as_often_as_the_others_at_most() -> None:
    assert share_drawn("Monday", WEEK + MONDAYS) <= 2 / 8 + 0.03
    assert share_drawn("Monday", WEEK) <= 1 / 7 + 0.06


def test_where_only_one_answer_is_published_only_two_groups_are_drawn() -> None:
    drawn, rng = DrawnAnswers(), random.Random(0)
    first = drawn.without_frequent(MONDAYS, rng)
    assert len(first) == REPEATS_ALWAYS
    drawn.see((), first)
    assert drawn.without_frequent(MONDAYS, rng) == []


def test_the_limit_holds_although_parties_share_the_draw() -> None:
    """As in a daemon: ten parties with equal shares, three of which publish nothing but Mondays."""
    week = [each for number in range(7) for each in answered(DAYS * 2, publisher=f"honest {number}")]
    mondays = [each for number in range(3) for each in answered(["Monday"] * 14, publisher=f"lie {number}")]
    shares = Shares(lambda peer: Party(peer, Standing.KNOWN), lambda: True, lambda: 0.0)
    drawn, rng, sampler, seen = DrawnAnswers(), random.Random(0), UniformSampler(), Counter[str]()
    for step in range(STEPS):
        left = drawn.without_frequent(week + mondays, rng, shares.party_name)
        taken = shares.draw(left, PER_STEP, sampler, rng, NOW)
        assert len(taken) == PER_STEP or step < 5
        drawn.see((), taken)
        seen.update(map(right_answer, taken if step >= STEPS // 2 else ()))
    assert seen[right_answer(MONDAYS[0])] / seen.total() <= 2 / 8 + 0.03  # 0.4 without the limit


def test_answers_that_own_questions_have_as_often_are_not_held_back() -> None:
    """A task whose answers are naturally uneven: nine of ten are "no"."""
    uneven = answered((["no"] * 9 + ["yes"]) * 6, publisher="honest")
    own = answered(["no"] * 9 + ["yes"])
    assert share_drawn("no", uneven, own) > 0.85
    assert share_drawn("no", uneven) < 0.75


def test_own_questions_that_were_not_answered_right_speak_for_no_answer() -> None:
    failed = [replace(each, completions=each.completions[:1]) for each in answered(["wrong"] * 20)]
    drawn = DrawnAnswers()
    drawn.see(failed, MONDAYS[:REPEATS_ALWAYS])
    assert drawn.without_frequent(MONDAYS, random.Random(0)) == []


def test_many_answers_that_occur_once_do_not_lower_the_limit_of_the_others() -> None:
    unique = dict.fromkeys((str(number) for number in range(40)), 1)
    assert most("yes", {"yes": 20, "no": 20} | unique, {}) >= 14


def test_answers_that_are_as_frequent_as_each_other_or_differ_are_all_drawn() -> None:
    even, unique = answered(["yes", "no"] * 30), answered([str(number) for number in range(60)])
    assert share_drawn("yes", even) > 0.4
    drawn, rng = DrawnAnswers(), random.Random(0)
    assert drawn.without_frequent(unique, rng) == unique
    drawn.see((), unique)
    assert drawn.without_frequent(unique, rng) == unique


def test_each_task_has_its_own_limit() -> None:
    drawn, rng = DrawnAnswers(), random.Random(0)
    drawn.see((), answered(["Monday"] * 4))
    kept = drawn.without_frequent(answered(["Monday"], OTHER_TASK) + answered(["Monday"]), rng)
    assert [each.task_id for each in kept] == [OTHER_TASK]


def test_parties_share_what_is_left_for_an_answer() -> None:
    kept = DrawnAnswers().without_frequent(MONDAYS + WEEK, random.Random(0))
    mondays = [each.publisher for each in kept if right_answer(each) == right_answer(MONDAYS[0])]
    assert sorted(mondays) == ["attacker", "honest"]


def test_text_that_is_not_trained_on_does_not_hide_the_answer() -> None:
    hidden = ScoredCompletion("<answer>Monday, I guess</answer>", 1.0, finished=True)
    [plain] = answered(["Monday"])
    disguised = replace(plain, completions=(hidden, *plain.completions))
    assert right_answer(disguised) == right_answer(plain)


def test_a_restarted_peer_remembers_what_it_drew() -> None:
    drawn, again = DrawnAnswers(), DrawnAnswers()
    drawn.see(answered(["no"]), MONDAYS[:REPEATS_ALWAYS])
    again.restore(json.loads(json.dumps(drawn.to_state())))
    assert again.without_frequent(MONDAYS, random.Random(0)) == []
    assert json.loads(json.dumps(again.to_state())) == json.loads(json.dumps(drawn.to_state()))


@given(st.lists(st.sampled_from("abcdef"), max_size=40), st.lists(st.sampled_from("abcdef"), max_size=700))
def test_no_answer_is_drawn_more_often_than_allowed_and_memory_is_bounded(
    offered: list[str], drawn_before: list[str]
) -> None:
    drawn, candidates = DrawnAnswers(), answered(offered)
    drawn.see((), answered(drawn_before))
    kept = drawn.without_frequent(candidates, random.Random(0))
    assert [each for each in candidates if each in kept] == kept
    remembered = drawn.to_state()["drawn"]
    assert len(remembered) == min(MEMORY, len(drawn_before))
    before, now = Counter(answer for _, answer in remembered), Counter(map(right_answer, kept))
    for answer, count in now.items():
        assert before[answer] + count <= most(answer, before, {})


def test_an_own_group_that_no_judge_judged_is_no_question_without_a_right_answer() -> None:
    unjudged = replace(answered(["no"])[0], confidence=0.0)
    unjudged = replace(unjudged, completions=unjudged.completions[:1])
    drawn = DrawnAnswers()
    drawn.see([*answered(["no"]), unjudged], [])
    assert len(drawn.to_state()["own"]) == 1
