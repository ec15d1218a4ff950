"""What comes back from the task worker, as the rest of the daemon sees it."""

from __future__ import annotations

from dataclasses import dataclass

from protocol import Completion, Episode, TaskSpec, is_digest_held_out
from swarmd.images import Images
from swarmd.tasks.episodes import digest_of, is_plain


@dataclass(frozen=True)
class Question:
    """A regenerated question."""

    spec: TaskSpec
    text: str
    turns: int = 1
    """How many turns a completion may have at most."""
    hidden: str = ""
    """What tells it from others with the same text and images, if its records are of version 2."""
    images: Images = ()
    """What a policy is shown with the text. They never travel: each peer draws them again."""

    @property
    def digest(self) -> bytes:
        """What a record says that it is about."""
        return digest_of(self.text, self.turns, self.hidden, self.images)

    @property
    def is_plain(self) -> bool:
        """Whether its records are of version 1: one turn, and no images."""
        return is_plain(self.turns, self.images)

    @property
    def held_out(self) -> bool:
        """Whether it is for evaluation only."""
        return is_digest_held_out(self.digest)


@dataclass(frozen=True)
class TaskFailure:
    """A spec that gave no question.

    reason: "source", "version", "dataset", "option" (the spec does not fit what is installed), "image",
    "question" (too long, or no text), "timeout", "crash" or "error" (the dataset failed).
    """

    spec: TaskSpec
    reason: str
    detail: str
    option: str | None = None


@dataclass(frozen=True)
class Score:
    """The reward in [0, 1]; `failure` is set if this text broke the scorer.

    "hang" (it used up its CPU time), "timeout" (by the clock), "crash", "error" (the scorer raised),
    "skipped" (it came after one that hung or crashed, and the worker stops at the first), or "turns" (it has
    more turns than its task).
    """

    reward: float
    failure: str | None = None
    bare: bool = False
    """Whether the answer is bare: see `swarmd.tasks.bare`."""
    observations: tuple[str, ...] = ()
    """Of a completion of turns: what the task said after each turn but the last."""
    confidence: float = 1.0
    """How sure the judges are of its group, 0..1. A verifier is."""
    claimed: float | None = None
    """What a record of it says that it is worth, if not the reward: in a task of agreement, the own vote."""
    truth: float | None = None
    """Of a judged task: what its verifier says, which rewards nothing. None where it was not asked."""

    @property
    def is_lost(self) -> bool:
        """Whether the text brought the scorer down: no peer would accept a group that holds it."""
        return self.failure not in (None, "error")


def written(completion: Completion | Episode) -> str | tuple[str, ...]:
    """What a record's completion says, in the form in which it is scored: one text, or one for each turn."""
    if isinstance(completion, Episode):
        return tuple(turn.text for turn in completion.turns)
    return completion.text


@dataclass(frozen=True)
class SourceInfo:
    """A source as the worker has it."""

    version: str
    datasets: tuple[str, ...]
