"""trackio, in HOME/sinks/trackio or in TRACKIO_DIR. To view it: `TRACKIO_DIR=HOME/sinks/trackio trackio
show`.
"""

from __future__ import annotations

import os
import sys
from contextlib import redirect_stdout
from pathlib import Path

from swarmd.observe.step_line import StepLine

RESERVED = ("step", "time")
"""Names that have a meaning of their own in trackio."""


class TrackioSink:
    """One run per home, continued at each start."""

    def __init__(self, directory: Path, run: str) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(directory))  # read on import
        import trackio

        with redirect_stdout(sys.stderr):  # standard output belongs to the event log
            # Keep the run itself: `trackio.log` finds it only in the thread that called `init`.
            self._run = trackio.init(
                project="swarmd",
                name=run,
                resume="allow",
                embed=False,
                auto_log_cpu=False,
                auto_log_gpu=False,
            )

    def write(self, line: StepLine) -> None:
        numbers = {name: value for name, value in line.scalars().items() if name not in RESERVED}
        self._run.log(numbers, step=line.step)

    def close(self) -> None:
        with redirect_stdout(sys.stderr):
            self._run.finish()
