"""Decides after which ends of a peer another life begins, after what delay, and when to give up. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from swarmd import exit_codes

FRUITLESS_MAX = 5
"""Consecutive deaths without a finished step in between, after which another life would only die too."""

BACK_OFF_S = (1.0, 4.0, 15.0, 60.0, 300.0)
"""Seconds before the next life, by the number of consecutive short lives."""

LONG_LIFE_S = 900.0
"""A peer that lived this long did not die from its start, so the back-off starts over."""

DISK_FULL_WAIT_S = 60.0
"""Seconds before a start checks for space again, which costs a few seconds of one core. There is no limit:
someone who frees space expects the peer to continue.
"""

MEMORY_ADVICE = (
    "give it 1 GiB or more (for the embedded model; larger ones state in their plan what they need), "
    "or a smaller --model"
)


@dataclass(frozen=True)
class End:
    """How one life ended."""

    code: int | None
    """As in `subprocess`: the exit code, or minus the signal number. None if it could not be started."""
    lived_s: float
    steps: int = 0
    """Steps finished in this life."""
    doing: str = ""
    """The last activity that it reported."""
    memory_limit: float = float("inf")
    """The limit of the container or unit, in bytes."""
    out_of_memory: bool = False
    """Whether the system reports that it killed the peer for lack of memory."""
    why: str = ""
    """Why it could not be started."""


@dataclass(frozen=True)
class Again:
    """Another life begins."""

    wait_s: float
    text: str


@dataclass(frozen=True)
class Final:
    """No other life. `text` is empty if the peer itself has reported why."""

    code: int
    text: str = ""


class Lives:
    """Takes each end of a life and decides what comes next."""

    def __init__(self) -> None:
        self.deaths = 0
        """Ends so far that were not final, plus the last one if the peer was given up."""
        self._fruitless = 0
        self._short = 0
        self._has_trained = False

    def after(self, end: End) -> Again | Final:
        self._has_trained |= end.steps > 0
        waits_for_space = end.code == exit_codes.DISK_FULL and self._has_trained
        if end.code is not None and end.code >= 0 and end.code != exit_codes.BUG and not waits_for_space:
            return Final(end.code)
        self.deaths += 1
        if waits_for_space:
            self._fruitless = 0 if end.steps else self._fruitless
            return self._again(end, DISK_FULL_WAIT_S)
        self._fruitless = 1 if end.steps else self._fruitless + 1
        self._short = 1 if end.lived_s >= LONG_LIFE_S else self._short + 1
        if self._fruitless >= FRUITLESS_MAX:
            return Final(
                _code(end.code),
                f"the peer {how_it_ended(end)}; giving up: that was the {self._fruitless}th death in a row "
                "without a finished step in between; earlier progress is in its checkpoints",
            )
        return self._again(end, BACK_OFF_S[min(self._short, len(BACK_OFF_S)) - 1])

    def _again(self, end: End, wait_s: float) -> Again:
        return Again(
            wait_s,
            f"the peer {how_it_ended(end)} ({times(self.deaths)} so far); restarting it in {wait_s:g} s",
        )


def times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def how_it_ended(end: End) -> str:
    """Return how the life ended, to complete "the peer ..."."""
    at = f" (last activity: {end.doing})" if end.doing else ""
    if end.code is None:
        return f"could not be started: {end.why}"
    if end.code == exit_codes.DISK_FULL:
        return f"ended because the disk was full{at}"
    if end.code >= 0:
        return f"ended by a bug, with the traceback above{at}"
    if end.code == -signal.SIGKILL:
        return f"was killed{at}: {_memory(end)}"
    name = signal.Signals(-end.code).name if -end.code in signal.valid_signals() else f"signal {-end.code}"
    fault = -end.code in (signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE, signal.SIGABRT)
    return f"was ended by {name}{at}{': a fault in a library or in this machine' if fault else ''}"


def _memory(end: End) -> str:
    limited = end.memory_limit != float("inf")
    limit = f"the limit of this container or unit is {end.memory_limit / 2**20:.0f} MiB" if limited else ""
    if end.out_of_memory:
        return f"memory ran out; {limit + '; ' if limit else ''}{MEMORY_ADVICE}"
    what = "by the system, as it does when memory runs out, or by a person's kill -9"
    return f"{what}; {limit}: if that is the cause, {MEMORY_ADVICE}" if limit else what


def _code(code: int | None) -> int:
    if code is None:
        return exit_codes.FAILED
    return code if code >= 0 else exit_codes.of_signal(-code)
