"""How large a model is: the numbers that its memory depends on. `model/sizing.py` finds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelShape:
    """Counts are of numbers, not of bytes."""

    parameters: int
    """All weights, tied ones once."""
    linear_parameters: int
    """Those of the linear layers without the output layer."""
    head_parameters: int
    """vocab_size x hidden: of the output layer, and of the embedding again."""
    adapter_parameters_per_rank: int
    """What LoRA adapters on every linear layer (arXiv 2106.09685) add for each unit of their rank."""
    vocab_size: int
    hidden: int
    layers: int
    cache_width: int
    """Numbers kept for each token and layer while decoding: keys and values of all heads."""
    linear_inputs: int
    """Summed over the linear layers: the numbers that each token brings in ..."""
    linear_outputs: int
    """... and takes out."""
    attention_width: int
    """Numbers of a token's query, all heads together."""
    context: int
    """Tokens that the model can look back on."""

    def adapter_parameters(self, rank: int) -> int:
        """Of adapters of this rank."""
        return rank * self.adapter_parameters_per_rank
