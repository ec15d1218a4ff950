"""The step loop: what a step takes in and gives out, when it stops, and what a stopped step costs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from swarmd.daemon import steps as steps_module
from swarmd.daemon.crediting import Crediting
from swarmd.errors import ModelError, StorageError, TaskError
from swarmd.gossip import Demand, GroupOffer
from swarmd.groups import ScoredGroup
from swarmd.policy import Policy
from swarmd.step.repeated_answers import REPEATS_ALWAYS
from swarmd.storage import Database, Home
from swarmd.tasks import Score
from tests.daemon.fakes import (
    Events,
    external_group,
    peer,
    with_text,
)
from tests.daemon.step_peer import ROUND, Peer
from tests.gossip.making import START


def weights(policy: Policy) -> dict[str, torch.Tensor]:
    return policy.trainable_state()


# Taking steps -------------------------------------------------------------------------------------


async def test_it_takes_as_many_steps_as_asked_and_saves_each(make_peer, run):
    one = make_peer(steps=2)
    before = weights(one.policy)
    loop = await run(one)
    assert loop.progress.step == 2
    assert [line["step"] for line in one.events.named("step")] == [1, 2]
    assert [line["step"] for line in one.events.named("checkpoint")] == [1, 2] == one.saved()
    assert loop.phase == "stopping"
    assert any(not torch.equal(before[name], now) for name, now in weights(one.policy).items())


async def test_steps_are_counted_from_where_the_peer_is(make_peer, run):
    one = make_peer(steps=2)
    one.progress.step = one.progress.saved_step = 40
    await run(one)
    assert [line["step"] for line in one.events.named("step")] == [41, 42]


async def test_a_step_says_what_it_did(make_peer, run):
    one = make_peer(steps=1)
    await run(one)
    [line] = one.events.named("step")
    assert (line["own"], line["external"], line["external_peers"]) == (2, 0, 0)
    assert (line["reward"], line["reward_external"], line["round"]) == (0.5, None, ROUND)
    assert line["tokens_per_s"] > 0
    assert line["seconds"] > 0
    assert one.database.ledger.counts().own == 2
    [(step, metrics)] = one.database.steps.metrics(10)
    assert (step, metrics["round"], metrics["groups_own"]) == (1, ROUND, 2)
    assert one.database.steps.rewards().last == 0.5
    assert one.events.named("external_short") == [], "J = 0 is solo, not a lack"


async def test_with_a_duty_it_rests_after_each_step_and_a_stop_ends_the_rest(make_peer, run):
    one = make_peer(steps=3, duty=0.02)
    loop = await run(one, lambda name, fields: (name, fields.get("name")) == ("phase", "resting"))
    assert loop.progress.step == 2 == loop.progress.saved_step, "no rest after the first, which warms up"
    assert loop.step_every_s > 25 * loop.step_seconds, "health must not take a rest for a standstill"


async def test_groups_by_others_are_asked_for_at_the_pace_of_steps_and_rests(make_peer, run):
    one = make_peer(steps=3, external=2, duty=0.9)
    loop = await run(one)
    assert len([line for line in one.events.named("phase") if line["name"] == "resting"]) == 1
    last = one.gossip.of(Demand)[-1]
    second = one.events.named("step")[1]["seconds"]
    assert last.step_seconds > second, "the rest after it counts"
    assert loop.progress.step == 3


async def test_scorers_that_fail_on_most_texts_are_told_of_and_not_taken_for_bad_answers(make_peer, run):
    one = make_peer(steps=1)
    one.tasks.score_by = lambda position, text: Score(0.0, "crash")
    loop = await run(one)
    assert loop.unscored == 1.0
    [warning] = one.events.named("warning")
    assert "could not be scored (crash:" in warning["message"]


async def test_a_scorer_lost_on_some_junk_is_nothing_to_tell(make_peer, run):
    one = make_peer(steps=1, group_size=4)
    one.tasks.score_by = lambda position, text: Score(0.0, "error") if position == 0 else Score(1.0)
    loop = await run(one)
    assert loop.unscored == 0.25
    assert one.events.named("warning") == []


@pytest.mark.parametrize(("failure", "offered"), [("hang", 0), ("timeout", 0), ("crash", 0), ("error", 2)])
async def test_a_group_that_others_would_refuse_is_trained_on_and_not_published(
    make_peer, run, failure, offered
):
    one = make_peer(steps=1)
    one.tasks.score_by = lambda position, text: Score(0.0, failure) if position == 0 else Score(1.0)
    await run(one)
    assert len(one.gossip.of(GroupOffer)) == offered
    assert [line["own"] for line in one.events.named("step")] == [2]


@pytest.mark.parametrize(("unended", "reward"), [("wrong", 0.0), ("scored", 0.5)])
async def test_texts_that_go_on_behind_their_answer_until_they_are_cut_off_earn_nothing(
    make_peer, run, monkeypatch, unended, reward
):
    one = make_peer(steps=1, unended=unended)
    generate = one.policy.generate

    def going_on(*args: Any, **given: Any) -> list[Any]:
        groups = [with_text(group, "<answer>7</answer> and on") for group in generate(*args, **given)]
        return [[replace(sample, finished=False) for sample in group] for group in groups]

    monkeypatch.setattr(one.policy, "generate", going_on)
    await run(one)
    assert [line["reward"] for line in one.events.named("step")] == [reward]
    claims = {c.reward_micro for group in one.gossip.of(GroupOffer) for c in group.completions}
    assert claims == {0}, "by default they earn nothing at others, who ignore publishers of such groups"


async def test_own_groups_are_offered_to_the_swarm_as_they_were_made(make_peer, run):
    one = make_peer(steps=1)
    await run(one)
    groups = one.gossip.of(GroupOffer)
    assert len(groups) == 2
    for group in groups:
        assert [c.reward_micro for c in group.completions] == [0, 1_000_000]
        assert all(c.bytes == len(c.text.encode()) for c in group.completions)
        assert all(0 < c.tokens <= 8 and c.logprob_sum_micro < 0 for c in group.completions)
        assert (group.temperature_milli, group.model, group.step) == (1_000, one.policy.family, 0)
        assert len(group.question_digest) == 32


async def test_the_last_step_is_saved_whatever_the_interval(make_peer, run):
    one = make_peer(steps=3, checkpoint_every=2)
    await run(one)
    assert one.saved() == [1, 2, 3], "the first at once"


async def test_phases_follow_one_another(make_peer, run):
    one = make_peer(steps=1)
    await run(one)
    names = [line["name"] for line in one.events.named("phase")]
    assert list(dict.fromkeys(names)) == [
        "questions",
        "generating",
        "scoring",
        "training",
        "checkpoint",
        "stopping",
    ]
    progress = [line["done"] for line in one.events.named("phase") if line["name"] == "generating"]
    assert progress == sorted(progress)
    assert 0 < progress[-1] <= 2 * 2 * 8


async def test_a_group_that_the_protocol_has_no_room_for_is_trained_on_and_not_published(make_peer, run):
    one = make_peer(steps=1)
    generate = one.policy.generate
    one.policy.generate = lambda *args, **kwargs: [
        with_text(group, "x" * 20_000) for group in generate(*args, **kwargs)
    ]
    await run(one)
    assert one.gossip.of(GroupOffer) == []
    assert [line["own"] for line in one.events.named("step")] == [2]
    assert "cannot be published" in one.events.named("warning")[0]["message"]


async def test_questions_that_do_not_fit_the_model_are_passed_over(make_peer, run):
    one = make_peer(steps=1)
    asked: list[str] = []

    def fits(text: str, *_: object) -> bool:
        asked.append(text)
        return len(asked) > 5

    one.policy.fits = fits
    await run(one)
    assert [line["own"] for line in one.events.named("step")] == [2]
    assert one.progress.questions_drawn >= 7


async def test_a_model_that_no_question_fits_is_named(make_peer, run):
    one = make_peer(steps=1)
    one.policy.fits = lambda *_: False
    with pytest.raises(TaskError, match=one.policy.family):
        await run(one)


# External groups ----------------------------------------------------------------------------------


def fill(database: Database, count: int, round_: int = ROUND) -> None:
    for number in range(count):
        group = external_group(number, publisher=peer(number % 3), round_=round_)
        database.pool.add(group, now=START)


async def test_external_groups_are_used_once_and_counted(make_peer, run, database):
    fill(database, 6)
    one = make_peer(steps=2, external=4)
    await run(one)
    first, second = one.events.named("step")
    assert (first["external"], second["external"]) == (4, 2)
    assert first["external_peers"] >= 2
    assert first["reward_external"] == 0.5
    [short] = one.events.named("external_short")
    assert (short["wanted"], short["had"]) == (4, 2)
    assert database.ledger.counts().external_used == 6
    assert database.pool.candidates(0, 10) == []


async def test_groups_that_trained_nothing_are_neither_counted_nor_credited(
    make_peer, run, database, monkeypatch
):
    credited = list[Sequence[ScoredGroup]]()

    async def before(*_):
        return object()

    async def after(_crediting, _begun, _own, external, _look):
        credited.append(external)

    monkeypatch.setattr(Crediting, "due", lambda *_: True)
    monkeypatch.setattr(Crediting, "before", before)
    monkeypatch.setattr(Crediting, "after", after)
    fits = external_group(0, publisher=peer(0), round_=ROUND)
    too_long = replace(external_group(1, publisher=peer(1), round_=ROUND), question="why " * 10_000)
    for group in (fits, too_long):
        database.pool.add(group, now=START)
    one = make_peer(steps=1, external=2)
    await run(one)
    [step] = one.events.named("step")
    assert (step["external"], database.ledger.counts().external_used) == (1, 1)
    assert [[group.digest for group in groups] for groups in credited] == [[fits.digest]]
    assert database.pool.candidates(0, 10) == [], "both were drawn"


async def test_an_answer_that_all_external_groups_share_does_not_fill_the_step(make_peer, run, database):
    for number in range(6):
        group = external_group(number, publisher=peer(number % 3), round_=ROUND)
        right = replace(group.completions[0], text="<answer>Monday</answer>")
        database.pool.add(replace(group, completions=(right, group.completions[1])), now=START)
    one = make_peer(steps=1, external=4)
    await run(one)
    [step] = one.events.named("step")
    assert step["external"] == REPEATS_ALWAYS


async def test_too_few_external_groups_are_said_and_the_step_goes_on(make_peer, run):
    one = make_peer(steps=1, external=4)
    await run(one)
    assert [(line["wanted"], line["had"]) for line in one.events.named("external_short")] == [(4, 0)]
    assert [line["external"] for line in one.events.named("step")] == [0]


async def test_gossip_hears_what_the_trainer_needs(make_peer, run):
    one = make_peer(steps=2, external=3)
    await run(one)
    [demand] = one.gossip.of(Demand)
    assert demand.groups == 3
    assert demand.step_seconds > 0


async def test_a_fill_draws_and_pulls_only_what_own_groups_lack(make_peer, run, database):
    fill(database, 6, round_=ROUND)
    one = make_peer(steps=2, local=2, external=4, external_fill=3)
    await run(one)
    assert [line["external"] for line in one.events.named("step")] == [1, 1]
    assert [demand.groups for demand in one.gossip.of(Demand)] == [1]


async def test_a_measured_mix_makes_more_own_groups_once_it_saw_that_few_teach(make_peer, run, database):
    fill(database, 6, round_=ROUND)
    one = make_peer(steps=2, local=1, external=1, mix="measured")
    one.tasks.score_by = lambda position, text: Score(0.0)
    await run(one)
    assert [(line["own"], line["external"]) for line in one.events.named("step")] == [(1, 1), (2, 2)]
    [told] = one.events.named("mix")
    assert "makes 2 of them" in told["message"]


async def test_groups_of_long_ago_are_not_used(make_peer, run, database):
    fill(database, 4, round_=ROUND - 1_000)
    one = make_peer(steps=1, external=4)
    await run(one)
    assert [line["external"] for line in one.events.named("step")] == [0]


async def test_without_own_groups_it_waits_for_those_of_others(make_peer, run, database, monkeypatch):
    monkeypatch.setattr(steps_module, "EXTERNAL_WAIT_S", 0.01)
    one = make_peer(steps=1, local=0, external=2)
    waits: list[str] = []

    def hook(name: str, fields: dict[str, Any]) -> None:
        if name == "phase" and fields["name"] == "waiting for external groups":
            waits.append(name)
            if len(waits) == 3:
                fill(database, 2)

    one.events.hook = hook
    loop = await run(one)
    assert len(waits) == 3
    assert loop.progress.step == 1
    [line] = one.events.named("step")
    assert (line["own"], line["external"], line["reward"]) == (0, 2, None)
    assert one.gossip.of(Demand), "gossip must know that groups are wanted"
    assert one.gossip.of(GroupOffer) == []


async def test_waiting_for_others_ends_at_once_when_stopped(make_peer, run, monkeypatch):
    monkeypatch.setattr(steps_module, "EXTERNAL_WAIT_S", 3_600.0)
    one = make_peer(local=0, external=2)
    loop = await run(one, lambda name, fields: fields.get("name") == "waiting for external groups")
    assert loop.progress.step == 0
    assert one.saved() == []


# Stopping -----------------------------------------------------------------------------------------


async def test_a_step_that_is_still_generating_is_dropped(make_peer, run):
    one = make_peer()
    before = weights(one.policy)
    generate = one.policy.generate

    def held(*args: Any, progress: Any, should_stop: Any, **kwargs: Any) -> Any:
        def report(tokens: int) -> None:
            progress(tokens)
            should_stop.wait(60)  # so small a model would be done before the stop is heard

        return generate(*args, progress=report, should_stop=should_stop, **kwargs)

    one.policy.generate = held
    loop = await run(one, lambda name, fields: fields.get("name") == "generating" and fields["done"] > 0)
    assert loop.progress.step == 0
    assert one.saved() == []
    assert one.gossip.of(GroupOffer) == []
    assert one.database.ledger.counts().own == 0
    assert all(torch.equal(before[name], now) for name, now in weights(one.policy).items())


async def test_a_step_that_is_still_scoring_is_dropped(make_peer, run):
    one = make_peer()
    loop = await run(one, lambda name, fields: fields.get("name") == "scoring")
    assert loop.progress.step == 0
    assert one.events.named("step") == []


async def test_an_update_that_has_begun_is_finished_and_saved(make_peer, run):
    one = make_peer(checkpoint_every=100)
    loop = await run(one, lambda name, fields: fields.get("name") == "training")
    assert loop.progress.step == 1
    assert [line["step"] for line in one.events.named("step")] == [1]
    assert one.saved() == [1]


async def test_stopped_before_the_first_step_it_takes_none(make_peer):
    one = make_peer()
    with ThreadPoolExecutor(1) as model_thread:
        loop = one.loop(model_thread)
        loop.stop()
        await loop.run()
    assert loop.progress.step == 0
    assert one.saved() == []


async def test_tasks_that_fail_end_it_after_a_checkpoint_of_what_was_learned(make_peer, run):
    one = make_peer(checkpoint_every=100)
    one.policy.fits = lambda *_: one.progress.step < 2
    with pytest.raises(TaskError):
        await run(one)
    assert one.saved() == [1, 2]


@pytest.mark.parametrize(("begun", "saved"), [(False, [1, 2]), (True, [1])])
async def test_memory_that_runs_out_while_training_costs_no_step_unless_weights_had_begun_to_change(
    make_peer, run, begun, saved
):
    one = make_peer(checkpoint_every=100)
    trainer = one.learner.trainer
    takes = trainer.step

    def step(*args: Any, **given: Any) -> Any:
        if trainer.steps < 2:
            return takes(*args, **given)
        trainer.is_whole = not begun
        raise ModelError("memory ran out")

    trainer.step = step
    with pytest.raises(ModelError):
        await run(one)
    assert one.saved() == saved


async def test_a_disk_that_refuses_ends_it(make_peer, run, home: Home):
    one = make_peer(steps=2)
    home.checkpoints_path.rmdir()
    home.checkpoints_path.write_text("in the way")
    with pytest.raises(StorageError, match="checkpoints"):
        await run(one)
    assert one.progress.saved_step == 0


# Resuming -----------------------------------------------------------------------------------------


async def test_a_step_repeated_after_a_kill_is_the_same_step(
    home, database, make_policy, events, run, tmp_path: Path
):
    """Two steps in one life, and the same two with a kill in the second: the same weights."""
    straight = Peer(home, database, make_policy(max_new_tokens=8), events, steps=2)
    await run(straight)

    elsewhere = Home.open(tmp_path / "elsewhere")
    with Database(elsewhere.database_path) as other_database:

        def life(**given: Any) -> Peer:
            return Peer(elsewhere, other_database, make_policy(max_new_tokens=8), Events(), **given)

        killed = life(steps=1)
        await run(killed)
        await run(
            killed, lambda name, fields: fields.get("name") == "generating" and fields["done"] > 0
        )  # dropped with all that it drew
        resumed = life(steps=1)
        resumed.resume()
        other_database.rewind(resumed.progress.step)
        await run(resumed)
    assert resumed.progress.step == 2
    assert resumed.progress.questions_drawn == straight.progress.questions_drawn
    for name, tensor in weights(straight.policy).items():
        assert torch.equal(tensor, weights(resumed.policy)[name]), name


async def test_groups_that_only_a_lost_step_used_are_drawn_again(make_peer, run, database):
    fill(database, 3)
    one = make_peer(steps=1, external=3)
    await run(one)
    assert database.pool.candidates(0, 10) == []
    database.rewind(0)
    assert len(database.pool.candidates(0, 10)) == 3
