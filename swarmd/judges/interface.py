"""The interface of a judge that is a model. It sees only the question, the answers and what the task
replied to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from swarmd.tasks import Exchange
from swarmd.tasks.judge_rules import Kind


class Pair(NamedTuple):
    """A question with one answer, without tags. For a task of several turns: with the whole conversation."""

    question: str
    answer: str
    """The last turn's."""
    earlier: tuple[Exchange, ...] = ()
    """The earlier turns' answers, empty for a turn without one, each with the task's reply."""
    turns: int = 1
    """The most turns that the task allows."""


class ModelJudge(Protocol):
    """A model on this machine that estimates how likely answers are to be right."""

    @property
    def name(self) -> str:
        """Kind and model, for people."""
        ...

    def probabilities(self, pairs: Sequence[Pair]) -> list[float]:
        """One per pair, 0..1. Synchronous; runs in the judges' thread. Raises ModelError."""
        ...


Key = tuple[Kind, str | None]
"""A judge as named in a manifest: its kind and model. The model is None if each peer chooses its own."""
