"""What a completion earns: its score, unless it goes on behind its answer until it is cut off.

What stands behind an answer costs nothing, so a policy may learn to write on and on: generating takes longer
each round, entropy falls, and reward shows nothing of it. So such a text earns nothing, and one that ends
does. A text that is cut off right at its answer, or has none, is not concerned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from swarmd.tasks.prompt import goes_on

Unended = Literal["wrong", "scored"]


def earned(reward: float, turns: Sequence[tuple[str, bool]], *, unended: Unended) -> float:
    """The reward of a completion, 0..1, if it scores `reward`. `turns`: the text of each, and whether it
    ended instead of being cut off."""
    cut_off = any(not ended and goes_on(text) for text, ended in turns)
    return 0.0 if unended == "wrong" and cut_off else reward
