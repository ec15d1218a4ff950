"""Adaptive J in the step loop: what a step asks for, what is told of it, and that a restart keeps it."""

from __future__ import annotations

import json

from swarmd.daemon.progress import Progress
from swarmd.gossip import Demand
from swarmd.learning import AdaptiveExternal
from swarmd.learning.adaptive_external import REST_MIN, WINDOW, Level
from swarmd.observe import SelfEvaluation
from tests.daemon.fakes import external_group, peer
from tests.daemon.step_peer import ROUND
from tests.gossip.making import START

# One step before the end of a window in which half of what was right before still was.
BEFORE_A_FALL = AdaptiveExternal(
    most=4, external=1, rewards=(0.5,) * (WINDOW - 1), trained=7, reward_before=Level(1.0, 0.0)
)


async def test_a_step_asks_for_j_groups_and_after_a_fall_for_fewer(make_peer, run, database):
    for number in range(4):
        database.pool.add(external_group(number, publisher=peer(number), round_=ROUND), now=START)
    one = make_peer(steps=2, external=4, adaptive_external=True)
    one.progress.adaptive = BEFORE_A_FALL
    weights: list[float] = []
    step = one.learner.trainer.step
    one.learner.trainer.step = lambda own, external, success, weight: (
        weights.append(weight),
        step(own, external, success, weight),
    )[1]
    await run(one)
    assert [line["external"] for line in one.events.named("step")] == [1, 0]
    recorded = dict(database.steps.metrics(10))
    assert [recorded[step]["external_wanted"] for step in (1, 2)] == [1, 0]
    assert weights == [0.25, 0.0]
    assert one.events.named("external_short") == [], "a rest is no lack"
    assert one.gossip.of(Demand)[-1].groups == 0, "nothing is pulled that nobody wants"
    assert one.progress.adaptive.resting == REST_MIN


async def test_a_restarted_peer_asks_for_what_it_asked_for_before(make_peer, run):
    one = make_peer(steps=1, external=4, adaptive_external=True)
    one.progress.adaptive = BEFORE_A_FALL
    await run(one)
    saved = one.progress.adaptive
    one.progress.adaptive = AdaptiveExternal.start(4)
    one.resume()
    assert one.progress.adaptive == saved != AdaptiveExternal.start(4)


def test_a_state_is_kept_under_the_bound_that_is_configured_now_and_dropped_where_j_is_fixed():
    state = json.loads(json.dumps(Progress(adaptive=AdaptiveExternal(most=6, external=5)).to_state()))
    fewer, fixed = Progress.fresh(1, AdaptiveExternal.start(3)), Progress.fresh(1)
    fewer.restore(state)
    fixed.restore(state)
    assert (fewer.external_wanted(3), fewer.external_weight) == (3, 1.0)
    assert (fixed.external_wanted(6), fixed.external_weight) == (6, 1.0)


def test_a_state_of_before_j_adapted_starts_with_all():
    state = Progress().to_state()
    del state["adaptive"]
    restored = Progress.fresh(1, AdaptiveExternal.start(3))
    restored.restore(state)
    assert restored.adaptive == AdaptiveExternal.start(3)


def test_an_evaluation_reaches_what_decides_j():
    progress = Progress(adaptive=AdaptiveExternal.start(3))
    progress.see_evaluation(SelfEvaluation(step=50, success=0.5, interval=(0.4, 0.6), questions=100))
    assert progress.adaptive.held_out == Level(0.5, 0.0025)
    assert progress.evaluation.step == 50
