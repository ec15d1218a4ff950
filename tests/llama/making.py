"""Small models of all kinds that are decoded here, prompts, and how two decodings are compared."""

import pytest
import torch
from transformers import (
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from swarmd.rollout.sampling import draw_uniforms

VOCABULARY = 300
EOS_IDS = frozenset(range(20))
PROMPTS = [[65, 66, 67], [70] * 40, [90, 91, 92, 93, 94, 95, 96], [100], [33, 44, 55]]
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}


def rope(kind, **more):
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 10_000.0, **more}}


YARN = rope("yarn", factor=4.0, original_max_position_embeddings=16)
LLAMA3 = rope(
    "llama3",
    factor=8.0,
    low_freq_factor=1.0,
    high_freq_factor=4.0,
    original_max_position_embeddings=16,
)
KNOWN = {
    "llama, keys shared by two heads": (LlamaForCausalLM, LlamaConfig, {}),
    "llama, biases everywhere": (LlamaForCausalLM, LlamaConfig, {"attention_bias": True, "mlp_bias": True}),
    "llama, tied head": (LlamaForCausalLM, LlamaConfig, {"tie_word_embeddings": True}),
    "llama, its third rope": (LlamaForCausalLM, LlamaConfig, LLAMA3),
    "llama, linear rope": (LlamaForCausalLM, LlamaConfig, rope("linear", factor=2.0)),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, {}),
    "qwen2, yarn": (Qwen2ForCausalLM, Qwen2Config, YARN),
    "qwen3, norms on heads of another size": (Qwen3ForCausalLM, Qwen3Config, {"head_dim": 16}),
    "mistral without a window": (MistralForCausalLM, MistralConfig, {"sliding_window": None}),
}


def build(kind, config, more):
    torch.manual_seed(0)
    sizes = {"vocab_size": VOCABULARY} if kind is GPT2LMHeadModel else SIZES
    model = kind(config(**{**sizes, **more}, bos_token_id=None, eos_token_id=None, pad_token_id=0)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "bias" in name or "norm" in name:  # they start at zero and one, where a mistake would not show
                parameter.add_(torch.randn(parameter.shape) * 0.3)
    return model


def decode(engine, prompts=PROMPTS, copies=3, greedily=False, uniforms=None, **more):
    if uniforms is None:
        uniforms = draw_uniforms(len(prompts) * copies, 12, torch.Generator().manual_seed(1))
    more = {"progress": None, "should_stop": None, **more}
    return engine.decode(
        prompts, copies, 12, uniforms=None if greedily else uniforms, temperature=0.8, **more
    )


def same(ours, theirs):
    """The same rows. Of a hundred, one may part from the other's where a draw is on the border between two
    tokens: there rounding decides, which differs between processors."""
    assert len(ours) == len(theirs)
    pairs = list(zip(ours, theirs, strict=True))
    apart = [(one, other) for one, other in pairs if one.token_ids != other.token_ids]
    assert len(apart) <= len(pairs) // 100
    for one, other in apart:
        first, second = next((a, b) for a, b in zip(one.token_ids, other.token_ids, strict=False) if a != b)
        assert abs(first - second) == 1  # draws are compared with sums over the vocabulary in its order
    for one, other in pairs:
        if (one, other) in apart:
            continue
        assert one.finished == other.finished
        assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)
