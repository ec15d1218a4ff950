"""Which signals ask a process to stop, and which of them say so twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Each asks the peer to stop in an orderly way; a second one ends it at once."""

AGAIN_S = 0.1  # what sends several signals for one stop sends them at once; a person takes longer


def stop_signals() -> list[signal.Signals]:
    """Return the signals of STOP that this process handles: not SIGHUP under nohup."""
    return [n for n in STOP if n != signal.SIGHUP or signal.getsignal(n) is not signal.SIG_IGN]


class LastStop:
    """Remembers when this process was last asked to stop, and recognises signals that only repeat that.

    One stop can send several signals. A terminal that closes hangs up twice: through its shell, and by the
    kernel. A logout or a shutdown sends SIGTERM and then SIGHUP. `timeout` signals a process and its group.
    Only a second Ctrl-C counts however fast it comes.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._at = float("-inf")

    def repeated_by(self, number: int) -> bool:
        """Note a signal that arrived, and return whether it only repeats the stop before it."""
        before, self._at = self._at, self._monotonic()
        return number != signal.SIGINT and self._at - before < AGAIN_S

    def handled(self) -> None:
        """Note that the stop has been handled: what came meanwhile is read only now, and repeats it."""
        self._at = self._monotonic()
