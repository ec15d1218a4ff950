"""Losses per token. Tensors in, tensors out: [B, T] over B completions padded to T tokens.

Advantages are [B], or [B, T] if each token has its own. `algorithms` defines how a loss is averaged.
"""

from __future__ import annotations

import torch
from torch import Tensor


def clipped_surrogate(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """-min(r A, clip(r, 1 - low, 1 + high) A) with r = exp(logprobs - old_logprobs): [B, T].

    GRPO (arXiv 2402.03300) with DAPO's asymmetric clip (2503.14476). `old_logprobs` are those of an earlier
    policy, sampled or recomputed; no gradient flows into them.
    """
    ratio = torch.exp(logprobs - old_logprobs.detach())
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    advantage = _per_token(advantages)
    return -torch.minimum(ratio * advantage, clipped * advantage)


def is_clipped(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, clip_low: float, clip_high: float
) -> Tensor:
    """Where `clipped_surrogate` has no gradient, [B, T]: the ratio has already moved far enough."""
    ratio = torch.exp(logprobs.detach() - old_logprobs)
    advantage = _per_token(advantages)
    return ((advantage > 0) & (ratio > 1 + clip_high)) | ((advantage < 0) & (ratio < 1 - clip_low))


def k3_penalty(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """k3, Schulman's estimate of KL(policy || reference) [B, T]: exp(d) - d - 1, d = reference - policy.

    Never negative. Unbiased on text sampled from the policy, so it is meant for own completions.
    """
    difference = reference_logprobs.detach() - logprobs
    return torch.exp(difference) - difference - 1


def _per_token(advantages: Tensor) -> Tensor:
    return advantages if advantages.ndim == 2 else advantages[:, None]
