"""The library compiled from `native.cpp`: finds it, checks that it fits, and defines the structures it
reads."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
NAME = "_native"
"""The file's name without its suffix, which setuptools chooses for the platform."""
VERSION = 1_000_000  # of the interface of `native.cpp`; the sizes of the structures are added
FLOATS = ctypes.c_void_p  # pointer to the first of an array; null for none


class NativeError(Exception):
    """Native decoding is not available here. The message gives the reason."""


class Linear(ctypes.Structure):
    """Matches the struct in `native.cpp`, as do the classes below."""

    _fields_ = (
        *((name, FLOATS) for name in ("weight", "bias", "down", "up")),
        *((name, ctypes.c_int64) for name in ("outputs", "inputs", "rank")),
    )


class Layer(ctypes.Structure):
    _fields_ = (
        *((name, FLOATS) for name in ("input_norm", "feed_forward_norm", "query_norm", "key_norm")),
        *((name, Linear) for name in ("query", "key", "value", "output", "gate", "up", "down")),
        *((f"{name}_epsilon", ctypes.c_float) for name in ("input", "feed_forward", "query", "key")),
        ("scale", ctypes.c_float),
        ("unused", ctypes.c_float),
    )


class Model(ctypes.Structure):
    _fields_ = (
        ("layers", ctypes.POINTER(Layer)),
        ("embedding", FLOATS),
        ("norm", FLOATS),
        ("head", Linear),
        *(
            (name, ctypes.c_int64)
            for name in ("count", "hidden", "heads", "kv_heads", "head_size", "between")
        ),
        ("epsilon", ctypes.c_float),
        ("unused", ctypes.c_float),
    )


class Job(ctypes.Structure):
    _fields_ = (
        ("lengths", ctypes.c_void_p),
        ("rotations", FLOATS),
        *((name, ctypes.c_int64) for name in ("prompts", "copies", "new_tokens", "positions", "threads")),
    )


_WHERE, _COUNT = ctypes.c_void_p, ctypes.c_int64
EXPORTED: tuple[tuple[str, Any, tuple[Any, ...]], ...] = (
    ("swarmd_kernels", ctypes.c_char_p, (_COUNT,)),
    ("swarmd_sizes", ctypes.c_int, (ctypes.POINTER(Model), ctypes.POINTER(Job), _WHERE)),
    ("swarmd_open", _WHERE, (ctypes.POINTER(Model), ctypes.POINTER(Job), _WHERE, _WHERE, _COUNT)),
    ("swarmd_prompt", None, (_WHERE, _COUNT, _WHERE)),
    ("swarmd_next", None, (_WHERE, _COUNT, _WHERE, _WHERE, _WHERE, ctypes.c_float, _WHERE, _WHERE)),
    ("swarmd_close", None, (_WHERE,)),
)
"""Name, result and arguments, as in `native.cpp`."""


def library() -> ctypes.CDLL:
    """The native library. Raises NativeError if it was not built, or does not match this file."""
    found = find()
    if isinstance(found, str):
        raise NativeError(found)
    return found


@cache
def find() -> ctypes.CDLL | str:
    """The library, or the reason why it is not available."""
    path = next(iter(sorted(FOLDER.glob(f"{NAME}.*"))), None)
    if path is None:
        return "it was not built: install swarmd on a machine with GCC 9 or newer, or Clang"
    try:
        loaded = ctypes.CDLL(str(path))
        loaded.swarmd_version.restype = ctypes.c_int64
        version = loaded.swarmd_version()
    except (OSError, AttributeError) as error:
        return f"{path.name} cannot be used: {error}"
    if version != VERSION + 10_000 * ctypes.sizeof(Linear) + sum(map(ctypes.sizeof, (Model, Layer, Job))):
        return f"{path.name} is of another version of swarmd: install swarmd again"
    for name, result, arguments in EXPORTED:
        function = getattr(loaded, name)
        function.restype, function.argtypes = result, arguments
    return loaded


def kernels(narrow: int = 0) -> str:
    """The instruction set that native decoding uses on this CPU, skipping the `narrow` widest ones. Raises
    NativeError."""
    name: bytes = library().swarmd_kernels(narrow)
    return name.decode()
