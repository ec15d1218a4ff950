"""The nursery: a process that forks a process for each stranger's program. It knows no task and no answer.

It is forked from the worker before a source is imported, so no reference solution is in its memory, and it
reads no file. It does not read the requests either: for each one it forks a helper, which reads the request,
forks the cell that runs the program, and replies. So a cell holds its own program and nothing else: no other
program, no seed, no expected output.

    worker -- requests --> nursery - fork -> helper - fork -> cell
           <------- replies -------------------'    <- outputs -'

    -> (text, calls, seconds by the clock, CPU milliseconds)
    <- (CPU microseconds that it took, (True, outputs) or (False, kind, detail))

The outputs are read with bounds, as from any child. A cell that forges its result forges its own outputs.
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
"""What every program may import, on every machine. A cell opens no file, so the rest is what happens to be
loaded."""
_MARGIN_S = 30.0  # beyond a cell's own time: only a nursery that was lost on a busy machine takes longer
_HEAD_BYTES = 64  # of a result, beside its outputs
_DESCRIPTORS_MAX = 64


class NurseryLostError(Exception):
    """The nursery ended or does not reply. The worker ends, too: it is started again as a whole."""


class Nursery:
    """The worker's end. One program at a time."""

    def __init__(self, requests: int, replies: int) -> None:
        self._requests, self._replies = requests, replies
        self.cpu_micro = 0
        """CPU microseconds of all programs so far, with their processes."""

    @classmethod
    def start(cls, priority: int) -> Nursery:
        """Fork it. Call this before the process knows anything that a program must not know."""
        theirs, requests = os.pipe()
        replies, ours = os.pipe()
        if os.fork() == 0:
            _be_nursery(theirs, ours, priority)
        os.close(theirs)
        os.close(ours)
        return cls(requests, replies)

    def run(self, program: Program, seconds: float, cpu_seconds: float) -> Outputs | Lost:
        """What the program gave, or why it gave nothing. Raises NurseryLostError."""
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
                raise NurseryLostError(f"the process that runs programs sent nonsense: {reply!r:.200}")

    def run_all(self, programs: Sequence[Program], limits: Limits) -> list[Outputs | Lost]:
        """The same for each program, within the `limits` of all of them."""
        results: list[Outputs | Lost] = []
        rest = Lost("timeout", "the time for all of them was used up")
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
    """Never returns into the worker's code. Ends when the worker closes its end."""
    try:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # a request that is given up ends cells, not us
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
    """0 and 1 are /dev/null in the worker; all else is a way to the daemon."""
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
        write_frame(replies, (_cpu_micro(), _outcome(result, len(calls))))
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
    return False, "crash", "outputs of another shape"


def _is_output(value: object) -> bool:
    return value is None or (isinstance(value, str) and len(value) <= OUTPUT_CHARS_MAX)


def _cpu_micro() -> int:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(usage.ru_utime + usage.ru_stime for usage in used) * 1e6)
