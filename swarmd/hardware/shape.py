"""The sizes of a model that determine its memory. `model/sizing.py` computes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class TowerShape:
    """The part of a model that reads images, in counts of numbers."""

    patches: int
    """Of the largest image: what its layers read at once."""
    layers: int
    hidden: int
    linear_inputs: int
    """Sum of its linear layers' input widths: numbers per patch."""
    linear_outputs: int


@dataclass(frozen=True)
class ModelShape:
    """Counts of numbers, not bytes."""

    parameters: int
    """All weights; tied ones count once."""
    linear_parameters: int
    """Weights of the linear layers, without the output layer."""
    head_parameters: int
    """vocab_size x hidden: the number of weights in the output layer, and also in the embedding."""
    adapter_parameters_per_rank: Callable[[], int]
    """Parameters that LoRA adapters (arXiv 2106.09685) add per unit of rank. The first call may take a
    second."""
    vocab_size: int
    hidden: int
    layers: int
    cache_width: int
    """Numbers stored per token and layer while decoding: keys and values of all heads."""
    linear_inputs: int
    """Sum of the linear layers' input widths: numbers per token, without those of the tower."""
    linear_outputs: int
    """Sum of the linear layers' output widths: numbers per token, without those of the tower."""
    attention_width: int
    """Numbers in a token's query, all heads together."""
    context: int
    """Tokens of context that the model can use."""
    tower: TowerShape | None = None
    """None for a model without sight."""

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of adapters of this rank."""
        return rank * self.adapter_parameters_per_rank()
