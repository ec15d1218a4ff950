"""What a sink is: something that receives the line of each step."""

from __future__ import annotations

from typing import Protocol

from swarmd.observe.step_line import StepLine


class Sink(Protocol):
    """Receives one line per step, in order. May raise anything: only `SwitchedSink` calls it."""

    def write(self, line: StepLine) -> None: ...

    def close(self) -> None:
        """Write out what is still in memory."""
        ...
