"""Linear layers as decoding multiplies with them compute what the layers compute."""

import copy

import pytest
import torch
from peft.tuners.lora import LoraConfig
from peft.tuners.lora.layer import Linear as LoraLinear
from torch import nn

from swarmd.llama import products
from swarmd.llama.products import make_product


@pytest.fixture(params=["large", "small", "on an accelerator"])
def layout(request, monkeypatch):
    """How weights are multiplied with: large ones packed or as they lie, small ones copied."""
    if request.param == "large":
        monkeypatch.setattr(products, "LARGE_NUMEL_MIN", 1)
        monkeypatch.setattr(
            products, "BLOCK_OUTPUTS", 16
        )  # the layers have one block, several, or half a one
    elif request.param == "on an accelerator":
        monkeypatch.setattr(products, "LAYOUT_DEVICES", frozenset())


def linear(inputs, outputs, bias):
    torch.manual_seed(inputs + outputs)
    return nn.Linear(inputs, outputs, bias=bias)


def adapted(inputs, outputs, bias):
    layer = LoraLinear(linear(inputs, outputs, bias), "default", LoraConfig(), r=4, lora_alpha=16)
    nn.init.normal_(layer.lora_B["default"].weight)
    return layer.eval()


LAYERS = {
    "one": [linear(24, 40, False)],
    "one with a bias": [linear(24, 40, True)],
    "several, one of them with a bias": [linear(24, 40, True), linear(24, 8, False), linear(24, 16, False)],
    "adapted": [adapted(24, 40, True)],
    "adapted and not": [linear(24, 8, False), adapted(24, 40, True), adapted(24, 16, False)],
}


@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.usefixtures("layout")
def test_it_is_the_layers_outputs_side_by_side(name, rows):
    layers = LAYERS[name]
    x = torch.randn(rows, 24, generator=torch.Generator().manual_seed(rows))
    with torch.no_grad():
        expected = torch.cat([layer(x) for layer in layers], dim=-1)
        product = make_product(layers, torch.float32)
        assert torch.allclose(product(x), expected, atol=1e-5)
        total = torch.ones_like(expected)
        product.add_to(total, x)
        assert torch.allclose(total, 1 + expected, atol=1e-5)


@pytest.mark.usefixtures("layout")
def test_in_bfloat16_the_weights_are_rounded_once():
    layers = LAYERS["several, one of them with a bias"]
    x = torch.randn(5, 24, generator=torch.Generator().manual_seed(0)).bfloat16()
    with torch.no_grad():
        product = make_product(layers, torch.bfloat16)(x)
        exact = torch.cat([layer(x.float()) for layer in layers], dim=-1)
        total = torch.ones_like(exact)
        make_product(layers, torch.bfloat16).add_to(total, x)
    assert torch.equal(total, 1 + product.float())
    assert product.dtype == torch.bfloat16
    assert torch.allclose(product.float(), exact, atol=0.03)
    assert layers[0].weight.dtype == torch.float32


@pytest.mark.parametrize(("setting", "value"), [("LAYOUT_DEVICES", frozenset()), ("LARGE_NUMEL_MIN", 1)])
@pytest.mark.parametrize("name", LAYERS)
def test_on_an_accelerator_and_in_float32_no_large_weight_is_copied(name, setting, value, monkeypatch):
    monkeypatch.setattr(products, setting, value)
    layers = copy.deepcopy(LAYERS[name])
    bases = [layer.get_base_layer() if isinstance(layer, LoraLinear) else layer for layer in layers]
    x = torch.randn(3, 24)
    with torch.no_grad():
        product = make_product(layers, torch.float32)
        for base in bases:
            base.weight.mul_(2)
        assert torch.allclose(product(x), torch.cat([layer(x) for layer in layers], dim=-1), atol=1e-5)


def test_a_disabled_adapter_adds_nothing():
    layer = adapted(24, 40, False)
    x = torch.randn(3, 24)
    with torch.no_grad():
        with_adapter = make_product([layer], torch.float32)(x)
        layer.enable_adapters(False)
        without = make_product([layer], torch.float32)(x)
        assert torch.allclose(without, layer.get_base_layer()(x), atol=1e-5)
    assert not torch.allclose(with_adapter, without, atol=1e-2)


def test_a_small_update_of_an_adapter_is_not_rounded_away():
    layer = adapted(24, 40, False)
    layer.get_base_layer().weight.data.fill_(1.0)  # bfloat16 has no number between 1 and 1.0078
    with torch.no_grad():
        layer.lora_A["default"].weight.fill_(1.0)
        layer.lora_B["default"].weight.fill_(1e-5)
        x = torch.zeros(1, 24)
        x[0, 0], x[0, 1] = 1.0, -1.0 + 2**-7
        product = make_product([layer], torch.bfloat16)(x.bfloat16())
        exact = layer(x)
    assert torch.allclose(product.float(), exact, rtol=0.01)


def test_a_cpu_that_refuses_to_pack_multiplies_plainly(monkeypatch):
    def refuse(*_given):
        raise RuntimeError("mkldnn: bf16 path needs the cpu support avx512")

    monkeypatch.setattr(products, "_Packed", refuse)
    products.packing_works.cache_clear()
    try:
        assert not products.packing_works(torch.bfloat16)
    finally:
        products.packing_works.cache_clear()


def test_a_packing_that_computes_something_else_is_found_out(monkeypatch):
    monkeypatch.setattr(products, "_Packed", lambda weight, _bias: lambda x: x @ weight.flip(0).t())
    products.packing_works.cache_clear()
    try:
        assert not products.packing_works(torch.float32)
    finally:
        products.packing_works.cache_clear()
