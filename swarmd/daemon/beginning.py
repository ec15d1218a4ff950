"""What the operator says about where training begins, for this start only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Beginning:
    """Where to begin. By default training continues from the newest whole checkpoint in the home.

    Both options are safe to repeat. A home that has already continued from `checkpoint` resumes its own
    training, and so does a `fresh` one that has trained since.
    """

    checkpoint: Path | None = None
    """--from: the directory of a checkpoint, in this home or another."""
    fresh: bool = False
    """--fresh: start untrained if no checkpoint can be loaded."""
