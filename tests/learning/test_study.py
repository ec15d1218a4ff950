"""Which right answers are kept, how often each is studied, and what a supervised update does."""

import json
import random
from collections import Counter
from dataclasses import replace

import pytest
from pydantic import ValidationError

from swarmd.config import LearningConfig
from swarmd.groups import Turn
from swarmd.images import Image
from swarmd.learning import Study, Trainer
from swarmd.learning import study as studying
from swarmd.learning.schedule import learning_rate_at
from swarmd.learning.study import LESSONS_MIN, TEXT_BYTES_MAX, USES_MAX
from swarmd.logprobs import TokenRow
from tests.learning.candidates import TASK, taught

OTHER = bytes([1]) * 16


def many(count=LESSONS_MIN, **about):
    return [taught(number, **about) for number in range(count)]


def having(*groups):
    study = Study()
    study.see(groups)
    return study


def draw(study, updates=1, answers=8, tasks=(TASK, OTHER), trust=lambda publisher: 1.0, seed=0):
    return study.draw(updates, answers, tasks=tasks, trust=trust, rng=random.Random(seed))


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


def test_an_answer_that_is_only_better_than_the_others_is_not_kept():
    """Otherwise a peer could have any answer studied that earns a little, next to answers that earn less."""
    groups = [replace(each, completions=half_right(each)) for each in many(100)]
    assert draw(having(*groups)) == []


def half_right(group):
    right, *others = group.completions
    return (replace(right, reward=0.5), *others)


@pytest.mark.parametrize("whose", ["text", "observation"])
def test_earlier_turns_count_as_part_of_an_answer(whose):
    def lessons(length):
        turn = replace(Turn("5", True, "no"), **{whose: "x" * length})
        return having(*(with_turn(each, turn) for each in many()))

    assert draw(lessons(TEXT_BYTES_MAX)) == []
    assert len(draw(lessons(TEXT_BYTES_MAX // 2))) == 1


def test_of_sampled_turns_only_the_text_is_kept():
    turn = Turn("5", True, "no", token_ids=(1, 2), logprobs=(-1.0, -1.0))
    own = [replace(with_turn(each, turn), external=False) for each in many()]
    [[lesson, *_]] = draw(having(*own))
    assert lesson.completions[0].earlier == (Turn("5", True, "no"),)


def with_turn(group, turn):
    return replace(group, completions=tuple(replace(each, earlier=(turn,)) for each in group.completions))


def test_questions_that_differ_only_in_their_pictures_are_different_lessons():
    def asked(shade):
        return replace(taught(), images=(Image(1, 1, bytes([shade]) * 3),))

    shades = set(range(LESSONS_MIN))
    study = having(*map(asked, shades), *map(asked, shades))
    resumed = Study()
    resumed.restore(json.loads(json.dumps(study.to_state())))
    for kept in (study, resumed):
        [batch] = draw(kept, updates=2, answers=LESSONS_MIN)
        assert {lesson.images[0].pixels[0] for lesson in batch} == shades
    assert draw(having(*[asked(0)] * LESSONS_MIN)) == [], "these are one question"


def test_updates_are_full_and_no_lesson_is_drawn_twice_in_a_step():
    batches = draw(having(*many(50)), updates=100, answers=8)
    assert [len(batch) for batch in batches] == [8] * 6
    assert len(set(questions(batches))) == 48


def test_nothing_is_drawn_while_answers_are_only_collected():
    rng = random.Random(0)
    before = rng.getstate()
    assert having(*many(100)).draw(0, 8, tasks=(TASK,), trust=lambda publisher: 1.0, rng=rng) == []
    assert rng.getstate() == before


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


def test_a_publisher_that_repeats_questions_replaces_nobody_elses_answers():
    own = [replace(each, external=False, publisher="me") for each in many()]
    thief = [replace(each, publisher="thief") for each in (*own, *many())]
    study = having(*own, *many(), *(replace(each, external=True) for each in thief))
    drawn = [lesson.publisher for batch in draw(study, updates=100, answers=1) for lesson in batch]
    assert Counter(drawn) == {"me": LESSONS_MIN, "p": LESSONS_MIN, "thief": LESSONS_MIN}


def test_a_family_needs_enough_different_questions_not_only_enough_publishers():
    asked = many(LESSONS_MIN - 1)
    study = having(*asked, *(replace(each, publisher="another") for each in asked))
    assert draw(study) == []
    study.see([taught(LESSONS_MIN)])
    assert len(draw(study)) == 1


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


def test_a_task_that_the_swarm_no_longer_has_is_not_studied():
    study = having(*many(), *many(task_id=OTHER))
    assert {task for task, _ in questions(draw(study, updates=100, tasks=(OTHER,)))} == {OTHER}


def test_it_comes_back_from_json_and_goes_on_as_before():
    first, second = having(*many(40), *many(40, task_id=OTHER)), Study()
    draw(first, updates=3)
    second.restore(json.loads(json.dumps(first.to_state())))
    for seed in range(USES_MAX * 2):
        assert questions(draw(second, 9, seed=seed)) == questions(draw(first, 9, seed=seed))


def lesson_and_row(policy, external_group):
    lesson = external_group("2+2?", ("<answer>4</answer>", 1.0))
    prompt = policy.render(lesson.question)
    answer = policy.encode_completion(lesson.completions[0].text, finished=True, prompt_tokens=len(prompt))
    return lesson, TokenRow(prompt, answer)


def likelihood(policy, row):
    return policy.logprobs([row])[0].sum().item()


@pytest.mark.parametrize("algorithm", ["grpo", "dr_grpo", "gspo", "ppo"])
def test_studying_makes_the_answer_likelier_with_every_algorithm(make_policy, external_group, algorithm):
    policy = make_policy()
    lesson, row = lesson_and_row(policy, external_group)
    before = likelihood(policy, row)
    trainer = Trainer(policy, LearningConfig(algorithm=algorithm, study=2, study_rate=1e-2))
    metrics = trainer.step([], [], studied=[[lesson], [lesson]])
    assert likelihood(policy, row) > before
    assert (metrics.updates, metrics.note, metrics.lessons) == (2, None, 2)
    assert metrics.tokens_lessons_trained == 2 * len(row.completion_ids)
    assert metrics.tokens_own_trained == metrics.tokens_external_trained == 0


def test_a_step_that_studies_takes_no_policy_gradient(make_policy, own_groups, external_group):
    policy = make_policy()
    groups = own_groups(policy, ("2+2?",), lambda text: float(len(text) % 2))
    lesson, _ = lesson_and_row(policy, external_group)
    start = policy.trainable_state()
    learned = []
    for own in (groups, []):
        policy.load_trainable_state(start)
        metrics = Trainer(policy, LearningConfig(study=1)).step(own, [], studied=[[lesson]])
        assert (metrics.tokens_own_trained, metrics.groups_own_used) == (0, 0)
        assert metrics.groups_own == len(own)
        learned.append(policy.trainable_state())
    assert all(learned[0][name].equal(now) for name, now in learned[1].items())


def test_a_step_that_is_stopped_leaves_out_its_remaining_updates(make_policy, external_group):
    learned = []
    for times, stopped in ((4, [False, True]), (2, [False])):
        policy = make_policy()
        lesson, _ = lesson_and_row(policy, external_group)
        asked = iter(stopped)
        trainer = Trainer(policy, LearningConfig(study=4))
        metrics = trainer.step([], [], studied=[[lesson]] * times, stopped=lambda: next(asked))  # noqa: B023
        assert (metrics.updates, trainer.steps) == (2, 1)
        learned.append(policy.trainable_state())
    assert all(learned[0][name].equal(now) for name, now in learned[1].items())


def test_without_lessons_a_step_that_could_study_takes_the_policy_gradient(make_policy, own_groups):
    learned = []
    for study in (0, 4):
        policy = make_policy()
        groups = own_groups(policy, ("2+2?",), lambda text: float(len(text) % 2))
        metrics = Trainer(policy, LearningConfig(study=study)).step(groups, [])
        assert (metrics.updated, metrics.updates) == (True, 1)
        learned.append(policy.trainable_state())
    assert all(learned[0][name].equal(now) for name, now in learned[1].items())


def test_lessons_that_do_not_fit_the_context_change_nothing_and_it_says_so(make_policy, external_group):
    policy = make_policy()
    lesson = external_group("2+2?" * 10_000, ("<answer>4</answer>", 1.0))
    metrics = Trainer(policy, LearningConfig(study=1)).step([], [], studied=[[lesson]])
    assert (metrics.updated, metrics.updates) == (False, 0)
    assert metrics.note == "no update: none of the right answers to study fits the context"


@pytest.mark.parametrize("text", ["4", "<answer>5</answer><answer>4</answer>"])
def test_lessons_without_a_verified_part_change_nothing_and_it_says_so(make_policy, external_group, text):
    lesson = external_group("2+2?", (text, 1.0))
    metrics = Trainer(make_policy(), LearningConfig(study=1)).step([], [], studied=[[lesson]])
    assert (metrics.updated, metrics.updates) == (False, 0)
    assert metrics.note is not None
    assert "single pair of tags" in metrics.note


def test_the_moments_of_the_policy_gradient_are_forgotten_when_studying_begins(make_policy, external_group):
    learned = []
    for rewards in ((1.0, 0.0), (0.0, 0.0)):
        policy = make_policy()
        lesson, _ = lesson_and_row(policy, external_group)
        start = policy.trainable_state()
        trainer = Trainer(policy, LearningConfig(study=1, study_from=1))
        trainer.step([], [external_group("1+1?", ("<answer>2</answer>", rewards[0]), ("3", rewards[1]))])
        policy.load_trainable_state(start)
        trainer.step([], [], studied=[[lesson]])
        learned.append(policy.trainable_state())
    assert all(learned[0][name].equal(now) for name, now in learned[1].items())


def test_the_moments_of_studying_are_kept_even_over_a_restart(make_policy, external_group):
    learned = []
    for restarts in (False, True):
        policy = make_policy()
        lesson, _ = lesson_and_row(policy, external_group)
        config = LearningConfig(study=1)
        trainer = Trainer(policy, config)
        trainer.step([], [], studied=[[lesson]])
        if restarts:
            state, trainer = trainer.state_dict(), Trainer(policy, config)
            trainer.load_state_dict(state)
        trainer.step([], [], studied=[[lesson]])
        learned.append(policy.trainable_state())
    assert all(learned[0][name].equal(now) for name, now in learned[1].items())


def test_the_rate_falls_twice_and_warms_up_again_where_studying_begins():
    config = LearningConfig(
        learning_rate=0.1,
        study_rate=0.4,
        study=8,
        study_from=10,
        schedule="cosine",
        total_steps=30,
        warmup_steps=1,
    )
    rates = [learning_rate_at(step, config, studies=step - 10 if step >= 10 else None) for step in range(40)]
    assert rates[0] == pytest.approx(0.05)
    assert rates[1] == max(rates[:10]) == pytest.approx(0.1)
    assert rates[9] < 0.02
    assert rates[10] == pytest.approx(0.2)
    assert rates[11] == max(rates) == pytest.approx(0.4)
    assert rates[30:] == pytest.approx([0.04] * 10)
    assert learning_rate_at(10, config) == pytest.approx(0.01), (
        "too few lessons: the lowest of the policy gradient"
    )


def test_a_peer_that_studies_late_warms_up_when_it_does():
    config = LearningConfig(study_rate=0.4, study=8, study_from=10, warmup_steps=3)
    assert [learning_rate_at(50 + n, config, studies=n) for n in range(5)] == pytest.approx(
        [0.1, 0.2, 0.3, 0.4, 0.4]
    )


def test_the_policy_gradient_has_the_same_rates_without_studying():
    plain = LearningConfig(schedule="cosine", total_steps=30)
    rates = [learning_rate_at(step, plain) for step in range(31)]
    assert rates[-1] == pytest.approx(plain.learning_rate / 10)
    assert [plain.study_updates_at(step) for step in range(31)] == [0] * 31


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"study": 8, "study_from": 30, "schedule": "cosine", "total_steps": 30}, "raise total_steps"),
        ({"study_from": 30}, "set study to a number of updates"),
        ({"study_rate": 1e-4}, "study_rate is set but study is 0"),
    ],
)
def test_a_time_to_study_that_never_comes_is_refused(settings, error):
    with pytest.raises(ValidationError, match=error):
        LearningConfig(**settings)
