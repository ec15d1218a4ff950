"""Whether a model carries adapters, known without importing peft."""

from __future__ import annotations

import sys

import pytest
from peft import LoraConfig, get_peft_model
from torch import nn

from swarmd.adapted import is_adapted, is_lora_linear, without_adapters
from tests.conftest import tiny_model


def test_a_model_with_adapters_is_told_from_its_base() -> None:
    base = tiny_model()
    adapted = get_peft_model(base, LoraConfig(r=1, target_modules=["q_proj"]))
    assert is_adapted(adapted)
    assert without_adapters(adapted) is base
    assert not is_adapted(base)
    assert without_adapters(base) is base
    kinds = {name.rpartition(".")[2]: is_lora_linear(module) for name, module in adapted.named_modules()}
    assert kinds["q_proj"]
    assert not kinds["k_proj"]


def test_a_variant_of_loras_linear_layer_is_not_taken_for_it() -> None:
    from peft.tuners.lora.layer import Linear

    class Variant(Linear):
        pass

    layer = Variant(nn.Linear(2, 2), "default", LoraConfig(r=1), r=1)
    assert not is_lora_linear(layer)


def test_without_peft_nothing_is_adapted(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("peft", "peft.tuners.lora.layer"):
        monkeypatch.delitem(sys.modules, name)
    model = tiny_model()
    assert not is_adapted(model)
    assert not is_lora_linear(nn.Linear(1, 1))
    assert without_adapters(model) is model
    assert "peft" not in sys.modules
