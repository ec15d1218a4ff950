"""A peer examines itself every so many steps, on the same questions as all others, and tells the result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch

from protocol import verify_status
from swarmd.daemon import self_evaluation
from swarmd.daemon.report import Reporter
from swarmd.gossip.limits import GossipLimits
from swarmd.gossip.status import sign_own_status
from swarmd.tasks import Question, Score
from tests.daemon.fakes import ScriptedNetwork
from tests.daemon.step_peer import MANIFEST, Peer
from tests.gossip.making import START, key, question

QUESTIONS = 6


@pytest.fixture(autouse=True)
def few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_evaluation, "QUESTIONS", QUESTIONS)


def first_is_right(position: int, text: str) -> Score:
    """So that own groups teach, and every greedy answer is right."""
    return Score(float(position == 0))


async def test_after_every_k_steps_the_published_status_holds_the_result(make_peer, run):
    one = make_peer(steps=5, evaluate_every=2)
    one.tasks.score_by = first_is_right
    loop = await run(one)
    assert [line["step"] for line in one.events.named("evaluated")] == [2, 4]
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
    envelope = sign_own_status(key(1), MANIFEST, GossipLimits(), reporter.own_status(), START)
    assert verify_status(envelope, swarm=MANIFEST.swarm_id, now=START).status.eval_milli == 1000
    shown = reporter.snapshot().evaluation
    assert shown is not None
    assert (shown.step, shown.success, shown.questions) == (4, 1.0, QUESTIONS)


async def test_answers_that_could_not_be_scored_are_told(make_peer, run):
    one = make_peer(steps=1, evaluate_every=1)
    one.tasks.score_by = lambda position, text: Score(0.0, "timeout")
    await run(one)
    [line] = one.events.named("evaluated")
    assert line["unscored"] == QUESTIONS


@pytest.mark.parametrize("every", [0, 4])
async def test_before_the_first_k_steps_and_with_0_there_is_none(make_peer, run, every):
    one = make_peer(steps=3, evaluate_every=every)
    await run(one)
    assert one.progress.evaluation is None
    assert one.events.named("evaluated") == []


async def test_all_peers_are_asked_the_same_questions_and_they_are_held_out(make_peer, run):
    asked = []
    for seed in (1, 2):
        one = make_peer(steps=1, evaluate_every=1)
        one.progress.sampling_rng.manual_seed(seed)
        await run(one)
        asked.append(one.tasks.scored[-QUESTIONS:])
    assert asked[0] == asked[1]
    assert all(Question(spec, question(spec)).held_out for spec in asked[0])


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
    assert during == QUESTIONS / 4 * loop.step_seconds  # a step has 4 completions here
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
    assert one.events.named("evaluated") == []
    assert one.saved() == [1]


async def test_a_stop_while_the_model_answers_drops_the_evaluation_and_keeps_the_step(make_peer, run):
    one = make_peer(evaluate_every=1)
    greedy = one.policy.greedy

    def held(*args: Any, should_stop: Any, **kwargs: Any) -> Any:
        should_stop.wait(60)  # so small a model would be done before the stop is heard
        return greedy(*args, should_stop=should_stop, **kwargs)

    one.policy.greedy = held
    await run(one, lambda name, fields: fields.get("name") == "evaluating")
    assert_only_the_evaluation_is_lost(one)


@pytest.mark.parametrize("call", ["questions", "score"])
async def test_a_stop_waits_for_one_request_to_the_tasks_at_most(make_peer, run, call, monkeypatch):
    monkeypatch.setattr(self_evaluation, "GROUPS_PER_REQUEST", QUESTIONS - 1)
    one, asked = make_peer(evaluate_every=1), []
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
