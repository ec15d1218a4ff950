"""How much reading a group costs a policy, and how much external groups may cost. Pure.

A row is one turn together with everything before it. So a completion of n turns costs up to n times its own
length, and the publisher chooses a record's task, its number of completions and turns, and their length. A
single such record could keep a peer busy for minutes.
"""

from __future__ import annotations

TIMES_MAX = 1.5
"""The average cost per external group in a step, relative to own groups that are trained on. Groups by
similar peers average 1, and even the costliest possible draw must add at most a quarter to a step (`python -m
benchmarks.costly_groups`)."""

OWN_WORK_UNKNOWN = 8_192.0
"""The assumed cost of an own group before there is one, or if there are none (`--local 0`): eight answers of
a thousand tokens."""

WIDTHS = 12
"""A token that attends to this many times the model's width of other tokens costs twice as much: a
transformer layer multiplies each token by some 12 x width^2 weights, and by the width for each token it
attends to (Kaplan et al., arXiv 2001.08361, table 1)."""


def row_work(prompt: int, completion: int, width: int, *, reads_prompt: bool = True) -> float:
    """The cost of a row, in tokens of a short text. `prompt` and `completion` are numbers of tokens; `width`
    is the model's. `reads_prompt`: whether the prompt is computed for this row too, instead of shared with an
    earlier one."""
    tokens = completion + (prompt if reads_prompt else 0)
    return tokens * (1 + (prompt + completion) / (WIDTHS * width))


def work_max(own: float | None, groups: int) -> float:
    """The most that `groups` external groups may cost together. `own`: the recent cost of an own group, if
    known."""
    return TIMES_MAX * (OWN_WORK_UNKNOWN if own is None else own) * groups
