"""How much work goes through the model at once, and what happens when it was too much.

A budget is halved when memory did not suffice, the same work is done again in smaller parts, and the smaller
budget stays: for this process, and through `remember` for the next start. The last try before giving up
computes activations twice, too.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from swarmd.errors import ModelError
from swarmd.hardware.shortage import Shortage

SHORTAGES_IN_A_ROW_MAX = 3  # an eighth of the work at once: what does not fit then is not the batch
DECODE_TOKENS = 131_072  # without a plan: 1.6 GB of bfloat16 cache at 0.5 B parameters
TRAIN_TOKENS = 16_384  # without a plan: what one large GPU takes of a small model

Kind = Literal["decode_tokens", "train_tokens"]

_DOING = {"decode_tokens": "generating", "train_tokens": "training"}
_REMEDIES = {
    "decode_tokens": "--group-size or --local smaller, or --max-new-tokens smaller",
    "train_tokens": "--max-new-tokens smaller",
}

AND_TWICE = " and activations computed twice (gradient checkpointing)"

log = structlog.get_logger()


@dataclass(frozen=True)
class Budgets:
    """Bounds of one pass through the model. A single completion goes through whatever they say."""

    decode_tokens: int = DECODE_TOKENS
    """rows * (prompt + new tokens) decoded together."""
    train_tokens: int = TRAIN_TOKENS
    """Packed tokens (a prompt once, then its different completions) in one micro-batch."""
    gradient_checkpointing: bool = False
    """Keep a layer's input only and compute the rest again in the backward pass."""


UNPLANNED = Budgets()
UNLIMITED = Budgets(decode_tokens=2**62, train_tokens=2**62)


def _with(budgets: Budgets, kind: Kind, tokens: int, last_try: bool) -> Budgets:
    if kind == "decode_tokens":
        return dataclasses.replace(budgets, decode_tokens=tokens)
    recompute = budgets.gradient_checkpointing or last_try
    return dataclasses.replace(budgets, train_tokens=tokens, gradient_checkpointing=recompute)


def _forget(_: Budgets) -> None:
    return


class BudgetKeeper:
    """The budgets in force. Work that failed for lack of memory is told here before it is tried again.

    `remember` receives what memory did not suffice for, and `UNLIMITED` for what never ran short: a budget
    that today's work bounds is none for tomorrow's.
    Not thread-safe: it belongs to the thread of the model.
    """

    def __init__(
        self, budgets: Budgets, *, remedy: str = "", remember: Callable[[Budgets], None] = _forget
    ) -> None:
        self.budgets = budgets
        self._remedy = remedy
        self._remember = remember
        self._found = UNLIMITED
        self._in_a_row: Counter[Kind] = Counter()

    def short(self, kind: Kind, largest: int, shortage: Shortage) -> int:
        """Memory ran out over a batch of `largest` tokens: the new, smaller budget, remembered.

        Raises ModelError, with what to set smaller, when this happened too often without any work done.
        """
        self._in_a_row[kind] += 1
        doing = _DOING[kind]
        if self._in_a_row[kind] >= SHORTAGES_IN_A_ROW_MAX:
            raise ModelError(
                f"memory ran out {SHORTAGES_IN_A_ROW_MAX} times in a row while {doing}, at last with "
                f"{largest} tokens at once{self._twice(kind)} ({shortage.why}): try {_REMEDIES[kind]}, "
                f"{self._remedy}a smaller --model, or a higher --memory-limit"
            )
        # A budget may be far above what the work needed: halve what was really tried.
        in_force = self.budgets.decode_tokens if kind == "decode_tokens" else self.budgets.train_tokens
        smaller = max(1, min(in_force, largest) // 2)
        last_try = self._in_a_row[kind] + 1 == SHORTAGES_IN_A_ROW_MAX
        self.budgets = _with(self.budgets, kind, smaller, last_try)
        self._found = _with(self._found, kind, smaller, last_try)
        log.warning(
            f"memory ran out while {doing} ({shortage.why}): doing the same again with {smaller} tokens at "
            f"once in place of {largest}{self._twice(kind)}, and keeping to it"
        )
        self._remember(self._found)
        return smaller

    def _twice(self, kind: Kind) -> str:
        return AND_TWICE if kind == "train_tokens" and self.budgets.gradient_checkpointing else ""

    def done(self, kind: Kind) -> None:
        """Work of this kind went through: the next shortage is the first of a new row."""
        self._in_a_row[kind] = 0
