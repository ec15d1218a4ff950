"""The right answers that an attacker knows: those of reasoning-gym's own entries.

The only place outside the sandbox that makes entries: an attacker's questions are its own choice, so it runs
no code that it did not choose. Honest nodes never ask it.
"""

from __future__ import annotations

import json
from typing import Protocol

from protocol import TaskSpec


class Oracle(Protocol):
    """Knows right answers."""

    def __call__(self, spec: TaskSpec) -> str | None:
        """A right answer to the question of `spec`, as text; None where there is none."""
        ...


def gym_answer(spec: TaskSpec) -> str | None:
    """The answer that the dataset gives with the question."""
    # Imports a hundred datasets, which only experiments with attackers need.
    from swarmd.tasks.gym import ReasoningGym

    task = ReasoningGym().build(spec.dataset, json.loads(spec.config))
    _, (_, entry) = task.question(spec.seed, spec.index)
    return None if entry["answer"] is None else str(entry["answer"])
