"""Small random models of several shapes, and rows for them."""

import copy
from collections.abc import Sequence

import torch
from peft import PeftModel
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from swarmd.llama import LlamaBody, read_decoder
from swarmd.logprobs import FactoredGradients, PackedLogprobs, TokenRow
from swarmd.logprobs.body import TransformersBody

VOCAB_SIZE = 300
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": VOCAB_SIZE,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
}
SHAPES = {
    "qwen2: biases, shared heads, tied": (
        Qwen2ForCausalLM,
        Qwen2Config(**SMALL, num_key_value_heads=2, tie_word_embeddings=True),
    ),
    "llama: untied": (
        LlamaForCausalLM,
        LlamaConfig(**SMALL, num_key_value_heads=4, tie_word_embeddings=False),
    ),
    "qwen3: norms of queries and keys": (
        Qwen3ForCausalLM,
        Qwen3Config(**SMALL, num_key_value_heads=1, head_dim=16, tie_word_embeddings=True),
    ),
}

BODIES = ("our own layers", "transformers' layers")


def make_model(shape: str) -> PreTrainedModel:
    """Every weight random and large enough to matter, biases and norms too."""
    cls, config = SHAPES[shape]
    torch.manual_seed(0)
    model = cls(copy.deepcopy(config)).eval()  # resizing a model changes its configuration
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            mean = 1.0 if "norm" in name else 0.0
            parameter.normal_(mean, 0.2 if parameter.ndim > 1 else 0.3)
    return model


def make_rows(*groups: tuple[int, Sequence[int]], seed: int = 1) -> list[TokenRow]:
    """make_rows((prompt length, completion lengths), ...)"""
    rng = torch.Generator().manual_seed(seed)

    def ids(count: int) -> tuple[int, ...]:
        return tuple(torch.randint(0, VOCAB_SIZE, (count,), generator=rng).tolist())

    rows = []
    for prompt_length, lengths in groups:
        prompt = ids(prompt_length)
        rows += [TokenRow(prompt, ids(length)) for length in lengths]
    return rows


UNEVEN = make_rows((7, (5, 1, 9)), (12, (3, 1)), (1, (4,)))
"""Different lengths everywhere; a prompt of one token; completions that are never an input."""


def packed(
    model: PreTrainedModel | PeftModel, body: str, dtype: torch.dtype = torch.float32, recompute: bool = False
) -> PackedLogprobs:
    """A logprobs engine over one of BODIES."""
    base = model.get_base_model() if isinstance(model, PeftModel) else model
    pending = FactoredGradients()
    if body == BODIES[0]:
        made = LlamaBody(read_decoder(base), dtype, pending)
    else:
        made = TransformersBody(base.base_model, dtype)
    return PackedLogprobs(base, made, dtype=dtype, factored=pending, recompute=lambda: recompute)
