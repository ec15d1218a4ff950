"""Checkpoints: weights, optimiser and counters of one step, on disk completely or not at all.

    checkpoints/00000004-step-40/            see `checkpoint_files`
    checkpoints/damaged-00000003-step-30/    set aside, and kept until its owner removes it

A save writes into a hidden directory next to them and flushes every file, the manifest last. A single rename
then makes it visible. The serial number at the front orders checkpoints by the time they were saved: after a
fallback to an older step, the next save is still the latest. Damaged checkpoints are never deleted.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import JsonValue

from swarmd.errors import StorageError
from swarmd.storage.checkpoint_files import (
    NAME,
    Checkpoint,
    CorruptCheckpointError,
    load_checkpoint,
    write_checkpoint,
)
from swarmd.storage.durable import DAMAGED, Report, disk_error, flush_to_disk, log_problem, set_aside

_ASIDE = re.compile(rf"{DAMAGED}{NAME.pattern}(\.\d+)?")


@dataclass(frozen=True)
class Damage:
    """A checkpoint that is provably not what was saved."""

    path: Path
    step: int
    why: str

    def __str__(self) -> str:
        return f"checkpoint {self.path} is damaged: {self.why}"


class NothingWholeError(StorageError):
    """There are checkpoints, but all of them are damaged."""

    def __init__(self, directory: Path, damaged: Sequence[Damage]) -> None:
        self.damaged = tuple(damaged)
        lines = "\n".join(f"  {damage}" for damage in damaged)
        super().__init__(f"none of the checkpoints in {directory} is whole:\n{lines}")


class Checkpoints:
    """The newest `keep` checkpoints of one home. One process saves; others can load at the same time."""

    def __init__(self, directory: Path, keep: int) -> None:
        self._directory = directory
        self._keep = keep
        self._damaged: dict[Path, Damage] = {}
        """Found by `load_latest` and not yet set aside."""

    def save(
        self,
        step: int,
        *,
        tensors: Mapping[str, torch.Tensor],
        optimizer: Mapping[str, Any],
        state: Mapping[str, JsonValue],
        about: Mapping[str, JsonValue] | None = None,
        keep_step: int | None = None,
    ) -> Path:
        """Write a checkpoint and prune old ones. Blocks for as long as the disk takes.

        Tensors can be on any device, share memory (tied embeddings) or be non-contiguous. `optimizer`: nested
        dicts, lists and tuples of tensors and plain values, including random generator states that are
        tensors. `state` and `about`: JSON, so tuples become lists and keys become str. `about` is also stored
        with the weights. The newest checkpoint of step `keep_step` is kept in addition to the newest of all.
        Raises StorageError if the disk fails, for example because it is full; earlier checkpoints are then
        untouched.
        """
        target = self._directory / f"{self._next_serial():08d}-step-{step}"
        beside = self._directory / f".{target.name}"
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._remove_leftovers()
            beside.mkdir(mode=0o700)
            write_checkpoint(
                beside, step, tensors=tensors, optimizer=optimizer, state=state, about=about or {}
            )
            flush_to_disk(beside)
            beside.rename(target)
            flush_to_disk(self._directory)
            self.set_damaged_aside()
            self._prune(keep_step)
        except OSError as error:
            raise disk_error(f"save the checkpoint {target} (earlier ones are intact)", error) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return target

    def load_latest(
        self, on_problem: Report = log_problem, *, at_most: int | None = None
    ) -> Checkpoint | None:
        """Load the newest whole checkpoint, of step `at_most` or earlier; None if there is none.

        Reports each newer one that is damaged. Changes nothing on disk. Raises NothingWholeError if all are
        damaged, and StorageError for one that cannot be read, which proves nothing about it, or that a newer
        version wrote.
        """
        found, damaged = None, list[Damage]()
        tried = {path for path in self._found() if at_most is not None and _step(path) > at_most}
        while found is None and (path := self._newest_but(tried)) is not None:
            tried.add(path)
            try:
                found = load_checkpoint(path)
            except CorruptCheckpointError as problem:
                if path.exists():  # otherwise a daemon that is training has pruned it, and saved newer ones
                    damaged.append(Damage(path, _step(path), str(problem)))
        self._damaged |= {damage.path: damage for damage in damaged}
        if found is None and damaged:
            raise NothingWholeError(self._directory, damaged)
        for damage in damaged:
            on_problem(f"{damage}; falling back to the one before")
        return found

    def set_damaged_aside(self) -> list[tuple[Damage, Path]]:
        """Rename the damaged checkpoints that `load_latest` found. Return each with its new path.

        Raises StorageError.
        """
        moved = []
        for path, damage in self._damaged.items():
            try:
                moved.append((damage, set_aside(path)))
            except OSError as error:
                raise disk_error(f"set the damaged checkpoint {path} aside", error) from error
        self._damaged.clear()
        return moved

    def paths(self) -> list[Path]:
        """Return the directories named like checkpoints, newest first, unverified. Raises StorageError."""
        return self._found()

    def aside(self) -> list[Path]:
        """Return the checkpoints that were set aside as damaged. Raises StorageError."""
        return self._named(_ASIDE)

    def _newest_but(self, tried: set[Path]) -> Path | None:
        return next((path for path in self._found() if path not in tried), None)

    def _found(self) -> list[Path]:
        return self._named(NAME)

    def _named(self, pattern: re.Pattern[str]) -> list[Path]:
        try:
            paths = [p for p in self._directory.iterdir() if pattern.fullmatch(p.name) and p.is_dir()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise disk_error(f"list the checkpoints in {self._directory}", error) from error
        return sorted(paths, reverse=True)

    def _next_serial(self) -> int:
        """Count those set aside too, so that no two checkpoints ever get the same name."""
        return max((_serial(path) for path in [*self._found(), *self.aside()]), default=0) + 1

    def _prune(self, keep_step: int | None) -> None:
        found = self._found()
        best = next((path for path in found if _step(path) == keep_step), None)
        for path in found[self._keep :]:
            if path != best:
                # Hidden first, so that a kill in between does not leave half a checkpoint under a valid name.
                shutil.rmtree(path.rename(path.with_name(f".{path.name}")))

    def _remove_leftovers(self) -> None:
        for path in self._directory.iterdir():
            if path.name.startswith(".") and NAME.fullmatch(path.name[1:]):
                shutil.rmtree(path)


def _serial(path: Path) -> int:
    return int(path.name.removeprefix(DAMAGED).split("-")[0])


def _step(path: Path) -> int:
    return int(path.name.rpartition("-")[2])
