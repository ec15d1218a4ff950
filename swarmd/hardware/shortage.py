"""Out of memory, recognised: whoever says it, it becomes one value that the caller can act on.

What to do about it (smaller batches, and which) is decided in `budgets`, not here.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from swarmd.errors import ModelError
from swarmd.hardware.heap import heap_trim

T = TypeVar("T")

TOLD_CHARS_MAX = 200  # of an allocator's message; CUDA's runs to a page of statistics
ALLOCATORS_WORDS = (
    "out of memory",  # CUDA, where it is no OutOfMemoryError, and MPS: "MPS backend out of memory"
    "can't allocate memory",  # c10's CPU allocator, on Linux and macOS
    "not enough memory",  # the same where malloc says nothing more
    "cublas_status_alloc_failed",  # cuBLAS, for its workspace
)
"""Parts of the texts of RuntimeErrors that mean: no memory."""


@dataclass(frozen=True)
class Shortage:
    """Work that was given up for lack of memory; `why` is the allocator's own word, shortened."""

    why: str


def attempt(work: Callable[[], T]) -> T | Shortage:
    """What `work` returns, or that memory did not suffice for it; then what it held is given back.

    Any other error passes.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        why = (str(error).partition("\n")[0] or type(error).__name__)[:TOLD_CHARS_MAX]
    # Only here, behind the handler: the error's traceback holds the frames, and they the tensors.
    release_memory()
    return Shortage(why)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this means that memory ran out: on CUDA, MPS or the CPU, or at a limit of ours."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in ALLOCATORS_WORDS)


@contextmanager
def out_of_memory_as_model_error(remedy: str) -> Iterator[None]:
    """For what cannot be done in smaller parts: running out of memory is a ModelError with what to change."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(f"memory does not suffice: try {remedy} or a smaller --model") from error


def release_memory() -> None:
    """Give back what is free but kept: garbage, the accelerators' caches, and the heap's free pages."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if (trim := heap_trim()) is not None:
        trim(0)
