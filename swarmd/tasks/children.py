"""Runs jobs in forked children of the worker, so that no job can harm the worker or the jobs after it.

A child is a copy of the warm worker. Forking takes milliseconds; a fresh interpreter takes seconds. A child
has no descriptors except /dev/null and the pipe for its own results. A job that hangs or kills its child
loses only its own result: the next job runs in a new child.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from protocol.errors import ProtocolError
from swarmd.tasks.frames import (
    FRAME_BYTES_MAX,
    FRAME_ITEMS_MAX,
    FrameError,
    read_frame,
    write_frame,
)
from swarmd.tasks.source import RefusedTaskError

Job = Callable[[], object]
_RESULT_FD = 3
_DESCRIPTORS_MAX = 64
_GRACE_S = 1.0  # the child's own alarm fires first; the worker kills the child this much later
_DETAIL_CHARS_MAX = 300
ENDS_CHILD = ("hang", "timeout", "crash")
"""Kinds of `Lost` that end the child, and therefore cost the worker time."""


@dataclass(frozen=True)
class Limits:
    """Limits of the jobs that share a call."""

    seconds: float
    """per job, wall-clock"""
    cpu_seconds: float = 0.0
    """per job; 0 for no limit"""
    deadline: float = math.inf
    """of all jobs together (monotonic seconds)"""
    stop_at_loss: bool = False
    """Whether to skip the jobs after one that hung or crashed."""
    result_bytes_max: int = FRAME_BYTES_MAX
    result_items_max: int = FRAME_ITEMS_MAX


@dataclass(frozen=True)
class Lost:
    """A job without a result.

    `kind` is "hang" (it used up its CPU time), "timeout" (it used up its wall-clock time: it hangs, or the
    machine is busy), "crash", "error", "skipped" or the kind of a RefusedTaskError.
    """

    kind: str
    detail: str = ""
    option: str | None = None


def run_jobs(jobs: Sequence[Job], limits: Limits, confine: Callable[[float], None]) -> list[Any | Lost]:
    """The result of each job, or why there is none. Results must be encodable.

    One child runs the jobs in order until it is lost. A new child then continues after the lost job. Each
    child calls `confine(seconds)` before its first job.
    """
    results: list[Any | Lost] = []
    rest = Lost("timeout", "the time limit for all jobs together was reached")
    while len(results) < len(jobs) and time.monotonic() < limits.deadline:
        results += _run_until_lost(jobs[len(results) :], limits, confine)
        last = results[-1]
        if limits.stop_at_loss and isinstance(last, Lost) and last.kind in ENDS_CHILD:
            rest = Lost("skipped")
            break
    return results + [rest] * (len(jobs) - len(results))


def _run_until_lost(
    jobs: Sequence[Job], limits: Limits, confine: Callable[[float], None]
) -> list[Any | Lost]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(jobs, writer, limits, confine)
    os.close(writer)
    results: list[Any | Lost] = []
    reaped = False
    try:
        for _ in jobs:
            by = min(time.monotonic() + limits.seconds + _GRACE_S, limits.deadline)
            frame = read_frame(
                reader, by, bytes_max=limits.result_bytes_max, items_max=limits.result_items_max
            )
            results.append(_parse(frame))
    except TimeoutError:
        results.append(Lost("timeout"))
    except EOFError:
        _, status = os.waitpid(pid, 0)
        reaped = True
        results.append(_lost(status))
    except (FrameError, ProtocolError) as error:
        results.append(Lost("crash", f"no readable result: {error}"))
    finally:
        os.close(reader)
        if not reaped:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return results


def _lost(status: int) -> Lost:
    by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if by in (signal.SIGPROF, signal.SIGXCPU):
        return Lost("hang")
    return Lost("timeout") if by == signal.SIGALRM else Lost("crash", f"wait status {status}")


def _parse(frame: object) -> Any | Lost:
    match frame:
        case (True, value):
            return value
        case (False, str(kind), str(detail), str() | None as option) if kind not in ENDS_CHILD:
            return Lost(kind, detail[:_DETAIL_CHARS_MAX], option)
        case _:
            return Lost("crash", "a result of unexpected shape")


def _be_child(jobs: Sequence[Job], writer: int, limits: Limits, confine: Callable[[float], None]) -> NoReturn:
    """Run the jobs and exit. Never returns into the worker's code: the worker notices a missing result."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)  # first, because the signal can arrive at any moment
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        os.dup2(0, 2)  # 0 and 1 are /dev/null in the worker already
        os.dup2(writer, _RESULT_FD)
        os.closerange(_RESULT_FD + 1, _DESCRIPTORS_MAX)
        # Bind these before the confinement takes them away.
        set_timer, by_clock, by_cpu = signal.setitimer, signal.ITIMER_REAL, signal.ITIMER_PROF
        confine(limits.seconds)
        for job in jobs:
            set_timer(by_clock, limits.seconds)
            set_timer(by_cpu, limits.cpu_seconds)
            write_frame(_RESULT_FD, attempt(job))
    finally:
        os._exit(0)


def attempt(job: Job) -> tuple[object, ...]:
    """(True, the job's result), or (False, kind, detail, option) if it has none. Call only in a child."""
    try:
        return True, job()
    except RefusedTaskError as error:
        return False, error.kind, _detail(error), error.option
    except Exception as error:  # noqa: BLE001  hostile text can make a scorer raise anything
        return False, "error", f"{type(error).__name__}: {_detail(error)}", None


def _detail(error: Exception) -> str:
    return str(error).encode(errors="replace").decode()[:_DETAIL_CHARS_MAX]
