"""Checks that a loaded model is what its files hold: no packed numbers as weights, and no layer left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from swarmd.errors import ModelError

PACKED = (
    *("scale", "scale_inv", "scales", "zero_point", "qweight", "qzeros", "absmax", "g_idx"),
    *("SCB", "weight_format"),
)
"""Suffixes of the names of tensors that quantised weights need."""
WHOLE, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = ("F", "BF")  # how safetensors' names of their dtypes begin
NUMBER = re.compile(r"\.(\d+)\.")


def require_understood(model: PreTrainedModel, unexpected: Iterable[str], path: Path) -> None:
    """Raise ModelError unless the files in `path` hold nothing more than the loaded `model` has.

    `unexpected` names what transformers left over. It only warns about that, would use packed numbers as
    weights, and would drop layers.
    """
    _require_unpacked(model, unexpected, path)
    _require_all_layers(model, unexpected, path)


def _require_unpacked(model: PreTrainedModel, unexpected: Iterable[str], path: Path) -> None:
    if getattr(model, "is_quantized", False):
        return
    scales = [f"it has {name}" for name in sorted(unexpected) if name.endswith(PACKED)]
    packed = [f"{name} is packed" for name in _integer_weights(model, path)]
    says_so = getattr(model.config, "quantization_config", None) is not None
    whys = [*scales, *packed, *(["its config says so"] if says_so else [])]
    if whys:
        raise ModelError(
            f"the model in {path} is quantised in an unknown way ({whys[0]}): use its original "
            "weights, or install the package it needs"
        )


def _require_all_layers(model: PreTrainedModel, unexpected: Iterable[str], path: Path) -> None:
    """Raise ModelError if the files hold more layers than the model.

    Layers that predict several tokens may be left over: those that transformers knows are not in
    `unexpected`, and a configuration says how many others there are.
    """
    prefix = f"{model.base_model_prefix}."
    stacks = {
        name.removeprefix(prefix): len(module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList)
    }
    spare = getattr(model.config.get_text_config(decoder=True), "num_nextn_predict_layers", None) or 0
    for name in sorted(unexpected):
        for number in NUMBER.finditer(name):
            layers = stacks.get(name[: number.start()].removeprefix(prefix))
            if layers is not None and int(number[1]) >= layers + spare:
                raise ModelError(
                    f"the model in {path} has {name}, but its config.json has only {layers} of these layers: "
                    "copy or download config.json again"
                )


def _integer_weights(model: PreTrainedModel, path: Path) -> list[str]:
    """Weights that the files hold as integers, which transformers silently converts. Not masks and positions,
    which some files hold too."""
    parameters = {name for name, _ in model.named_parameters()}
    found = []
    for file in _weight_files(path):
        with safe_open(file, framework="pt") as tensors:
            names = [name for name in tensors.keys() if name.endswith("weight") or name in parameters]  # noqa: SIM118
            found += [name for name in names if not tensors.get_slice(name).get_dtype().startswith(FLOATS)]
    return sorted(found)


def _weight_files(path: Path) -> list[Path]:
    """The files that transformers reads weights from."""
    if (path / WHOLE).is_file():
        return [path / WHOLE]
    if (path / INDEX).is_file():
        return [path / name for name in set(json.loads((path / INDEX).read_bytes())["weight_map"].values())]
    return list(path.glob("*.safetensors"))
