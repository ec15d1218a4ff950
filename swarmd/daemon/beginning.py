"""What the operator says about where to begin, for this one start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Beginning:
    """By default training continues from the home's newest whole checkpoint.

    Both options are safe to repeat. A home that already continued from `checkpoint` goes on from where it is.
    So does a `fresh` one that has trained meanwhile.
    """

    checkpoint: Path | None = None
    """--from: a checkpoint's directory, of this home or any other."""
    fresh: bool = False
    """--fresh: begin untrained if nothing can be loaded."""
