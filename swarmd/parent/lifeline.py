"""What the peer and its parent tell each other, over a pair of sockets. Each notices when the other closes.

The parent passes its word in an environment variable when it starts the peer. The peer sends lines: `at 12`,
the step at which this life begins; `step 13`, finished; `doing loading the model`.
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

if TYPE_CHECKING:
    import asyncio  # which the parent does not load

STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Each asks the peer to stop in good order; a second one ends it at once."""

VARIABLE = "SWARMD_LIFELINE"
LINE_BYTES_MAX = 200
_PR_SET_PDEATHSIG = 1  # prctl(2)


@dataclass(frozen=True)
class Word:
    """What the parent says to a peer that it starts."""

    descriptor: int
    deaths: int
    """Deaths of this command's peer so far."""
    first_step: int | None
    """The step at which the first life began, if it got that far: `--steps` counts from there."""
    last_end: str = ""
    """How the life before ended."""

    def to_environment(self) -> dict[str, str]:
        return {VARIABLE: json.dumps(vars(self))}


class Lifeline:
    """The peer's end. Without a parent it tells nobody."""

    def __init__(self, word: Word | None = None) -> None:
        self.word = word
        self._socket = None if word is None else socket.socket(fileno=word.descriptor)
        if self._socket is not None:
            self._socket.setblocking(False)
        self._doing = ""

    @classmethod
    def from_environment(cls) -> Self:
        """Removes the variable: a process that this one starts is not the parent's child."""
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
        """End at once when the parent is gone: whoever killed it meant the peer. Linux does so by itself."""
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
            return  # a stopped parent does not need to know; a parent that is gone ends us


def has_parent() -> bool:
    """Whether a parent (`keeping`) started this process; it must then call `begin`."""
    return VARIABLE in os.environ


def end() -> None:
    """Called last in a peer: Python takes seconds to end, and a signal meanwhile would hide the exit code."""
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)


def begin() -> None:
    """Called first in a peer: it then ends with its parent, and an early Ctrl-C prints no traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.set_inheritable(Word(**json.loads(os.environ[VARIABLE])).descriptor, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
