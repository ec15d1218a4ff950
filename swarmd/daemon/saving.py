"""When to save: decided by what a save costs and what a kill would cost, not by a number of steps.

A kill loses the work since the last save. Saving more often loses less but wears the disk more: flash endures
some hundred times its size in writes. A save is therefore due once it is worth its bytes and its time, and no
later than SAVE_S_MAX. The first step of a home is saved at once, so that a disk that cannot hold a checkpoint
is noticed early. A stop, the end of a run and a new best evaluation always save.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from swarmd.config import StorageConfig

SAVE_S_MIN = 120.0
"""Saving more often gains too little: at this pace a kill loses at most two minutes, for 13 GB written per
day (embedded model).
"""

SAVE_S_MAX = 1_800.0
"""The most time a kill may lose: half an hour, whatever a save costs."""

BYTES_A_DAY = 20e9
"""Rate at which checkpoints may write, until SAVE_S_MAX is reached. A disk that endures 150 TB lasts 20
years.
"""

TIME_SHARE = 0.02
"""Share of the time that saving may take."""

DAY_S = 86_400.0


class SaveSchedule:
    """The saves of one run: when the next is due, and how much has been written."""

    def __init__(
        self,
        config: StorageConfig,
        *,
        bytes_of_last: int = 0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`bytes_of_last`: the size of the newest checkpoint; 0 if there is none."""
        self._config = config
        self._monotonic = monotonic
        self._bytes_of_last = bytes_of_last
        self._seconds_of_last = 0.0
        self._saved_at = monotonic()
        self.bytes_written = 0
        """Bytes since this start."""

    @property
    def interval_s(self) -> float:
        """Seconds from one save to the next."""
        if self._config.checkpoint_minutes is not None:
            return 60 * self._config.checkpoint_minutes
        worn = self._bytes_of_last / BYTES_A_DAY * DAY_S
        return min(SAVE_S_MAX, max(SAVE_S_MIN, worn, self._seconds_of_last / TIME_SHARE))

    def due(self, step: int, saved_step: int) -> bool:
        """Whether to save now, after `step`. `saved_step` is the last one saved, 0 or less if there is
        none.
        """
        every = self._config.checkpoint_every
        if saved_step <= 0 or (every is not None and step % every == 0):
            return True
        by_time = every is None or self._config.checkpoint_minutes is not None
        return by_time and self._monotonic() - self._saved_at >= self.interval_s

    def saved(self, size: int, seconds: float) -> None:
        """Note that a save of `size` bytes has just finished and took `seconds`."""
        self._bytes_of_last, self._seconds_of_last = size, seconds
        self._saved_at = self._monotonic()
        self.bytes_written += size
