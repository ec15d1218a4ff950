"""The nursery: a process that forks a process for each stranger's program. It knows no task and no answer.

It is forked from the worker before any source is imported, so no reference solution is in its memory, and it
reads no files. It does not even read the requests: for each one it forks a helper, which reads the request,
forks the cell that runs the program, and replies. So a cell holds only its own program: no other program, no
seed, no expected output.

    worker -- requests --> nursery - fork -> helper - fork -> cell
           <------- replies -------------------'    <- outputs -'

    -> (text, calls, wall-clock seconds, CPU milliseconds)
    <- (CPU microseconds used, (True, outputs) or (False, kind, detail))

The outputs are read with bounds, as from any child. A cell can forge a result only for its own program.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import resource
import select
import signal
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from swarmd.tasks.children import ENDS_CHILD, Limits, Lost, run_jobs
from swarmd.tasks.frames import read_frame, write_frame
from swarmd.tasks.performing import OUTPUT_CHARS_MAX, perform
from swarmd.tasks.sandbox import cell
from swarmd.tasks.source import Outputs, Program

CALLS_MAX = 32
MODULES = (
    "bisect", "collections", "copy", "functools", "heapq", "itertools", "math", "operator", "random", "re",
    "string", "typing",
)  # fmt: skip
"""What every program can import, on every machine. A cell cannot open files, so any other import depends on
what happens to be loaded."""
_MARGIN_S = 30.0  # beyond a cell's own limit: reached only if the nursery is lost on a busy machine
_HEAD_BYTES = 64  # of a result, besides its outputs
_DESCRIPTORS_MAX = 64


class NurseryLostError(Exception):
    """The nursery ended or does not reply. The worker then ends too, and is restarted as a whole."""


class Nursery:
    """The worker's end of the connection. Runs one program at a time."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests, self._replies = requests, replies
        self.cpu_micro = 0
        """CPU microseconds used so far by all programs and their processes."""

    @classmethod
    def start(cls, priority: int) -> Nursery:
        """Fork the nursery. Call this before the process knows anything that a program must not know."""
        theirs, requests = os.pipe()
        replies, ours = os.pipe()
        if os.fork() == 0:
            _be_nursery(theirs, ours, priority)
        os.close(theirs)
        os.close(ours)
        return cls(requests, replies)

    def run(self, program: Program, seconds: float, cpu_seconds: float) -> Outputs | Lost:
        """The program's outputs, or why it has none. Raises NurseryLostError."""
        try:
            write_frame(self._requests, (*program, math.ceil(seconds), math.ceil(cpu_seconds * 1000)))
            reply = read_frame(self._replies, time.monotonic() + seconds + _MARGIN_S)
        except (OSError, EOFError) as error:  # TimeoutError is an OSError
            raise NurseryLostError(f"the process that runs programs was lost: {error!r}") from error
        match reply:
            case (int(cpu_micro), (True, tuple(outputs))):
                self.cpu_micro += cpu_micro
                return outputs
            case (int(cpu_micro), (False, str(kind), str(detail))):
                self.cpu_micro += cpu_micro
                return Lost(kind, detail)
            case _:
                raise NurseryLostError(f"the process that runs programs sent garbage: {reply!r:.200}")

    def run_all(self, programs: Sequence[Program], limits: Limits) -> list[Outputs | Lost]:
        """The same for each program, within limits that apply to all of them together."""
        results: list[Outputs | Lost] = []
        rest = Lost("timeout", "the time limit for all programs together was reached")
        for program in programs:
            if time.monotonic() >= limits.deadline:
                break
            results.append(self.run(program, limits.seconds, limits.cpu_seconds))
            last = results[-1]
            if limits.stop_at_loss and isinstance(last, Lost) and last.kind in ENDS_CHILD:
                rest = Lost("skipped")
                break
        return results + [rest] * (len(programs) - len(results))


def _be_nursery(requests: int, replies: int, priority: int) -> NoReturn:
    """Serve requests until the worker closes its end. Never returns into the worker's code."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # abandoning a request ends cells, not the nursery
        _close_all_but(requests, replies)
        for name in MODULES:
            importlib.import_module(name)
        cell.confine_nursery(priority)
        select_request = select.poll()
        select_request.register(requests, select.POLLIN)
        while select_request.poll()[0][1] & select.POLLIN:
            helper = os.fork()
            if helper == 0:
                _help(requests, replies)
            _, status = os.waitpid(helper, 0)
            if status != 0:
                break
    finally:
        os._exit(0)


def _close_all_but(*kept: int) -> None:
    """Close all inherited descriptors except `kept`. 0 and 1 are /dev/null; the rest lead to the daemon."""
    for descriptor in set(range(3, _DESCRIPTORS_MAX)) - set(kept):
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _help(requests: int, replies: int) -> NoReturn:
    status = 1
    try:
        request: Any = read_frame(requests)
        text, calls, seconds, cpu_ms = request
        limits = Limits(
            seconds,
            cpu_seconds=cpu_ms / 1000,
            result_bytes_max=_HEAD_BYTES + len(calls) * (OUTPUT_CHARS_MAX + _HEAD_BYTES),
            result_items_max=_HEAD_BYTES + len(calls),
        )
        [result] = run_jobs(
            [partial(_perform_in_cell, Program(text, calls))],
            limits,
            lambda _: cell.limit_cell(cpu_ms / 1000),
        )
        write_frame(replies, (cpu_micro(), _outcome(result, len(calls))))
        status = 0
    finally:
        os._exit(status)


def _perform_in_cell(program: Program) -> tuple[str | None, ...]:
    cell.close_cell()
    return perform(program)


def _outcome(result: object, count: int) -> tuple[object, ...]:
    if isinstance(result, Lost):
        return False, result.kind, result.detail
    if isinstance(result, tuple) and len(result) == count and all(_is_output(each) for each in result):
        return True, result
    return False, "crash", "outputs of unexpected shape"


def _is_output(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= OUTPUT_CHARS_MAX)


def cpu_micro() -> int:
    """Return the CPU microseconds of this process and of all children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(usage.ru_utime + usage.ru_stime for usage in used) * 1e6)
