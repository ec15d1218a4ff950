"""A tiny random model learns a rule from rewards alone."""

import torch

from swarmd.config import LearningConfig
from swarmd.learning import Trainer

QUESTIONS = ["aa", "bb", "cc", "dd"]


def starts_with_a_capital(text):
    return float(text[:1].isascii() and text[:1].isupper())


def run(make_policy, own_groups, steps, lora_rank=None, learning_rate=3e-3):
    policy = make_policy(max_new_tokens=2, lora_rank=lora_rank)
    trainer = Trainer(policy, LearningConfig(warmup_steps=0, learning_rate=learning_rate))
    generator = torch.Generator().manual_seed(0)
    return [
        trainer.step(own_groups(policy, QUESTIONS, starts_with_a_capital, size=16, seed=generator), [])
        for _ in range(steps)
    ]


def mean_reward(metrics):
    return sum(m.reward_own for m in metrics) / len(metrics)


def test_reward_rises_from_chance_to_mastery(make_policy, own_groups):
    metrics = run(make_policy, own_groups, 40)
    assert mean_reward(metrics[:5]) < 0.3
    assert mean_reward(metrics[-5:]) > 0.9
    assert metrics[-1].entropy < metrics[0].entropy


def test_an_adapter_learns_it_too(make_policy, own_groups):
    metrics = run(make_policy, own_groups, 40, lora_rank=8)
    # Its frozen random output embeddings bound how likely any token can become: 0.38 is the most it reaches.
    assert mean_reward(metrics[-10:]) > 1.5 * mean_reward(metrics[:10])


def test_the_same_seed_gives_the_same_run_to_the_last_digit(make_policy, own_groups):
    assert run(make_policy, own_groups, 4) == run(make_policy, own_groups, 4)
