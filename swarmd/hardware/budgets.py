"""Limits how much work goes through the model at once, and reduces the limit if memory runs out.

After a shortage, the budget is halved and the same work is repeated in smaller parts. The smaller budget
stays in force for this process and, through `remember`, for the next start. The last attempt before giving up
also recomputes activations.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import structlog

from swarmd.errors import OutOfMemoryError
from swarmd.hardware.shortage import Shortage

SHORTAGES_IN_A_ROW_MAX = 3  # an eighth of the work by then: if that does not fit, the batch is not the cause
DECODE_TOKENS = 131_072  # without a plan: 1.6 GB of bfloat16 cache at 0.5 B parameters
TRAIN_TOKENS = 16_384  # without a plan: what one large GPU can hold with a small model

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
    """Limits for one pass through the model. A single completion is always allowed."""

    decode_tokens: int = DECODE_TOKENS
    """rows * (prompt + new tokens) decoded at once"""
    train_tokens: int = TRAIN_TOKENS
    """packed tokens (each prompt once, then its distinct completions) in one micro-batch"""
    gradient_checkpointing: bool = False
    """Keep only each layer's input, and recompute the rest in the backward pass."""


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
    """The budgets in force. Work that ran out of memory is reported here before it is retried.

    `remember` receives the budgets that a shortage reduced, with `UNLIMITED` for a kind of work that never
    ran short: a budget limited only by today's work must not limit tomorrow's. Not thread-safe: it belongs to
    the model thread.
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
        """Record that memory ran out with a batch of `largest` tokens. Returns the new, smaller budget, and
        remembers it.

        Raises OutOfMemoryError, naming what to reduce, if this happened too often without any work done.
        """
        self._in_a_row[kind] += 1
        doing = _DOING[kind]
        if self._in_a_row[kind] >= SHORTAGES_IN_A_ROW_MAX:
            raise OutOfMemoryError(
                f"memory ran out {SHORTAGES_IN_A_ROW_MAX} times in a row while {doing}, most recently with "
                f"{largest} tokens at once{self._twice(kind)} ({shortage.why}): try {_REMEDIES[kind]}, "
                f"{self._remedy}a smaller --model, or a higher --memory-limit"
            )
        # A budget may be far above what the work needed, so halve the size that was actually used.
        in_force = self.budgets.decode_tokens if kind == "decode_tokens" else self.budgets.train_tokens
        smaller = max(1, min(in_force, largest) // 2)
        last_try = self._in_a_row[kind] + 1 == SHORTAGES_IN_A_ROW_MAX
        self.budgets = _with(self.budgets, kind, smaller, last_try)
        self._found = _with(self._found, kind, smaller, last_try)
        log.warning(
            f"memory ran out while {doing} ({shortage.why}): retrying with {smaller} tokens at once instead "
            f"of {largest}{self._twice(kind)}, and keeping that limit"
        )
        self._remember(self._found)
        return smaller

    def _twice(self, kind: Kind) -> str:
        return AND_TWICE if kind == "train_tokens" and self.budgets.gradient_checkpointing else ""

    def done(self, kind: Kind) -> None:
        """Record that work of this kind succeeded, so the next shortage counts as the first."""
        self._in_a_row[kind] = 0
