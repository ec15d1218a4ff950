"""Tiny random vision models of every type that swarmd can show images to.

They have the control tokens and the form of chat template that the published models have.

Their tokenizer is the embedded model's, so their text is short.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForImageTextToText, AutoTokenizer, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from swarmd.assets import EMBEDDED_MODEL_DIR

SIDE, PATCH = 16, 4  # pixels of a tower that reads squares
HIDDEN, HEADS, LAYERS, PEAKED = 32, 4, 2, 0.2  # of the language model; initialised to expose a wrong forward
PLAIN_CHAT = """{% for m in messages %}{{ m['role'] | upper }}: {{ m['content'] }}
{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"""
SMOLVLM_CHAT = """<|im_start|>{% for m in messages %}{{ m['role'] | capitalize }}\
{% if m['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}{% for part in m['content'] %}\
{% if part['type'] == 'text' %}{{ part['text'] }}{% elif part['type'] == 'image' %}<image>{% endif %}\
{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""
CHATML = """{{% for m in messages %}}<|im_start|>{{{{ m['role'] }}}}
{{% if m['content'] is string %}}{{{{ m['content'] }}}}{{% else %}}{{% for part in m['content'] %}}\
{{% if part['type'] == 'image' %}}{image}{{% else %}}{{{{ part['text'] }}}}{{% endif %}}{{% endfor %}}\
{{% endif %}}<|im_end|>
{{% endfor %}}{{% if add_generation_prompt %}}<|im_start|>assistant
{{% endif %}}"""
ONEVISION_CHAT = """{% for m in messages %}<|im_start|>{{ m['role'] }} \
{% for part in m['content'] | selectattr('type', 'equalto', 'image') %}<image>{% endfor %}\
{% for part in m['content'] | selectattr('type', 'equalto', 'text') %}\
{{ '\\n' + part['text'] }}{% endfor %}<|im_end|>{% endfor %}\
{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
GEMMA_CHAT = """<bos>{% for m in messages if m['role'] != 'system' %}<start_of_turn>\
{{ 'model' if m['role'] == 'assistant' else m['role'] }}
{% if loop.first and messages[0]['role'] == 'system' %}{{ messages[0]['content'] }}

{% endif %}{% if m['content'] is string %}{{ m['content'] | trim }}{% else %}{% for part in m['content'] %}\
{% if part['type'] == 'image' %}<start_of_image>{% else %}{{ part['text'] | trim }}{% endif %}{% endfor %}\
{% endif %}<end_of_turn>
{% endfor %}{% if add_generation_prompt %}<start_of_turn>model
{% endif %}"""


@dataclass(frozen=True)
class Recipe:
    """How a published model of one type looks, in small sizes."""

    image: str
    """The spelling of its image token."""
    chat: str
    vision: Mapping[str, Any]
    """Sizes of the vision tower, besides `TOWER`."""
    controls: tuple[str, ...] = ()
    """Other control tokens, besides the tokenizer's own."""
    text: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the language model, besides the sizes."""
    whole: Mapping[str, Any] = field(default_factory=dict)
    """Settings of the whole model."""
    processor: Mapping[str, Any] = field(default_factory=dict)


SQUARE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": PATCH,
    "initializer_range": PEAKED,
}
SIGLIP = {**SQUARE, "model_type": "siglip_vision_model", "vision_use_head": False}
OF_PATCHES = {"depth": LAYERS, "num_heads": 2, "patch_size": PATCH, "initializer_range": PEAKED}
QWEN_TOWER = {**OF_PATCHES, "hidden_size": 16, "intermediate_size": 32, "out_hidden_size": HIDDEN}
QWEN_ROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
QWEN_IMAGE = "<|vision_start|><|image_pad|><|vision_end|>"
SMOL = Recipe(
    "<image>",
    SMOLVLM_CHAT,
    SQUARE,
    ("<fake_token_around_image>", "<global-img>", "<end_of_utterance>"),
    text={"model_type": "llama"},
    whole={"scale_factor": 2},
)


def qwen(vision: Mapping[str, Any], **text: Any) -> Recipe:
    """Return the recipe of one of Qwen's vision models."""
    return Recipe(
        "<|image_pad|>",
        CHATML.format(image=QWEN_IMAGE),
        vision,
        ("<|vision_start|>", "<|vision_end|>", "<|video_pad|>"),
        text={"rope_parameters": QWEN_ROPE, **text},
        processor={"size": {"shortest_edge": SIDE * SIDE, "longest_edge": 2**20}},
    )


RECIPES: Mapping[str, Recipe] = {
    "gemma3": Recipe(
        "<image_soft_token>",
        GEMMA_CHAT,
        SIGLIP,
        ("<bos>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>"),
        text={"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16},
        whole={"mm_tokens_per_image": (SIDE // PATCH // 2) ** 2},
    ),
    "idefics3": SMOL,
    "internvl": Recipe(
        "<IMG_CONTEXT>",
        CHATML.format(image="<IMG_CONTEXT>\n"),
        {**SQUARE, "image_size": [SIDE, SIDE], "patch_size": [PATCH, PATCH]},
        ("<img>", "</img>"),
        text={"model_type": "qwen2"},
    ),
    "lfm2_vl": Recipe(
        "<image>",
        CHATML.format(image="<image>"),
        {**SQUARE, "model_type": "siglip2_vision_model", "num_patches": 16, "vision_use_head": False},
        ("<|image_start|>", "<|image_end|>"),
        text={"layer_types": ["conv", "full_attention"]},
        whole={"downsample_factor": 2},
        processor={"min_image_tokens": 2},
    ),
    "llava": Recipe("<image>", PLAIN_CHAT, SIGLIP, whole={"vision_feature_select_strategy": "full"}),
    "llava_onevision": Recipe("<image>", ONEVISION_CHAT, SIGLIP, text={"model_type": "qwen2"}),
    "qwen2_5_vl": qwen({**QWEN_TOWER, "window_size": 4 * PATCH, "fullatt_block_indexes": [1]}),
    "qwen2_vl": qwen({**OF_PATCHES, "embed_dim": 16, "hidden_size": HIDDEN, "mlp_ratio": 2}),
    "qwen3_vl": qwen(
        {**QWEN_TOWER, "num_position_embeddings": 16, "deepstack_visual_indexes": [0, 1]}, head_dim=8
    ),
    "smolvlm": SMOL,
}
"""By `model_type`."""


def write_tiny_visual(architecture: str, folder: Path) -> None:
    """Write a random model of this type into `folder`, as `--model` takes it."""
    recipe = RECIPES[architecture]
    tokenizer: Any = AutoTokenizer.from_pretrained(EMBEDDED_MODEL_DIR)
    tokenizer.add_special_tokens({"additional_special_tokens": [recipe.image, *recipe.controls]})
    tokenizer.chat_template = recipe.chat
    torch.manual_seed(0)
    config = _config(architecture, recipe, tokenizer)
    model: Any = AutoModelForImageTextToText.from_config(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2 and not parameter.any():  # Gemma 3's projector starts at zero
                parameter.normal_(std=PEAKED)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    settings = {"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28], **recipe.processor}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))


def _config(architecture: str, recipe: Recipe, tokenizer: Any) -> PretrainedConfig:
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": HIDDEN,
        "intermediate_size": 2 * HIDDEN,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": HEADS // 2,
        "max_position_embeddings": 2048,
        "initializer_range": PEAKED,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    names = {"image_token_id": recipe.image, "video_token_id": "<|video_pad|>"}
    names |= {"vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}
    kind: Any = CONFIG_MAPPING[architecture]
    known = kind().to_dict().keys() | kind.attribute_map.keys()
    ids = {
        name: tokenizer.convert_tokens_to_ids(token)
        for name, token in names.items()
        if name in known and token in tokenizer.get_vocab()
    }
    config: PretrainedConfig = kind(
        vision_config=dict(recipe.vision), text_config={**text, **recipe.text}, **ids, **recipe.whole
    )
    return config
