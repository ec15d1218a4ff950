"""What a policy-gradient algorithm decides: a completion's advantage, the loss of its tokens, the average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor


@dataclass(frozen=True)
class Values:
    """What was expected to be earned, before each token of a completion: [B, T]."""

    now: Tensor
    """With the value head's gradient."""
    first: Tensor
    """Before the first update on this batch."""


@dataclass(frozen=True)
class CompletionBatch:
    """B completions of T tokens at most, as an algorithm sees them. Log-probabilities are nats a token."""

    logprobs: Tensor
    """[B, T] under the policy now, with gradient."""
    sampled_logprobs: Tensor
    """[B, T] as computed while sampling; `first_logprobs` where that is not known."""
    first_logprobs: Tensor
    """[B, T] under the policy before the first update on this batch, computed as `logprobs` are."""
    mask: Tensor
    """[B, T] bool: positions that are tokens."""
    advantages: Tensor
    """[B] as `Algorithm.advantages` gave them."""
    values: Values | None = None
    """For an algorithm `with_values`."""


@dataclass(frozen=True)
class TokenLoss:
    """A loss, and where it is flat because the policy has already moved far enough."""

    per_token: Tensor
    """[B, T] with gradient; what it says outside the mask is ignored."""
    clipped: Tensor
    """[B, T] bool: tokens that the clip takes the gradient from."""
    value: Tensor | None = None
    """[B, T] loss of the value head, if there is one."""


@dataclass(frozen=True)
class Used:
    """What a step's average is over: all completions of the groups used, with a gradient or without."""

    completions: int
    tokens: int


class Algorithm(Protocol):
    """One way to follow the policy gradient. Tensors in, tensors out; it keeps nothing between calls."""

    @property
    def with_values(self) -> bool:
        """Whether the baseline is a value head's: then groups of equal rewards teach something too."""
        ...

    def advantages(self, rewards: Tensor) -> Tensor:
        """Rewards [G] of one group -> advantages [G]. Without values: exact zeros where all are equal."""
        ...

    def loss(self, batch: CompletionBatch) -> TokenLoss:
        """The loss of each token."""
        ...

    def average(self, per_token: Tensor, mask: Tensor, used: Used) -> Tensor:
        """A micro-batch's share [] of the step's loss: over all micro-batches the shares add up to it.

        per_token [B, T], mask [B, T]. External losses and the KL penalty are averaged by it too, so that
        their coefficients mean the same as with any other algorithm.
        """
        ...
