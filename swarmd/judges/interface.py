"""What a judge that is a model promises. It sees the question and the answer's text, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from swarmd.tasks.judge_rules import Kind


class Pair(NamedTuple):
    """A question, and one answer to it without its tags."""

    question: str
    answer: str


class ModelJudge(Protocol):
    """A model on this machine that says how likely answers are right."""

    @property
    def name(self) -> str:
        """For people: kind and model."""
        ...

    def probabilities(self, pairs: Sequence[Pair]) -> list[float]:
        """One per pair, 0..1. Synchronous: it runs in the judges' thread. Raises ModelError."""
        ...


Key = tuple[Kind, str | None]
"""A judge as a manifest names it: its kind and its model; None where each peer names its own."""
