"""A peer examines itself every so many steps, on the same questions as all others, and tells the result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch

from protocol import verify_status
from swarmd.daemon import held_out_parts, self_evaluation
from swarmd.daemon.evaluation_schedule import FIRST_S, TIME_SHARE, EvaluationSchedule
from swarmd.daemon.report import Reporter
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.status import sign_own_status
from swarmd.tasks import Question, Score
from tests.daemon.fakes import ScriptedNetwork
from tests.daemon.step_peer import MANIFEST, Peer
from tests.gossip.making import START, key, question

QUESTIONS, PARTS = 6, 2
OF_A_PART = QUESTIONS // PARTS


@pytest.fixture(autouse=True)
def few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out_parts, "QUESTIONS", QUESTIONS)
    monkeypatch.setattr(held_out_parts, "PARTS", PARTS)


def first_is_right(position: int, text: str) -> Score:
    """So that own groups teach, and every greedy answer is right."""
    return Score(float(position == 0))


async def test_after_every_k_steps_the_published_status_holds_the_result(make_peer, run):
    one = make_peer(steps=5, evaluate_every=2)
    one.tasks.score_by = first_is_right
    loop = await run(one)
    assert [line["step"] for line in one.events.named("evaluated")] == [0, 2, 4]
    reporter = Reporter(
        manifest=MANIFEST,
        policy=one.policy,
        plan=one.learner.plan,
        network=ScriptedNetwork(key(1).peer_id),
        gossip=one.gossip,
        tasks=one.tasks,
        peers_tasks=one.tasks,
        database=one.database,
        steps=loop,
        clock=lambda: START,
        http=None,
    )
    envelope, *_ = sign_own_status(key(1), MANIFEST, GossipLimits(), reporter.own_status(), START)
    assert verify_status(envelope, swarm=MANIFEST.swarm_id, now=START).status.eval_milli == 1000
    shown = reporter.snapshot().evaluation
    assert shown is not None
    assert (shown.step, shown.success, shown.questions) == (4, 1.0, QUESTIONS)


async def test_answers_that_could_not_be_scored_are_told(make_peer, run):
    one = make_peer(steps=1, evaluate_every=1)
    one.tasks.score_by = lambda position, text: Score(0.0, "timeout")
    await run(one)
    untrained, line = one.events.named("evaluated")
    assert untrained["unscored"] == QUESTIONS
    assert line["unscored"] == OF_A_PART


@pytest.mark.parametrize(("every", "told"), [(0, []), (4, [0])])
async def test_before_the_first_k_steps_only_the_untrained_model_is_examined_and_with_0_nothing_is(
    make_peer, run, every, told
):
    one = make_peer(steps=3, evaluate_every=every)
    await run(one)
    assert one.progress.evaluation is None
    assert [line["step"] for line in one.events.named("evaluated")] == told


async def test_all_peers_are_asked_the_same_questions_and_they_are_held_out(make_peer, run):
    asked = []
    for seed in (1, 2):
        one = make_peer(steps=1, evaluate_every=1)
        one.database.held_out.forget_after(-1)
        one.progress.sampling_rng.manual_seed(seed)
        await run(one)
        asked.append([*one.tasks.scored[:QUESTIONS], *one.tasks.scored[-OF_A_PART:]])
    assert asked[0] == asked[1]
    assert all(Question(spec, question(spec)).held_out for spec in asked[0])


# Before and now -----------------------------------------------------------------------------------


async def test_the_parts_are_asked_in_turn_and_success_is_of_the_newest_answer_to_each_question(
    make_peer, run
):
    one = make_peer(steps=3, evaluate_every=1)
    one.tasks.score_by = first_is_right
    await run(one)
    untrained, *lines = one.events.named("evaluated")
    assert untrained["questions"] == QUESTIONS
    assert [line["questions"] for line in lines] == [OF_A_PART, QUESTIONS, QUESTIONS]
    evaluations = [
        one.tasks.scored[n : n + OF_A_PART] for n in (QUESTIONS + 2, QUESTIONS + 7, QUESTIONS + 12)
    ]
    assert evaluations[0] == evaluations[2] != evaluations[1]
    assert set(map(str, evaluations[0] + evaluations[1])) == set(map(str, one.tasks.scored[:QUESTIONS]))


async def test_the_log_says_what_was_learned_since_the_untrained_model(make_peer, run):
    one = make_peer(steps=2, evaluate_every=1)
    one.tasks.score_by = lambda position, text: Score(float(position == 0 and one.progress.step > 0))
    loop = await run(one)
    messages = [line["message"] for line in one.events.named("evaluated")]
    assert messages[0].startswith("0.000 of 6 held-out questions right (0.000 to 0.390)")
    assert messages[0].endswith("before any training")
    assert messages[2].startswith("1.000 of 6 held-out questions right (0.610 to 1.000), untrained 0.000: ")
    assert ": learned, +1.000 (" in messages[2]
    learning = loop.learning()
    assert learning.trend is not None
    assert (learning.trend.word, learning.trend.since_step) == ("learned", 0)
    assert {name: task.trend.difference for name, task in learning.tasks.items()} == {
        family.name: 1.0 for family in MANIFEST.tasks
    }
    assert {task.trend.word for task in learning.tasks.values()} == {"not yet clear"}, "two questions each"
    assert learning.held_out.step == (0, 1, 2)
    assert learning.held_out.success == (0.0, 1.0, 1.0)
    assert learning.reward.step == (1, 2)


async def test_after_a_change_of_the_rules_only_answers_to_the_new_questions_count(
    make_peer, run, monkeypatch
):
    one = make_peer(steps=3, evaluate_every=1)
    one.tasks.score_by = first_is_right
    await run(one)
    assert one.progress.best is not None
    assert (one.progress.best.step, one.progress.best.success) == (2, 1.0)
    monkeypatch.setattr(held_out_parts, "held_out_seed", lambda manifest: 7)
    again = make_peer(steps=2, evaluate_every=1)
    again.resume()
    again.tasks.score_by = lambda position, text: Score(0.0)
    loop = await run(again)
    assert [line["success"] for line in again.events.named("evaluated")][-2:] == [0.0, 0.0]
    assert [line["questions"] for line in again.events.named("evaluated")][-2:] == [OF_A_PART, QUESTIONS]
    assert (loop.learning().untrained, loop.learning().trend) == (None, None)
    assert loop.learning().held_out.step == (0, 1, 2, 3, 4, 5), "the curve shows the whole life"
    assert again.progress.best is not None
    assert (again.progress.best.step, again.progress.best.success) == (5, 0.0)


@pytest.mark.parametrize("has_other_rules", [False, True])
async def test_a_resumed_home_shows_results_from_the_start_if_they_are_on_the_questions_of_its_rules(
    make_peer, run, monkeypatch, has_other_rules
):
    one = make_peer(steps=2, evaluate_every=1)
    await run(one)
    asked = one.database.facts.asked(MANIFEST.swarm_id)
    assert len(asked) == PARTS
    if has_other_rules:
        one.database.facts.set_asked(bytes(32), asked)
        monkeypatch.setattr(held_out_parts, "held_out_seed", lambda manifest: 7)
    again = make_peer(steps=1, evaluate_every=100)
    again.resume()
    loop = await run(again)
    assert (loop.learning().now is None) == has_other_rules
    assert (one.database.facts.asked(MANIFEST.swarm_id) != asked) == has_other_rules


async def test_the_untrained_model_is_measured_once_for_the_life_of_a_home(make_peer, run):
    for _ in range(2):
        one = make_peer(steps=1, evaluate_every=1)
        await run(one)
    assert [line["step"] for line in one.events.named("evaluated")].count(0) == 1


async def test_a_model_that_a_checkpoint_changed_is_not_called_untrained(make_peer, run):
    one = make_peer(steps=1, evaluate_every=1)
    one.learner = replace(one.learner, resumed_step=0)
    loop = await run(one)
    learning = loop.learning()
    assert learning.untrained is None
    assert learning.now is not None


async def test_a_home_of_an_earlier_version_is_compared_with_its_first_evaluation(make_peer, run):
    one = make_peer(steps=4, evaluate_every=1)
    one.learner, one.progress.step = replace(one.learner, resumed_step=500), 500
    one.tasks.score_by = lambda position, text: Score(float(position == 0 and one.progress.step > 502))
    await run(one)
    last = one.events.named("evaluated")[-1]
    assert "), since step 501: learned, +1.000 (" in last["message"]
    assert last["untrained"] is None


async def test_a_slow_machine_measures_the_untrained_model_on_fewer_questions(make_peer, run, monkeypatch):
    monkeypatch.setattr(self_evaluation, "UNTRAINED_S", 0.0)
    one = make_peer(steps=1, evaluate_every=1)
    await run(one)
    assert one.events.named("evaluated")[0]["questions"] == OF_A_PART


# When ---------------------------------------------------------------------------------------------


def test_unless_set_evaluations_keep_to_their_share_of_the_time():
    now = 0.0
    schedule = EvaluationSchedule(None, monotonic=lambda: now)
    schedule.took(8.0, sittings=4)  # the untrained model
    spent = 8.0
    for step in range(20_000):
        now += 0.1
        if schedule.due(step):
            now += 2.0
            spent += 2.0
            schedule.took(2.0)
            assert spent <= TIME_SHARE * now
    assert spent >= 0.9 * TIME_SHARE * now, "and they use it"
    assert schedule.share == pytest.approx(spent / now)


def test_the_first_evaluation_of_a_resumed_home_waits_until_a_cost_is_affordable():
    now = 0.0
    schedule = EvaluationSchedule(None, monotonic=lambda: now)
    assert not schedule.due(1)
    now = FIRST_S
    assert schedule.due(2)


@pytest.mark.parametrize(("every", "due"), [(0, []), (3, [3, 6, 9])])
def test_a_number_of_steps_is_kept_whatever_it_costs(every, due):
    schedule = EvaluationSchedule(every)
    schedule.took(1e6)
    assert [step for step in range(1, 10) if schedule.due(step)] == due


async def test_health_waits_for_an_evaluation_as_for_the_steps_that_it_is_worth(
    make_peer,
):
    one, seen = make_peer(steps=1, evaluate_every=1), {}
    with ThreadPoolExecutor(1) as model_thread:
        loop = one.loop(model_thread)
        one.events.hook = lambda name, fields: seen.update({loop.phase: (loop.usual_s, loop.last_done_at)})
        await loop.run()
    during, step_at = seen["evaluating"]
    behind, evaluated_at = seen["checkpoint"]
    assert during == max(1, OF_A_PART / 4) * loop.step_seconds  # a step has 4 completions here
    assert behind == loop.step_seconds
    assert evaluated_at != step_at, "the wait for the next step begins anew"


async def test_an_evaluation_changes_nothing_of_what_is_learned(make_peer, make_policy, run):
    peers = [make_peer(make_policy(max_new_tokens=8), steps=3, evaluate_every=every) for every in (0, 1)]
    for one in peers:
        await run(one)
    plain, evaluated = (one.policy.trainable_state() for one in peers)
    assert all(torch.equal(tensor, evaluated[name]) for name, tensor in plain.items())


async def test_it_comes_back_with_the_checkpoint(make_peer, run):
    one = make_peer(steps=2, evaluate_every=2)
    await run(one)
    again = make_peer()
    again.resume()
    assert again.progress.evaluation == one.progress.evaluation
    assert again.progress.evaluation.step == 2


async def test_tasks_without_held_out_questions_are_told_of_once_and_learning_goes_on(make_peer, run):
    one = make_peer(steps=2, evaluate_every=1)
    one.tasks._question = lambda spec: Question(spec, "always the same, and not held out")
    loop = await run(one)
    assert loop.progress.step == 2
    assert loop.progress.evaluation is None
    [warning] = one.events.named("warning")
    assert "cannot evaluate itself" in warning["message"]


# Stopping -----------------------------------------------------------------------------------------


def assert_only_the_evaluation_is_lost(one: Peer) -> None:
    assert one.progress.step == 1
    assert one.progress.evaluation is None
    assert [line["step"] for line in one.events.named("evaluated") if line["step"]] == []
    assert one.saved() == [1]


async def test_a_stop_while_the_model_answers_drops_the_evaluation_and_keeps_the_step(make_peer, run):
    one = make_peer(evaluate_every=1)
    greedy = one.policy.greedy

    def held(*args: Any, should_stop: Any, **kwargs: Any) -> Any:
        if one.progress.step:
            should_stop.wait(60)  # so small a model would be done before the stop is heard
        return greedy(*args, should_stop=should_stop, **kwargs)

    one.policy.greedy = held
    await run(one, lambda name, fields: fields.get("name") == "evaluating")
    assert_only_the_evaluation_is_lost(one)


@pytest.mark.parametrize("call", ["held_out", "score"])
async def test_a_stop_waits_for_one_request_to_the_tasks_at_most(make_peer, run, call, monkeypatch):
    monkeypatch.setattr(self_evaluation, "GROUPS_PER_REQUEST", OF_A_PART - 1)
    one, asked = make_peer(evaluate_every=1), []
    one.learner = replace(one.learner, resumed_step=0)
    one.database.facts.set_asked(MANIFEST.swarm_id, [bytes(32)])  # then they are drawn after the first step
    answer = getattr(one.tasks, call)

    async def counted(items: Any) -> Any:
        if one.events.named("step"):
            asked.append(items)
            one.events.emit("phase", name="asked the tasks")
        return await answer(items)

    setattr(one.tasks, call, counted)
    await run(one, lambda name, fields: fields.get("name") == "asked the tasks")
    assert len(asked) == 1
    assert_only_the_evaluation_is_lost(one)
