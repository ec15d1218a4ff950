"""What an external loss is told of each row, and what a step says of each publisher."""

import dataclasses

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.learning import Trainer
from swarmd.learning.advantages import group_advantages
from swarmd.learning.selection import select_rows

PLAIN = LearningConfig(warmup_steps=0, learning_rate=1e-3, external_tokens="all")


def of_group(group):
    return group_advantages(torch.tensor(group.rewards))


def moved(policy, config, external):
    """Whether a step changes the weights."""
    before = policy.trainable_state()
    Trainer(policy, config).step([], [external])
    return any(not before[name].equal(now) for name, now in policy.trainable_state().items())


def test_tokens_are_the_same_by_the_same_tokenizer_and_in_the_same_number(make_policy, external_group):
    policy = make_policy()
    ours = policy.tokenizer_fingerprint
    for tokenizer, tokens, same in ((ours, 2, True), (ours, 3, False), (bytes(8), 2, False)):
        group = external_group("x", ("a", 1.0), ("b", 0.0), tokenizer=tokenizer, token_count=tokens)
        rows = select_rows(
            policy, [group], trains_on=lambda row: row.advantage != 0, advantages_of=of_group
        ).rows
        assert [row.same_tokens for row in rows] == [same, same]


def test_tis_does_not_learn_across_tokenizers(make_policy, external_group):
    policy = make_policy()
    config = PLAIN.model_copy(update={"external_loss": "tis"})
    known = external_group("x", ("a", 1.0), ("b", 0.0), tokenizer=policy.tokenizer_fingerprint, token_count=2)
    assert moved(policy, config, known)
    assert not moved(policy, config, dataclasses.replace(known, tokenizer=bytes(8)))


@pytest.mark.parametrize("name", ["topr", "imitate"])
def test_these_learn_from_anybody(make_policy, external_group, name):
    config = PLAIN.model_copy(update={"external_loss": name})
    assert moved(make_policy(), config, external_group("x", ("a", 1.0), ("b", 0.0)))


def test_what_an_external_loss_leaves_out_costs_nothing_and_still_counts_in_the_average(
    make_policy, external_group
):
    config = PLAIN.model_copy(update={"external_loss": "imitate"})
    group = external_group("x", ("a", 1.0), ("b", 0.0), ("c", 0.0), ("d", 0.0))
    policy = make_policy()
    scored = []
    put_through = policy.logprobs
    policy.logprobs = lambda rows: scored.extend(rows) or put_through(rows)
    metrics = Trainer(policy, config).step([], [group])
    assert [len(scored), metrics.groups_external_used] == [1, 1]
    assert metrics.tokens_external == 4 * len(scored[0].completion_ids)


@pytest.mark.parametrize("algorithm", ["grpo", "gspo", "ppo"])
def test_own_and_external_rows_go_through_the_model_together_and_teach_as_if_apart(
    make_policy, own_groups, external_group, algorithm
):
    config = PLAIN.model_copy(update={"algorithm": algorithm, "external_loss": "as_own"})
    external = [external_group("2+2?", ("a much longer answer", 1.0), ("five", 0.0))]
    metrics, weights = [], []
    for budget in (10_000, 1):
        policy = make_policy()
        calls = []
        score, with_states = policy.logprobs, policy.logprobs_and_states
        policy.logprobs = lambda rows, calls=calls, score=score: (calls.append(rows), score(rows))[1]
        policy.logprobs_and_states = lambda rows, calls=calls, f=with_states: (calls.append(rows), f(rows))[1]
        own = own_groups(policy, ["1+1?"], lambda text: len(text) / 100)
        trainer = Trainer(policy, config.model_copy(update={"token_budget": budget}))
        metrics.append(trainer.step(own, external))
        weights.append(policy.trainable_state())
        assert (len(calls) == 1) == (budget == 10_000)
    assert metrics[0].loss == pytest.approx(metrics[1].loss, abs=1e-6)
    assert metrics[0].external_surprisal == pytest.approx(metrics[1].external_surprisal, rel=1e-5)
    for name, tensor in weights[0].items():
        assert torch.allclose(weights[1][name], tensor, atol=2e-5), name


def test_a_step_says_when_the_external_loss_takes_nothing(make_policy, external_group):
    config = PLAIN.model_copy(update={"external_loss": "tis"})
    group = external_group("x", ("a", 1.0), ("b", 0.0))
    metrics = Trainer(make_policy(), config).step([], [group])
    assert not metrics.updated
    assert "takes nothing from the 1 external groups" in metrics.note


def test_surprisal_is_said_by_publisher(make_policy, external_group):
    policy = make_policy()
    one = external_group("x", ("aaaa", 1.0), ("bb", 0.0))
    two = dataclasses.replace(external_group("y", ("cc", 1.0), ("d", 0.0)), publisher="another")
    both = Trainer(make_policy(), PLAIN).step([], [one, two])
    alone = [
        Trainer(policy, PLAIN.model_copy(update={"learning_rate": 1e-9})).step([], [g]) for g in (one, two)
    ]
    assert both.external_surprisal == pytest.approx(
        {"other": alone[0].external_nats_per_byte, "another": alone[1].external_nats_per_byte}, rel=1e-4
    )
    assert Trainer(policy, PLAIN).step([], []).external_surprisal == {}
