"""Do the three losses pull the weights the same way? Gradients of one fixed batch, compared.

They are compared in float32. Where they differ on purpose:

- genrl pads completions on the left, behind the prompt, without position ids. The first token of a completion
  shorter than the longest is then predicted from padding, the others further from their prompt than they were
  written: on completions of unequal length its loss and gradient are other ones.
- genrl divides advantages by std + 1e-8, the others by std + 1e-4: a relative difference of 2e-4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from safetensors import safe_open

AGREES_BELOW = 1e-3  # relative: ten times what rounding and the two epsilons leave


@dataclass(frozen=True)
class Difference:
    """||a - b|| / ||b|| over all weights' gradients, and the weight that differs most in that measure."""

    relative: float
    worst: float
    worst_name: str

    @property
    def agrees(self) -> bool:
        return self.relative < AGREES_BELOW


def difference(ours: Path, theirs: Path) -> Difference:
    """Between two files of gradients; one weight at a time is in memory. Raises ValueError: other weights."""
    squares = reference = 0.0
    worst, worst_name = 0.0, ""
    with safe_open(ours, "pt") as left, safe_open(theirs, "pt") as right:
        if set(left.keys()) != set(right.keys()):
            odd = sorted(set(left.keys()) ^ set(right.keys()))
            raise ValueError(f"gradients of other weights: {len(odd)} are in one file only, {odd[0]} first")
        for name in sorted(left.keys()):
            a, b = left.get_tensor(name).double(), right.get_tensor(name).double()
            apart, size = float((a - b).norm()), float(b.norm())
            squares += apart**2
            reference += size**2
            if size > 0 and apart / size > worst:
                worst, worst_name = apart / size, name
    return Difference(math.sqrt(squares / reference), worst, worst_name)
