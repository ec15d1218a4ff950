"""Which of others' answers are trained on again, and which are not."""

import json
import random
from dataclasses import replace

import pytest
from pydantic import ValidationError

from swarmd.config import LearningConfig
from swarmd.learning import Rehearsal, Trainer
from swarmd.learning.rehearsal import FAMILIES_MAX, LESSONS_PER_FAMILY, TEXT_BYTES_MAX, USES_MAX
from tests.learning.candidates import TASK, taught

ABLE = {TASK: 0.8}
FAILS = {TASK: 0.0}


def draw(rehearsal, count=100, own=FAILS, others=ABLE, trust=lambda publisher: 1.0, tasks=None):
    tasks = {*own, *others} if tasks is None else tasks
    return rehearsal.draw(count, tasks=tasks, own=own, others=others, trust=trust, rng=random.Random(0))


def having(*groups):
    rehearsal = Rehearsal()
    rehearsal.see([], groups)
    return rehearsal


def test_a_lesson_is_one_right_answer():
    [lesson] = draw(having(taught(rewards=(0.0, 1.0, 1.0))))
    assert [(c.text, c.reward) for c in lesson.completions] == [("4", 1.0)]


@pytest.mark.parametrize(
    ("own", "theirs", "rehearsed"),
    [(0.0, 0.8, True), (0.3, 0.8, True), (0.5, 0.8, False), (0.0, 0.1, False)],
    ids=["fails", "behind", "nearly there", "nobody can"],
)
def test_only_a_family_is_rehearsed_that_others_can_do_and_this_peer_cannot(own, theirs, rehearsed):
    assert bool(draw(having(taught()), own={TASK: own}, others={TASK: theirs})) == rehearsed


def test_answers_that_are_wrong_not_bare_or_too_long_are_not_kept():
    long = taught(text="4" * TEXT_BYTES_MAX)
    assert draw(having(taught(rewards=(0.0, 0.0)), taught(bare=False), long)) == []


def test_no_answer_is_used_more_often_than_the_bound():
    rehearsal = having(taught())
    assert sum(len(draw(rehearsal)) for _ in range(3 * USES_MAX)) == USES_MAX


def test_each_family_is_as_likely_whatever_its_number_of_lessons():
    other = bytes([1]) * 16
    rehearsal = having(*(taught(n) for n in range(40)), *(taught(n, task_id=other) for n in range(10)))
    drawn = draw(rehearsal, 16, own={}, others={TASK: 0.8, other: 0.8})
    assert 4 <= sum(lesson.task_id == other for lesson in drawn) <= 10


def test_what_is_kept_is_bounded_and_the_oldest_goes_first():
    rehearsal = having(*(taught(n) for n in range(LESSONS_PER_FAMILY + 1)))
    questions = {lesson.question for lesson in draw(rehearsal)}
    assert len(questions) == LESSONS_PER_FAMILY
    assert "p/0" not in questions
    tasks = [n.to_bytes(16) for n in range(FAMILIES_MAX + 1)]
    rehearsal = having(*(taught(task_id=task) for task in tasks))
    drawn = draw(rehearsal, own={}, others=dict.fromkeys(tasks, 0.8))
    assert {lesson.task_id for lesson in drawn} == set(tasks[1:])


def test_whom_this_peer_no_longer_trusts_teaches_nothing():
    rehearsal = having(taught(publisher="liar"), taught(publisher="honest"))
    drawn = draw(rehearsal, trust=lambda publisher: float(publisher == "honest"))
    assert [lesson.publisher for lesson in drawn] == ["honest"]


def test_tasks_that_the_swarms_rules_no_longer_have_are_not_rehearsed():
    gone = bytes([1]) * 16
    rehearsal = having(taught(1), taught(2, task_id=gone))
    rehearsal.see([replace(taught(3, publisher="me", task_id=gone), external=False)], [])
    both = {TASK: 0.8, gone: 0.8}
    assert [lesson.task_id for lesson in draw(rehearsal, own={}, others=both, tasks=[TASK])] == [TASK]


def test_beside_what_is_needed_as_many_own_answers_are_trained_on():
    known = bytes([1]) * 16
    own = [replace(taught(n, bare=False, publisher="me", task_id=known), external=False) for n in range(9)]
    rehearsal = having(taught(1), taught(2))
    rehearsal.see(own, [])
    success = {TASK: 0.0, known: 0.7}
    assert [lesson.publisher for lesson in draw(rehearsal, own=success)] == ["p", "p", "me", "me"]
    assert draw(rehearsal, own={TASK: 0.8, known: 0.7}) == [], "nothing is needed, so nothing is repeated"


def test_it_comes_back_from_json_and_goes_on_as_before():
    first, second = having(taught(1), taught(2)), Rehearsal()
    draw(first, 1)
    second.restore(json.loads(json.dumps(first.to_state())))
    assert [draw(second) for _ in range(USES_MAX)] == [draw(first) for _ in range(USES_MAX)]


def test_lessons_are_refused_where_they_would_have_no_advantage_or_never_come():
    with pytest.raises(ValidationError, match="set external_baseline to shared"):
        LearningConfig(rehearse=1)
    with pytest.raises(ValidationError, match="rehearse is set but external is 0"):
        LearningConfig(rehearse=1, external=0, external_baseline="shared")
    with pytest.raises(ValidationError, match="needed_questions is set but local is 0"):
        LearningConfig(needed_questions=0.5, local=0)


def test_a_step_trains_on_lessons_and_counts_them_apart(make_policy, external_group):
    policy = make_policy()
    before = policy.trainable_state()
    lesson = replace(external_group("2+2?", ("<answer>4</answer>", 1.0)), task_id=TASK)
    metrics = Trainer(policy, LearningConfig(external_baseline="shared")).step([], [], FAILS, [lesson])
    assert (metrics.updated, metrics.lessons, metrics.groups_external_used) == (True, 1, 0)
    assert metrics.tokens_lessons_trained > 0
    assert metrics.tokens_own_trained == metrics.tokens_external_trained == 0
    assert any(not before[name].equal(now) for name, now in policy.trainable_state().items())
