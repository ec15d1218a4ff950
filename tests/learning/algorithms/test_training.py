"""Steps of a real policy under each algorithm: what changes, what resumes, what it can be combined with."""

import itertools

import pytest
import torch

from swarmd.config import LearningConfig
from swarmd.learning import Trainer

QUESTIONS = ["1+1?", "a longer question?"]
ALGORITHMS = ["dr_grpo", "gspo", "ppo"]  # grpo, the default: tests/learning/test_trainer.py
LOSSES = ["as_own", "topr", "tis", "imitate"]


def has_digit(text):
    return float(any(c.isdigit() for c in text))


def settings(algorithm, **more):
    given = {"warmup_steps": 0, "learning_rate": 1e-3, "external_tokens": "all"} | more
    return LearningConfig(algorithm=algorithm, **given)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def first_moments(trainer):
    """A tenth of the gradient after one step."""
    return {name: t for name, t in trainer.state_dict().items() if name.startswith("optimizer/exp_avg/")}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_resumed_trainer_goes_on_exactly_where_the_other_would_have(make_policy, own_groups, algorithm):
    policy = make_policy()
    batches = [own_groups(policy, QUESTIONS, has_digit, seed=seed) for seed in range(3)]
    trainer = Trainer(policy, settings(algorithm))
    before = policy.trainable_state()
    assert trainer.step(batches[0], []).updated
    weights, saved = policy.trainable_state(), trainer.state_dict()
    assert not same(before, weights)
    straight = [trainer.step(batch, []) for batch in batches[1:]]

    resumed_policy = make_policy()
    resumed = Trainer(resumed_policy, settings(algorithm))
    resumed_policy.load_trainable_state(weights)
    resumed.load_state_dict(saved)
    assert [resumed.step(batch, []) for batch in batches[1:]] == straight
    assert same(resumed_policy.trainable_state(), policy.trainable_state())
    assert same(resumed.state_dict(), trainer.state_dict())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_small_micro_batches_give_the_gradient_of_one_large_batch(
    make_policy, own_groups, external_group, algorithm
):
    results = []
    for budget in (64, 100_000):
        policy = make_policy()
        config = settings(algorithm, token_budget=budget, max_grad_norm=1e9)
        trainer = Trainer(policy, config)
        external = [external_group("2+2?", ("4", 1.0), ("five", 0.0))]
        loss = trainer.step(own_groups(policy, QUESTIONS, has_digit), external).loss
        results.append((loss, first_moments(trainer)))
    (small_loss, small), (large_loss, large) = results
    assert small_loss == pytest.approx(large_loss, abs=1e-5)
    for name in small:
        assert torch.allclose(small[name], large[name], atol=1e-6), name


def test_on_policy_the_algorithms_differ_in_direction(make_policy, own_groups):
    directions = {}
    for algorithm in ("grpo", "dr_grpo", "gspo"):
        policy = make_policy()
        trainer = Trainer(policy, settings(algorithm, max_grad_norm=1e9))
        trainer.step(own_groups(policy, QUESTIONS, lambda text: len(set(text)) / 20), [])
        flat = torch.cat([moment.flatten() for moment in first_moments(trainer).values()])
        directions[algorithm] = flat / flat.norm()
    for one, other in itertools.combinations(directions, 2):
        assert 0 < directions[one] @ directions[other] < 0.999


@pytest.mark.parametrize("external_loss", LOSSES)
@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "ppo"])
def test_every_external_loss_takes_the_algorithms_advantages(
    make_policy, external_group, algorithm, external_loss
):
    policy = make_policy()
    before = policy.trainable_state()
    group = external_group(
        "2+2?", ("4", 1.0), ("5", 0.0), tokenizer=policy.tokenizer_fingerprint, token_count=2
    )
    assert Trainer(policy, settings(algorithm, external_loss=external_loss)).step([], [group]).updated
    assert not same(before, policy.trainable_state())


def test_several_updates_of_gspo_on_a_batch_are_clipped(make_policy, own_groups):
    policy = make_policy()
    own = own_groups(policy, QUESTIONS, has_digit)
    assert Trainer(policy, settings("gspo", updates_per_batch=4)).step(own, []).clip_fraction > 0.5
    assert Trainer(make_policy(), settings("gspo")).step(own, []).clip_fraction == 0
