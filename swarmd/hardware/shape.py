"""The sizes of a model that its memory depends on. `model/sizing.py` finds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """Counts of numbers, not of bytes."""

    parameters: int
    """All weights; tied ones count once."""
    linear_parameters: int
    """Weights of the linear layers, without the output layer."""
    head_parameters: int
    """vocab_size x hidden: the weights of the output layer, and again those of the embedding."""
    adapter_parameters_per_rank: Callable[[], int]
    """What LoRA adapters (arXiv 2106.09685) add per unit of rank. The first call may take a second."""
    vocab_size: int
    hidden: int
    layers: int
    cache_width: int
    """Numbers kept per token and layer while decoding: keys and values of all heads."""
    linear_inputs: int
    """Input widths of the linear layers, summed: numbers per token."""
    linear_outputs: int
    """Output widths of the linear layers, summed: numbers per token."""
    attention_width: int
    """Numbers in a token's query, all heads together."""
    context: int
    """Tokens of context that the model can use."""

    def adapter_parameters(self, rank: int) -> int:
        """Parameters of adapters of this rank."""
        return rank * self.adapter_parameters_per_rank()
