"""Signals a process and all that it started, in whatever session: p2pd and task workers lead their own."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress


def signal_tree(pid: int, number: signal.Signals) -> bool:
    """Signal the group that process `pid` leads, then all that it started. False if it has ended.

    The group comes first, so that it starts nothing more if it is stopped.
    """
    import psutil

    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):  # macOS refuses where only a zombie is left
        return False
    with suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):  # it has just ended, or is another user's
                child.send_signal(number)
    return True


def started_by(pid: int) -> list[int]:
    """Return the processes that process `pid` started itself; none if it has ended."""
    import psutil

    with suppress(psutil.NoSuchProcess):
        return [child.pid for child in psutil.Process(pid).children()]
    return []


def pause(pids: Sequence[int]) -> None:
    """Ctrl-Z: pause these processes and all that they started, then this one, until the shell resumes it."""
    for pid in pids:
        signal_tree(pid, signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)
    for pid in pids:
        signal_tree(pid, signal.SIGCONT)
