"""Checkpoints: weights, optimiser and counters of one step, on disk whole or not at all.

    checkpoints/00000004-step-40/
        weights.safetensors    the model's or the adapter's tensors
        optimizer.pt           optimiser and scheduler state; torch.save, loaded with weights_only=True
        state.json             counters, random generator states, whatever else is JSON
        manifest.json          step, size and SHA-256 of each file above, sealed by its own SHA-256

A save is written into a hidden directory beside, every file is flushed, the manifest comes last, and one
rename makes it visible. The serial number in front orders checkpoints by when they were saved: after a
fall back to an older step, the next save is still the latest. This module does not know what a model is.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from swarmd.errors import StorageError
from swarmd.storage.durable import Report, disk_error, flush_to_disk, log_problem

FORMAT = 1
"""Raised when an older swarmd could no longer read what a newer one writes."""

WEIGHTS, OPTIMIZER, STATE, MANIFEST = "weights.safetensors", "optimizer.pt", "state.json", "manifest.json"
_NAME = re.compile(r"(\d{8})-step-(\d+)")
_PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None)})


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
    """The manifest beside the hash of its canonical JSON: a flipped digit in it is found as well."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    manifest: dict[str, JsonValue]
    sha256: str


class CorruptCheckpointError(Exception):
    """This checkpoint is incomplete or its bytes changed; an older one may do."""


@dataclass(frozen=True)
class Checkpoint:
    """What `save` was given, read back and verified. Tensors are on the CPU."""

    step: int
    tensors: dict[str, torch.Tensor]
    optimizer: dict[str, Any]
    state: dict[str, JsonValue]
    path: Path


class Checkpoints:
    """The newest `keep` checkpoints of one home. One process saves; others may load meanwhile."""

    def __init__(self, directory: Path, keep: int) -> None:
        self._directory = directory
        self._keep = keep
        self._corrupt: set[Path] = set()
        """Found corrupt by `load_latest`; the next save removes them first."""

    def save(
        self,
        step: int,
        *,
        tensors: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, Any],
        state: Mapping[str, JsonValue],
    ) -> Path:
        """Write a checkpoint and prune old ones; blocks for as long as the disk takes.

        Tensors may be on any device, share memory (tied embeddings) or be non-contiguous. `optimizer` is
        nested dicts, lists and tuples of tensors and plain values; random generator states that are
        tensors fit there too. `state` is JSON: tuples come back as lists, keys as str. Raises StorageError
        when the disk refuses, e.g. is full; earlier checkpoints are then untouched.
        """
        found = self._found()
        serial = _serial(found[0]) + 1 if found else 1
        target = self._directory / f"{serial:08d}-step-{step}"
        beside = self._directory / f".{target.name}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_leftovers()
            beside.mkdir(mode=0o700)
            _write_files(beside, tensors, optimizer, state)
            _write_manifest(beside, step)
            flush_to_disk(beside)
            beside.rename(target)
            flush_to_disk(self._directory)
            self._prune()
        except OSError as error:
            raise disk_error(f"save the checkpoint {target} (earlier ones are intact)", error) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return target

    def load_latest(
        self, on_problem: Report = log_problem, *, at_most: int | None = None
    ) -> Checkpoint | None:
        """The newest checkpoint that is whole, of at most that many steps, or None when there is none.

        Each newer one that is incomplete or corrupt is reported with the file and the problem, and removed
        by the next save. Changes nothing on disk. Raises StorageError for one that is intact but cannot be
        read: no permission, or written by a newer version.
        """
        tried = {path for path in self._found() if at_most is not None and _step(path) > at_most}
        while (path := self._newest_but(tried)) is not None:
            tried.add(path)
            try:
                return load_checkpoint(path)
            except CorruptCheckpointError as problem:
                if path.exists():  # else a daemon that trains meanwhile has pruned it, and saved newer ones
                    self._corrupt.add(path)
                    on_problem(f"checkpoint {path} cannot be used: {problem}; falling back to the one before")
        return None

    def _newest_but(self, tried: set[Path]) -> Path | None:
        return next((path for path in self._found() if path not in tried), None)

    def _found(self) -> list[Path]:
        """Directories named as checkpoints, newest first."""
        try:
            paths = [p for p in self._directory.iterdir() if _NAME.fullmatch(p.name) and p.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(f"list the checkpoints in {self._directory}", error) from error
        return sorted(paths, reverse=True)

    def _prune(self) -> None:
        good = [path for path in self._found() if path not in self._corrupt]
        for path in [*self._corrupt, *good[self._keep :]]:
            if path.exists():
                # Hidden first: a kill half-way must not leave half a checkpoint under a good name.
                hidden = path.rename(path.with_name(f".{path.name}"))
                shutil.rmtree(hidden)
        self._corrupt.clear()

    def _remove_leftovers(self) -> None:
        for path in self._directory.iterdir():
            if path.name.startswith(".") and _NAME.fullmatch(path.name[1:]):
                shutil.rmtree(path)


def _serial(path: Path) -> int:
    return int(path.name.split("-")[0])


def _step(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _write_files(
    directory: Path,
    tensors: Mapping[str, torch.Tensor],
    optimizer: Mapping[str, Any],
    state: Mapping[str, JsonValue],
) -> None:
    try:
        save_file(_storable(tensors), directory / WEIGHTS)
    except SafetensorError as error:
        # safetensors, in Rust, tells the disk's error in its text only.
        if found := re.search(r"os error (\d+)", str(error)):
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
        raise
    _require_plain(optimizer)
    try:
        # A file object rather than a path: then the disk's own error is kept.
        with (directory / OPTIMIZER).open("wb") as file:
            torch.save(dict(optimizer), file)
    except RuntimeError as error:
        # torch's zip writer raises this over the OSError of the file it writes to.
        if isinstance(error.__context__, OSError):
            raise error.__context__ from error
        raise
    (directory / STATE).write_text(json.dumps(dict(state), allow_nan=False))


def _require_plain(value: object) -> None:
    """Refuse at save what `weights_only=True` would refuse at load, when it is too late. Raises TypeError."""
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
    """On the CPU, contiguous, and no two sharing memory, as safetensors requires."""
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
    """Flush the files to disk, then write what they are."""
    for name in (WEIGHTS, OPTIMIZER, STATE):
        flush_to_disk(directory / name)
    files: dict[str, JsonValue] = {
        name: _describe(directory / name).model_dump() for name in (WEIGHTS, OPTIMIZER, STATE)
    }
    manifest: dict[str, JsonValue] = {"format": FORMAT, "step": step, "files": files}
    (directory / MANIFEST).write_text(_Sealed(manifest=manifest, sha256=_seal(manifest)).model_dump_json())
    flush_to_disk(directory / MANIFEST)


def load_checkpoint(path: Path) -> Checkpoint:
    """The one in directory `path`, verified whole. Raises CorruptCheckpointError or StorageError."""
    try:
        manifest = _read_manifest(path)
        for name, file in manifest.files.items():
            _verify(path / name, file)
        return Checkpoint(
            step=manifest.step,
            tensors=load_file(path / WEIGHTS),
            # Mapped, as the weights are: what goes back into the optimiser is never held twice.
            optimizer=torch.load(path / OPTIMIZER, map_location="cpu", weights_only=True, mmap=True),
            state=json.loads((path / STATE).read_bytes()),
            path=path,
        )
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CorruptCheckpointError(f"{Path(error.filename or path).name} is missing") from error
    except PermissionError as error:
        raise disk_error(f"read the checkpoint {path}", error) from error
    except OSError as error:
        raise CorruptCheckpointError(f"reading it failed ({error})") from error


def _read_manifest(path: Path) -> _Manifest:
    try:
        sealed = _Sealed.model_validate_json((path / MANIFEST).read_bytes())
    except ValidationError as error:
        raise CorruptCheckpointError(f"{MANIFEST} is not what was written") from error
    if _seal(sealed.manifest) != sealed.sha256:
        raise CorruptCheckpointError(f"{MANIFEST} does not match its own hash")
    if sealed.manifest.get("format") != FORMAT:
        raise StorageError(
            f"checkpoint {path} has format {sealed.manifest.get('format')} and this swarmd reads {FORMAT}: "
            "use the version that wrote it, or move the checkpoint away to go on from the one before"
        )
    return _Manifest.model_validate(sealed.manifest)


def _verify(path: Path, expected: _File) -> None:
    size = path.stat().st_size
    if size != expected.size:
        raise CorruptCheckpointError(f"{path.name} has {size} bytes where {expected.size} were written")
    if _describe(path).sha256 != expected.sha256:
        raise CorruptCheckpointError(f"{path.name} does not match its hash")
