"""Identifies a model by the contents of the files that it is loaded from, wherever they are."""

from __future__ import annotations

import hashlib
from pathlib import Path

from swarmd.errors import ModelError
from swarmd.model.hub import FILES
from swarmd.model.locating import Located, locate
from swarmd.model.smollm2 import gguf_path


def model_fingerprint(name: str) -> str:
    """SHA-256, in hex, of the names and contents of the weights, configuration and tokenizer of `name`.

    Takes seconds per gigabyte. Raises ModelError if the model is unknown, unreachable or unreadable.
    """
    return fingerprint_of(locate(name))


def fingerprint_of(located: Located) -> str:
    """The same for a located model, including its adapter. Raises ModelError."""
    whole = hashlib.sha256()
    for path in _files(located):
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256")
        except OSError as error:
            raise ModelError(f"the model file {path} cannot be read: {error.strerror}") from error
        whole.update(f"{content.hexdigest()}  {path.name}\n".encode())
    return whole.hexdigest()


def _files(located: Located) -> list[Path]:
    """The files sorted by name, those of an adapter last."""
    gguf = gguf_path() if located.folder is None else None
    base = _in(located.folder) if located.folder is not None else [path for path in [gguf] if path]
    return base if located.adapter is None else [*base, *_in(located.adapter.folder)]


def _in(folder: Path) -> list[Path]:
    return sorted({path for pattern in FILES for path in folder.glob(pattern)})
