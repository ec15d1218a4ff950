"""Signals a process and all that it started, in whatever session: p2pd and task workers lead their own."""

from __future__ import annotations

import signal
from contextlib import suppress


def signal_tree(pid: int, number: signal.Signals) -> bool:
    """Signal the process first, so that it starts nothing more if it is stopped. False if it has ended."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        process.send_signal(number)
        for child in process.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has just ended
                child.send_signal(number)
        return True
    return False
