"""The judges of this peer's tasks: opened for the daemon, and shown in its status."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from protocol import Manifest
from swarmd.config import LearningConfig
from swarmd.judges import Panel, calibrate, load_panel
from swarmd.observe import JudgeView
from swarmd.tasks import TaskRunner
from swarmd.tasks.judge_rules import judges_of


async def open_panel(
    stack: AsyncExitStack,
    tasks: TaskRunner,
    manifest: Manifest,
    learning: LearningConfig,
    device: str,
    warn: Callable[[str], None],
) -> Panel:
    """Load and measure the judges. They run in a thread of their own, so external answers never wait for a
    step.

    `warn` is called for judges that know nothing. Raises ConfigError, ModelError, TaskError.
    """
    thread = ThreadPoolExecutor(1, "judges")
    stack.callback(thread.shutdown, wait=False, cancel_futures=True)
    panel: Panel = await asyncio.get_running_loop().run_in_executor(
        thread, load_panel, manifest, learning, device, thread
    )
    await calibrate(panel, tasks, manifest)
    for doubt in (*panel.doubts(), *unused_judges(manifest, learning)):
        warn(doubt)
    return panel


def unused_judges(manifest: Manifest, learning: LearningConfig) -> Iterator[str]:
    """Yield a warning for each judge that was configured but that no task of the swarm asks for."""
    asked = {rule.kind for task in manifest.tasks for rule in judges_of(task.config)}
    for flag, kind, given in (
        ("--judge", "generative", learning.judge),
        ("--reward-model", "reward_model", learning.reward_model),
    ):
        if given is not None and kind not in asked:
            yield f"{flag} {given} is not used: no task of this swarm names a judge of kind {kind}"


def judge_views(panel: Panel) -> tuple[JudgeView, ...]:
    """Return one view for each task that judges reward."""
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
