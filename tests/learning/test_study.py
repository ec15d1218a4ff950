"""Which right answers are kept, how often each is studied, and what a supervised update does."""

import json
import random
from dataclasses import replace

import pytest

from swarmd.config import LearningConfig
from swarmd.groups import ScoredCompletion
from swarmd.learning import Study, Trainer
from swarmd.learning import study as studying
from swarmd.learning.study import LESSONS_MIN, TEXT_BYTES_MAX, USES_MAX
from swarmd.logprobs import TokenRow
from tests.learning.candidates import TASK, group

OTHER = bytes([1]) * 16


def taught(number=0, *, rewards=(1.0, 0.0), bare=True, text="4", publisher="p", task_id=TASK):
    asked = group(publisher, *rewards, number=number, task_id=task_id)
    texts = [text if reward == 1 else "wrong" for reward in rewards]
    completions = tuple(
        ScoredCompletion(each, reward, True, bare=bare) for each, reward in zip(texts, rewards, strict=True)
    )
    return replace(asked, completions=completions)


def many(count=LESSONS_MIN, **about):
    return [taught(number, **about) for number in range(count)]


def having(*groups):
    study = Study()
    study.see(groups)
    return study


def draw(study, updates=1, answers=8, trust=lambda publisher: 1.0, seed=0):
    return study.draw(updates, answers, trust=trust, rng=random.Random(seed))


def questions(batches):
    return [(lesson.task_id, lesson.question) for batch in batches for lesson in batch]


def test_own_answers_and_those_of_others_are_studied():
    own = [replace(each, external=False) for each in many(LESSONS_MIN, publisher="me", bare=False)]
    batches = draw(having(*own, *many(task_id=OTHER)), updates=8)
    assert {lesson.publisher for batch in batches for lesson in batch} == {"me", "p"}
    assert all(lesson.completions[0].text == "4" for batch in batches for lesson in batch)


def test_answers_that_are_wrong_not_bare_or_too_long_are_not_kept():
    kept = having(
        *many(rewards=(0.0, 0.0)), *many(bare=False), *many(text="4" * TEXT_BYTES_MAX), *many(LESSONS_MIN - 1)
    )
    assert draw(kept) == [], "one lesson is missing"
    kept.see([taught(LESSONS_MIN)])
    assert len(draw(kept)) == 1


def test_updates_are_full_and_no_lesson_is_drawn_twice_in_a_step():
    batches = draw(having(*many(50)), updates=100, answers=8)
    assert [len(batch) for batch in batches] == [8] * 6
    assert len(set(questions(batches))) == 48


def test_fewer_lessons_than_an_update_needs_are_not_studied():
    assert draw(having(*many(50)), updates=4, answers=64) == []


def test_families_are_drawn_evenly_whatever_their_number_of_lessons():
    study = having(*many(400), *many(LESSONS_MIN, task_id=OTHER))
    [batch] = draw(study, answers=40)
    assert 10 <= sum(lesson.task_id == OTHER for lesson in batch) <= 30


def test_a_family_with_few_lessons_is_not_studied():
    study = having(*many(100), *many(LESSONS_MIN - 1, task_id=OTHER))
    assert {task for task, _ in questions(draw(study, updates=10))} == {TASK}


def test_a_question_that_is_seen_again_replaces_its_answer_and_keeps_its_uses():
    study = having(*many())
    for _ in range(USES_MAX):
        assert len(draw(study, answers=LESSONS_MIN)) == 1
    study.see(many(text="5"))
    assert draw(study, answers=LESSONS_MIN) == [], "every lesson is used up"
    study.see([taught(n, text="5") for n in range(100, 100 + LESSONS_MIN)])
    [batch] = draw(study, answers=LESSONS_MIN)
    assert {lesson.completions[0].text for lesson in batch} == {"5"}


def test_what_is_kept_is_bounded_and_the_largest_family_loses_its_oldest(monkeypatch):
    monkeypatch.setattr(studying, "LESSONS_MAX", 100)
    study = having(*many(68), *many(LESSONS_MIN, task_id=OTHER), taught(999))
    asked = questions(draw(study, updates=100, answers=1))
    assert len(asked) == 100
    assert (TASK, taught(0).question) not in asked
    assert (TASK, taught(999).question) in asked
    assert sum(task == OTHER for task, _ in asked) == LESSONS_MIN


def test_whom_this_peer_no_longer_trusts_is_not_studied():
    liars = many(publisher="liar", task_id=OTHER)
    study = having(*many(), *liars)
    batches = draw(study, updates=100, trust=lambda publisher: float(publisher != "liar"))
    assert {task for task, _ in questions(batches)} == {TASK}


def test_it_comes_back_from_json_and_goes_on_as_before():
    first, second = having(*many(40), *many(40, task_id=OTHER)), Study()
    draw(first, updates=3)
    second.restore(json.loads(json.dumps(first.to_state())))
    for seed in range(USES_MAX * 2):
        assert questions(draw(second, 9, seed=seed)) == questions(draw(first, 9, seed=seed))


def test_a_step_studies_after_the_policy_gradient_and_counts_it_apart(make_policy, external_group):
    policy = make_policy()
    lesson = external_group("2+2?", ("<answer>4</answer>", 1.0))
    trainer = Trainer(policy, LearningConfig())
    before = policy.trainable_state()
    metrics = trainer.step([], [], studied=[[lesson], [lesson]])
    assert (metrics.updated, metrics.lessons, metrics.groups_external_used) == (True, 2, 0)
    assert metrics.tokens_lessons_trained > 0
    assert metrics.tokens_own_trained == metrics.tokens_external_trained == 0
    assert trainer.steps == 1
    assert any(not before[name].equal(now) for name, now in policy.trainable_state().items())


@pytest.mark.parametrize("algorithm", ["grpo", "dr_grpo", "gspo", "ppo"])
def test_studying_makes_the_answer_likelier_with_every_algorithm(make_policy, external_group, algorithm):
    policy = make_policy()
    lesson = external_group("2+2?", ("<answer>4</answer>", 1.0))
    prompt = policy.render(lesson.question)
    row = row_of(policy, prompt, lesson.completions[0].text)
    before = policy.logprobs([row])[0].sum().item()
    Trainer(policy, LearningConfig(algorithm=algorithm, learning_rate=1e-2)).step([], [], studied=[[lesson]])
    assert policy.logprobs([row])[0].sum().item() > before


def row_of(policy, prompt, text):
    return TokenRow(prompt, policy.encode_completion(text, finished=True, prompt_tokens=len(prompt)))
