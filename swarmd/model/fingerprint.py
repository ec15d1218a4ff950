"""Identifies a model by the contents of the files that it is loaded from, wherever they are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from swarmd.errors import ModelError
from swarmd.model.adapter_start import ADAPTER_CONFIGURATION
from swarmd.model.hub import CONFIGURATION, FILES, WEIGHTS, copied_weights
from swarmd.model.locating import Located, locate
from swarmd.model.sight import PROCESSORS
from swarmd.model.smollm2 import gguf_path

LOADED = (
    *(WEIGHTS, "*.safetensors.index.json", CONFIGURATION, "generation_config.json", ADAPTER_CONFIGURATION),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.json", "vocab.txt", "merges.txt", "*.model"),
    *("*.jinja", "chat_template.json", PROCESSORS),
)
"""The files that a model is loaded from. `FILES` also matches licences and notes, which change nothing."""


def model_fingerprint(name: str) -> str:
    """SHA-256, in hex, of the names and contents of the weights, configuration and tokenizer of `name`.

    Takes seconds per gigabyte. Raises ModelError if the model is unknown, unreachable or unreadable.
    """
    return fingerprint_of(locate(name))


def fingerprint_of(located: Located) -> str:
    """The same for a located model, including its adapter. Raises ModelError."""
    return fingerprints_of(located)[0]


def fingerprints_of(located: Located) -> tuple[str, str]:
    """`fingerprint_of`, and what earlier versions recorded instead. Raises ModelError."""
    contents = {path: _content(path) for path in _files(located, _all_in)}
    return _whole(_files(located, _loaded_in), contents), _whole(list(contents), contents)


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error


def _whole(files: list[Path], contents: dict[Path, str]) -> str:
    lines = (f"{contents[path]}  {path.name}\n" for path in files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _files(located: Located, within: Callable[[Path], list[Path]]) -> list[Path]:
    """The files sorted by name, those of an adapter last."""
    gguf = gguf_path() if located.folder is None else None
    base = within(located.folder) if located.folder is not None else [path for path in [gguf] if path]
    return base if located.adapter is None else [*base, *within(located.adapter.folder)]


def _all_in(folder: Path) -> list[Path]:
    return _matching(folder, FILES)


def _loaded_in(folder: Path) -> list[Path]:
    found = _matching(folder, LOADED)
    copies = copied_weights(path.name for path in found)
    return [path for path in found if path.name not in copies]


def _matching(folder: Path, patterns: tuple[str, ...]) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})
