"""From a record that is authentic to a group that is true: nothing that the publisher claims is believed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from protocol import (
    Episode,
    Manifest,
    Reason,
    RejectedRecord,
    TaskSpec,
    Turn,
    TurnsRecord,
    VerifiedRecord,
    is_held_out,
    question_digest,
    sign_record,
    verify_record,
)
from swarmd.groups import ScoredGroup
from swarmd.images import Image
from swarmd.step.accounts import HALF_LIFE_S, SECONDS_MAX
from swarmd.step.offering import to_offer
from swarmd.step.verification import PATIENCE_S, Overdrawn, Verification
from swarmd.tasks import Question, Score
from tests.daemon.fakes import KnownTasks, as_claimed
from tests.gossip.making import START, key, make_manifest, make_record, make_task, question

MANIFEST = make_manifest()
ALLOWED = [n for n in range(200) if not is_held_out(question(make_task(MANIFEST, n)))]
HELD_OUT = [n for n in range(200) if is_held_out(question(make_task(MANIFEST, n)))]


def received(
    number: int, rewards: tuple[float, ...] = (1.0, 0.0), by: int = 1, **changes: bytes
) -> VerifiedRecord:
    record = make_record(MANIFEST, number, START, rewards, **changes)
    return verify_record(sign_record(key(by), record), manifest=MANIFEST, now=START)


def check(tasks: KnownTasks) -> Verification:
    return Verification(manifest=MANIFEST, tasks=tasks)


async def test_a_group_is_rebuilt_from_the_record_with_the_rewards_found_here():
    tasks = KnownTasks(lambda position, _: Score(0.25 * position))
    record = received(ALLOWED[0], (1.0, 0.0, 1.0))
    [group] = await check(tasks).check([record])
    assert isinstance(group, ScoredGroup)
    assert group.rewards == (0.0, 0.25, 0.5), "not the publisher's 1, 0, 1"
    assert group.question == question(record.record.task)
    assert (group.publisher, group.digest, group.external) == (key(1).peer_id, record.digest, True)
    assert (group.round, group.step, group.model) == (record.record.round, record.record.step, "tiny")
    assert group.task_name == MANIFEST.family(record.record.task.task_id).name
    assert [c.text for c in group.completions] == [c.text for c in record.record.completions]
    assert {c.behaviour_logprob_sum for c in group.completions} == {-1.0}
    assert {c.token_count for c in group.completions} == {8}
    assert {c.token_ids for c in group.completions} == {()}, "tokens are this peer's own to make"


async def test_a_group_says_which_answers_are_bare():
    tasks = KnownTasks(lambda position, _: Score(1.0, bare=position == 1))
    [group] = await check(tasks).check([received(ALLOWED[0], (1.0, 0.0, 1.0))])
    assert [completion.bare for completion in group.completions] == [False, True, False]


async def test_a_completion_on_which_the_scorer_raises_earns_nothing_and_costs_the_others_nothing():
    def score(position: int, text: str) -> Score:
        return Score(0.0, "error") if position == 1 else as_claimed(position, text)

    [group] = await check(KnownTasks(score)).check([received(ALLOWED[0], (1.0, 1.0, 0.5))])
    assert group.rewards == (1.0, 0.0, 0.5)


@pytest.mark.parametrize(("unended", "rewards"), [("wrong", (0.0, 1.0)), ("scored", (1.0, 1.0))])
async def test_a_text_of_another_that_goes_on_until_it_is_cut_off_earns_nothing(unended, rewards):
    record = make_record(MANIFEST, ALLOWED[0], START, (1.0, 1.0))
    first, second = record.completions
    texts = ("<answer>1</answer> and on", "<answer>1</answer> and done")
    completions = tuple(
        each.model_copy(update={"text": text, "bytes": len(text), "finished": text == texts[1]})
        for each, text in zip((first, second), texts, strict=True)
    )
    envelope = sign_record(key(1), record.model_copy(update={"completions": completions}))
    verified = verify_record(envelope, manifest=MANIFEST, now=START)
    checking = Verification(manifest=MANIFEST, tasks=KnownTasks(as_claimed), unended=unended)
    [group] = await checking.check([verified])
    assert group.rewards == rewards


async def test_it_knows_what_a_good_group_takes_lately():
    now = [0.0]
    tasks = CostlyTasks(as_claimed, now, cpu_share=0.01)
    verification = Verification(manifest=MANIFEST, tasks=tasks, monotonic=lambda: now[0])
    assert verification.record_s is None
    await verification.check([received(ALLOWED[0])])
    assert verification.record_s == pytest.approx(0.006 * SECONDS_MAX)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("hang", Reason.COMPLETION),
        ("crash", Reason.COMPLETION),
        ("timeout", Reason.SCORER),
        ("skipped", Reason.SCORER),
    ],
)
async def test_one_completion_that_hangs_or_ends_the_scorer_costs_the_whole_group(failure, reason):
    def score(position: int, text: str) -> Score:
        return Score(0.0, failure) if position == 1 else as_claimed(position, text)

    [outcome] = await check(KnownTasks(score)).check([received(ALLOWED[0], (1.0, 1.0, 0.5, 0.0))])
    assert isinstance(outcome, RejectedRecord)
    assert outcome.reason is reason


class CostlyTasks(KnownTasks):
    """Each group takes 0.6 of what a publisher may use up by the clock, `cpu_share` of it on a core."""

    def __init__(self, score_by, now, cpu_share=0.0):
        super().__init__(score_by)
        self.now, self.cpu_share = now, cpu_share

    async def score_alone(self, spec, completions):
        self.now[0] += 0.6 * SECONDS_MAX
        self.clock_s += 0.6 * SECONDS_MAX
        self.cpu_s += 0.6 * SECONDS_MAX * self.cpu_share
        return await super().score_alone(spec, completions)


@pytest.mark.parametrize(("cpu_share", "groups"), [(0.1, 50), (1.0, 3)])
async def test_a_good_group_is_charged_what_it_takes_of_a_core_however_busy_the_machine_is(cpu_share, groups):
    now = [0.0]
    tasks = CostlyTasks(as_claimed, now, cpu_share)
    verification = Verification(manifest=MANIFEST, tasks=tasks, monotonic=lambda: now[0])
    for number in range(50):
        [outcome] = await verification.check([received(ALLOWED[number])])
        if isinstance(outcome, Overdrawn):
            break
    assert len(tasks.scored) == groups


async def test_what_takes_long_is_given_up_for_the_sake_of_others_and_later_where_all_takes_longer():
    now, given_up = [0.0], []
    tasks = CostlyTasks(as_claimed, now)
    tasks.give_up = lambda: given_up.append(now[0])
    verification = Verification(manifest=MANIFEST, tasks=tasks, monotonic=lambda: now[0])
    tasks.waiting_s = PATIENCE_S
    verification.hurry()
    assert not given_up
    tasks.waiting_s = PATIENCE_S + 0.1
    verification.hurry()
    assert len(given_up) == 1
    for number in range(20):  # good ones, each of which takes as long as nobody would wait for
        await verification.check([received(ALLOWED[number])])
    verification.hurry()
    assert len(given_up) == 1


async def test_a_publisher_that_has_used_up_its_seconds_is_refused_until_they_are_forgotten():
    now = [0.0]
    tasks = CostlyTasks(lambda *_: Score(0.0, "hang"), now)
    verification = Verification(manifest=MANIFEST, tasks=tasks, monotonic=lambda: now[0])
    record = received(ALLOWED[0])
    outcomes = [(await verification.check([record]))[0] for _ in range(3)]
    assert [outcome.reason for outcome in outcomes[:2]] == [Reason.COMPLETION, Reason.COMPLETION]
    assert outcomes[2] == Overdrawn()
    assert len(tasks.scored) == 2, "the third is not looked at"
    now[0] += HALF_LIFE_S
    await verification.check([record])
    assert len(tasks.scored) == 3


async def test_a_group_that_hangs_costs_its_publisher_alone_and_is_the_last_of_it_to_be_tried_in_a_batch():
    tasks = CostlyTasks(lambda *_: Score(0.0, "hang"), [0.0])
    honest, *hanging = [received(ALLOWED[0], by=2)] + [received(ALLOWED[n]) for n in (1, 2, 3)]
    tasks.slow = {record.record.task.seed for record in hanging}
    tasks.score_by = lambda *_: Score(0.0, "hang" if tasks.scored[-1].seed in tasks.slow else None)
    verification = Verification(manifest=MANIFEST, tasks=tasks, monotonic=lambda: tasks.now[0])
    first, second, *rest = await verification.check([hanging[0], honest, *hanging[1:]])
    assert isinstance(first, RejectedRecord)
    assert isinstance(second, ScoredGroup)
    assert rest == [Overdrawn(), Overdrawn()], "left for later, and not looked at"
    assert [spec.seed for spec in tasks.scored] == [honest.record.task.seed, hanging[0].record.task.seed]
    assert verification.accounts.seconds(key(1).peer_id, tasks.now[0]) > 0.6 * SECONDS_MAX
    assert verification.accounts.seconds(key(2).peer_id, tasks.now[0]) == 0


async def test_good_groups_that_need_a_process_each_are_all_scored():
    tasks = KnownTasks()
    records = [received(n) for n in ALLOWED[:3]]
    tasks.slow = {record.record.task.seed for record in records[1:]}
    outcomes = await check(tasks).check(records)
    assert [outcome.digest for outcome in outcomes] == [record.digest for record in records]


async def test_groups_that_take_long_alone_do_not_make_others_wait_longer_for_what_hangs():
    given_up = []
    tasks = CostlyTasks(as_claimed, [0.0])
    tasks.slow = set(range(200))
    tasks.give_up = lambda: given_up.append(True)
    verification = Verification(manifest=MANIFEST, tasks=tasks, monotonic=lambda: tasks.now[0])
    for number in range(20):
        await verification.check([received(ALLOWED[number])])
    tasks.waiting_s = PATIENCE_S + 0.1
    verification.hurry()
    assert given_up


async def test_a_group_that_was_accepted_proves_its_publisher():
    verification = check(KnownTasks())
    await verification.check([received(ALLOWED[0])])
    assert verification.accounts.is_proven(key(1).peer_id)


async def test_another_question_is_rejected_and_its_completions_are_not_scored():
    tasks = KnownTasks()
    [outcome] = await check(tasks).check([received(ALLOWED[0], question_digest=bytes(32))])
    assert isinstance(outcome, RejectedRecord)
    assert outcome.reason is Reason.QUESTION
    assert tasks.scored == []


async def test_a_question_kept_for_evaluation_is_rejected():
    tasks = KnownTasks()
    [outcome] = await check(tasks).check([received(HELD_OUT[0])])
    assert isinstance(outcome, RejectedRecord)
    assert outcome.reason is Reason.HELD_OUT
    assert tasks.scored == []


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        ("version", Reason.VERSION),
        ("source", Reason.VERSION),
        ("timeout", Reason.SCORER),
        ("crash", Reason.SCORER),
        ("dataset", Reason.TASK),
        ("option", Reason.TASK),
        ("error", Reason.TASK),
    ],
)
async def test_a_question_that_cannot_be_regenerated_is_held_against_whoever_is_to_blame(failure, reason):
    tasks = KnownTasks()
    tasks.failures[ALLOWED[0]] = failure
    [outcome] = await check(tasks).check([received(ALLOWED[0])])
    assert isinstance(outcome, RejectedRecord)
    assert outcome.reason is reason
    assert failure in outcome.detail


async def test_outcomes_keep_the_order_of_the_records():
    tasks = KnownTasks()
    tasks.failures[ALLOWED[2]] = "error"
    records = [received(n) for n in (ALLOWED[0], HELD_OUT[0], ALLOWED[1], ALLOWED[2], ALLOWED[3])]
    outcomes = await check(tasks).check(records)
    assert [isinstance(outcome, ScoredGroup) for outcome in outcomes] == [True, False, True, False, True]
    for record, outcome in zip(records, outcomes, strict=True):
        if isinstance(outcome, ScoredGroup):
            assert outcome.digest == record.digest
    assert await check(tasks).check([]) == []


def turns_received(
    *completions: tuple[str, ...], turns: int = 3, manifest: Manifest = MANIFEST
) -> tuple[VerifiedRecord, TurnTasks]:
    """A record of turns; its task answers each turn with `no`, and pays for `right`."""
    plain = make_record(manifest, ALLOWED[0], START, (1.0, 0.0))
    tasks = TurnTasks(turns)
    asked = tasks.asked(plain.task)
    record = TurnsRecord(
        **{
            **{name: getattr(plain, name) for name in TurnsRecord.model_fields},
            "question_digest": asked.digest,
            "completions": tuple(
                Episode(
                    turns=tuple(
                        Turn(text=text, logprob_sum_micro=-9, tokens=2, bytes=len(text), finished=True)
                        for text in written
                    ),
                    reward_micro=0,
                )
                for written in completions
            ),
        }
    )
    return verify_record(sign_record(key(1), record), manifest=manifest, now=START), tasks


class TurnTasks(KnownTasks):
    """Tasks of several turns without a worker."""

    def __init__(self, turns: int) -> None:
        super().__init__()
        self.turns = turns

    def asked(self, spec: TaskSpec) -> Question:
        hidden = next(n for n in map(str, range(99)) if not Question(spec, "guess", self.turns, n).held_out)
        return Question(spec, "guess", self.turns, hidden)

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question]:
        return list(map(self.asked, specs))

    async def score_alone(self, spec: TaskSpec, completions: Sequence[tuple[str, ...]]) -> list[Score]:
        return [
            Score(0.0, "turns")
            if len(written) > self.turns
            else Score(0.0, "error")
            if written[0] == "raise"
            else Score(float(written[-1] == "right"), bare=True, observations=("no",) * (len(written) - 1))
            for written in completions
        ]


async def test_a_group_of_turns_is_rebuilt_with_the_observations_made_here():
    record, tasks = turns_received(("5", "right"), ("6",))
    [group] = await check(tasks).check([record])
    assert isinstance(group, ScoredGroup)
    assert group.rewards == (1.0, 0.0)
    assert [turn.text for turn in group.completions[0].turns] == ["5", "right"]
    assert [turn.observation for turn in group.completions[0].turns] == ["no", ""]
    assert group.completions[0].turns[0].behaviour_logprob_sum == -9e-6
    assert (group.completions[0].bare, group.completions[1].earlier) == (True, ())


@pytest.mark.parametrize(
    ("completions", "reason"),
    [((("1", "2", "3", "right"), ("6",)), Reason.COMPLETION), ((("raise", "2"), ("6",)), Reason.SCORER)],
)
async def test_turns_that_cannot_be_played_again_cost_the_whole_group(completions, reason):
    record, tasks = turns_received(*completions)
    [outcome] = await check(tasks).check([record])
    assert isinstance(outcome, RejectedRecord)
    assert outcome.reason is reason


async def test_a_record_of_turns_about_a_task_that_has_one_is_about_another_question():
    record, _ = turns_received(("5", "right"), ("6",))
    [outcome] = await check(KnownTasks()).check([record])
    assert isinstance(outcome, RejectedRecord)
    assert outcome.reason is Reason.QUESTION


async def test_what_is_offered_of_a_group_of_turns_is_what_a_receiver_finds():
    record, tasks = turns_received(("5", "right"), ("6",))
    [group] = await check(tasks).check([record])
    offer = to_offer(group, tasks.asked(record.record.task), temperature=1.0)
    assert [[turn.text for turn in each.turns] for each in offer.completions] == [["5", "right"], ["6"]]
    assert [each.reward_micro for each in offer.completions] == [1_000_000, 0]
    assert offer.question_digest == record.record.question_digest


class ImageTasks(KnownTasks):
    """Tasks of one turn about an image, without a worker. `colour` fills the image."""

    def __init__(self, colour: int = 0) -> None:
        super().__init__(lambda position, _: Score(float(position == 0), bare=True))
        self.colour = colour

    def asked(self, spec: TaskSpec) -> Question:
        image = Image(1, 1, bytes([self.colour] * 3))
        hidden = next(n for n in map(str, range(99)) if not Question(spec, "what?", 1, n, (image,)).held_out)
        return Question(spec, "what?", 1, hidden, (image,))

    async def questions(self, specs: Sequence[TaskSpec]) -> list[Question]:
        return list(map(self.asked, specs))


def about_an_image(tasks: ImageTasks) -> VerifiedRecord:
    plain = make_record(MANIFEST, ALLOWED[0], START, (1.0, 0.0))
    digest = tasks.asked(plain.task).digest
    turn = Turn(text="red", logprob_sum_micro=-9, tokens=2, bytes=3, finished=True)
    fields = {name: getattr(plain, name) for name in TurnsRecord.model_fields}
    fields |= {"question_digest": digest, "completions": (Episode(turns=(turn,), reward_micro=0),) * 2}
    return verify_record(sign_record(key(1), TurnsRecord(**fields)), manifest=MANIFEST, now=START)


async def test_a_group_about_an_image_is_rebuilt_with_the_image_drawn_here():
    tasks = ImageTasks()
    record = about_an_image(tasks)
    [group] = await check(tasks).check([record])
    assert isinstance(group, ScoredGroup)
    assert (group.rewards, group.images) == ((1.0, 0.0), (Image(1, 1, bytes(3)),))
    offer = to_offer(group, tasks.asked(record.record.task), temperature=1.0)
    assert [[turn.text for turn in each.turns] for each in offer.completions] == [["red"], ["red"]]


async def test_a_group_about_an_image_that_is_drawn_otherwise_here_is_about_another_question():
    [outcome] = await check(ImageTasks(colour=1)).check([about_an_image(ImageTasks())])
    assert isinstance(outcome, RejectedRecord)
    assert outcome.reason is Reason.QUESTION


async def test_a_record_of_the_other_version_than_its_task_s_is_refused_whatever_its_digest():
    tasks = ImageTasks()
    spec = make_record(MANIFEST, ALLOWED[0], START, (1.0, 0.0)).task
    old = received(ALLOWED[0], question_digest=tasks.asked(spec).digest)
    new, _ = turns_received(("5",), ("6",))
    plain = question_digest(question(new.record.task))
    changed = new.record.model_copy(update={"question_digest": plain})
    new = verify_record(sign_record(key(1), changed), manifest=MANIFEST, now=START)
    for record, source in ((old, tasks), (new, KnownTasks())):
        [outcome] = await check(source).check([record])
        assert isinstance(outcome, RejectedRecord)
        assert outcome.reason is Reason.QUESTION
        assert "version does not fit" in outcome.detail
