"""One policy update after another: groups in, new weights and metrics out.

    L = L_local / N_local + lambda * L_external / N_external

with N the number of completion tokens in the groups used, so that neither kind drowns the other. Synchronous
and without randomness: the same weights and groups give the same update. It samples nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.learning.batching import MicroBatch, micro_batches
from swarmd.learning.external import ExternalBatch, external_loss
from swarmd.learning.groups import ScoredGroup
from swarmd.learning.losses import clipped_surrogate, is_clipped, k3_penalty
from swarmd.learning.metrics import StepMetrics
from swarmd.learning.schedule import learning_rate_at
from swarmd.learning.selection import (
    Selection,
    mean_reward,
    sampled_entropy,
    select_rows,
    share_reencoded_differently,
)
from swarmd.policy import Policy, out_of_memory_as_model_error

OPTIMIZER_PREFIX = "optimizer/"
STEP_KEY = "counters/step"


@dataclass
class _Work:
    """One micro-batch on its way through a step."""

    batch: MicroBatch
    external: bool
    scale: float
    """1 / N_local or lambda / N_external: what the sum over its tokens is multiplied by."""
    first_logprobs: Tensor | None = None
    """[B, T] before the first update of the step."""


@dataclass
class _Pass:
    """One optimiser update: what its micro-batches add up to."""

    loss: float = 0.0
    grad_norm: float = 0.0
    applied: bool = False
    kl: float = 0.0
    clipped: int = 0
    own_tokens: int = 0
    external_nats: float = 0.0
    external_bytes: int = 0


class Trainer:
    """Trains a policy with GRPO on own and external groups.

    With a KL penalty the weights at construction are the reference: construct before loading a checkpoint.
    """

    def __init__(self, policy: Policy, config: LearningConfig) -> None:
        self._policy = policy
        self._config = config
        self._external_loss = external_loss(config)
        self._parameters = dict(policy.trainable_parameters())
        matrices = [p for p in self._parameters.values() if p.ndim >= 2]
        vectors = [p for p in self._parameters.values() if p.ndim < 2]  # norms and biases are never decayed
        self._optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
        )
        self.steps = 0
        """Steps taken, with or without an update."""
        if config.kl_coefficient > 0:
            policy.freeze_reference()

    def step(self, own: Sequence[ScoredGroup], external: Sequence[ScoredGroup]) -> StepMetrics:
        """Train once on these groups. Either may be empty; without any that teaches, the weights stay.

        Never writes a non-finite number into the weights: such an update is left out and reported. Raises
        ModelError when the device's memory does not suffice.
        """
        local = select_rows(self._policy, own, with_zero_advantage=self._config.kl_coefficient > 0)
        foreign = select_rows(self._policy, external, with_zero_advantage=False)
        work = self._plan(local, foreign)
        learning_rate = learning_rate_at(self.steps, self._config)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate

        passes: list[_Pass] = []
        note = None if work else _why_nothing_to_learn(own, external, local, foreign)
        for _ in range(self._config.updates_per_batch if work else 0):
            passes.append(self._update(work))
            if not passes[-1].applied:
                note = f"update left out: loss {passes[-1].loss}, gradient norm {passes[-1].grad_norm}"
                break
        metrics = self._metrics(own, external, local, foreign, passes, note, learning_rate)
        self.steps += 1
        return metrics

    def _plan(self, local: Selection, foreign: Selection) -> list[_Work]:
        """All micro-batches of a step; own and external ones never mix."""
        work: list[_Work] = []
        planned = self._policy.budgets.budgets.train_tokens
        budget = self._policy.micro_batch_tokens(min(self._config.token_budget or planned, planned))
        if local.rows:
            batches = micro_batches(local.rows, budget)
            work += [_Work(batch, external=False, scale=1 / local.tokens) for batch in batches]
        if foreign.rows and self._config.external_coefficient > 0:
            scale = self._config.external_coefficient / foreign.tokens
            batches = micro_batches(foreign.rows, budget)
            work += [_Work(batch, external=True, scale=scale) for batch in batches]
        return work

    def _update(self, work: Sequence[_Work]) -> _Pass:
        """Accumulate the gradient over all micro-batches, clip it, and take the step if it is finite."""
        done = _Pass()
        try:
            with out_of_memory_as_model_error("a smaller token_budget"):
                for item in work:
                    loss = self._micro_loss(item, done)
                    loss.backward()  # type: ignore[no-untyped-call]
                    done.loss += loss.item()
            norm = torch.nn.utils.clip_grad_norm_(self._parameters.values(), self._config.max_grad_norm)
            done.grad_norm = norm.item()
            if math.isfinite(done.loss) and math.isfinite(done.grad_norm):
                self._optimizer.step()
                done.applied = True
        finally:
            self._optimizer.zero_grad(set_to_none=True)
        return done

    def _micro_loss(self, item: _Work, done: _Pass) -> Tensor:
        """This micro-batch's share of the loss: a scalar with gradient."""
        logprobs, mask = self._policy.score_logprobs(item.batch.token_rows)
        is_first_update = item.first_logprobs is None
        if item.first_logprobs is None:
            item.first_logprobs = logprobs.detach()
        if item.external:
            per_token = self._external_per_token(item, logprobs, item.first_logprobs, mask)
            if is_first_update:
                done.external_nats -= item.first_logprobs.sum().item()  # zero outside the mask
                done.external_bytes += sum(row.text_bytes for row in item.batch.rows)
        else:
            per_token = self._own_per_token(item, logprobs, item.first_logprobs, mask, done)
        return per_token.masked_fill(~mask, 0.0).sum() * item.scale

    def _own_per_token(
        self, item: _Work, logprobs: Tensor, first_logprobs: Tensor, mask: Tensor, done: _Pass
    ) -> Tensor:
        config = self._config
        old = item.batch.old_logprobs(otherwise=first_logprobs)
        advantages = item.batch.advantages(like=logprobs)
        per_token = clipped_surrogate(logprobs, old, advantages, config.clip_low, config.clip_high)
        clipped = is_clipped(logprobs.detach(), old, advantages, config.clip_low, config.clip_high)
        done.clipped += int((clipped & mask).sum())
        done.own_tokens += int(mask.sum())
        if config.kl_coefficient > 0:
            kl = k3_penalty(logprobs, self._policy.reference_logprobs(item.batch.token_rows))
            done.kl += kl.detach().masked_fill(~mask, 0.0).sum().item()
            per_token = per_token + config.kl_coefficient * kl
        return per_token

    def _external_per_token(
        self, item: _Work, logprobs: Tensor, first_logprobs: Tensor, mask: Tensor
    ) -> Tensor:
        return self._external_loss(
            ExternalBatch(
                logprobs=logprobs,
                first_logprobs=first_logprobs,
                mask=mask,
                advantages=item.batch.advantages(like=logprobs),
                behaviour_logprob_sums=item.batch.behaviour_logprob_sums(like=logprobs),
            )
        )

    def _metrics(
        self,
        own: Sequence[ScoredGroup],
        external: Sequence[ScoredGroup],
        local: Selection,
        foreign: Selection,
        passes: Sequence[_Pass],
        note: str | None,
        learning_rate: float,
    ) -> StepMetrics:
        first = passes[0] if passes else _Pass()
        last = passes[-1] if passes else _Pass()
        with_kl = self._config.kl_coefficient > 0
        return StepMetrics(
            step=self.steps,
            updated=any(p.applied for p in passes),
            note=note,
            loss=_quotient(sum(p.loss for p in passes), len(passes)),
            grad_norm=last.grad_norm if passes else None,
            learning_rate=learning_rate,
            reward_own=mean_reward(own),
            reward_external=mean_reward(external),
            entropy=sampled_entropy(own),
            kl=_quotient(last.kl, last.own_tokens) if with_kl else None,
            clip_fraction=_quotient(last.clipped, last.own_tokens),
            tokens_own=local.tokens,
            tokens_external=foreign.tokens,
            groups_own=len(own),
            groups_own_used=local.groups_used,
            groups_external=len(external),
            groups_external_used=foreign.groups_used,
            external_too_long=foreign.groups_too_long,
            external_nats_per_byte=_quotient(first.external_nats, first.external_bytes),
            reencoded_differently_own=share_reencoded_differently(self._policy, own),
            reencoded_differently_external=share_reencoded_differently(self._policy, external),
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Optimiser moments and counters, copied to the CPU, flat as in safetensors; no weights."""
        state = {STEP_KEY: torch.tensor(self.steps, dtype=torch.int64)}
        for name, parameter in self._parameters.items():
            for key, value in self._optimizer.state.get(parameter, {}).items():
                state[f"{OPTIMIZER_PREFIX}{key}/{name}"] = value.detach().to("cpu", copy=True)
        return state

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Put `state_dict` back. Raises ModelError, changing nothing, for another model's."""
        loaded: dict[str, dict[str, Tensor]] = {}
        for full, value in state.items():
            if not full.startswith(OPTIMIZER_PREFIX):
                continue
            key, _, name = full.removeprefix(OPTIMIZER_PREFIX).partition("/")
            parameter = self._parameters.get(name)
            if parameter is None or (value.ndim > 0 and value.shape != parameter.shape):
                raise ModelError(
                    f"the optimiser state belongs to another model ({name} differs): start with "
                    "the model and LoRA rank it was saved with"
                )
            # Adam's own step count is a scalar that stays on the CPU.
            copied = value.clone() if value.ndim == 0 else value.to(parameter, copy=True)
            loaded.setdefault(name, {})[key] = copied
        if STEP_KEY not in state:
            raise ModelError(
                f"the saved optimiser state lacks {STEP_KEY}: it was not written by this program"
            )
        self._optimizer.state.clear()
        for name, values in loaded.items():
            self._optimizer.state[self._parameters[name]] = values
        self.steps = int(state[STEP_KEY])


def _quotient(total: float, count: int) -> float | None:
    return total / count if count else None


def _why_nothing_to_learn(
    own: Sequence[ScoredGroup], external: Sequence[ScoredGroup], local: Selection, foreign: Selection
) -> str:
    too_long = local.groups_too_long + foreign.groups_too_long
    rest = f", {too_long} do not fit the context" if too_long else ""
    return (
        f"no update: none of {len(own)} own and {len(external)} external groups has completions of different "
        f"reward{rest}"
    )
