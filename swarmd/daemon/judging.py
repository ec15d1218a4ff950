"""The judges of this peer's tasks: opened for the daemon, and shown in its status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from protocol import Manifest
from swarmd.config import LearningConfig
from swarmd.judges import Panel, calibrate, load_panel
from swarmd.observe import JudgeView
from swarmd.tasks import TaskRunner


async def open_panel(
    stack: AsyncExitStack,
    tasks: TaskRunner,
    manifest: Manifest,
    learning: LearningConfig,
    device: str,
    warn: Callable[[str], None],
) -> Panel:
    """The judges, loaded and measured in a thread of their own: strangers' answers never wait for a step.

    `warn` is told of judges that know nothing. Raises ConfigError, ModelError, TaskError.
    """
    thread = ThreadPoolExecutor(1, "judges")
    stack.callback(thread.shutdown, wait=False)
    panel: Panel = await asyncio.get_running_loop().run_in_executor(
        thread, load_panel, manifest, learning, device, thread
    )
    await calibrate(panel, tasks, manifest)
    for doubt in panel.doubts():
        warn(doubt)
    return panel


def judge_views(panel: Panel) -> tuple[JudgeView, ...]:
    """One per task that judges reward."""
    return tuple(
        JudgeView(
            task=found.task,
            judges=found.judges,
            calibrated=dict(found.calibrated),
            completions=found.own.completions,
            reward=found.own.reward,
            truth=found.own.truth,
            agreement=found.own.agreement,
        )
        for found in panel.views()
    )
