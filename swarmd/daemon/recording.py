"""Where a step's numbers go besides the database: HOME/steps.jsonl, sinks, and counters for metrics."""

from __future__ import annotations

from collections.abc import Sequence

from swarmd.observe import StepLine
from swarmd.observe.durations import PHASES, DurationCounts
from swarmd.observe.sinks import SwitchedSink
from swarmd.storage.steps_file import StepsFile


class Recorder:
    """One per run of the daemon. Nothing here can stop a step."""

    def __init__(self, file: StepsFile, sinks: Sequence[SwitchedSink] = ()) -> None:
        self._file = file
        self._sinks = sinks
        self.durations = DurationCounts()
        self.tokens_generated = 0
        self.last: StepLine | None = None
        """The newest line; None before the first step of this run."""

    def phase_ended(self, phase: str, seconds: float) -> None:
        """Count the duration of a phase, unless it is waiting."""
        if phase in PHASES:
            self.durations.add(phase, seconds)

    def record(self, line: StepLine) -> None:
        """Record a finished step."""
        self.last = line
        self.tokens_generated += line.tokens_generated
        self.durations.add("step", line.seconds)
        self._file.write(line.to_json())
        for sink in self._sinks:
            sink.write(line)

    def close(self) -> None:
        """Let the sinks flush what they hold."""
        for sink in self._sinks:
            sink.close()
