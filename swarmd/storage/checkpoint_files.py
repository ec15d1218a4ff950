"""Writes, describes, verifies and reads the four files of one checkpoint.

    weights.safetensors    the model's or the adapter's tensors; step and model in its header
    optimizer.pt           optimiser and scheduler state; torch.save, loaded with weights_only=True
    state.json             counters, random generator states, anything else that is JSON
    manifest.json          step, size and SHA-256 of each file above, sealed by its own SHA-256

Only proven damage counts as damage: a file is missing, or its size, hash or seal differs from what was
written. A read that fails proves nothing and raises StorageError. This module does not know what a model is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from swarmd.errors import StorageError
from swarmd.storage.durable import disk_error, flush_to_disk
from swarmd.storage.versions import CHECKPOINT_FORMAT, CHECKPOINT_MANIFEST

WEIGHTS: Final = "weights.safetensors"
OPTIMIZER: Final = "optimizer.pt"
STATE: Final = "state.json"
NAME = re.compile(r"(\d{8})-step-(\d+)")
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})
_HEADER = "swarmd"  # the key in safetensors' metadata, which holds only text


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    size: int
    sha256: str


class _Manifest(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    format: int
    step: int
    files: dict[Literal["weights.safetensors", "optimizer.pt", "state.json"], _File]


class _Sealed(BaseModel):
    """The manifest and the hash of its canonical JSON, so that a changed digit in it is also detected."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    manifest: dict[str, JsonValue]
    sha256: str


class _Header(BaseModel):
    """The header of the weights, enough to use them alone. Weights of earlier versions have none."""

    model_config = ConfigDict(frozen=True)
    step: int | None = None
    about: dict[str, JsonValue] = {}


class CorruptCheckpointError(Exception):
    """This checkpoint is incomplete or its bytes changed. An older one may be intact."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that was read and verified. Tensors are on the CPU."""

    step: int
    tensors: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    state: dict[str, JsonValue]
    path: Path


@dataclass(frozen=True)
class Salvaged:
    """The intact parts of a checkpoint: at least its weights. A lost part is empty."""

    checkpoint: Checkpoint
    lost: tuple[str, ...]
    """What was lost and why, one phrase each; empty if the checkpoint is whole."""
    weights_sha256: str


def write_checkpoint(
    directory: Path,
    step: int,
    *,
    tensors: Mapping[str, torch.Tensor],
    optimizer: Mapping[str, Any],
    state: Mapping[str, JsonValue],
    about: Mapping[str, JsonValue],
) -> None:
    """Write the files and flush them, the manifest last. Raises OSError, TypeError.

    `about` is also stored in the header of the weights, so that they can be used on their own.
    """
    header = _Header(step=step, about=dict(about)).model_dump_json()
    try:
        save_file(_storable(tensors), directory / WEIGHTS, metadata={_HEADER: header})
    except SafetensorError as error:
        raise os_error_in(error) or error from error
    _require_plain(optimizer)
    try:
        # With a file object instead of a path, the disk's own error is preserved.
        with (directory / OPTIMIZER).open("wb") as file:
            torch.save(dict(optimizer), file)
    except RuntimeError as error:
        # torch's zip writer raises this over the OSError from the file that it writes to.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise
    (directory / STATE).write_text(json.dumps({**state, **about}, allow_nan=False))
    _write_manifest(directory, step)


def load_checkpoint(path: Path) -> Checkpoint:
    """Load and verify the checkpoint in `path`. Raises CorruptCheckpointError or StorageError."""
    with _read_errors(path):
        manifest = _read_manifest(path)
        for name, file in manifest.files.items():
            _verify(path / name, file)
        return Checkpoint(
            step=manifest.step,
            tensors=load_file(path / WEIGHTS),
            optimizer=_read_optimizer(path),
            state=json.loads((path / STATE).read_bytes()),
            path=path,
        )


def salvage(path: Path) -> Salvaged:
    """Load the intact parts of the checkpoint in `path`. Everything except its weights may be damaged.

    Without an intact manifest only the structure of the weights can be checked, and nothing else is used.
    Raises CorruptCheckpointError for damaged weights, and StorageError.
    """
    lost: list[str] = []
    with _read_errors(path):
        try:
            manifest: _Manifest | None = _read_manifest(path)
        except (CorruptCheckpointError, FileNotFoundError) as error:
            manifest = None
            lost.append(f"the proof that the weights are whole ({_why(error)})")
        if manifest is not None:
            _verify(path / WEIGHTS, manifest.files[WEIGHTS])
        sha256 = _describe(path / WEIGHTS).sha256
        try:
            tensors, header = load_file(path / WEIGHTS), _read_header(path)
        except (SafetensorError, ValidationError) as error:
            raise os_error_in(error) or CorruptCheckpointError(f"{WEIGHTS}: {error}") from error
        optimizer: dict[str, Any] = {}
        state = header.about
        if why := _damage(path, manifest, OPTIMIZER):
            lost.append(f"the optimiser's state ({why})")
        else:
            optimizer = _read_optimizer(path)
        if why := _damage(path, manifest, STATE):
            lost.append(f"the counters and random generators ({why})")
        else:
            state = json.loads((path / STATE).read_bytes())
        step = _step_of(path) if header.step is None else header.step
        if manifest is not None:
            step = manifest.step
    return Salvaged(Checkpoint(step, tensors, optimizer, state, path), tuple(lost), sha256)


def bytes_of(path: Path) -> int:
    """Return the size of a checkpoint's files in bytes. Raises OSError."""
    return sum(file.stat().st_size for file in path.iterdir())


def _damage(path: Path, manifest: _Manifest | None, name: Literal["optimizer.pt", "state.json"]) -> str:
    """Return why this file must not be used; empty if it is whole."""
    if manifest is None:
        return f"{name} cannot be verified"
    try:
        _verify(path / name, manifest.files[name])
    except (CorruptCheckpointError, FileNotFoundError) as error:
        return _why(error)
    return ""


def _why(error: CorruptCheckpointError | FileNotFoundError) -> str:
    return f"{Path(error.filename).name} is missing" if isinstance(error, OSError) else str(error)


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """Treat a missing file as damage, and raise StorageError for any other disk error."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorruptCheckpointError(f"{Path(error.filename or path).name} is missing") from error
    except OSError as error:
        raise disk_error(f"read the checkpoint {path} (nothing was changed)", error) from error
    except (SafetensorError, RuntimeError) as error:
        # Its hash was correct a moment ago, so this is, for example, memory that cannot be mapped.
        raise StorageError(f"cannot read the checkpoint {path} (nothing was changed): {error}") from error


def _read_optimizer(path: Path) -> dict[str, Any]:
    """Memory-map the state, like the weights, so it is not held twice while the optimiser loads it."""
    found: dict[str, Any] = torch.load(path / OPTIMIZER, map_location="cpu", weights_only=True, mmap=True)
    return found


def _read_header(path: Path) -> _Header:
    with safe_open(path / WEIGHTS, framework="pt") as weights:
        return _Header.model_validate_json((weights.metadata() or {}).get(_HEADER, "{}"))


def _step_of(path: Path) -> int:
    found = NAME.search(path.name)
    return int(found[2]) if found else 0


def os_error_in(error: Exception) -> OSError | None:
    """Return the OSError in a safetensors error, whose Rust code puts it only into the text."""
    found = re.search(r"os error (\d+)", str(error))
    return None if found is None else OSError(int(found[1]), os.strerror(int(found[1])))


def _require_plain(value: object) -> None:
    """Refuse when saving what `weights_only=True` would refuse when loading, which would be too late.
    Raises TypeError.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_plain(key)
            _require_plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _require_plain(item)
    elif not isinstance(value, torch.Tensor) and type(value) not in _PLAIN:
        raise TypeError(f"an optimizer state holds tensors and plain values, not {type(value).__name__}")


def _storable(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the tensors on the CPU, contiguous and without shared memory, as safetensors requires."""
    storable: dict[str, torch.Tensor] = {}
    storages: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        storage = plain.untyped_storage().data_ptr()
        storable[name] = plain.clone() if storage in storages else plain
        storages.add(storage)
    return storable


def _seal(manifest: Mapping[str, JsonValue]) -> str:
    canonical = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _describe(path: Path) -> _File:
    with path.open("rb") as file:
        return _File(size=path.stat().st_size, sha256=hashlib.file_digest(file, "sha256").hexdigest())


def _write_manifest(directory: Path, step: int) -> None:
    """Flush the files to disk, then write their sizes and hashes."""
    for name in (WEIGHTS, OPTIMIZER, STATE):
        flush_to_disk(directory / name)
    files: dict[str, JsonValue] = {
        name: _describe(directory / name).model_dump() for name in (WEIGHTS, OPTIMIZER, STATE)
    }
    manifest: dict[str, JsonValue] = {"format": CHECKPOINT_FORMAT, "step": step, "files": files}
    (directory / CHECKPOINT_MANIFEST).write_text(
        _Sealed(manifest=manifest, sha256=_seal(manifest)).model_dump_json()
    )
    flush_to_disk(directory / CHECKPOINT_MANIFEST)


def _read_manifest(path: Path) -> _Manifest:
    try:
        sealed = _Sealed.model_validate_json((path / CHECKPOINT_MANIFEST).read_bytes())
    except ValidationError as error:
        raise CorruptCheckpointError(f"{CHECKPOINT_MANIFEST} is not what was written") from error
    if _seal(sealed.manifest) != sealed.sha256:
        raise CorruptCheckpointError(f"{CHECKPOINT_MANIFEST} does not match its own hash")
    if sealed.manifest.get("format") != CHECKPOINT_FORMAT:
        raise StorageError(
            f"checkpoint {path} has format {sealed.manifest.get('format')} and this swarmd reads "
            f"{CHECKPOINT_FORMAT}: use the version that wrote it, or move the checkpoint away to continue "
            "from the one before"
        )
    return _Manifest.model_validate(sealed.manifest)


def _verify(path: Path, expected: _File) -> None:
    size = path.stat().st_size
    if size != expected.size:
        raise CorruptCheckpointError(f"{path.name} has {size} bytes, but {expected.size} were written")
    if _describe(path).sha256 != expected.sha256:
        raise CorruptCheckpointError(f"{path.name} does not match its hash")
