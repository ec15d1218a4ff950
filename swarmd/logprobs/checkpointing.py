"""Gradient checkpointing: the backward pass recomputes a layer's activations instead of keeping them.

It costs a third more work and needs a fraction of the memory. Transformers' layers do it themselves in
training mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint
from transformers.modeling_layers import GradientCheckpointingLayer


def keep_activations() -> bool:
    """A `recompute` callback for when no layer ever has to be recomputed."""
    return False


@contextmanager
def checkpointed(
    model: nn.Module, within: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Iterator[None]:
    """Within the block, forward passes of `model` keep only each layer's input.

    `within` is entered whenever a layer is computed, because the backward pass runs long after the caller's
    own context has ended. The layers stay in eval mode, because some of transformers' layers have dropout of
    their own, in addition to that of their modules.
    """
    layers: list[Any] = [m for m in model.modules() if isinstance(m, GradientCheckpointingLayer)]

    def recomputed(forward: Callable[..., object]) -> Callable[..., object]:
        def compute(*args: object, **more: object) -> object:
            with within():
                return forward(*args, **more)

        return lambda *args, **more: checkpoint(compute, *args, use_reentrant=False, **more)

    for layer in layers:
        layer.forward = recomputed(layer.forward)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
