"""What comes back from the task worker, as the rest of the daemon sees it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from protocol import TaskSpec, is_held_out


@dataclass(frozen=True)
class Question:
    """A regenerated question."""

    spec: TaskSpec
    text: str

    @property
    def digest(self) -> bytes:
        """SHA-256 of the text in UTF-8: what a record carries."""
        return hashlib.sha256(self.text.encode()).digest()

    @property
    def held_out(self) -> bool:
        """Whether it is for evaluation only."""
        return is_held_out(self.text)


@dataclass(frozen=True)
class TaskFailure:
    """A spec that gave no question.

    reason: "source", "version", "dataset", "option" (the spec does not fit what is installed), "timeout",
    "crash" or "error" (the dataset failed).
    """

    spec: TaskSpec
    reason: str
    detail: str
    option: str | None = None


@dataclass(frozen=True)
class Score:
    """The reward in [0, 1]; `failure` is set if this text broke the scorer.

    "hang" (it used up its CPU time), "timeout" (by the clock), "crash", "error" (the scorer raised), or
    "skipped" (it came after one that hung or crashed, and the worker stops at the first).
    """

    reward: float
    failure: str | None = None
    bare: bool = False
    """Whether the answer is bare: see `swarmd.tasks.bare`."""

    @property
    def is_lost(self) -> bool:
        """Whether the text brought the scorer down: no peer would accept a group that holds it."""
        return self.failure not in (None, "error")


@dataclass(frozen=True)
class SourceInfo:
    """A source as the worker has it."""

    version: str
    datasets: tuple[str, ...]
