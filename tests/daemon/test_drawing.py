"""What a sampler is told when a step draws from the pool."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from swarmd.daemon.crediting import Crediting
from swarmd.daemon.steps import StepLoop
from swarmd.learning import DrawContext, ScoredSampler, UniformSampler
from swarmd.tasks import Score
from tests.daemon.fakes import external_group, peer
from tests.daemon.step_peer import MANIFEST, ROUND
from tests.gossip.making import START


class Listening(UniformSampler):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[DrawContext] = []

    def draw(self, candidates: Any, count: Any, rng: Any, context: DrawContext) -> Any:
        self.heard.append(context)
        return super().draw(candidates, count, rng, context)


@pytest.fixture
def pooled(database):
    for number in range(2):
        database.pool.add(external_group(number, publisher=peer(number), round_=ROUND), now=START)


async def test_it_knows_the_own_groups_of_the_step_and_the_surprisal_measured_before(make_peer, run, pooled):
    one = make_peer(steps=2, external=1)
    one.sampler = Listening()
    await run(one)
    first, second = one.sampler.heard[0], one.sampler.heard[-1]
    assert (first.round, first.round_seconds) == (ROUND, MANIFEST.round_seconds)
    assert set(first.success.values()) == {0.5}
    assert first.own_surprisal > 0
    assert first.surprisal == {}
    assert second.surprisal == dict(one.database.steps.metrics(10))[1]["external_surprisal"]
    assert set(second.surprisal) < {peer(0), peer(1)}


async def test_it_knows_whom_gossip_does_not_trust(make_peer, run, pooled):
    one = make_peer(steps=1, external=4)
    one.gossip.distrusted = {peer(0)}
    one.sampler = Listening()
    await run(one)
    assert one.sampler.heard[0].trust == {peer(0): 0.0, peer(1): 1.0}


@pytest.mark.parametrize("sampler", [ScoredSampler, UniformSampler])
async def test_the_distrusted_are_left_in_the_pool(make_peer, run, pooled, sampler):
    one = make_peer(steps=1, external=4)
    one.gossip.distrusted = {peer(0)}
    one.sampler = sampler()
    await run(one)
    assert [group.publisher for group in one.database.pool.candidates(0, 10)] == [peer(0)]


@pytest.mark.parametrize(("tokens", "left"), [("verified", [peer(0)]), ("all", [])])
async def test_groups_without_a_bare_answer_stay_in_the_pool_where_nothing_of_them_is_learned(
    make_peer, run, database, tokens, left
):
    padded = external_group(0, publisher=peer(0), round_=ROUND)
    padded = replace(padded, completions=tuple(replace(each, bare=False) for each in padded.completions))
    for group in (padded, external_group(1, publisher=peer(1), round_=ROUND)):
        database.pool.add(group, now=START)
    await run(make_peer(steps=1, external=4, external_tokens=tokens))
    assert [group.publisher for group in database.pool.candidates(0, 10)] == left


@pytest.mark.parametrize(("baseline", "left"), [("group", [peer(0)]), ("shared", [])])
async def test_a_group_that_is_right_throughout_stays_in_the_pool_where_it_has_no_advantage(
    make_peer, run, database, baseline, left
):
    mixed = external_group(0, publisher=peer(0), round_=ROUND)
    right = replace(mixed, completions=mixed.completions[:1] * 2)
    database.pool.add(right, now=START)
    await run(make_peer(steps=1, external=4, external_baseline=baseline))
    assert [group.publisher for group in database.pool.candidates(0, 10)] == left


@pytest.mark.parametrize(
    ("task_id", "rehearsed"),
    [(None, True), (bytes([7]) * 16, False)],
    ids=["a task of the swarm", "one that its rules no longer have"],
)
async def test_what_others_can_and_this_peer_cannot_is_rehearsed(
    make_peer, run, database, task_id, rehearsed
):
    group = external_group(0, publisher=peer(0), round_=ROUND)
    right, wrong = group.completions
    known = replace(group, task_id=MANIFEST.tasks[0].task_id, completions=(right, right, right, wrong))
    database.pool.add(replace(known, task_id=task_id or known.task_id), now=START)
    one = make_peer(steps=3, external=1, rehearse=2, external_baseline="shared")
    one.tasks.score_by = lambda position, text: Score(0.0)
    await run(one)
    lessons = [metrics["lessons"] for _, metrics in sorted(one.database.steps.metrics(10))]
    assert lessons[0] == 0, "nothing was drawn before the first step"
    assert [number > 0 for number in lessons[1:]] == [rehearsed] * 2


async def test_a_peer_that_only_waits_uses_up_no_lesson(make_peer, run, database, monkeypatch):
    known = replace(external_group(0, publisher=peer(0), round_=ROUND), task_id=MANIFEST.tasks[0].task_id)
    right, wrong = known.completions
    database.pool.add(replace(known, completions=(right, right, right, wrong)), now=START)
    one = make_peer(steps=2, local=0, external=1, rehearse=2, external_baseline="shared")
    waits = []

    async def wait_once(self):
        waits.append(one.progress.rehearsal.to_state())
        if len(waits) == 3:
            self.stop()

    monkeypatch.setattr(StepLoop, "_wait_for_external", wait_once)
    await run(one)
    assert len(waits) == 3
    [[[_, uses]]] = waits[-1]["others"].values()
    assert uses == 0


def publish(database, count):
    """Groups of a task that the swarm has."""
    for number in range(count):
        group = external_group(number, publisher=peer(0), round_=ROUND)
        database.pool.add(replace(group, task_id=MANIFEST.tasks[0].task_id), now=START)


async def test_health_waits_for_each_update_of_studying_and_in_no_other_phase(make_peer, run, database):
    publish(database, 140)
    one, usual = make_peer(steps=3, external=70, study=2), []

    def note(name, fields):
        if name == "phase" and loop.phase in ("studying", "questions"):
            usual.append((loop.phase, loop.usual_s / (loop.step_seconds or 1.0)))

    with ThreadPoolExecutor(1) as model_thread:
        loop = one.loop(model_thread)
        one.events.hook = note
        await loop.run()
    assert [times for phase, times in usual if phase == "studying"] == [1.0, 2.0]
    assert {times for phase, times in usual if phase == "questions"} <= {0.0, 1.0}


@pytest.mark.parametrize(("study", "studied", "second"), [(1, [0, 64], "studying"), (0, [0, 0], "training")])
async def test_right_answers_that_were_seen_are_studied_from_the_next_step_on(
    make_peer, run, database, study, studied, second
):
    publish(database, 70)
    one = make_peer(steps=2, external=70, study=study)
    await run(one)
    assert [metrics["lessons"] for _, metrics in sorted(one.database.steps.metrics(10))] == studied
    phases = [line["name"] for line in one.events.named("phase")]
    assert [name for name in phases if name in ("training", "studying")] == ["training", second]
    told = [line["message"] for line in one.events.named("study")]
    assert len(told) == 2 * study, "once that there are too few answers, once that there are enough"
    assert all("takes a policy gradient instead" in message for message in told[:1])
    assert all("studies now" in message for message in told[1:])


async def test_a_peer_without_own_groups_studies_on_when_nobody_publishes_any_more(make_peer, run, database):
    publish(database, 70)
    one = make_peer(steps=3, local=0, external=70, study=1)
    loop = await run(one)
    assert loop.lacks == ()
    assert [line["external"] for line in one.events.named("step")] == [70, 0, 0]
    assert [metrics["lessons"] for _, metrics in sorted(one.database.steps.metrics(10))] == [0, 64, 64]


async def test_a_step_that_studies_measures_and_counts_none_of_the_groups_that_it_does_not_train_on(
    make_peer, run, database, monkeypatch
):
    publish(database, 72)
    measured = []
    monkeypatch.setattr(Crediting, "due", lambda _, external: measured.append(len(external)))
    one = make_peer(steps=2, external=70, study=1)
    await run(one)
    assert [line["external"] for line in one.events.named("step")] == [70, 0]
    assert measured == [70]
    assert database.ledger.counts().external_used == 70
    assert sum(database.partners.groups_used().values()) == 70
    assert database.pool.candidates(0, 100) == [], "its right answers are kept for the study"


async def test_tis_leaves_groups_of_other_tokenizers_in_the_pool_and_says_so_once(make_peer, run, database):
    one = make_peer(steps=2, external=2, external_loss="tis")
    ours = replace(
        external_group(1, publisher=peer(1), round_=ROUND), tokenizer=one.policy.tokenizer_fingerprint
    )
    for group in (ours, external_group(2, publisher=peer(2), round_=ROUND)):
        database.pool.add(group, now=START)
    await run(one)
    assert [line["external"] for line in one.events.named("step")] == [1, 0]
    assert [group.publisher for group in database.pool.candidates(0, 10)] == [peer(2)]
    [warning] = one.events.named("warning")
    assert "external_loss tis" in warning["message"]


async def test_other_losses_take_groups_of_any_tokenizer(make_peer, run, pooled):
    one = make_peer(steps=1, external=2, external_loss="topr")
    await run(one)
    assert [line["external"] for line in one.events.named("step")] == [2]
    assert one.events.named("warning") == []


async def test_a_peer_asks_less_of_what_others_show_that_they_can_do(make_peer, run, database):
    known = MANIFEST.tasks[1]  # of three; half of all questions
    for number in range(60):
        shown = external_group(number, publisher=peer(0), round_=ROUND)
        right = replace(shown, completions=shown.completions[:1] * 2)
        database.pool.add(replace(right, task_id=known.task_id, task_name=known.name), now=START)
    one = make_peer(steps=12, local=4, external=1, needed_questions=0.9)
    await run(one)
    asked = [spec.dataset == known.dataset for spec in one.tasks.scored]
    assert sum(asked[:4]) > 0, "nothing was shown before the first step"
    assert sum(asked[8:]) < 0.35 * len(asked[8:])
    [party] = one.progress.shown.to_state()
    assert party == peer(0)
