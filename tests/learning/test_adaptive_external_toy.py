"""What adaptive J is worth on a softmax over 32 arms that trains on its own choices and on a stranger's.

Arm 0 is right here. The good stranger mostly plays arm 0 too; the bad one has a question of its own that
cannot be told from ours, where arm 1 is right: correctly scored, and wrong for us. 2 own groups and up to 6
of the stranger's, eight choices each, under `as_own`. Eight seeds side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from swarmd.learning import AdaptiveExternal
from swarmd.learning.adaptive_external import UNLIKELY

ARMS, SEEDS, GROUP, OWN, MOST, STEPS, RATE = 32, 8, 8, 2, 6, 240, 0.1


@dataclass(frozen=True)
class Outcome:
    success: float
    """Own mean reward over all steps and seeds."""
    external: float
    """Mean J of the last quarter."""


def chosen(probabilities, count, generator):
    """[S, A] -> arms [S, count, GROUP]"""
    arms = torch.multinomial(probabilities, count * GROUP, True, generator=generator)
    return arms.view(SEEDS, count, GROUP)


def ascent(probabilities, arms, right, taken):
    """The gradient of `as_own` at its first update, [S, A], and which groups had an advantage, [S, count].

    arms [S, count, GROUP]; taken [S, count] bool; averaged over the groups used, as GRPO does.
    """
    rewards = (arms == right).double()
    std = rewards.std(dim=2, keepdim=True)
    used = (std[..., 0] > 0) & taken
    advantages = torch.where(used[..., None], (rewards - rewards.mean(2, keepdim=True)) / (std + 1e-4), 0.0)
    directions = torch.nn.functional.one_hot(arms, ARMS) - probabilities[:, None, None, :]
    total = (advantages[..., None] * directions).sum((1, 2))
    return total / (used.sum(1, keepdim=True) * GROUP).clamp(min=1), used


def train(start, theirs, j):
    """`start`: our logit of arm 0; `theirs`: the stranger's arm; `j`: a number, or None for adaptive."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.zeros(SEEDS, ARMS, dtype=torch.double)
    logits[:, 0] = start
    stranger = torch.zeros(ARMS, dtype=torch.double)
    stranger[theirs] = 3.0
    stranger = torch.softmax(stranger, 0).expand(SEEDS, -1)
    peers = [AdaptiveExternal.start(MOST) for _ in range(SEEDS)]
    rewards, wanted = [], []
    for _ in range(STEPS):
        probabilities = torch.softmax(logits, 1)
        own, external = chosen(probabilities, OWN, generator), chosen(stranger, MOST, generator)
        now = torch.tensor([peer.external if j is None else j for peer in peers])
        ours, _ = ascent(probabilities, own, 0, torch.ones(SEEDS, OWN, dtype=torch.bool))
        others, used = ascent(probabilities, external, theirs, torch.arange(MOST) < now[:, None])
        reward = (own == 0).double().mean((1, 2))
        nats = -torch.log(probabilities)  # an arm is one byte
        far = nats.gather(1, external.flatten(1)).mean(1) > nats.gather(1, own.flatten(1)).mean(1) + UNLIKELY
        trained, unlikely = used.sum(1), used.sum(1) * far
        seen = zip(peers, reward.tolist(), trained.tolist(), unlikely.tolist(), strict=True)
        peers = [peer.after_step(*observed) for peer, *observed in seen]
        logits += RATE * (ours + (now / MOST)[:, None] * others)
        rewards.append(reward.mean())
        wanted.append(now.double().mean())
    return Outcome(torch.stack(rewards).mean().item(), torch.stack(wanted)[-STEPS // 4 :].mean().item())


@pytest.mark.parametrize(("start", "of_the_harm"), [(0.0, 0.95), (2.0, 0.6)])
def test_a_stranger_who_misleads_costs_less_and_is_asked_for_less(start, of_the_harm):
    alone, fixed, adaptive = (train(start, theirs=1, j=j) for j in (0, MOST, None))
    assert fixed.success < adaptive.success < alone.success
    assert alone.success - adaptive.success < of_the_harm * (alone.success - fixed.success)
    assert adaptive.external < MOST / 2


@pytest.mark.parametrize("start", [-1.0, 2.0])
def test_of_a_stranger_who_helps_nearly_nothing_is_lost(start):
    alone, fixed, adaptive = (train(start, theirs=0, j=j) for j in (0, MOST, None))
    gain = fixed.success - alone.success
    assert gain > 0.05
    assert adaptive.success - alone.success > 0.9 * gain
