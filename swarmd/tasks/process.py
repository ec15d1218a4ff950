"""One worker process, controlled from the event loop: start, ask, kill. The runner decides when to retry."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import psutil

from protocol import ProtocolError
from swarmd.errors import TaskError
from swarmd.tasks.frames import HEAD_BYTES, FrameError, body_bytes, pack, unpack
from swarmd.tasks.launch import STDERR_TAIL_BYTES, WorkerOptions, worker_environment

START_S = 120.0  # importing reasoning-gym takes 1-3 s on an idle core; far longer from a cold disk under load
FIRST_BEAT_S = (
    30.0  # until the interpreter has started and begins to import the sources: 0.3 s on an idle core
)
SILENCE_S = 10.0  # without the heartbeat due every second: the worker is frozen, or the machine barely runs
PASSING = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ENOSPC, errno.EDQUOT)
"""Errors that prevent launching a process now, but may be temporary."""
LAST_WORDS_S = 2.0  # between the end of a worker's output and its exit


class WorkerLostError(Exception):
    """The worker died, hung or sent garbage during a request, and is gone. `kind`: "timeout" or "crash"."""

    def __init__(self, kind: str, detail: str) -> None:
        self.kind = kind
        super().__init__(detail)


class WorkerStartError(TaskError):
    """A worker could not be started. `passing` is whether a retry may succeed: the worker did not exit with
    an error of its own."""

    def __init__(self, text: str, *, passing: bool) -> None:
        self.passing = passing
        super().__init__(text)


class WorkerProcess:
    """A started worker. Send one request at a time."""

    def __init__(self, process: Process, places: ExitStack, log: IO[bytes]) -> None:
        """`places` closes the log and removes the working directory on exit."""
        self._process = process
        self._places = places
        self._log = log
        self._tail = ""
        self.greeting: Any = None

    @classmethod
    async def start(cls, options: WorkerOptions, directory: Path | None = None) -> WorkerProcess:
        """Start a worker and wait until it has imported its sources. Its working directory is in `directory`.

        Raises WorkerStartError with the end of its stderr, after cleaning up.
        """
        with ExitStack() as stack:
            try:
                place = stack.enter_context(tempfile.TemporaryDirectory(prefix="worker-", dir=directory))
                log = stack.enter_context(tempfile.TemporaryFile(dir=place))
                process = await asyncio.create_subprocess_exec(
                    *options.command(),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=log,
                    env=worker_environment(),
                    cwd=place,
                    start_new_session=True,
                )
            except OSError as error:
                raise WorkerStartError(
                    f"the task worker could not be launched: {error}", passing=error.errno in PASSING
                ) from error
            worker = cls(process, stack.pop_all(), log)
        try:
            worker.greeting = await worker._within(START_S, worker._receive(FIRST_BEAT_S))
        except WorkerLostError as error:
            code = process.returncode
            raise WorkerStartError(
                f"the task worker did not start ({error}): {worker.stderr_tail()}",
                passing=code is None or code < 0,
            ) from error
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, request: object, seconds: float) -> Any:
        """Return the worker's reply. Raises WorkerLostError. Cancelling kills the worker, so no reply is left
        over."""
        return await self._within(seconds, self._exchange(request))

    async def _within(self, seconds: float, exchange: Any) -> Any:
        done = False
        try:
            async with asyncio.timeout(seconds):
                reply = await exchange
            done = True
        except _SilentError as error:
            raise WorkerLostError("timeout", f"frozen: it sent nothing for {error}") from None
        except TimeoutError:
            raise WorkerLostError("timeout", f"it took over {seconds:.0f} s") from None
        except (OSError, asyncio.IncompleteReadError, FrameError, ProtocolError):
            await self._wait_for_its_end()
            raise WorkerLostError("crash", self._how_it_ended()) from None
        finally:
            if not done:
                await self.close()
        return reply

    async def _wait_for_its_end(self) -> None:
        """Wait briefly for the worker to exit, to see its own exit code instead of our kill."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                await self._process.wait()

    def _how_it_ended(self) -> str:
        code = self._process.returncode
        if code is None:
            return "it sent garbage"
        return f"exit code {code}" if code >= 0 else f"ended by {signal.Signals(-code).name}"

    async def _exchange(self, request: object) -> object:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  started with a pipe
        stdin.write(pack(request))
        await stdin.drain()
        return await self._receive(SILENCE_S)

    async def _receive(self, silence_s: float) -> object:
        """The next value. `silence_s` bounds the wait for the first heartbeat. Raises _SilentError."""
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101  started with a pipe
        while not (size := body_bytes(await _read(stdout, HEAD_BYTES, silence_s))):
            silence_s = SILENCE_S
        return unpack(await _read(stdout, size, silence_s))

    def stderr_tail(self) -> str:
        """The end of the worker's stderr, with its traceback if there is one."""
        if self._log.closed:
            return self._tail
        size = os.fstat(self._log.fileno()).st_size
        raw = os.pread(self._log.fileno(), STDERR_TAIL_BYTES, max(0, size - STDERR_TAIL_BYTES))
        return raw.decode(errors="replace").strip() or "it wrote nothing to stderr"

    def interrupt(self) -> None:
        """End all children of the worker with SIGALRM, as their own alarms would."""
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(self.pid).children(recursive=True)
            for child in children:
                with contextlib.suppress(psutil.Error):  # it has just ended
                    child.send_signal(signal.SIGALRM)

    async def close(self) -> None:
        """Kill the worker and all its children. Idempotent; safe under cancellation."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads its own session
        if not self._log.closed:
            self._tail = self.stderr_tail()
            self._places.close()
        await asyncio.shield(self._process.wait())


class _SilentError(Exception):
    """Nothing was received for the time given in the message."""


async def _read(stream: asyncio.StreamReader, size: int, silence_s: float) -> bytes:
    """Read `size` bytes, waiting twice for half the time: if this process was suspended (for example by a
    closed lid), only the first wait expires at once."""
    for _ in range(2):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(silence_s / 2):
                return await stream.readexactly(size)
    raise _SilentError(f"{silence_s:.0f} s")
