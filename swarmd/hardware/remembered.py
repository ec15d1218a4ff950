"""Remembers budgets reduced by a memory shortage for the next start. A damaged file is ignored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from swarmd.hardware.budgets import Budgets
from swarmd.storage.durable import write_whole

ENTRIES_MAX = 16  # models times devices times LoRA ranks of one home
MORE_MEMORY = 1.25  # with a quarter more memory than at the shortage, larger batches are worth a try

log = structlog.get_logger()


class ShrunkBudgets(BaseModel):
    """The budgets after a shortage, and its circumstances."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    model: str
    device: str
    dtype: str
    lora_rank: int | None
    limit_bytes: int
    decode_tokens: int = Field(ge=1)
    train_tokens: int = Field(ge=1)
    gradient_checkpointing: bool = False
    """Whether activations also had to be recomputed."""

    def is_of_same_run(self, other: ShrunkBudgets) -> bool:
        return all(
            getattr(self, key) == getattr(other, key) for key in ("model", "device", "dtype", "lora_rank")
        )


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    entries: list[ShrunkBudgets] = []


def ceilings(
    known: Iterable[ShrunkBudgets], *, model: str, device: str, dtype: str, limit_bytes: int
) -> Mapping[int | None, Budgets]:
    """LoRA rank (None: all weights) -> the largest budgets to try; no entry if there is more memory now."""
    return {
        shrunk.lora_rank: Budgets(shrunk.decode_tokens, shrunk.train_tokens, shrunk.gradient_checkpointing)
        for shrunk in known
        if (shrunk.model, shrunk.device, shrunk.dtype) == (model, device, dtype)
        and limit_bytes < MORE_MEMORY * shrunk.limit_bytes
    }


def read_shrunk(path: Path | None) -> tuple[ShrunkBudgets, ...]:
    """The entries written by `write_shrunk`; empty if the file is missing or damaged."""
    try:
        return tuple(_File.model_validate_json(b"{}" if path is None else path.read_bytes()).entries)
    except (OSError, ValidationError):
        return ()


def write_shrunk(path: Path | None, shrunk: ShrunkBudgets) -> None:
    """Merge these budgets with those known about the same run.

    If the file cannot be written, the next start only suffers the shortage again.
    """
    if path is None:
        return
    others = []
    for known in read_shrunk(path):
        if not known.is_of_same_run(shrunk):
            others.append(known)
        elif shrunk.limit_bytes < MORE_MEMORY * known.limit_bytes:
            shrunk = shrunk.model_copy(
                update={
                    "decode_tokens": min(shrunk.decode_tokens, known.decode_tokens),
                    "train_tokens": min(shrunk.train_tokens, known.train_tokens),
                    "gradient_checkpointing": shrunk.gradient_checkpointing or known.gradient_checkpointing,
                }
            )
    try:
        text = _File(entries=[shrunk, *others][:ENTRIES_MAX]).model_dump_json(indent=1)
        write_whole(path, text.encode(), beside=f".writing-{path.name}")
    except OSError as error:
        log.warning(
            f"{path} cannot be written ({error.strerror}): the next start will try larger batches again"
        )
