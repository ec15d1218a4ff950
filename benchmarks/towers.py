"""What vision towers keep of an image for the backward pass: `python -m benchmarks.towers`.

Each tower has the widths of a published model, four layers and random weights, and reads one image of 256 x
256 pixels in float32 on a CPU. `TOWER_KEEPS` of `swarmd/logprobs/memory.py` is above all in the last column.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.utils import logging as transformers_logging

from swarmd.images import CHANNELS, SIDE_MAX, Image
from swarmd.model.eyes import Scale
from swarmd.model.sight_kinds import KINDS
from swarmd.model.sizing import on_meta, shape_of

IMAGE = Image(SIDE_MAX, SIDE_MAX, bytes(CHANNELS * SIDE_MAX * SIDE_MAX))
GREY = Scale((0.5,) * CHANNELS, (0.5,) * CHANNELS)
LAYERS = 4
TEXT: dict[str, Any] = {
    "hidden_size": 1024,
    "intermediate_size": 1536,
    "num_hidden_layers": 1,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 1000,
}
ROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [16, 24, 24]}
QWEN = {**TEXT, "rope_parameters": ROPE}
CLIP = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
}
OF_SQUARES = {"num_hidden_layers": LAYERS}
OF_PATCHES = {"depth": LAYERS, "num_heads": 16}
TOWERS: Mapping[str, dict[str, Any]] = {
    "internvl": {"vision_config": OF_SQUARES, "text_config": {**TEXT, "model_type": "qwen2"}},
    "llava": {"vision_config": {**CLIP, **OF_SQUARES}, "text_config": {**TEXT, "model_type": "llama"}},
    "qwen2_5_vl": {
        "vision_config": {
            **OF_PATCHES,
            "hidden_size": 1280,
            "out_hidden_size": 1024,
            "fullatt_block_indexes": [LAYERS - 1],
        },
        "text_config": QWEN,
    },
    "qwen2_vl": {
        "vision_config": {**OF_PATCHES, "embed_dim": 1280, "hidden_size": 1024},
        "text_config": QWEN,
    },
    "qwen3_vl": {
        "vision_config": {
            **OF_PATCHES,
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "out_hidden_size": 1024,
            "deepstack_visual_indexes": [1, 2],
        },
        "text_config": {**QWEN, "head_dim": 128},
    },
    "smolvlm": {
        "vision_config": {
            **OF_SQUARES,
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_attention_heads": 12,
            "image_size": 512,
            "patch_size": 16,
        },
        "text_config": {**TEXT, "model_type": "llama"},
        "scale_factor": 4,
        "image_token_id": 5,
    },
}
"""Settings of each model's configuration: vision towers as published, but shallow; small language models."""


def kept_bytes(config: PretrainedConfig) -> int:
    """Bytes that autograd keeps of one image, besides weights."""
    torch.manual_seed(0)
    model: Any = AutoModelForImageTextToText.from_config(config).eval()  # type: ignore[no-untyped-call]
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    inputs = KINDS[config.model_type].eye(config, {}, GREY).inputs([IMAGE])
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        seen = model.get_image_features(**inputs, return_dict=True)
    found = sum(tensor.untyped_storage().nbytes() for tensor in kept.values())
    del seen
    return found


def main() -> int:
    """Print one row per tower."""
    warnings.simplefilter("ignore")
    transformers_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    torch.set_num_threads(1)
    print("| tower | patches | MB kept | of its linear layers' inputs and outputs |\n|---|---|---|---|")
    for name, settings in TOWERS.items():
        config: PretrainedConfig = CONFIG_MAPPING[name](**settings)
        tower = shape_of(on_meta(config)).tower
        if tower is None:
            raise RuntimeError(f"{name} has no vision tower")
        kept, numbers = kept_bytes(config), tower.patches * (tower.linear_inputs + tower.linear_outputs)
        print(f"| {name} | {tower.patches} | {kept / 1e6:.0f} | {kept / (4 * numbers):.2f} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
