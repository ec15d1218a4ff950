"""TensorBoard's event files, in HOME/sinks/tensorboard. To view them: `tensorboard --logdir` with that
path.
"""

from __future__ import annotations

from pathlib import Path

from swarmd.observe.step_line import StepLine


class TensorboardSink:
    """One scalar per number of the line."""

    def __init__(self, directory: Path, run: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(directory / run)

    def write(self, line: StepLine) -> None:
        for name, value in line.scalars().items():
            self._writer.add_scalar(name, value, line.step, walltime=line.time)

    def close(self) -> None:
        self._writer.close()
