"""Where a model's files are: the embedded model's, a directory's, or those of a hub id."""

from __future__ import annotations

import re
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.errors import ModelError
from swarmd.policy.hub import CONFIGURATION, FILES, fetch_snapshot
from swarmd.policy.shape import ModelShape, shape_of
from swarmd.policy.smollm2 import SMOLLM2, smollm2_config

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NAMES = (
    f"use embedded, {SMOLLM2}, a directory such as ./my-model, or a hub id such as Qwen/Qwen2.5-0.5B-Instruct"
)


def locate(name: str, files: tuple[str, ...] = FILES) -> Path:
    """The directory that holds the model `name`, with `files` at least. Raises ModelError."""
    if name == "embedded":
        return EMBEDDED_MODEL_DIR
    path = Path(name).expanduser()
    try:
        found = path.is_dir()
    except OSError as error:  # no permission to look there, or no name a directory could have
        raise ModelError(f"model {name[:100]!r} cannot be read: {error.strerror}; {_NAMES}") from error
    if found:
        return path
    if HUB_ID.fullmatch(name) and not name.startswith("."):
        return fetch_snapshot(name, files)
    raise ModelError(f"unknown model {name!r}: neither a directory nor a hub id; {_NAMES}")


def model_shape(name: str) -> ModelShape:
    """How large the model `name` is, from its configuration alone: before gigabytes come over the network.

    Raises ModelError: unknown or unreachable model, or one that transformers does not know.
    """
    if name == SMOLLM2:
        return shape_of(smollm2_config())
    path = locate(name, (CONFIGURATION,))
    if not (path / CONFIGURATION).is_file():
        raise ModelError(f"{path} holds no model: {CONFIGURATION} is missing")
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        return shape_of(config)
    except (OSError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        raise ModelError(f"the model in {path} cannot be loaded: {error}") from error
