"""Padded rows checkpoint gradients if the plan says so."""

import pytest
import torch
from transformers import Gemma2Config, Gemma2ForCausalLM

from swarmd.logprobs import PaddedLogprobs
from tests.logprobs.making import SMALL, UNEVEN


@pytest.fixture
def model():
    torch.manual_seed(0)
    config = Gemma2Config(**SMALL, num_key_value_heads=2, head_dim=8, sliding_window=64)
    return Gemma2ForCausalLM(config).eval()


def gradients(model, recompute):
    """Of all log-probabilities, and how often a layer's feed-forward was computed."""
    computed = []
    hooks = [
        layer.mlp.register_forward_pre_hook(lambda *_: computed.append(1)) for layer in model.model.layers
    ]
    engine = PaddedLogprobs(model, pad_id=0, dtype=torch.float32, recompute=lambda: recompute)
    model.zero_grad()
    engine.logprobs(UNEVEN, 1.0)[0].sum().backward()
    for hook in hooks:
        hook.remove()
    return {name: p.grad.clone() for name, p in model.named_parameters()}, len(computed)


def test_layers_are_computed_twice_where_asked_and_the_gradient_is_the_same(model):
    kept, once = gradients(model, recompute=False)
    recomputed, twice = gradients(model, recompute=True)
    assert twice == 2 * once == 2 * SMALL["num_hidden_layers"]
    for name, gradient in kept.items():
        assert torch.allclose(recomputed[name], gradient, atol=1e-6), name


@torch.no_grad()
def test_without_a_gradient_nothing_is_computed_twice(model):
    asked = []
    PaddedLogprobs(model, pad_id=0, dtype=torch.float32, recompute=lambda: asked.append(1) or True).logprobs(
        UNEVEN, 1.0
    )
    assert asked == []
