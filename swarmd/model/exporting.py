"""Exports trained weights as a folder that transformers or peft can load without swarmd.

Works in main memory, without an accelerator. It chooses no directory and writes no model card.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from swarmd.adapted import is_adapted
from swarmd.assets import EMBEDDED_MODELS
from swarmd.errors import ConfigError, ModelError
from swarmd.hardware.plan import LoraPlan
from swarmd.hardware.shortage import out_of_memory_as_model_error
from swarmd.model.adapters import with_adapters
from swarmd.model.base import Base
from swarmd.model.loading import load_model
from swarmd.model.locating import Located
from swarmd.model.sight import PROCESSORS
from swarmd.model.template_arguments import TemplateArguments
from swarmd.model.third_party import third_party
from swarmd.model.tokenizer import ChatTokenizer
from swarmd.model.trained import put_back

if TYPE_CHECKING:
    from peft import PeftModel

READ_AS = torch.float32  # the dtype of trained weights; adapters are also merged in it
UNUSED = torch.bfloat16  # for a base that is read only for its shapes: half the memory


@dataclass(frozen=True)
class Trained:
    """The content of a checkpoint, and the model that it was trained on."""

    located: Located
    tensors: Mapping[str, Tensor]
    """By their names in the model, or in the adapted model."""
    lora: LoraPlan | None
    template_args: TemplateArguments
    tokenizer: str | None = None
    """The hex fingerprint of the tokenizer that it was trained with; None if unknown."""

    @property
    def model(self) -> str:
        """The name of the base."""
        return self.located.base


def write_model(trained: Trained, folder: Path, dtype: torch.dtype) -> ChatTokenizer:
    """Write all weights in `dtype`, with any adapter merged, plus configuration and tokenizer.

    Raises ModelError if the model cannot be loaded, is a different one, or has quantised weights. Raises
    OSError and SafetensorError for disk errors.
    """
    with out_of_memory_as_model_error("--adapter, which needs half as much,"):
        model, tokenizer = _load(trained, READ_AS)
        if is_adapted(model):
            model = _merged(model, trained.model)
        _set_ends(model, tokenizer)
        _write(model.to(dtype), tokenizer, folder)  # type: ignore[arg-type]  # untyped there
        if tokenizer.sight is not None and trained.located.folder is not None:
            for settings in trained.located.folder.glob(PROCESSORS):
                shutil.copyfile(settings, folder / settings.name)
    return tokenizer


def write_adapter(trained: Trained, folder: Path) -> ChatTokenizer:
    """Write only the adapter, as saved by peft, with the tokenizer. It names its base.

    Raises ConfigError if all weights were trained; otherwise the same as `write_model`.
    """
    if trained.lora is None:
        raise ConfigError("--adapter: all weights were trained, so there is no adapter: remove --adapter")
    with out_of_memory_as_model_error("a machine with more of it"):
        model, tokenizer = _load(trained, UNUSED)
        settings: Any = model.peft_config["default"]
        settings.base_model_name_or_path = str(_place_of(trained.model))
        settings.revision = Base.of(trained.located).revision
        _write(model, tokenizer, folder, save_embedding_layers=False)  # embeddings are not trained
    return tokenizer


def _load(trained: Trained, dtype: torch.dtype) -> tuple[PreTrainedModel | PeftModel, ChatTokenizer]:
    """The base in `dtype` with the trained weights, on the CPU."""
    model, tokenizer = load_model(trained.located, dtype, trained.template_args)
    if trained.tokenizer not in (None, tokenizer.fingerprint.hex()):
        raise ModelError(
            f"the weights were trained with a different tokenizer than {trained.model} has now: restore the "
            "previous tokenizer files, or give the directory that has them with --model"
        )
    placed: PreTrainedModel | PeftModel = model
    if trained.lora is not None:
        with third_party(trained.model, "adding LoRA adapters", "give its own base with --model"):
            placed = with_adapters(model, trained.lora, trained.located.adapter)
    put_back(placed, trained.tensors, str(model.config.model_type))
    return placed, tokenizer


def _place_of(model: str) -> str | Path:
    """The name under which other libraries find it."""
    return EMBEDDED_MODELS.get(model, model)


def _merged(model: PeftModel, name: str) -> PreTrainedModel:
    if getattr(model.get_base_model(), "is_quantized", False):
        raise ModelError(
            f"the weights of {name} are quantised, so an adapter cannot be merged into them: export with "
            "--adapter"
        )
    with third_party(name, "adding its adapter to it", "export with --adapter"):
        merged: PreTrainedModel = model.merge_and_unload()
    return merged


def _write(model: Any, tokenizer: ChatTokenizer, folder: Path, **settings: Any) -> None:
    model.save_pretrained(folder, **settings)
    tokenizer.hf.save_pretrained(folder)


def _set_ends(model: PreTrainedModel, tokenizer: ChatTokenizer) -> None:
    """Make generation stop at the same tokens as in training, including those written only by the
    template."""
    settings: Any = model.generation_config
    others = sorted(tokenizer.eos_ids - {tokenizer.eos_id})
    ends = [tokenizer.eos_id, *others] if others else tokenizer.eos_id
    if (settings.eos_token_id, settings.pad_token_id) == (ends, tokenizer.pad_id):
        return
    settings.eos_token_id, settings.pad_token_id = ends, tokenizer.pad_id
    try:
        settings.validate(strict=True)
    except ValueError:  # some models are published with sampling settings but do_sample off
        settings.do_sample = True
