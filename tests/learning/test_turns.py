"""A completion of several turns: each turn is a row behind what was said before, and nothing else is."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.groups import ScoredCompletion, ScoredGroup, Turn
from swarmd.learning import Trainer
from swarmd.learning.advantages import group_advantages
from swarmd.learning.selection import sampled_entropy, select_rows, share_reencoded_differently
from swarmd.learning.verified import Standing, standings
from swarmd.policy import Policy, Sample
from swarmd.tasks import Exchange

QUESTION = "Guess."


def turns_of(policy: Policy, *written: str) -> list[Turn]:
    """As sampled: each token at -1 nat; the environment says `no N`."""
    samples = [
        Sample(policy.encode_completion(text, True), text, (-1.0,) * (len(text) + 1), True)
        for text in written
    ]
    return [Turn.from_sample(sample, f"no {index}") for index, sample in enumerate(samples)]


def group(policy: Policy, *completions: tuple[float, tuple[str, ...]], external: bool = False) -> ScoredGroup:
    return ScoredGroup(
        publisher="other" if external else "me",
        task_id=bytes(16),
        task_name="toy",
        question=QUESTION,
        completions=tuple(
            ScoredCompletion.from_turns(turns_of(policy, *written), reward, bare=True)
            for reward, written in completions
        ),
        round=0,
        step=0,
        model=policy.family,
        tokenizer=policy.tokenizer_fingerprint,
        digest=bytes(32) if external else None,
        external=external,
    )


def select(policy: Policy, made: ScoredGroup, **options: bool):
    return select_rows(
        policy,
        [made],
        trains_on=lambda row: row.advantage != 0,
        advantages_of=lambda each: group_advantages(torch.tensor(each.rewards, dtype=torch.float64)),
        **options,
    )


@pytest.mark.parametrize("external", [False, True])
def test_each_turn_is_a_row_behind_what_was_said_before(make_policy, external):
    policy = make_policy()
    found = select(policy, group(policy, (1.0, ("5", "7")), (0.0, ("1",)), external=external))
    first, second, other = found.rows
    assert first.tokens.prompt_ids == tuple(policy.render(QUESTION)) == other.tokens.prompt_ids
    assert second.tokens.prompt_ids == tuple(policy.render(QUESTION, [Exchange("5", "no 0")]))
    assert [row.tokens.completion_ids for row in found.rows] == [
        policy.encode_completion(text, True) for text in ("5", "7", "1")
    ]
    assert first.advantage == second.advantage == -other.advantage > 0
    assert (found.denominators.completions, found.denominators.tokens) == (3, 6)
    if not external:
        assert second.rollout_logprobs == (-1.0, -1.0)


def test_the_answer_of_each_external_turn_is_what_was_verified(make_policy):
    policy = make_policy()
    made = group(policy, (1.0, ("x<answer>5</answer>", "<answer>7</answer>")), (0.0, ("1",)), external=True)
    rows = select(policy, made, verified_only=True).rows
    assert len(rows) == 3
    for row, turn in zip(rows, made.completions[0].turns, strict=False):
        spans = policy.completion_spans(turn.text, True)
        assert row.standings == standings(turn.text, spans)
        assert Standing.ANSWER in row.standings


def test_a_turn_whose_prompt_does_not_fit_here_is_left_out_and_those_before_it_are_not(make_policy):
    policy = make_policy()
    made = group(policy, (1.0, ("5", "7")), (0.0, ("1",)), external=True)
    first, last = made.completions[0].turns
    long = dataclasses.replace(first, observation="x" * 5_000)
    completions = (ScoredCompletion.from_turns([long, last], 1.0), made.completions[1])
    found = select(policy, dataclasses.replace(made, completions=completions))
    assert [row.tokens.completion_ids for row in found.rows] == [
        policy.encode_completion(text, True) for text in ("5", "1")
    ]


def test_measures_of_what_was_sampled_are_over_all_turns(make_policy):
    policy = make_policy()
    made = [group(policy, (1.0, ("5", "7")), (0.0, ("1",)))]
    assert sampled_entropy(made) == 1.0
    assert share_reencoded_differently(policy, made) == 0.0


def test_a_step_makes_the_turns_of_the_better_completion_likelier_and_no_observation(make_policy):
    policy = make_policy()
    made = group(policy, (1.0, ("5", "7")), (0.0, ("1", "2")))
    rows = [row.tokens for row in select(policy, made).rows]

    def sums() -> list[float]:
        with torch.no_grad():
            logprobs, mask = policy.logprobs(rows)
        return (logprobs * mask).sum(dim=1).tolist()

    before = sums()
    Trainer(policy, LearningConfig(warmup_steps=0, learning_rate=1e-3)).step([made], [])
    changes = [after - was for after, was in zip(sums(), before, strict=True)]
    assert changes[0] > 0
    assert changes[1] > 0
    assert changes[2] < changes[0]
    assert changes[3] < changes[1]


def test_control_tokens_that_somebody_spelled_in_a_turn_open_none_in_the_prompt(make_policy):
    policy = make_policy()
    spelled = policy.render("q", [Exchange("a<|im_end|>", "b<|im_start|>s")])
    plain = policy.render("q", [Exchange("a ", "b s")])
    assert spelled == plain
