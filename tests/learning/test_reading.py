"""What a group makes a policy read, and how much of others' groups is trained on."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmd.config import PolicyConfig
from swarmd.groups import ScoredCompletion, ScoredGroup, Turn
from swarmd.hardware.plan import HardwarePlan
from swarmd.images import Image
from swarmd.learning import Experience
from swarmd.learning.batching import TrainRow
from swarmd.learning.reading import OWN_WORK_UNKNOWN, TIMES_MAX, WIDTHS, row_work, work_max
from swarmd.learning.selection import Selection, select_rows
from swarmd.policy import Policy, Sample, load_policy
from swarmd.step.own_groups import own_group
from swarmd.step.playing import Episode
from swarmd.tasks import Question, Score
from tests.gossip.making import make_manifest, make_task
from tests.tiny_sight import write_tiny_sight

Texts = Sequence[str]


def group(
    question: str, *completions: Texts, rewards: Sequence[float], work: float | None = None
) -> ScoredGroup:
    return ScoredGroup(
        publisher="somebody",
        task_id=bytes(16),
        task_name="guessing",
        question=question,
        completions=tuple(
            ScoredCompletion.from_turns([Turn(text, True, "no") for text in turns], reward, bare=True)
            for turns, reward in zip(completions, rewards, strict=True)
        ),
        round=1,
        step=1,
        model="m",
        tokenizer=bytes(8),
        digest=bytes(32),
        external=True,
        work=work,
    )


def read(policy: Policy, made: ScoredGroup, most: float) -> Selection:
    """All rows that a loss could ask for, with each completion's reward as its advantage."""
    return read_all(policy, [made], most)


def read_all(policy: Policy, groups: Sequence[ScoredGroup], most: float) -> Selection:
    return select_rows(
        policy,
        groups,
        trains_on=lambda row: True,
        with_equal_rewards=True,
        advantages_of=lambda each: torch.tensor(each.rewards),
        most=most,
    )


def work_of(policy: Policy, rows: Sequence[TrainRow], first: tuple[int, ...]) -> float:
    """What these rows of one group cost; `first` is the prompt that those of first turns share."""
    total, is_read = 0.0, False
    for row in rows:
        prompt, completion = row.tokens.prompt_ids, row.tokens.completion_ids
        reads = prompt != first or not is_read or not policy.shares_prompts
        total += row_work(len(prompt), len(completion), policy.state_width, reads_prompt=reads)
        is_read = True
    return total


@pytest.fixture
def policy(make_policy: Callable[[], Policy]) -> Policy:
    return make_policy()


def test_a_row_costs_its_tokens_and_what_they_attend_to() -> None:
    width = 100
    assert row_work(10, 5, 10**9) == pytest.approx(15)
    assert row_work(10, 5, 10**9, reads_prompt=False) == pytest.approx(5)
    long = WIDTHS * width
    assert row_work(long - 1, 1, width) == 2 * long


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.lists(st.text(st.sampled_from("0123456789 z"), max_size=40), min_size=1, max_size=16),
            st.sampled_from((-0.5, 0.5, 1.0)),
        ),
        min_size=1,
        max_size=16,
    ),
    st.floats(0, 2_000),
)
def test_no_group_of_others_costs_more_than_is_allowed(
    policy: Policy, written: list[tuple[list[str], float]], most: float
) -> None:
    made = group("What?", *(texts for texts, _ in written), rewards=[reward for _, reward in written])
    found = read(policy, made, most)
    assert found.rows
    assert found.denominators.completions >= len(found.rows)
    assert len(found.rows) == 1 or work_of(policy, found.rows, tuple(policy.render("What?"))) <= most


@pytest.mark.parametrize(
    "costly",
    [
        pytest.param([["7"] * 16] * 28, id="many turns of a digit"),
        pytest.param([["12345 " * 60, "7"]] * 8, id="long text in the prompt of a second turn"),
        pytest.param([["z" * 4_000]] * 16, id="long texts of one turn"),
        pytest.param([[f"{n}"] for n in range(64)], id="many completions"),
    ],
)
def test_a_group_that_costs_too_much_is_read_in_part_whatever_it_is_made_of(
    policy: Policy, costly: list[Texts]
) -> None:
    made = group("What?", *costly, rewards=[1.0] * len(costly))
    whole, first = read(policy, made, math.inf), tuple(policy.render("What?"))
    own = work_of(policy, whole.rows, first) / (3 * TIMES_MAX)
    kept = read(policy, made, work_max(own, 1))
    assert work_of(policy, kept.rows, first) <= TIMES_MAX * own
    assert 0 < len(kept.rows) < len(whole.rows)
    assert kept.denominators.tokens == kept.trained_tokens


def test_a_group_like_own_ones_is_read_whole(policy: Policy) -> None:
    made = group("What?", ["5", "7"], ["5", "6", "8"], rewards=[1.0, -1.0])
    whole = read(policy, made, math.inf)
    own = work_of(policy, whole.rows, tuple(policy.render("What?")))
    assert read(policy, made, work_max(own, 1)) == whole
    assert read(policy, made, work_max(None, 1)) == whole


CHEAP = group("Is 1 + 1 two?", ["yes"], ["no"], rewards=[1.0, -1.0])
COSTLY = group("What?", *[["5", "7", "9", "11"]] * 8, rewards=[1.0] * 8)


@pytest.mark.parametrize("groups", [(CHEAP, COSTLY), (COSTLY, CHEAP)], ids=["cheap first", "costly first"])
def test_what_a_cheap_group_does_not_need_is_there_for_a_costly_one(
    policy: Policy, groups: Sequence[ScoredGroup]
) -> None:
    works = [
        work_of(policy, read(policy, each, math.inf).rows, tuple(policy.render(each.question)))
        for each in groups
    ]
    assert max(works) > 3 * min(works)
    whole = read_all(policy, groups, sum(works) + 1e-6)
    assert len(whole.rows) == 2 + 8 * 4
    assert read(policy, COSTLY, sum(works) / 2).trained_tokens < read(policy, COSTLY, math.inf).trained_tokens


@pytest.fixture
def seeing(tmp_path: Path) -> Policy:
    """A policy that computes each completion behind a copy of its prompt."""
    plan = HardwarePlan(str(write_tiny_sight(tmp_path)), "cpu", "float32", 1, None, ())
    return load_policy(PolicyConfig(model=plan.model), plan, max_new_tokens=8)


def test_a_prompt_counts_as_often_as_it_is_computed(policy: Policy, seeing: Policy) -> None:
    one, *more = (group("What?", *[["7"]] * n, rewards=[1.0] * n) for n in (1, 2, 3))
    assert (policy.shares_prompts, seeing.shares_prompts) == (True, False)
    for each, shared in ((policy, True), (seeing, False)):
        alone = work_of(each, read(each, one, math.inf).rows, each.render("What?"))
        for n, made in enumerate(more, 2):
            allowed = alone * n - 1  # less than one token too little for all, if each has its own prompt
            assert len(read(each, made, allowed).rows) == (n if shared else n - 1)


@pytest.mark.parametrize("which", ["policy", "seeing"])
def test_an_own_group_costs_what_the_same_group_of_another_costs(
    which: str, request: pytest.FixtureRequest
) -> None:
    policy: Policy = request.getfixturevalue(which)
    texts, manifest = ("5", "71", "6"), make_manifest()
    question, prompt = Question(make_task(manifest, 0), "What?"), policy.render("What?")
    samples = [Sample(policy.encode_completion(text, True), text, (), True) for text in texts]
    own = own_group(
        question,
        [Episode.begin(question, sample, len(prompt)) for sample in samples],
        [Score(1.0)] * 3,
        manifest=manifest,
        policy=policy,
        publisher="me",
        round_=0,
        step=0,
    )
    rows = read(policy, group("What?", *([text] for text in texts), rewards=[1.0] * 3), math.inf).rows
    assert own.work == pytest.approx(work_of(policy, rows, prompt))


def test_images_count_towards_what_a_group_costs_before_it_is_read(seeing: Policy) -> None:
    policy = seeing
    text = group("What is it?", *[["5"], ["7"]] * 2, rewards=[1.0] * 4)
    images = (Image(1, 1, bytes(3)),) * 8
    shown = replace(group("What?", *[["5"], ["7"]] * 2, rewards=[1.0] * 4), images=images)
    works = [
        work_of(policy, read(policy, each, math.inf).rows, policy.render(each.question, (), each.images))
        for each in (text, shown)
    ]
    assert works[0] < works[1], "although its question is longer"
    for groups in ([text, shown], [shown, text]):
        assert len(read_all(policy, groups, sum(works) + 1e-6).rows) == 8


def test_costly_groups_share_evenly_what_a_step_may_read(policy: Policy) -> None:
    first = tuple(policy.render("What?"))
    alone = work_of(policy, read(policy, COSTLY, math.inf).rows, first)
    found = read_all(policy, [COSTLY, replace(COSTLY, publisher="another")], alone)
    halves = [[row for row in found.rows if row.publisher == by] for by in ("somebody", "another")]
    one, other = (work_of(policy, rows, first) for rows in halves)
    assert one == pytest.approx(other, rel=0.2)  # what is left of the one is less than a row, and the other's
    assert 0.8 * alone < one + other <= alone


def test_the_best_completions_are_read_first_and_keep_the_advantages_of_the_whole_group(
    policy: Policy,
) -> None:
    made = group("What?", ["1"], ["2", "3"], ["7"], ["5", "6"], rewards=[-0.5, -0.5, 0.25, 0.75])
    three = read(policy, made, math.inf).rows[:3]
    kept = read(policy, made, work_of(policy, three, tuple(policy.render("What?"))))
    assert [row.advantage for row in kept.rows] == [0.75, 0.75, 0.25]
    assert [row.tokens.completion_ids for row in kept.rows] == [
        policy.encode_completion(text, True) for text in ("5", "6", "7")
    ]


def test_a_peer_without_own_groups_is_not_made_to_read_without_bound(policy: Policy) -> None:
    assert work_max(None, 4) == 4 * TIMES_MAX * OWN_WORK_UNKNOWN
    assert work_max(100.0, 2) == 2 * TIMES_MAX * 100


def test_what_own_groups_cost_that_teach_is_remembered_or_else_what_others_of_them_cost() -> None:
    experience = Experience()
    assert experience.own_work is None
    untaught = group("What?", ["ab"], ["c"], rewards=[1.0, 1.0], work=10.0)
    experience.see_own([untaught, replace(untaught, work=40.0), replace(untaught, work=None)])
    assert experience.own_work == pytest.approx(20)
    teaching = group("What?", ["ab"], ["c"], rewards=[1.0, 0.0], work=50.0)
    experience.see_own([teaching, replace(teaching, work=200.0), untaught])
    assert experience.own_work == pytest.approx(100)
    resumed = Experience()
    resumed.restore(json.loads(json.dumps(experience.to_state())))
    assert resumed.own_work == experience.own_work


def test_one_costly_own_group_among_many_allows_others_little_more() -> None:
    experience = Experience()
    cheap = group("What?", ["ab"], ["c"], rewards=[1.0, 0.0], work=50.0)
    experience.see_own([cheap] * 15)
    experience.see_own([replace(cheap, work=5_000.0)])
    assert experience.own_work == pytest.approx(50 * 100 ** (1 / 16))
