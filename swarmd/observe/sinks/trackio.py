"""trackio, in HOME/sinks/trackio or in TRACKIO_DIR; `TRACKIO_DIR=HOME/sinks/trackio trackio show`."""

from __future__ import annotations

import os
from pathlib import Path

from swarmd.observe.step_line import StepLine


class TrackioSink:
    """One run per home, continued at each start."""

    def __init__(self, directory: Path, run: str) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(directory))  # read when it is imported
        import trackio

        self._trackio = trackio
        trackio.init(project="swarmd", name=run, resume="allow", embed=False)

    def write(self, line: StepLine) -> None:
        self._trackio.log(line.scalars(), step=line.step)

    def close(self) -> None:
        self._trackio.finish()
