"""What one process verified is the same in another, bit for bit, and nobody is offered his own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from protocol import (
    Episode,
    TaskFamily,
    TaskSpec,
    Turn,
    TurnsRecord,
    canonical_json,
    is_held_out,
    sign_record,
    verify_record,
)
from swarmd.experiment.round_groups import Accepted, Refused, RoundGroups, round_groups, verify
from swarmd.gossip.limits import GossipLimits
from swarmd.images import Image
from swarmd.judges import Panel
from swarmd.step.verification import Verification
from swarmd.tasks import Question, Score, TaskFailure
from tests.daemon.fakes import KnownTasks, external_group
from tests.gossip.making import START, key, make_manifest, make_record, make_task, question

MANIFEST = make_manifest()
ALLOWED = [n for n in range(200) if not is_held_out(question(make_task(MANIFEST, n)))]


def envelope(signer: int, number: int) -> bytes:
    return sign_record(key(signer), make_record(MANIFEST, ALLOWED[number], START, (1.0, 0.0, 1.0)))


class AboutAnImage(KnownTasks):
    """Asks one question, whatever the spec."""

    def __init__(self, asked: Question) -> None:
        super().__init__()
        self._asked = asked

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question | TaskFailure]:
        return [self._asked for _ in specs]


def verification(tasks: KnownTasks) -> Verification:
    return Verification(manifest=MANIFEST, tasks=tasks)


async def test_groups_come_out_as_the_daemons_verification_made_them() -> None:
    envelopes = [envelope(1, 0), envelope(2, 1)]
    thirds = verification(KnownTasks(lambda position, _: Score(position / 3)))
    outcomes = await verify(envelopes, manifest=MANIFEST, verification=thirds, now=START)
    exchanged = round_groups(outcomes)
    records = [verify_record(each, manifest=MANIFEST, now=START) for each in envelopes]
    assert [each.group for each in exchanged.accepted] == await thirds.check(records)
    assert exchanged.rejected == ()
    assert [group.publisher for group in exchanged.for_node(key(1).peer_id).groups] == [key(2).peer_id]


async def test_a_group_that_hangs_the_scorer_is_refused_with_its_publisher() -> None:
    hanging = verification(KnownTasks(lambda _, __: Score(0.0, "timeout")))
    exchanged = round_groups(
        await verify([envelope(1, 0)], manifest=MANIFEST, verification=hanging, now=START)
    )
    assert exchanged.rejected == (Refused(key(1).peer_id, "scorer"),)
    assert exchanged.accepted == ()


async def test_answers_about_an_image_vote_on_the_question_that_was_asked_with_it() -> None:
    judged = TaskFamily(
        **{**MANIFEST.tasks[0].model_dump(), "config": canonical_json({"judges": [{"kind": "agreement"}]})}
    )
    manifest = MANIFEST.model_copy(update={"tasks": (judged,)})
    plain = make_record(manifest, 0, START, (1.0, 1.0))
    asked = next(
        found
        for hidden in map(str, range(99))
        if not (found := Question(plain.task, "what?", 1, hidden, (Image(1, 1, bytes(3)),))).held_out
    )
    turn = Turn(text="<answer>red</answer>", logprob_sum_micro=-9, tokens=2, bytes=20, finished=True)
    fields = {name: getattr(plain, name) for name in TurnsRecord.model_fields}
    fields |= {"question_digest": asked.digest, "completions": (Episode(turns=(turn,), reward_micro=0),) * 2}
    envelope = sign_record(key(1), TurnsRecord(**fields))
    tasks = AboutAnImage(asked)
    outcomes = await verify(
        [envelope],
        manifest=manifest,
        verification=Verification(manifest=manifest, tasks=tasks, panel=Panel(manifest)),
        now=START,
    )
    panel = Panel(manifest)
    others = round_groups(outcomes).for_node(key(2).peer_id)
    assert [group.images for group in others.groups] == [asked.images]
    others.vote(panel)
    answers = ["<answer>red</answer>", "<answer>blue</answer>"]
    scores = await panel.judge_external(asked, "this node", answers, None)
    assert [score.reward for score in scores] == [1.0, 0.0]


def test_a_node_is_charged_what_a_peer_would_pull_and_never_its_own() -> None:
    groups = tuple(
        Accepted(external_group(number, publisher=f"peer {number % 3}"), bytes([number]) * 32)
        for number in range(9)
    )
    exchanged = RoundGroups(groups, (Refused("peer 1", "scorer"),))
    assert exchanged.pulled_by("peer 0", wanted=2) == math.ceil(2 * GossipLimits().overpull)
    assert exchanged.pulled_by("peer 0", wanted=100) == 7, "what is refused was verified too"
    assert exchanged.pulled_by("peer 1", wanted=100) == 6
    assert exchanged.pulled_by("peer 0", wanted=0) == 0
