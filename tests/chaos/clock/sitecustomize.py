"""A wall clock that a test can move: imported by Python itself at the start of a daemon under chaos."""

import os
import time

_path = os.environ.get("SWARMD_CHAOS_CLOCK")
_real = time.time


def _shifted() -> float:
    """Unix time, plus the seconds that stand in the file; without one, Unix time."""
    try:
        with open(_path or "", encoding="ascii") as file:  # noqa: PTH123  no more imports than needed
            return _real() + float(file.read())
    except (OSError, ValueError):
        return _real()


if _path:
    time.time = _shifted
