"""What one step did, as an immutable value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class StepMetrics:
    """One policy update over all its micro-batches. None means: nothing there to measure.

    Own and external are apart wherever both exist; no reward here averages the two.
    """

    step: int
    """This step's number, from 0."""
    updated: bool
    """False: the weights are as before, and `note` says why."""
    note: str | None
    loss: float | None
    """L_local / N_local + lambda * L_external / N_external, mean over the updates on this batch. What N is,
    and so what compares with what, is the algorithm's."""
    value_loss: float | None
    """Half the squared error of the value head's expectations before the step; None without one."""
    grad_norm: float | None
    """Before clipping, of the last update."""
    learning_rate: float
    reward_own: float | None
    """Mean over all own completions, trained on or not."""
    reward_external: float | None
    entropy: float | None
    """Mean of -log p over all own sampled tokens: nats a token, at the sampling temperature."""
    kl: float | None
    """Mean k3 estimate against the reference over own trained tokens; None without a KL penalty."""
    clip_fraction: float | None
    """Of trained own tokens, in the last update."""
    tokens_own: int
    """In the completions of own groups used."""
    tokens_external: int
    groups_own: int
    groups_own_used: int
    groups_external: int
    groups_external_used: int
    external_too_long: int
    """External groups whose question does not fit into this model's context."""
    external_nats_per_byte: float | None
    """Surprisal of the external text trained on, under this policy before the update."""
    external_surprisal: Mapping[str, float]
    """The same by publisher, of those whose text was trained on."""
    external_left_out: float | None
    """Share of the tokens of others' right completions that were not trained on: unverified text that this
    policy would not write, and all of a completion whose answer is not bare. A payload is that, and so is any
    way of writing it does not know."""
    reencoded_differently_own: float | None
    """Share of own completions whose text encodes to other tokens than were sampled."""
    reencoded_differently_external: float | None
    """Of external completions with this tokenizer and a claimed token count: share whose count differs."""
