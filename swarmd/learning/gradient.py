"""Computes the gradient of one step's loss: rows in, gradients in the parameters, and measurements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from swarmd.config import LearningConfig
from swarmd.learning.algorithms import Algorithm, CompletionBatch, Denominators, Values
from swarmd.learning.batching import MicroBatch, TrainRow, micro_batches
from swarmd.learning.external import ExternalBatch, ExternalLoss
from swarmd.learning.losses import k3_penalty
from swarmd.learning.value_head import ValueHead
from swarmd.learning.verified import trained_tokens
from swarmd.policy import Policy


@dataclass(frozen=True)
class Part:
    """The own or the external half of a step's loss."""

    rows: tuple[TrainRow, ...]
    external: bool
    denominators: Denominators
    """What its loss is averaged over."""
    coefficient: float = 1.0
    """lambda, for the external half"""


@dataclass(frozen=True)
class Batch:
    """Everything one step trains on, in one or more updates. Rows of all parts go through the model
    together."""

    parts: tuple[Part, ...]
    old_logprobs: dict[int, Tensor] = field(default_factory=dict)
    """id of a row -> [T] before the first update of the step. By row, because micro-batches may be split
    again."""
    old_values: dict[int, Tensor] = field(default_factory=dict)

    @property
    def rows(self) -> list[TrainRow]:
        return [row for part in self.parts for row in part.rows]

    def where(self, keeps: Callable[[TrainRow], bool]) -> Batch:
        """The same batch with only the rows that `keeps` accepts. What a loss is averaged over stays."""
        parts = [replace(part, rows=tuple(filter(keeps, part.rows))) for part in self.parts]
        return replace(self, parts=tuple(part for part in parts if part.rows))


@dataclass
class Pass:
    """Sums over all micro-batches of one optimiser update."""

    rows: int = 0
    loss: float = 0.0
    value_loss: float = 0.0
    grad_norm: float = 0.0
    applied: bool = False
    kl: float = 0.0
    clipped: int = 0
    own_tokens: int = 0
    external_nats: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """By publisher: surprisal of its text before the step, in nats."""
    external_bytes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    external_right_tokens: int = 0
    """Tokens in external completions with a positive advantage."""
    external_left_out: int = 0
    """Number of those tokens that are not trained on."""


@dataclass(frozen=True)
class _Scored:
    """The model's output for a micro-batch of B rows, the longest of T tokens. Tensors are [B, T]."""

    batch: MicroBatch
    logprobs: Tensor
    old: Tensor
    mask: Tensor
    values: Values | None

    def of(self, part: Part) -> _Scored | None:
        """Only the rows of `part`, as if they had been processed alone; None if there are none."""
        indices = [i for i, row in enumerate(self.batch.rows) if row.external == part.external]
        if not indices or len(indices) == len(self.batch.rows):
            return self if indices else None
        rows = tuple(self.batch.rows[i] for i in indices)
        chosen = torch.tensor(indices, device=self.mask.device)
        width = max(len(row.tokens.completion_ids) for row in rows)

        def cut(values: Tensor) -> Tensor:
            return values.index_select(0, chosen)[:, :width]

        values = None if self.values is None else Values(cut(self.values.now), cut(self.values.old))
        return _Scored(MicroBatch(rows), cut(self.logprobs), cut(self.old), cut(self.mask), values)


class Objective:
    """The algorithm's loss on own rows plus the configured loss on external rows, both averaged by the
    algorithm."""

    def __init__(
        self,
        policy: Policy,
        algorithm: Algorithm,
        external_loss: ExternalLoss,
        config: LearningConfig,
        value_head: ValueHead | None,
    ) -> None:
        self._policy = policy
        self._config = config
        self._algorithm = algorithm
        self._value_head = value_head
        self._external_loss = external_loss

    def cut(self, batch: Batch, token_budget: int) -> list[MicroBatch]:
        """Split the batch into the micro-batches that `accumulate` takes."""
        return micro_batches(batch.rows, token_budget, self._policy.budget_tokens)

    def accumulate(self, batch: Batch, cut: Sequence[MicroBatch]) -> Pass:
        """Add the gradient of all parts to the parameters' `.grad`.

        The sum is the same up to rounding, however the batch was split. After an error, the gradients hold a
        partial sum and nothing else has changed: drop them, and the call can be repeated.
        """
        done = Pass()
        for micro in cut:
            scored = self._score(batch, micro)
            halves = [(part, scored.of(part)) for part in batch.parts]
            losses = [self._loss(part, half, done) for part, half in halves if half is not None]
            loss = torch.stack(losses).sum()
            loss.backward()  # type: ignore[no-untyped-call]
            done.loss += loss.item()
            done.rows += len(micro.rows)
        return done

    def _loss(self, part: Part, scored: _Scored, done: Pass) -> Tensor:
        """The share of the loss that comes from these rows: a scalar with gradient."""
        if part.external:
            nats = scored.old.sum(dim=1).neg().tolist()  # zero outside the mask
            for row, surprisal in zip(scored.batch.rows, nats, strict=True):
                done.external_nats[row.publisher] += surprisal
                done.external_bytes[row.publisher] += row.text_bytes
            per_token = self._external_per_token(scored, done)
        else:
            per_token = self._own_per_token(scored, part.denominators, done)
        return self._algorithm.average(per_token, scored.mask, part.denominators) * part.coefficient

    def _score(self, batch: Batch, micro: MicroBatch) -> _Scored:
        if self._value_head is None:
            logprobs, mask = self._policy.logprobs(micro.token_rows)
            values = None
        else:
            logprobs, mask, states = self._policy.logprobs_and_states(micro.token_rows)
            expected = self._value_head(states)
            values = Values(expected, _before_the_step(batch.old_values, micro, expected))
        old = _before_the_step(batch.old_logprobs, micro, logprobs)
        return _Scored(micro, logprobs, old, mask, values)

    def _own_per_token(self, scored: _Scored, denominators: Denominators, done: Pass) -> Tensor:
        batch, logprobs, mask = scored.batch, scored.logprobs, scored.mask
        loss = self._algorithm.loss(
            CompletionBatch(
                logprobs=logprobs,
                rollout_logprobs=batch.rollout_logprobs(otherwise=scored.old),
                old_logprobs=scored.old,
                mask=mask,
                advantages=batch.advantages(like=logprobs),
                values=scored.values,
            )
        )
        per_token = loss.per_token
        done.clipped += int((loss.clipped & mask).sum())
        done.own_tokens += int(mask.sum())
        if loss.value is not None:  # only for own completions, because the head predicts this policy's reward
            share = self._algorithm.average(loss.value, mask, denominators)
            share.backward()  # type: ignore[no-untyped-call]  # only the head gets a gradient
            done.value_loss += share.item()
        if self._config.kl_coefficient > 0:
            kl = k3_penalty(logprobs, self._policy.reference_logprobs(batch.token_rows))
            done.kl += kl.detach().masked_fill(~mask, 0.0).sum().item()
            per_token = per_token + self._config.kl_coefficient * kl
        return per_token

    def _external_per_token(self, scored: _Scored, done: Pass) -> Tensor:
        batch, advantages = scored.batch, scored.batch.advantages(like=scored.logprobs)
        trained = trained_tokens(scored.old, batch.standings(like=scored.logprobs), advantages)
        right = scored.mask & (advantages > 0)[:, None]
        done.external_right_tokens += int(right.sum())
        done.external_left_out += int((right & ~trained).sum())
        # Detached here, so that no gradient reaches the tokens left out, whatever the loss does with them.
        logprobs = torch.where(trained, scored.logprobs, scored.logprobs.detach())
        return self._external_loss(
            ExternalBatch(
                logprobs=logprobs,
                old_logprobs=scored.old,
                mask=scored.mask,
                advantages=advantages,
                behaviour_logprob_sums=batch.behaviour_logprob_sums(like=logprobs),
                same_tokens=batch.same_tokens(like=logprobs),
                text_bytes=batch.text_bytes(like=logprobs),
                values=scored.values,
            )
        )


def _before_the_step(known: dict[int, Tensor], batch: MicroBatch, now: Tensor) -> Tensor:
    """[B, T] before the first update of the step. Looked up by row in `known`; the first update stores `now`
    there."""
    old = now.detach().clone()
    for index, row in enumerate(batch.rows):
        length = len(row.tokens.completion_ids)
        old[index, :length] = known.setdefault(id(row), old[index, :length])
    return old
