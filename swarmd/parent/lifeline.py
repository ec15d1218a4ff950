"""What the peer and its parent tell each other, over a pair of sockets that either sees closing.

The parent gives its word with the start, in an environment variable. The peer tells lines: `at 12`, the step
at which this life begins; `step 13`, finished; `doing loading the model`.
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
    """Of this command's peer so far."""
    first_step: int | None
    """At which the first life began, if it came so far: `--steps` counts from there."""
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
        """Takes the variable away: what this process starts is not the parent's."""
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
        """End at once when the parent is gone: who killed it meant the peer. Linux sees to it by itself."""
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
            return  # a parent that is stopped has no need to know; one that is gone ends us


def has_parent() -> bool:
    """Whether this process was started by a parent of this module, which `begin` is told of."""
    return VARIABLE in os.environ


def end() -> None:
    """Last of all in a peer: Python takes seconds to end, and a signal meanwhile would hide the exit code."""
    for number in STOP:
        signal.signal(number, signal.SIG_IGN)


def begin() -> None:
    """First of all in a peer: it ends with its parent, and an early Ctrl-C is no traceback."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.set_inheritable(Word(**json.loads(os.environ[VARIABLE])).descriptor, False)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
