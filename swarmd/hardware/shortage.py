"""Recognises out-of-memory errors from any source, and turns them into one value that the caller can handle.

`budgets` decides how to react (which batches to make smaller).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch

from swarmd.errors import OutOfMemoryError
from swarmd.hardware.heap import heap_trim

T = TypeVar("T")

TOLD_CHARS_MAX = 200  # of an allocator's message; CUDA's includes a page of statistics
ALLOCATORS_WORDS = (
    "out of memory",  # CUDA errors other than OutOfMemoryError, and MPS: "MPS backend out of memory"
    "can't allocate memory",  # c10's CPU allocator, on Linux and macOS
    "cannot allocate memory",  # the system, for a file of weights
    "not enough memory",  # the same if malloc gives no details
    "cublas_status_alloc_failed",  # cuBLAS, for its workspace
)
"""Parts of RuntimeError messages that mean memory ran out."""


@dataclass(frozen=True)
class Shortage:
    """Work that was aborted because memory ran out. `why` is the allocator's message, shortened."""

    why: str


def attempt(work: Callable[[], T]) -> T | Shortage:
    """The result of `work`, or a Shortage if memory ran out, after releasing the memory that it held.

    Any other error is passed on.
    """
    try:
        return work()
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        why = (str(error).partition("\n")[0] or type(error).__name__)[:TOLD_CHARS_MAX]
    # Only after the handler, because the error's traceback holds the frames, and these hold the tensors.
    release_memory()
    return Shortage(why)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error means that memory ran out: on CUDA, MPS or the CPU, or at our own limit."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in ALLOCATORS_WORDS)


@contextmanager
def out_of_memory_as_model_error(remedy: str) -> Iterator[None]:
    """For work that cannot be split: turn out-of-memory errors into an OutOfMemoryError that names a
    remedy."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(f"memory ran out: try {remedy} or a smaller --model") from error


def release_memory() -> None:
    """Release memory that is free but retained: garbage, accelerator caches, and free heap pages."""
    gc.collect()
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.empty_cache()
    if torch.backends.mps.is_available():
        torch.mps.empty_cache()
    if (trim := heap_trim()) is not None:
        trim(0)
