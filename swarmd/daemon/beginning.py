"""What the operator says about where to begin, for this one start."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Beginning:
    """By default: where the home's newest whole checkpoint left off.

    Neither wish costs anything when a daemon is started again with it: a home that went on from `checkpoint`
    goes on where it is, and so does a `fresh` one that has trained meanwhile.
    """

    checkpoint: Path | None = None
    """--from: a checkpoint's directory, of this home or any other."""
    fresh: bool = False
    """--fresh: untrained, if nothing can be loaded."""
