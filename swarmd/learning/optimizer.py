"""AdamW over the policy's parameters: updates without temporaries, and state that can be saved.

All memory it will ever need is allocated at the start, so that a shortage shows at once rather than hours
later. PyTorch's function computes an update. Its class would do the same, but imports PyTorch's compiler: 60
MB and a second of every start.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.logprobs import FactoredGradients

PREFIX = "optimizer/"
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # the defaults of torch.optim.AdamW
CLIP_EPSILON = 1e-6  # the value in torch.nn.utils.clip_grads_with_norm_
HELD_BYTES = 64 * 2**20  # of pending gradients that are multiplied out together, in one reused buffer
FUSED_DEVICES = frozenset({"cpu", "cuda", "mps"})  # PyTorch has no fused kernel for other devices


class Optimizer:
    """AdamW (arXiv 1711.05101). Vectors (norms and biases) are never decayed."""

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
        self._rate = config.learning_rate
        self._decays = {name: config.weight_decay if p.ndim >= 2 else 0.0 for name, p in parameters.items()}
        # The unfused implementations allocate temporaries, in the worst case as large as the model.
        self._fused = all(p.device.type in FUSED_DEVICES for p in parameters.values())
        self._state = {
            name: {
                "step": torch.zeros((), device=parameter.device if self._fused else None),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
            for name, parameter in parameters.items()
        }

    def forget(self) -> None:
        """Start the moments anew."""
        for state in self._state.values():
            for tensor in state.values():
                tensor.zero_()

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of all further updates."""
        self._rate = rate

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

    @torch.no_grad()
    def _apply(self) -> None:
        for decay in set(self._decays.values()):
            updated = {
                name: parameter.grad
                for name, parameter in self._parameters.items()
                if parameter.grad is not None and self._decays[name] == decay
            }
            states = [self._state[name] for name in updated]
            adamw(
                [self._parameters[name] for name in updated],
                list(updated.values()),
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                fused=self._fused,
                amsgrad=False,
                beta1=BETA_1,
                beta2=BETA_2,
                lr=self._rate,
                weight_decay=decay,
                eps=EPSILON,
                maximize=False,
            )
        self._drop()

    def _drop(self) -> None:
        for parameter in self._parameters.values():
            parameter.grad = None

    def expect(self, tokens: int) -> None:
        """Announce how many tokens the next gradients come from. If few, those of large weights stay
        pending."""
        self._pending.begin(tokens)

    def drop_gradients(self) -> None:
        """Drop the accumulated gradients, including pending ones."""
        self._drop()
        self._pending.clear()

    def state_dict(self, *, live: bool = False) -> dict[str, Tensor]:
        """Moments and step counts on the CPU: PREFIX + "KEY/PARAMETER" -> tensor. Copies unless `live`."""
        return {
            f"{self._prefix}{key}/{name}": value.detach().to("cpu", copy=not live)
            for name, state in self._state.items()
            for key, value in state.items()
        }

    def check(self, state: Mapping[str, Tensor]) -> None:
        """Raise ModelError for the state of another model's optimiser."""
        self._entries(state)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a `state_dict`; parameters without an entry start from zero.

        Raises ModelError, changing nothing, for the state of another model.
        """
        entries = self._entries(state)
        for own in self._state.values():
            for held in own.values():
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
            known = self._state.get(name, {})
            if key not in known or value.shape != known[key].shape:
                raise ModelError(
                    f"the optimiser state belongs to another model ({name} differs): start with "
                    "the model and LoRA rank it was saved with"
                )
            entries.append((known[key], value))
        return entries
