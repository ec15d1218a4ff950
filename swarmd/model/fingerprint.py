"""What identifies a model: the content of the files that it is read from, wherever they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from swarmd.errors import ModelError
from swarmd.model.hub import FILES
from swarmd.model.locating import locate
from swarmd.model.smollm2 import gguf_path
from swarmd.model_names import SMOLLM2


def model_fingerprint(name: str) -> str:
    """SHA-256, in hex, of the names and contents of the weights, configuration and tokenizer of `name`.

    A gigabyte takes seconds. Raises ModelError for a model that is unknown, unreachable or unreadable.
    """
    whole = hashlib.sha256()
    for path in _files(name):
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
        whole.update(f"{content.hexdigest()}  {path.name}\n".encode())
    return whole.hexdigest()


def _files(name: str) -> list[Path]:
    """In the order of their names."""
    if name == SMOLLM2:
        return [path for path in [gguf_path()] if path is not None]
    folder = locate(name)
    return sorted({path for pattern in FILES for path in folder.glob(pattern)})
