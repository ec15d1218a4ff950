"""Groups of others in a swarm with judges: claims are not compared, nor verifiers asked that have no say."""

from __future__ import annotations

from protocol import TaskFamily, canonical_json, is_held_out, sign_record, verify_record
from swarmd.groups import ScoredGroup
from swarmd.judges import OWN, Panel
from swarmd.step.verification import Unjudged, Verification
from swarmd.tasks import Score
from tests.daemon.fakes import KnownTasks
from tests.gossip.making import START, key, make_manifest, make_record, make_task, question


class Broken:
    """A judge that strangers' text makes overflow."""

    name = "generative broken"

    def probabilities(self, pairs):
        return [float("nan") for _ in pairs]


def manifest_of(judge):
    [family] = make_manifest(tasks=1).tasks
    judged = TaskFamily(**{**family.model_dump(), "config": canonical_json({"judges": [judge]})})
    return make_manifest(tasks=1).model_copy(update={"tasks": (judged,)})


def allowed(manifest):
    return next(n for n in range(200) if not is_held_out(question(make_task(manifest, n))))


def received(manifest, rewards):
    record = make_record(manifest, allowed(manifest), START, rewards)
    return verify_record(sign_record(key(1), record), manifest=manifest, now=START)


async def check(manifest, panel, rewards, tasks):
    verification = Verification(manifest=manifest, tasks=tasks, panel=panel)
    [outcome] = await verification.check([received(manifest, rewards)])
    return outcome


async def test_agreement_with_others_decides_and_neither_claim_nor_verifier():
    manifest = manifest_of({"kind": "agreement"})
    panel, tasks = Panel(manifest), KnownTasks(lambda *_: Score(1.0))
    [mine] = await tasks.questions([make_task(manifest, allowed(manifest))])
    panel.hear(mine.digest, OWN, ["<answer>0.000000</answer>"] * 3)
    group = await check(manifest, panel, (1.0, 0.0, 1.0), tasks)
    assert isinstance(group, ScoredGroup)
    assert group.rewards == (0.0, 1.0, 0.0), "the publisher claims the opposite, which is no lie"
    assert [c.bare for c in group.completions] == [True, True, True]
    assert group.confidence == 1.0
    assert tasks.scored == [], "strangers' text never reaches a verifier that has no say"


async def test_a_group_of_which_nobody_else_has_an_opinion_teaches_nothing_and_is_no_offence():
    manifest = manifest_of({"kind": "agreement"})
    group = await check(manifest, Panel(manifest), (1.0, 0.0), KnownTasks())
    assert isinstance(group, ScoredGroup)
    assert not group.can_teach
    assert group.confidence == 0.0


async def test_a_text_that_overflows_a_judge_is_refused_and_ends_nothing():
    manifest = manifest_of({"kind": "generative", "model": "embedded"})
    panel = Panel(manifest, {("generative", "embedded"): Broken()})
    outcome = await check(manifest, panel, (1.0, 0.0), KnownTasks())
    assert isinstance(outcome, Unjudged)
    assert "generative broken" in outcome.why
