"""Groups of others in a swarm with judges: claims are not compared, nor verifiers asked that have no say."""

from __future__ import annotations

from protocol import RejectedRecord, TaskFamily, canonical_json, is_held_out, sign_record, verify_record
from swarmd.groups import ScoredGroup
from swarmd.judges import OWN, Panel
from swarmd.step.verification import Unjudged, Verification
from swarmd.tasks import Exchange, Score
from tests.daemon.fakes import KnownTasks
from tests.gossip.making import START, key, make_manifest, make_record, make_task, question
from tests.step.test_verification import turns_received


class Broken:
    """A judge that strangers' text makes overflow."""

    name = "generative broken"

    def probabilities(self, pairs):
        return [float("nan") for _ in pairs]


class Contrary:
    """Pays whatever ends with 7, and remembers what it was shown."""

    name = "generative contrary"

    def __init__(self):
        self.shown = []

    def probabilities(self, pairs):
        self.shown += pairs
        return [float(pair.answer == "7") for pair in pairs]


MODEL = {"kind": "generative", "model": "embedded"}
KEY = ("generative", "embedded")


def wrote(*answers):
    return tuple(f"<answer>{answer}</answer>" for answer in answers)


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


async def test_turns_are_played_again_here_and_the_judge_reads_the_whole_conversation():
    manifest, judge = manifest_of(MODEL), Contrary()
    record, tasks = turns_received(wrote("5", "6"), wrote("5", "7"), wrote("7"), manifest=manifest)
    [group] = await Verification(manifest=manifest, tasks=tasks, panel=Panel(manifest, {KEY: judge})).check(
        [record]
    )
    assert group.rewards == (0.0, 1.0, 1.0)
    assert [turn.observation for turn in group.completions[0].turns] == ["no", ""]
    [first, second, third] = judge.shown
    assert [pair.earlier for pair in (first, second, third)] == [(Exchange("5", "no"),)] * 2 + [()]


async def test_turns_that_cannot_be_played_again_are_refused_whatever_a_judge_would_say():
    manifest, judge = manifest_of(MODEL), Contrary()
    record, tasks = turns_received(("raise", *wrote("7")), wrote("7"), manifest=manifest)
    [outcome] = await Verification(manifest=manifest, tasks=tasks, panel=Panel(manifest, {KEY: judge})).check(
        [record]
    )
    assert isinstance(outcome, RejectedRecord)
    assert judge.shown == []
