"""How scored groups become a policy gradient: one small interface and four published algorithms.

An algorithm defines three things: the advantage of a completion, the loss of its tokens, and what the loss is
averaged over. It has no state.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from swarmd.config import LearningConfig
from swarmd.learning.advantages import centred_advantages, group_advantages, shared_advantages
from swarmd.learning.losses import clipped_surrogate, is_clipped


def policy_algorithm(config: LearningConfig, length_max: int) -> Algorithm:
    """The algorithm named by `config.algorithm`. `length_max`: the most tokens a completion may have."""
    match config.algorithm:
        case "grpo":
            return Grpo(config.clip_low, config.clip_high)
        case "dr_grpo":
            return DrGrpo(config.clip_low, config.clip_high, length_max)
        case "gspo":
            return Gspo(config.gspo_clip_low, config.gspo_clip_high)
        case "ppo":
            return Ppo(
                config.clip_low,
                config.clip_high,
                value_clip=config.value_clip,
                gamma=config.gae_gamma,
                gae_lambda=config.gae_lambda,
            )


# The interface ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Values:
    """The reward expected before each token of a completion: [B, T]."""

    now: Tensor
    """With the value head's gradient."""
    old: Tensor
    """Before the first update on this batch."""


@dataclass(frozen=True)
class CompletionBatch:
    """B completions of at most T tokens, as an algorithm sees them. Logprobs are nats per token."""

    logprobs: Tensor
    """[B, T] under the current policy, with gradient."""
    rollout_logprobs: Tensor
    """[B, T] as recorded while sampling; `old_logprobs` if unknown."""
    old_logprobs: Tensor
    """[B, T] under the policy before the first update on this batch, computed in the same way as
    `logprobs`."""
    mask: Tensor
    """[B, T] bool: positions that are tokens."""
    advantages: Tensor
    """[B], returned by `Algorithm.advantages`."""
    values: Values | None = None
    """Set only for an algorithm `with_values`."""


@dataclass(frozen=True)
class TokenLoss:
    """A loss, and where the clip makes it flat because the policy has already moved far enough."""

    per_token: Tensor
    """[B, T] with gradient; ignored outside the mask."""
    clipped: Tensor
    """[B, T] bool: tokens whose gradient is removed by the clip."""
    value: Tensor | None = None
    """[B, T] loss of the value head, if there is one."""


@dataclass(frozen=True)
class Denominators:
    """What a step averages over: the completions of all groups used, with or without a gradient."""

    completions: int
    tokens: int


class Algorithm(Protocol):
    """A policy gradient algorithm."""

    @property
    def with_values(self) -> bool:
        """Whether the baseline is a value head. Groups with equal rewards then teach something too."""
        ...

    def advantages(self, rewards: Tensor, own_success: float | None = None) -> Tensor:
        """Rewards [G] of one group -> advantages [G]. Without values, exactly zero if all rewards are equal.

        `own_success`: given for another peer's group, to use the baseline of `shared_advantages`.
        """
        ...

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        """The loss of each token."""
        ...

    def average(self, per_token: Tensor, mask: Tensor, denominators: Denominators) -> Tensor:
        """One micro-batch's share [] of the step's loss. The shares of all micro-batches add up to the loss.

        per_token [B, T], mask [B, T]. External losses and the KL penalty are averaged in the same way, so
        their coefficients mean the same for every algorithm.
        """
        ...


# GRPO and its relatives ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Grpo:
    """GRPO averaged over tokens, as in DAPO. The default.

    -sum min(r A, clip(r) A) / number of tokens, A = (R - mean) / std (arXiv 2402.03300, 2503.14476).
    """

    clip_low: float
    clip_high: float
    with_values: bool = False

    def advantages(self, rewards: Tensor, own_success: float | None = None) -> Tensor:
        return group_advantages(rewards) if own_success is None else shared_advantages(rewards, own_success)

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        return _clipped_loss(
            batch.logprobs, batch.rollout_logprobs, batch.advantages, self.clip_low, self.clip_high
        )

    def average(self, per_token: Tensor, mask: Tensor, denominators: Denominators) -> Tensor:
        return _token_sum(per_token, mask) / denominators.tokens


@dataclass(frozen=True)
class DrGrpo:
    """Dr. GRPO: GRPO without its bias towards long wrong answers and questions with little spread.

    -sum min(r A, clip(r) A) / (B x L_max), A = R - mean (arXiv 2503.20783). B is the number of completions in
    the groups used. L_max is the length limit, so a completion's weight depends neither on its own length nor
    on the lengths of others.
    """

    clip_low: float
    clip_high: float
    length_max: int
    with_values: bool = False

    def advantages(self, rewards: Tensor, own_success: float | None = None) -> Tensor:
        if own_success is None:
            return centred_advantages(rewards)
        return shared_advantages(rewards, own_success, scaled=False)

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        return _clipped_loss(
            batch.logprobs, batch.rollout_logprobs, batch.advantages, self.clip_low, self.clip_high
        )

    def average(self, per_token: Tensor, mask: Tensor, denominators: Denominators) -> Tensor:
        return _token_sum(per_token, mask) / (denominators.completions * self.length_max)


@dataclass(frozen=True)
class Gspo:
    """GSPO: one ratio per completion, clipped as a whole.

    -mean over completions of min(s A, clip(s) A), s = exp(mean over tokens of log r) (arXiv 2507.18071). The
    clip range is hundreds of times narrower than GRPO's, because a mean moves that much less than a single
    token. Therefore the ratio is relative to `old_logprobs`: sampling uses different kernels, and in bfloat16
    its mean logprob differs by more than the width of the clip range.
    """

    clip_low: float
    clip_high: float
    with_values: bool = False

    def advantages(self, rewards: Tensor, own_success: float | None = None) -> Tensor:
        return group_advantages(rewards) if own_success is None else shared_advantages(rewards, own_success)

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        now, old = (_token_mean(values, batch.mask) for values in (batch.logprobs, batch.old_logprobs))
        whole = _clipped_loss(now, old, batch.advantages, self.clip_low, self.clip_high)
        return TokenLoss(whole.per_token.expand_as(batch.mask), whole.clipped.expand_as(batch.mask))

    def average(self, per_token: Tensor, mask: Tensor, denominators: Denominators) -> Tensor:
        return _token_mean(per_token, mask).sum() / denominators.completions


def _clipped_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> TokenLoss:
    """Logprobs [B, T], or [B, 1] for whole completions; advantages [B], or [B, T] per token."""
    return TokenLoss(
        clipped_surrogate(logprobs, old_logprobs, advantages, clip_low, clip_high),
        is_clipped(logprobs, old_logprobs, advantages, clip_low, clip_high),
    )


def _token_sum(values: Tensor, mask: Tensor) -> Tensor:
    """[B, T] -> []: the sum over all tokens in the mask."""
    return values.masked_fill(~mask, 0.0).sum()


def _token_mean(values: Tensor, mask: Tensor) -> Tensor:
    """[B, T] -> [B, 1]: the mean over each completion's tokens. Completions are never empty."""
    total: Tensor = torch.where(mask, values, 0.0).sum(dim=1, keepdim=True)
    return total / mask.sum(dim=1, keepdim=True)


# PPO ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ppo:
    """PPO with a value head: compares each token's outcome with the reward expected before it.

    -sum min(r A, clip(r) A) / number of tokens (arXiv 1707.06347), with A per token by GAE (1506.02438). The
    reward comes with the last token, even if a completion was cut off; the value after it is 0. Advantages
    are not whitened: over a micro-batch, the result would depend on how the step was split.
    """

    clip_low: float
    clip_high: float
    value_clip: float
    gamma: float
    gae_lambda: float
    with_values: bool = True

    def advantages(self, rewards: Tensor, own_success: float | None = None) -> Tensor:  # noqa: ARG002
        """The rewards themselves: the baseline comes from the value head, not from the group."""
        return rewards

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        if batch.values is None:
            raise RuntimeError("PPO needs the values of its completions")
        advantages = generalised_advantages(
            batch.advantages, batch.values.old, batch.mask, self.gamma, self.gae_lambda
        )
        returns = advantages + batch.values.old
        return replace(
            _clipped_loss(batch.logprobs, batch.rollout_logprobs, advantages, self.clip_low, self.clip_high),
            value=clipped_value_loss(batch.values.now, batch.values.old, returns, self.value_clip),
        )

    def average(self, per_token: Tensor, mask: Tensor, denominators: Denominators) -> Tensor:
        return _token_sum(per_token, mask) / denominators.tokens


def generalised_advantages(
    rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, gae_lambda: float
) -> Tensor:
    """A_t = d_t + gamma lambda A_(t+1), d_t = r_t + gamma V_(t+1) - V_t (arXiv 1506.02438): [B, T].

    rewards [B], given at each completion's last token; values [B, T] of the text before each token; mask [B,
    T], filled from the left. Zero outside the mask, where V counts as 0.
    """
    advantages = torch.zeros_like(values)
    known = values.masked_fill(~mask, 0.0)
    # After a token come V and A of the next one, or, after the last token, its reward and nothing else.
    next_value, next_advantage = torch.zeros_like(rewards), torch.zeros_like(rewards)
    next_is_token = torch.zeros_like(mask[:, 0])
    for position in reversed(range(values.shape[1])):
        reward = torch.where(next_is_token, 0.0, rewards)
        delta = reward + gamma * next_value - known[:, position]
        advantage = delta + gamma * gae_lambda * next_advantage
        next_advantage = torch.where(mask[:, position], advantage, 0.0)
        next_value, next_is_token = known[:, position], mask[:, position]
        advantages[:, position] = next_advantage
    return advantages


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip: float) -> Tensor:
    """max((V - R)^2, (V_clipped - R)^2) / 2 with V at most `clip` away from `old_values`: [B, T].

    Clipped like the policy: on one batch, a value moves towards its return by at most `clip`.
    """
    near = old_values + (values - old_values).clamp(-clip, clip)
    return torch.maximum((values - returns) ** 2, (near - returns) ** 2) / 2
