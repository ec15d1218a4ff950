"""The cases: model, number of completions, their length, dtype, and how completions end.

"16x64" is 16 completions of at most 64 new tokens, in groups of GROUP_SIZE_MAX or fewer.

fixed    the end-of-sequence token is one that the model never writes, so every completion has full length in
         all three trainers, and none of them needs to suppress anything
natural  the model's own end token; an invented one for random weights (`models.MADE_UP_END_SHARE`)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Lengths = Literal["fixed", "natural"]
DType = Literal["float32", "bfloat16"]

GROUP_SIZE_MAX = 8  # the paper's G

EMBEDDED, SMOLLM2, QWEN = "embedded", "smollm2-135m", "qwen2.5-0.5b"
PRESETS = {EMBEDDED: "starter", SMOLLM2: "sapo", QWEN: "sapo"}
"""The swarm that a model's questions come from. The embedded model only knows the starter swarm's short
tasks.
"""


@dataclass(frozen=True)
class Case:
    """One comparison."""

    model: str
    completions: int
    new_tokens: int
    dtype: DType
    lengths: Lengths
    device: str = "cpu"
    timed_steps: int = 1
    """Steps timed per process, after one warm-up step; more if a step takes a fraction of a second."""

    @property
    def name(self) -> str:
        """For example "smollm2-135m 8x64 bfloat16 fixed"."""
        device = [] if self.device == "cpu" else [self.device]
        size = f"{self.completions}x{self.new_tokens}"
        return " ".join([self.model, size, self.dtype, self.lengths, *device])

    @property
    def group_size(self) -> int:
        return min(self.completions, GROUP_SIZE_MAX)

    @property
    def groups(self) -> int:
        return self.completions // self.group_size

    @property
    def preset(self) -> str:
        """The swarm preset whose questions are asked."""
        return PRESETS[self.model]


def cases_on(device: str) -> list[Case]:
    """Return the cases for the CPU, or for an accelerator such as "cuda"."""
    lengths: tuple[Lengths, ...] = ("fixed", "natural")
    if device != "cpu":
        sizes = [(SMOLLM2, 64, 256), (QWEN, 64, 256)]
        return [
            Case(model, rows, tokens, "bfloat16", ends, device, timed_steps=2)
            for model, rows, tokens in sizes
            for ends in lengths
        ]
    dtypes: tuple[DType, ...] = ("float32", "bfloat16")
    # The second size is a typical step in the starter swarm: many short answers to longer questions.
    embedded = [
        Case(EMBEDDED, rows, tokens, "float32", ends, timed_steps=3)
        for rows, tokens in [(16, 64), (64, 12)]
        for ends in lengths
    ]
    larger = [(SMOLLM2, 8, 64), (QWEN, 4, 32)]
    return embedded + [
        Case(model, rows, tokens, dtype, ends)
        for model, rows, tokens in larger
        for dtype in dtypes
        for ends in lengths
    ]


def matching(cases: Sequence[Case], words: Sequence[str]) -> list[Case]:
    """Return the cases whose name contains all words of any entry of `words` ("smollm2 fixed"); all if it is
    empty.
    """
    if not words:
        return list(cases)
    return [case for case in cases if any(all(w in case.name for w in wish.split()) for wish in words)]
