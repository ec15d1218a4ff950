"""A wall clock that a test can move: imported by Python itself at the start of a daemon under chaos."""

import io
import os
import time

_path = os.environ.get("SWARMD_CHAOS_CLOCK")
_real = time.time
_open = io.open  # builtins are gone at the end of the interpreter


def _shifted() -> float:
    """Unix time, plus the seconds that stand in the file; without one, Unix time."""
    try:
        with _open(_path or "", encoding="ascii") as file:
            return _real() + float(file.read())
    except (OSError, ValueError):
        return _real()


if _path:
    time.time = _shifted
