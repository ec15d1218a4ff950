"""Which signals ask a process to stop, and which of them say so twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Each asks the peer to stop in an orderly way; a second one ends it at once."""

AGAIN_S = 0.1  # a terminal that hangs up again within this was closed once: by its shell, then by the kernel


def stop_signals() -> list[signal.Signals]:
    """Return the signals of STOP that this process handles: not SIGHUP under nohup."""
    return [n for n in STOP if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]


class HangUps:
    """Recognises the second hang-up of a terminal that was closed once.

    Only SIGHUP is sent twice for one stop: a second Ctrl-C counts however fast it comes.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._last_at = float("-inf")

    def repeats(self, number: int) -> bool:
        """Note a signal that arrived, and return whether it only repeats the hang-up before it."""
        if number != signal.SIGHUP:
            return False
        before, self._last_at = self._last_at, self._monotonic()
        return self._last_at - before < AGAIN_S
