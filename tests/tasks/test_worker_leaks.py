"""Workers that cannot be started, or are cut off, give everything back."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarmd.errors import TaskError
from swarmd.network import run_simulated
from swarmd.tasks import TaskRunner, WorkerOptions
from swarmd.tasks.frames import BEAT, pack
from swarmd.tasks.process import SILENCE_S, WorkerProcess, WorkerStartError, _SilentError
from tests.held import TIMES, assert_nothing_is_kept

pytestmark = pytest.mark.timeout(1_800)


def instead(monkeypatch: pytest.MonkeyPatch, *command: str) -> None:
    """What is started instead of a worker."""
    monkeypatch.setattr(WorkerOptions, "command", lambda _: list(command))


@pytest.mark.parametrize(
    "command",
    [
        ("/nowhere/python",),
        (sys.executable, "-S", "-c", "raise SystemExit('no')"),
        (sys.executable, "-S", "-c", "import os; os.write(1, b'\\xff' * 9)"),
    ],
    ids=["not launched", "ended", "nonsense"],
)
async def test_a_worker_that_does_not_start_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: tuple[str, ...]
) -> None:
    instead(monkeypatch, *command)

    async def start() -> None:
        with pytest.raises(WorkerStartError):
            await WorkerProcess.start(WorkerOptions(), tmp_path)

    await assert_nothing_is_kept(start, tmp_path)


async def test_a_start_that_is_cancelled_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instead(monkeypatch, sys.executable, "-S", "-c", "import time; time.sleep(60)")
    turns = 0

    async def start() -> None:
        nonlocal turns
        turns += 1
        async with asyncio.TaskGroup() as group:
            task = group.create_task(WorkerProcess.start(WorkerOptions(), tmp_path))
            for _ in range(turns % 15):
                await asyncio.sleep(0)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    await assert_nothing_is_kept(start, tmp_path, times=2 * TIMES)


async def test_a_worker_that_dies_while_it_starts_is_tried_again_and_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told: list[str] = []
    real, starts = WorkerProcess.start, 0

    async def killed_at_first(options: WorkerOptions, directory: Path | None) -> WorkerProcess:
        nonlocal starts
        starts += 1
        with monkeypatch.context() as patched:
            if starts < 3:
                instead(patched, sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 9)")
            return await real(options, directory)

    monkeypatch.setattr(WorkerProcess, "start", killed_at_first)
    monkeypatch.setattr("swarmd.tasks.runner.START_BACK_OFF_S", (0.0, 0.01))
    async with TaskRunner(reward="exact", directory=tmp_path, on_problem=told.append) as runner:
        assert runner.worker_pid is not None
    assert len(told) == 2
    assert "did not start (ended by SIGKILL)" in told[0]
    assert told[0].endswith("trying again in 0 s")
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240  an empty directory


async def test_the_start_is_given_up_when_the_last_try_fails_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instead(monkeypatch, sys.executable, "-S", "-c", "import os; os.kill(os.getpid(), 11)")
    monkeypatch.setattr("swarmd.tasks.runner.START_BACK_OFF_S", (0.0, 0.0))
    told: list[str] = []
    with pytest.raises(TaskError, match="did not start"):
        async with TaskRunner(reward="exact", directory=tmp_path, on_problem=told.append):
            pytest.fail("entered")
    assert len(told) == 2


async def test_a_frozen_worker_is_noticed_told_and_replaced_and_the_answer_comes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, spec
) -> None:
    told: list[str] = []
    async with TaskRunner(reward="exact", directory=tmp_path, on_problem=told.append) as runner:
        [question] = await runner.questions([spec("gcd")])
        monkeypatch.setattr("swarmd.tasks.process.SILENCE_S", 0.2)
        first = runner.worker_pid
        assert first is not None
        os.kill(first, signal.SIGSTOP)
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(runner.questions([spec("gcd")]))
            while not told:  # noqa: ASYNC110  another process is waited for
                await asyncio.sleep(0.01)
            monkeypatch.setattr("swarmd.tasks.process.SILENCE_S", 60.0)
        assert asked.result() == [question]
        assert runner.worker_pid != first
    [message] = told
    assert message.startswith(f"the task worker (pid {first}) was lost: frozen: it sent nothing")


def test_a_worker_that_works_for_long_is_not_taken_for_frozen_but_a_silent_one_is() -> None:
    """In simulated time. The worker beats while its child works."""

    async def scenario() -> None:
        output, loop = asyncio.StreamReader(), asyncio.get_running_loop()
        process: Any = SimpleNamespace(stdout=output)
        worker = WorkerProcess(process, ExitStack(), io.BytesIO())
        for second in range(1, 10):
            loop.call_later(second * (SILENCE_S - 1), output.feed_data, BEAT)
        loop.call_later(10 * (SILENCE_S - 1), output.feed_data, pack(("done",)))
        assert await worker._receive(SILENCE_S) == ("done",)
        began = loop.time()
        with pytest.raises(_SilentError):
            await worker._receive(SILENCE_S)
        assert loop.time() - began == pytest.approx(SILENCE_S)

    run_simulated(scenario())
