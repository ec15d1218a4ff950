"""Predicts the reward of an unfinished text: a linear head on the model's last hidden state."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from swarmd.config import LearningConfig
from swarmd.errors import ModelError
from swarmd.learning.optimizer import Optimizer

HEAD_PREFIX = "value_head/"
OPTIMIZER_PREFIX = "value_optimizer/"


class ValueHead:
    """V = w h + b per token, with its own optimiser and gradient norm. Initially 0 everywhere.

    The hidden states carry no gradient. So training the head does not move the policy, and its loss needs no
    coefficient to balance it with the policy's.
    """

    def __init__(self, width: int, device: torch.device, config: LearningConfig) -> None:
        self._linear = nn.Linear(width, 1, device=device)
        nn.init.zeros_(self._linear.weight)
        nn.init.zeros_(self._linear.bias)
        own = config.model_copy(update={"learning_rate": config.value_learning_rate, "weight_decay": 0.0})
        self._optimizer = Optimizer(dict(self._linear.named_parameters()), own, prefix=OPTIMIZER_PREFIX)

    def __call__(self, states: Tensor) -> Tensor:
        """States [B, T, H] -> values [B, T], float32."""
        values: Tensor = self._linear(states.detach().float())
        return values[..., 0]

    def clip(self) -> float:
        """Scale the gradient down to the configured norm, and return its norm before."""
        return self._optimizer.clip()

    def update(self) -> None:
        """Apply the accumulated gradient."""
        self._optimizer.update()

    def drop_gradients(self) -> None:
        """Drop the accumulated gradient."""
        self._optimizer.drop_gradients()

    def state_dict(self) -> dict[str, Tensor]:
        """Weights and moments, copied to the CPU, distinguished by prefix."""
        weights = {
            HEAD_PREFIX + name: p.detach().to("cpu", copy=True) for name, p in self._linear.named_parameters()
        }
        return weights | self._optimizer.state_dict()

    def check(self, state: Mapping[str, Tensor]) -> None:
        """Raise ModelError if the state is of another model's head."""
        if any(saved.shape != parameter.shape for parameter, saved in self._saved(state)):
            raise ModelError(
                "the saved value head belongs to another model: start with the model it was saved with"
            )
        self._optimizer.check(state)

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore a checked `state_dict`. If it contains no head, because another algorithm saved it, start
        from zero."""
        self._optimizer.load_state_dict(state)
        for parameter, saved in self._saved(state):
            parameter.copy_(saved)

    def _saved(self, state: Mapping[str, Tensor]) -> list[tuple[Tensor, Tensor]]:
        return [
            (parameter, state.get(HEAD_PREFIX + name, torch.zeros_like(parameter)))
            for name, parameter in self._linear.named_parameters()
        ]
