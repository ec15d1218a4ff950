"""The parts that the step loop and its helpers are built from. Assembled once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from protocol import Manifest
from swarmd.config import Config
from swarmd.daemon.exchange import Exchange
from swarmd.daemon.held_out_parts import HeldOutParts
from swarmd.daemon.learner import Learner
from swarmd.daemon.machine_use import MachineUse
from swarmd.daemon.recording import Recorder
from swarmd.learning import GroupSampler
from swarmd.observe import EventLog
from swarmd.storage import Database
from swarmd.tasks import TaskRunner, TrainingDraw

T = TypeVar("T")


@dataclass(frozen=True)
class Parts:
    """What a step needs."""

    config: Config
    manifest: Manifest
    learner: Learner
    sampler: GroupSampler
    tasks: TaskRunner
    measuring_tasks: TaskRunner
    """Draws the questions for measuring, then ends: a minute of work that would hold up the other workers."""
    draw: TrainingDraw
    held_out: HeldOutParts
    database: Database
    exchange: Exchange
    events: EventLog
    recorder: Recorder
    use: Callable[[], MachineUse]
    clock: Callable[[], float]
    model_thread: ThreadPoolExecutor


class Enter(Protocol):
    """Report which phase of the step begins, and its progress."""

    def __call__(self, phase: str, done: int = 0, total: int = 0) -> None: ...
