"""What `swarmd` ends with. docs/operating.md has the same table."""

from __future__ import annotations

DONE = 0
"""As asked: by a signal, or after `--steps`."""
FAILED = 1
"""It could not go on, and said why and what to do."""
MISUSED = 2
"""A wrong flag, setting, file or home; said before anything is started."""
NO_DAEMON = 3
"""A daemon is needed, and none runs in that home, or it is still starting."""
DISK_FULL = 75
"""No space is left (EX_TEMPFAIL of sysexits.h). `join` starts again if it has finished a step before."""
BUG = 70
"""A bug, with its traceback (EX_SOFTWARE of sysexits.h). `join` starts again."""
FORCED = 130
"""Ended at once by a second signal (128 + SIGINT, as shells report it)."""


def of_signal(number: int) -> int:
    """Of what a signal ended, as shells report it."""
    return 128 + number
