"""Weights & Biases, offline in HOME/sinks/wandb. `wandb sync` uploads a run; WANDB_MODE=online does so at
once.
"""

from __future__ import annotations

import os
from pathlib import Path

from swarmd.observe.step_line import StepLine


class WandbSink:
    """One run per start of the daemon; the runs of a home share a group."""

    def __init__(self, directory: Path, run: str) -> None:
        import wandb

        mode = os.environ.get("WANDB_MODE", "offline")
        settings = wandb.Settings(silent=True, console="off")  # do not capture this peer's output
        self._run = wandb.init(project="swarmd", group=run, dir=str(directory), mode=mode, settings=settings)

    def write(self, line: StepLine) -> None:
        self._run.log(line.scalars(), step=line.step)

    def close(self) -> None:
        self._run.finish()
