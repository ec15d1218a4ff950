"""A sink that fails is switched off, with one warning, so that training never waits for a third-party
package.
"""

from __future__ import annotations

from collections.abc import Callable

from swarmd.observe.sinks.interface import Sink
from swarmd.observe.step_line import StepLine


class SwitchedSink:
    """On until its first failure."""

    def __init__(self, name: str, opening: Callable[[], Sink]) -> None:
        """Open the sink. A failure is reported to the first `warn_by`."""
        self._name = name
        self._untold: str | None = None
        self._warn: Callable[[str], None] | None = None
        self._sink: Sink | None = None
        self._try(lambda: self._take(opening()))

    def warn_by(self, warn: Callable[[str], None]) -> None:
        """Set `warn`, which is called with the sentence about its failure, past or future."""
        self._warn = warn
        if self._untold is not None:
            warn(self._untold)

    @property
    def is_on(self) -> bool:
        return self._sink is not None

    def write(self, line: StepLine) -> None:
        """Pass the line on."""
        if (sink := self._sink) is not None:
            self._try(lambda: sink.write(line))

    def close(self) -> None:
        """Idempotent."""
        if (sink := self._sink) is not None:
            self._try(sink.close)
            self._sink = None

    def _take(self, sink: Sink) -> None:
        self._sink = sink

    def _try(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001  third-party code can raise anything
            self._sink = None
            self._tell(
                f"the sink {self._name} failed ({type(error).__name__}: {error}) and is off until the next "
                "start; steps.jsonl in the home has every step"
            )

    def _tell(self, problem: str) -> None:
        if self._warn is None:
            self._untold = problem
        else:
            self._warn(problem)
