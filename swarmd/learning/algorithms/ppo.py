"""PPO with a value head: each token against what was expected of the text so far."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from swarmd.learning.algorithms.clipping import clipped_loss
from swarmd.learning.algorithms.interface import CompletionBatch, TokenLoss, Used


@dataclass(frozen=True)
class Ppo:
    """-sum min(r A, clip(r) A) / number of tokens (arXiv 1707.06347), A by GAE (1506.02438) per token.

    The reward comes with the last token, cut off or not; nothing is worth anything behind it. Advantages are
    not whitened: over a micro-batch the result would depend on how the step was cut.
    """

    clip_low: float
    clip_high: float
    value_clip: float
    gamma: float
    gae_lambda: float
    with_values: bool = True

    def advantages(self, rewards: Tensor) -> Tensor:
        """The rewards themselves: the baseline is the value head's, not the group's."""
        return rewards

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        if batch.values is None:
            raise RuntimeError("PPO without the values of its completions")
        advantages = generalised_advantages(
            batch.advantages, batch.values.first, batch.mask, self.gamma, self.gae_lambda
        )
        returns = advantages + batch.values.first
        return replace(
            clipped_loss(batch.logprobs, batch.sampled_logprobs, advantages, self.clip_low, self.clip_high),
            value=clipped_value_loss(batch.values.now, batch.values.first, returns, self.value_clip),
        )

    def average(self, per_token: Tensor, mask: Tensor, used: Used) -> Tensor:
        return per_token.masked_fill(~mask, 0.0).sum() / used.tokens


def generalised_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float
) -> Tensor:
    """A_t = d_t + gamma lambda A_(t+1), d_t = r_t + gamma V_(t+1) - V_t (arXiv 1506.02438): [B, T].

    rewards [B], at each completion's last token; values [B, T] of the text before each token; mask [B, T],
    filled from the left. Zero outside the mask, where V is taken for 0.
    """
    advantages = torch.zeros_like(values)
    known = values.masked_fill(~mask, 0.0)
    # What a token is followed by: V and A of the next one, or its reward and nothing.
    next_value, next_advantage = torch.zeros_like(rewards), torch.zeros_like(rewards)
    next_is_token = torch.zeros_like(mask[:, 0])
    for place in reversed(range(values.shape[1])):
        reward = torch.where(next_is_token, 0.0, rewards)
        delta = reward + gamma * next_value - known[:, place]
        advantage = delta + gamma * gae_lambda * next_advantage
        next_advantage = torch.where(mask[:, place], advantage, 0.0)
        next_value, next_is_token = known[:, place], mask[:, place]
        advantages[:, place] = next_advantage
    return advantages


def clipped_value_loss(values: Tensor, first_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """max((V - R)^2, (V_clipped - R)^2) / 2 with V at most `clip` away from `first_values`: [B, T].

    Clipped as the policy is: on one batch a value moves towards its return by `clip` and no further.
    """
    near = first_values + (values - first_values).clamp(-clip, clip)
    return torch.maximum((values - returns) ** 2, (near - returns) ** 2) / 2
