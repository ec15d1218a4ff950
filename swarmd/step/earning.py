"""What a completion earns: its score, unless it continues after its answer until it is cut off.

Text after an answer costs nothing, so a policy can learn to keep writing: generation takes longer every
round, entropy falls, and the reward shows none of it. Therefore such a text earns nothing, unless it ends by
itself. A text that is cut off directly after its answer, or has no answer, is not affected.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from swarmd.tasks.prompt import goes_on

Unended = Literal["wrong", "scored"]


def earned(reward: float, turns: Sequence[tuple[str, bool]], *, unended: Unended) -> float:
    """The reward, 0..1, of a completion that scores `reward`. `turns`: the text of each turn, and whether it
    ended by itself instead of being cut off."""
    cut_off = any(not ended and goes_on(text) for text, ended in turns)
    return 0.0 if unended == "wrong" and cut_off else reward
