"""One worker process seen from the event loop: start, ask, kill. When to retry is for the runner."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tempfile
from asyncio.subprocess import PIPE, Process
from typing import IO, Any

from protocol import ProtocolError
from swarmd.errors import TaskError
from swarmd.tasks.frames import HEAD_BYTES, FrameError, body_bytes, pack, unpack
from swarmd.tasks.launch import STDERR_TAIL_BYTES, WorkerOptions, worker_environment

START_S = 120.0  # importing reasoning-gym takes 1-3 s on a quiet core; a cold disk under load, far longer


class WorkerLostError(Exception):
    """The worker died, hung or sent nonsense during a request, and is gone. `kind`: "timeout" or "crash"."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        super().__init__(kind)


class WorkerProcess:
    """A started worker. Ask one thing at a time."""

    def __init__(self, process: Process, directory: tempfile.TemporaryDirectory[str], log: IO[bytes]) -> None:
        self._process = process
        self._directory = directory
        self._log = log
        self._tail = ""
        self.greeting: Any = None

    @classmethod
    async def start(cls, options: WorkerOptions) -> WorkerProcess:
        """Start and wait until it has imported its sources. Raises TaskError with the end of its stderr."""
        directory = tempfile.TemporaryDirectory(prefix="swarmd-worker-")
        log = tempfile.TemporaryFile()  # noqa: SIM115  lives as long as the worker
        try:
            process = await asyncio.create_subprocess_exec(
                *options.command(),
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env=worker_environment(),
                cwd=directory.name,
                start_new_session=True,
            )
        except OSError as error:
            log.close()
            directory.cleanup()
            raise TaskError(f"the task worker could not be launched: {error}") from error
        worker = cls(process, directory, log)
        try:
            worker.greeting = await worker._within(START_S, worker._receive())
        except WorkerLostError as error:
            raise TaskError(
                f"the task worker did not start ({error.kind}): {worker.stderr_tail()}"
            ) from error
        return worker

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, request: object, seconds: float) -> Any:
        """The worker's reply. Raises WorkerLostError. Cancelling kills the worker: its reply would stray."""
        return await self._within(seconds, self._exchange(request))

    async def _within(self, seconds: float, exchange: Any) -> Any:
        done = False
        try:
            async with asyncio.timeout(seconds):
                reply = await exchange
            done = True
        except TimeoutError:
            raise WorkerLostError("timeout") from None
        except (OSError, asyncio.IncompleteReadError, FrameError, ProtocolError):
            raise WorkerLostError("crash") from None
        finally:
            if not done:
                await self.close()
        return reply

    async def _exchange(self, request: object) -> object:
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101  started with a pipe
        stdin.write(pack(request))
        await stdin.drain()
        return await self._receive()

    async def _receive(self) -> object:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101  started with a pipe
        size = body_bytes(await stdout.readexactly(HEAD_BYTES))
        return unpack(await stdout.readexactly(size))

    def stderr_tail(self) -> str:
        """The end of what the worker wrote to stderr: its traceback, if it has one."""
        if self._log.closed:
            return self._tail
        size = os.fstat(self._log.fileno()).st_size
        raw = os.pread(self._log.fileno(), STDERR_TAIL_BYTES, max(0, size - STDERR_TAIL_BYTES))
        return raw.decode(errors="replace").strip() or "it wrote nothing to stderr"

    async def close(self) -> None:
        """Kill the worker and all its children. Idempotent; safe under cancellation."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads its own session
        if not self._log.closed:
            self._tail = self.stderr_tail()
            self._log.close()
        self._directory.cleanup()
        await asyncio.shield(self._process.wait())
