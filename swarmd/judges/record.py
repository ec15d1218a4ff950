"""Running means of how judges and truth agree, for tasks that also have a verifier.

These numbers reward nothing. A judge whose reward rises while the truth does not is being hacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.judges.opinions import RIGHT_FROM
from swarmd.tasks.rewards import EXACT_FROM_MICRO

MEMORY = 512  # completions in a mean: about eight steps, during which a policy hardly changes
_TRUE_FROM = EXACT_FROM_MICRO / 1e6


@dataclass(frozen=True)
class Agreement:
    """Statistics on the newest `MEMORY` or so own completions of one task."""

    completions: int = 0
    """Number judged since the start."""
    reward: float = 0.0
    """Mean reward given by the judges, 0..1."""
    truth: float | None = None
    """Mean reward of the verifier, 0..1. None if there is none."""
    agreement: float | None = None
    """Share of completions on which judges and verifier agree."""

    def after(self, rewards: Sequence[float], truths: Sequence[float | None]) -> Agreement:
        """The agreement after one more group's completions."""
        now = self
        for reward, truth in zip(rewards, truths, strict=True):
            seen = min(now.completions + 1, MEMORY)
            same = None if truth is None else float((reward >= RIGHT_FROM) == (truth >= _TRUE_FROM))
            now = Agreement(
                now.completions + 1,
                now.reward + (reward - now.reward) / seen,
                _moved(now.truth, truth, seen),
                _moved(now.agreement, same, seen),
            )
        return now


def _moved(mean: float | None, value: float | None, seen: int) -> float | None:
    if value is None:
        return mean
    return value if mean is None else mean + (value - mean) / seen
