"""The worker lives exactly as long as the daemon, on the daemon's kind of event loop."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable

import psutil
import pytest
import uvloop

from protocol import TaskSpec
from swarmd.errors import TaskError
from swarmd.tasks import Question, TaskRunner

DAEMON = """
import asyncio
from swarmd.tasks import TaskRunner

async def main():
    async with TaskRunner(reward="exact") as runner:
        print(runner.worker_pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_it_runs_under_uvloop(spec: Callable[..., TaskSpec]) -> None:
    async def once() -> object:
        async with TaskRunner(reward="exact") as runner:
            await runner.score([(spec("binary_matrix"), ["<answer>__import__('os')._exit(0)</answer>"])])
            return (await runner.questions([spec("gcd")]))[0]

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        assert isinstance(loop.run(once()), Question)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the worker notices at its next read")
def test_a_daemon_that_is_killed_takes_its_worker_along() -> None:
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", DAEMON], stdout=subprocess.PIPE, env=environment) as daemon:
        assert daemon.stdout is not None
        worker = psutil.Process(int(daemon.stdout.readline()))
        daemon.kill()
    gone, alive = psutil.wait_procs([worker], timeout=30)
    assert (gone, alive) == ([worker], [])


def test_a_worker_that_cannot_be_launched_is_an_error_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    async def once() -> None:
        async with TaskRunner(reward="exact"):
            pytest.fail("entered")

    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(TaskError, match=r"could not be launched: .*No such file"):
        asyncio.run(once())
