"""How long the phases of a step take."""

from __future__ import annotations

import time
from collections.abc import Callable


class PhaseClock:
    """One phase runs at a time. `ended` is called with each finished phase and its seconds."""

    def __init__(
        self, ended: Callable[[str, float], None], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._ended = ended
        self._monotonic = monotonic
        self._phase: str | None = None
        self._since = monotonic()
        self._of_step: dict[str, float] = {}

    def enter(self, phase: str) -> None:
        """Start `phase`. Entering the current phase again changes nothing."""
        if phase == self._phase:
            return
        if self._phase is not None:
            seconds = self._monotonic() - self._since
            self._of_step[self._phase] = self._of_step.get(self._phase, 0.0) + seconds
            self._ended(self._phase, seconds)
        self._phase, self._since = phase, self._monotonic()

    def begin_step(self) -> None:
        """Begin a step. Time before this is not part of it."""
        self.enter("between steps")
        self._of_step = {}

    def seconds(self) -> dict[str, float]:
        """Phase -> seconds since the step began, including the running phase."""
        running = {} if self._phase is None else {self._phase: self._monotonic() - self._since}
        found = {**self._of_step}
        for phase, seconds in running.items():
            found[phase] = found.get(phase, 0.0) + seconds
        return {phase: seconds for phase, seconds in found.items() if phase != "between steps"}
