"""The task worker's results, in the types that the rest of the daemon uses."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import Completion, Episode, TaskSpec, is_digest_held_out
from swarmd.images import Images
from swarmd.tasks.episodes import digest_of, is_plain

REFUSALS = ("source", "version", "dataset", "option", "turns")
"""Kinds of `RefusedTaskError` that depend on the task alone, not on the seed."""


@dataclass(frozen=True)
class Question:
    """A regenerated question."""

    spec: TaskSpec
    text: str
    turns: int = 1
    """The most turns that a completion may have."""
    hidden: str = ""
    """Distinguishes it from others with the same text and images, if its records are of version 2."""
    images: Images = ()
    """Shown to a policy with the text. They are never sent: each peer draws them itself."""

    @property
    def digest(self) -> bytes:
        """The digest by which records refer to it."""
        return digest_of(self.text, self.turns, self.hidden, self.images)

    @property
    def is_plain(self) -> bool:
        """Whether its records are of version 1: one turn and no images."""
        return is_plain(self.turns, self.images)

    @property
    def held_out(self) -> bool:
        """Whether it is reserved for evaluation."""
        return is_digest_held_out(self.digest)


@dataclass(frozen=True)
class TaskFailure:
    """A spec that gave no question.

    `reason` is one of `REFUSALS` (the spec does not fit what is installed), "image", "question" (too long, or
    not text), "timeout", "crash" or "error" (the dataset failed).
    """

    spec: TaskSpec
    reason: str
    detail: str
    option: str | None = None


@dataclass(frozen=True)
class Score:
    """The reward in [0, 1]. `failure` is set if this text broke the scorer.

    It is "hang" (it used up its CPU time), "timeout" (it used up its wall-clock time), "crash", "error" (the
    scorer raised), "skipped" (it came after one that hung or crashed, and the worker stops at the first), or
    "turns" (it has more turns than its task).
    """

    reward: float
    failure: str | None = None
    bare: bool = False
    """Whether the answer is bare: see `swarmd.tasks.bare`."""
    observations: tuple[str, ...] = ()
    """For a completion of several turns: the task's reply to each turn except the last."""
    over: bool = True
    """Whether its task ended with this completion, or no turn was left. Judges reward nothing else."""
    confidence: float = 1.0
    """How sure the judges of its group are, 0..1. A verifier is always sure."""
    claimed: float | None = None
    """The reward that a record of it claims, if it differs: for agreement tasks, this peer's own vote."""
    truth: float | None = None
    """For a judged task: the verifier's score, which rewards nothing. None if the verifier was not asked."""

    @property
    def is_lost(self) -> bool:
        """Whether the text brought the scorer down: no peer would accept a group that contains it."""
        return self.failure not in (None, "error")


def written(completion: Completion | Episode) -> str | tuple[str, ...]:
    """A record's completion in the form in which it is scored: one text, or a tuple with one per turn."""
    if isinstance(completion, Episode):
        return tuple(turn.text for turn in completion.turns)
    return completion.text


@dataclass(frozen=True)
class SourceInfo:
    """A source as installed in the worker."""

    version: str
    datasets: tuple[str, ...]
