"""Messages between the peer and its parent, over a pair of sockets. Each notices when the other closes.

The parent passes its message in an environment variable when it starts the peer. The peer sends lines: `at
12`, the step at which this life begins; `step 13`, finished; `doing loading the model`.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from swarmd import exit_codes
from swarmd.parent.stops import STOP

if TYPE_CHECKING:
    import asyncio  # which the parent does not load

VARIABLE = "SWARMD_LIFELINE"
LINE_BYTES_MAX = 200
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Word:
    """What the parent tells a peer that it starts."""

    descriptor: int
    deaths: int
    """Deaths of this command's peer so far."""
    first_step: int | None
    """The step at which the first life began, if it got that far. `--steps` counts from there."""
    last_end: str = ""
    """How the previous life ended."""

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(vars(self))}


class Lifeline:
    """The peer's end. Without a parent it sends nothing."""

    def __init__(self, word: Word | None = None) -> None:
        self.word = word
        self._socket = None if word is None else socket.socket(fileno=word.descriptor)
        if self._socket is not None:
            self._socket.setblocking(False)
        self._doing = ""

    @classmethod
    def from_environment(cls) -> Self:
        """Read and remove the variable, because a process that this one starts is not the parent's child."""
        text = os.environ.pop(VARIABLE, None)
        return cls(None if text is None else Word(**json.loads(text)))

    def begins_at(self, step: int) -> None:
        self._tell(f"at {step}")

    def finished(self, step: int) -> None:
        self._tell(f"step {step}")

    def doing(self, what: str) -> None:
        if what != self._doing:
            self._doing = what
            self._tell(f"doing {what}")

    def end_with_parent(self, loop: asyncio.AbstractEventLoop) -> None:
        """End at once when the parent closes its end: on a second stop signal, or because it was killed.

        Killing the parent was meant to kill the peer. On Linux the kernel does this too.
        """
        if self._socket is not None:
            loop.add_reader(self._socket, self._on_end)

    def _on_end(self) -> None:
        if self._socket is not None and not self._socket.recv(LINE_BYTES_MAX):
            os._exit(exit_codes.FORCED)

    def _tell(self, line: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.send(line.encode()[:LINE_BYTES_MAX] + b"\n")
        except (BlockingIOError, BrokenPipeError):
            return  # a stopped parent need not know; a parent that is gone ends this process


def has_parent() -> bool:
    """Whether a parent (`keeping`) started this process, which must then call `begin`."""
    return VARIABLE in os.environ


def end() -> None:
    """Call last in a peer: Python takes seconds to exit, and a signal then would hide the exit code."""
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)


def begin() -> None:
    """Called first in a peer, so that it ends with its parent and an early Ctrl-C prints no traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.set_inheritable(Word(**json.loads(os.environ[VARIABLE])).descriptor, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
