"""The results of one step, as an immutable value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StepMetrics:
    """One policy update over all its micro-batches. None means that there was nothing to measure.

    Own and external values are always separate; no reward here averages the two.
    """

    step: int
    """This step's index, from 0."""
    updated: bool
    """False if the weights did not change; `note` then gives the reason."""
    note: str | None
    loss: float | None
    """L_local / N_local + lambda * L_external / N_external, averaged over the updates on this batch. The
    algorithm defines N, so only losses of the same algorithm can be compared."""
    value_loss: float | None
    """Half the squared error of the value head before the step; None without a value head."""
    grad_norm: float | None
    """Before clipping, in the last update."""
    learning_rate: float
    reward_own: float | None
    """Mean over all own completions, trained on or not."""
    reward_external: float | None
    entropy: float | None
    """Mean of -log p over all own sampled tokens, in nats per token at the sampling temperature."""
    kl: float | None
    """Mean k3 estimate against the reference over own trained tokens; None without a KL penalty."""
    clip_fraction: float | None
    """Clipped share of the own tokens trained on, in the last update."""
    tokens_own: int
    """Tokens in the completions of the own groups used."""
    tokens_external: int
    updates: int = field(default=0, kw_only=True)
    """Updates of the weights: several with updates_per_batch, or in a step that studies."""
    groups_own: int
    groups_own_used: int
    groups_external: int
    groups_external_used: int
    external_used: Sequence[int] = field(default=(), kw_only=True)
    """Which of the external groups were used: their positions among those given."""
    lessons: int = field(default=0, kw_only=True)
    """Right answers that were trained on again."""
    external_too_long: int
    """External groups whose question does not fit this model's context."""
    external_nats_per_byte: float | None
    """Surprisal of the external text trained on, under this policy before the update."""
    external_surprisal: Mapping[str, float]
    """The same by publisher, for publishers whose text was trained on."""
    external_left_out: float | None
    """Share of the tokens in external right completions that were not trained on: unverified text that this
    policy would not write, and all text of a completion whose answer is not bare. This includes payloads, but
    also any style that this policy does not know."""
    reencoded_differently_own: float | None
    """Share of own completions whose text encodes to tokens other than those sampled."""
    reencoded_differently_external: float | None
    """Share of external completions, with this tokenizer and a claimed token count, whose count differs
    here."""
    tokens_own_trained: int = 0
    """Tokens in the own completions that went through the model; the others of their groups have no
    gradient."""
    tokens_external_trained: int = 0
    tokens_lessons_trained: int = 0
