"""Do the three losses pull the weights in the same direction? Compares their gradients on one fixed batch.

The comparison is in float32. The losses differ by design in two ways:

- genrl pads completions on the left, after the prompt, without position ids. In a completion shorter than the
  longest, it predicts the first token from padding, and the others at a greater distance from their prompt
  than they were written. On completions of unequal length its loss and gradient therefore differ.
- genrl divides advantages by std + 1e-8, the others by std + 1e-4: a relative difference of 2e-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

AGREES_BELOW = 1e-3  # relative; ten times the effect of rounding and the two epsilons


@dataclass(frozen=True)
class Difference:
    """||a - b|| / ||b|| over the gradients of all weights, and the weight that contributes most to it."""

    relative: float
    worst: float
    worst_name: str

    @property
    def agrees(self) -> bool:
        return self.relative < AGREES_BELOW


def difference(ours: Path, theirs: Path) -> Difference:
    """Compare two files of gradients, one weight at a time. Raises ValueError if their weights differ."""
    squares = reference = 0.0
    worst, worst_name = 0.0, ""
    with safe_open(ours, "pt") as left, safe_open(theirs, "pt") as right:
        if set(left.keys()) != set(right.keys()):
            odd = sorted(set(left.keys()) ^ set(right.keys()))
            raise ValueError(
                f"gradients of different weights: {len(odd)} are in only one file, {odd[0]} first"
            )
        for name in sorted(left.keys()):
            a, b = left.get_tensor(name).double(), right.get_tensor(name).double()
            apart, size = float((a - b).norm()), float(b.norm())
            squares += apart**2
            reference += size**2
            if size > 0 and apart / size > worst:
                worst, worst_name = apart / size, name
    return Difference(math.sqrt(squares / reference), worst, worst_name)
