"""AdamW over the policy's parameters: updates without temporaries, and state that can be saved.

All memory it will ever need is allocated at the start, so that a shortage shows at once rather than hours
later.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.logprobs import FactoredGradients

PREFIX = "optimizer/"
CLIP_EPSILON = 1e-6  # the value in torch.nn.utils.clip_grads_with_norm_
HELD_BYTES = 64 * 2**20  # of pending gradients that are multiplied out together, in one reused buffer
FUSED_DEVICES = frozenset({"cpu", "cuda", "mps"})  # PyTorch has no fused kernel for other devices


class Optimizer:
    """torch.optim.AdamW (arXiv 1711.05101). Vectors (norms and biases) are never decayed."""

    def __init__(
        self,
        parameters: Mapping[str, nn.Parameter],
        config: LearningConfig,
        *,
        prefix: str = PREFIX,
        pending: FactoredGradients | None = None,
    ) -> None:
        self._parameters = parameters
        self._pending = pending or FactoredGradients()
        self._pending_scale = 1.0
        self._prefix = prefix
        self._max_grad_norm = config.max_grad_norm
        matrices = [p for p in parameters.values() if p.ndim >= 2]
        vectors = [p for p in parameters.values() if p.ndim < 2]
        # The unfused implementations allocate temporaries, in the worst case as large as the model.
        self._fused = all(p.device.type in FUSED_DEVICES for p in parameters.values())
        self._adamw = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": config.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=config.learning_rate,
            fused=self._fused,
        )
        self._clear()

    def _clear(self) -> None:
        for parameter in self._parameters.values():
            self._adamw.state[parameter] = {
                "step": torch.zeros((), device=parameter.device if self._fused else None),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of all further updates."""
        for group in self._adamw.param_groups:
            group["lr"] = rate

    def clip(self) -> float:
        """Scale the accumulated gradients down to the configured norm, and return their norm before."""
        gradients = [p.grad for p in self._parameters.values() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        for weight in self._pending.weights():
            norm = (norm.square() + self._pending.squared_norm(weight)).sqrt()
        self._pending_scale = 1.0
        if norm > self._max_grad_norm:  # otherwise every gradient would be multiplied by one
            torch.nn.utils.clip_grads_with_norm_(self._parameters.values(), self._max_grad_norm, norm)
            self._pending_scale = self._max_grad_norm / (norm.item() + CLIP_EPSILON)
        return norm.item()

    def update(self) -> None:
        """Apply the accumulated gradients and drop them. Pending gradients are applied a few at a time."""
        self._apply()
        waiting = self._pending.weights()
        if not waiting:
            return
        held = max(1, HELD_BYTES // waiting[0].itemsize)
        shared = waiting[0].new_empty(min(held, sum(w.numel() for w in waiting)))
        used = 0
        for weight in waiting:
            size = weight.numel()
            if used + size > len(shared):
                self._apply()
                used = 0
            own = size > len(shared)
            gradient = torch.empty_like(weight) if own else shared[used : used + size].view_as(weight)
            self._pending.release(weight, gradient)
            weight.grad = gradient if self._pending_scale == 1 else gradient.mul_(self._pending_scale)
            used += 0 if own else size
        self._apply()

    def _apply(self) -> None:
        self._adamw.step()
        self._adamw.zero_grad(set_to_none=True)

    def expect(self, tokens: int) -> None:
        """Announce how many tokens the next gradients come from. If few, those of large weights stay
        pending."""
        self._pending.begin(tokens)

    def drop_gradients(self) -> None:
        """Drop the accumulated gradients, including pending ones."""
        self._adamw.zero_grad(set_to_none=True)
        self._pending.clear()

    def state_dict(self, *, live: bool = False) -> dict[str, Tensor]:
        """Moments and step counts on the CPU: PREFIX + "KEY/PARAMETER" -> tensor. Copies unless `live`."""
        return {
            f"{self._prefix}{key}/{name}": value.detach().to("cpu", copy=not live)
            for name, parameter in self._parameters.items()
            for key, value in self._adamw.state[parameter].items()
        }

    def check(self, state: Mapping[str, Tensor]) -> None:
        """Raise ModelError for the state of another model's optimiser."""
        self._entries(state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a `state_dict`; parameters without an entry start from zero.

        Raises ModelError, changing nothing, for the state of another model.
        """
        entries = self._entries(state)
        for parameter in self._parameters.values():
            for held in self._adamw.state[parameter].values():
                held.zero_()
        for held, value in entries:
            held.copy_(value)

    def _entries(self, state: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Each tensor held, paired with the matching tensor of `state`."""
        entries: list[tuple[Tensor, Tensor]] = []
        for full, value in state.items():
            if not full.startswith(self._prefix):
                continue
            key, _, name = full.removeprefix(self._prefix).partition("/")
            parameter = self._parameters.get(name)
            known = {} if parameter is None else self._adamw.state[parameter]
            if key not in known or value.shape != known[key].shape:
                raise ModelError(
                    f"the optimiser state belongs to another model ({name} differs): start with "
                    "the model and LoRA rank it was saved with"
                )
            entries.append((known[key], value))
        return entries
