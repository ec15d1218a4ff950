"""How judges and truth agree, counted where a task has a verifier too. Running means, no model.

Nothing is rewarded by these numbers. A judge's reward that rises while the truth does not is being hacked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from swarmd.judges.opinions import RIGHT_FROM
from swarmd.tasks.rewards import EXACT_FROM_MICRO

MEMORY = 512  # completions that a mean is over: some eight steps, in which a policy hardly changes
_TRUE_FROM = EXACT_FROM_MICRO / 1e6


@dataclass(frozen=True)
class Agreement:
    """Own completions of one task, the newest `MEMORY` or so."""

    completions: int = 0
    """Judged since the start."""
    reward: float = 0.0
    """Mean reward that the judges gave, 0..1."""
    truth: float | None = None
    """Mean reward of the verifier, 0..1. None where there is none."""
    agreement: float | None = None
    """Share of completions of which judges and verifier say the same."""

    def after(self, rewards: Sequence[float], truths: Sequence[float | None]) -> Agreement:
        """With the completions of one more group."""
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
