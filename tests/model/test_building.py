"""Building models on the meta device without its arithmetic changes nothing in them."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    Phi3Config,
    PretrainedConfig,
)

from swarmd.model.building import built
from swarmd.model.sizing import on_meta

SIZES = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
}
SCALED = {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LONG = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4}
ROPE = {"rope_theta": 500.0, "original_max_position_embeddings": 32}
MODELS = [
    LlamaConfig(**SIZES),
    LlamaConfig(**SIZES, rope_parameters={**SCALED, **ROPE}),
    Phi3Config(**SIZES, rope_parameters={**LONG, **ROPE}),
    GPT2Config(vocab_size=32, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    MambaConfig(vocab_size=32, hidden_size=32, num_hidden_layers=2, state_size=4, pad_token_id=0),
]


@pytest.mark.parametrize("config", MODELS, ids=["llama", "llama3", "longrope", "gpt2", "mamba"])
def test_a_model_has_the_values_and_sizes_that_transformers_gives_it(
    config: PretrainedConfig, tmp_path: Path
) -> None:
    made = AutoModelForCausalLM.from_config(config)
    made.save_pretrained(tmp_path)
    expected = dict(made.named_parameters()) | dict(made.named_buffers())
    loaded = built(lambda: AutoModelForCausalLM.from_pretrained(tmp_path))
    found = dict(loaded.named_parameters()) | dict(loaded.named_buffers())
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name
    sizes = {name: parameter.shape for name, parameter in on_meta(made.config).named_parameters()}
    assert sizes == {name: parameter.shape for name, parameter in made.named_parameters()}


def test_a_model_that_computes_with_both_devices_is_built_on_the_meta_device_alone() -> None:
    def build() -> torch.Tensor:
        with torch.device("meta"):
            return torch.arange(3) * torch.ones(3)

    assert built(build).is_meta


def test_an_error_that_is_not_about_devices_is_raised() -> None:
    def build() -> None:
        raise RuntimeError("damaged")

    with pytest.raises(RuntimeError, match="damaged"):
        built(build)
