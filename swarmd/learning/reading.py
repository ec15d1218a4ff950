"""How much a group makes a policy read, and how much of it others' groups may. Pure.

A row is one turn, behind everything that was said before. So a completion of n turns costs up to n times its
own length, and a publisher chooses how many completions and turns a record has, how long they are, and which
task it is of. One such record could keep a peer busy for minutes.
"""

from __future__ import annotations

TIMES_MAX = 1.5
"""What groups of others may cost in a step, on average, in what own groups cost that are trained on. Those of
like peers cost 1 on average, and a step whose draws are as costly as they can be must not take a quarter more
(`python -m benchmarks.costly_groups`)."""

OWN_WORK_UNKNOWN = 8_192.0
"""What an own group is taken to cost before there is one, or without any (`--local 0`): eight answers of a
thousand tokens."""

WIDTHS = 12
"""A token that attends to this many times the model's width of others costs twice as much: a layer of a
transformer multiplies each token by some 12 x width^2 weights, and by the width for each token that it sees
(Kaplan et al., arXiv 2001.08361, table 1)."""


def row_work(prompt: int, completion: int, width: int, *, reads_prompt: bool = True) -> float:
    """What a row costs, in tokens of a short text. `prompt` and `completion` are tokens; `width` is the
    model's. `reads_prompt`: no other row of the group has read the same prompt."""
    tokens = completion + (prompt if reads_prompt else 0)
    return tokens * (1 + (prompt + completion) / (WIDTHS * width))


def work_max(own: float | None, groups: int) -> float:
    """The most that so many groups of others may cost together. `own`: what own groups cost lately, if that
    is known."""
    return TIMES_MAX * (OWN_WORK_UNKNOWN if own is None else own) * groups
