"""What a sink is: something that takes the line of each step."""

from __future__ import annotations

from typing import Protocol

from swarmd.observe.step_line import StepLine


class Sink(Protocol):
    """Takes one line per step, in order. May raise anything: `SwitchedSink` is its caller."""

    def write(self, line: StepLine) -> None: ...

    def close(self) -> None:
        """Write out what is still in memory."""
        ...
