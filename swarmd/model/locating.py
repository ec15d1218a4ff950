"""Where a model's files are: the embedded model's, a directory's, or those of a hub id."""

from __future__ import annotations

import re
from pathlib import Path

from transformers import AutoConfig, PretrainedConfig

from swarmd.assets import EMBEDDED_MODEL_DIR
from swarmd.errors import ModelError
from swarmd.model.hub import CONFIGURATION, FILES, fetch_snapshot
from swarmd.model.smollm2 import SMOLLM2, smollm2_config
from swarmd.model.third_party import third_party

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


def read_configuration(name: str) -> PretrainedConfig:
    """The configuration of the model `name`, before gigabytes come over the network.

    Raises ModelError: unknown or unreachable model, or one that transformers does not know.
    """
    if name == SMOLLM2:
        return smollm2_config()
    path = locate(name, (CONFIGURATION,))
    if not (path / CONFIGURATION).is_file():
        raise ModelError(f"{path} holds no model: {CONFIGURATION} is missing")
    with third_party(name, f"reading {CONFIGURATION}", "copy or download the model again"):
        config: PretrainedConfig = AutoConfig.from_pretrained(
            path, local_files_only=True, trust_remote_code=False
        )
        return config
