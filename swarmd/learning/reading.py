"""How much text a group makes a policy read, and groups of others that make it read too much. Pure.

A row is one turn, behind everything that was said before. So a completion of n turns costs up to n times its
own length, and a publisher chooses how many completions and turns a record has and which task it is of. One
such record could keep a peer busy for minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from swarmd.groups import ScoredCompletion, ScoredGroup

TIMES_MAX = 4.0
"""What a group of others may cost in own groups' cost. Tasks of one swarm differ, a little more than twofold
in those that come with swarmd; and a quarter of the draws, which strangers can get, must not fill a step."""

OWN_BYTES_UNKNOWN = 8_192.0
"""What an own group is taken to cost before there is one, or without any (`--local 0`): eight answers of some
hundred tokens behind a question of two screens."""


def bytes_read(group: ScoredGroup, turns: int | None = None) -> int:
    """UTF-8 bytes read in order to train on the first `turns` turns of each completion, or on all.

    The prompt of the first turns is read once. Each later turn has a prompt of its own.
    """
    question = len(group.question.encode())
    total = question
    for completion in group.completions:
        said = question
        for place, turn in enumerate(completion.turns[:turns]):
            written = len(turn.text.encode())
            total += written + (said if place else 0)
            said += written + len(turn.observation.encode())
    return total


def shortened(groups: Sequence[ScoredGroup], own_bytes: float | None) -> list[ScoredGroup]:
    """The groups, each with as many turns as cost `TIMES_MAX` times `own_bytes` at most, and at least one.

    `own_bytes`: what own groups cost lately, if that is known. Rewards are still those of the whole
    completions. One turn of each is always left: of each, no more is trained on than this policy may write
    itself, and a record has 64 at most. Images count nothing here.
    """
    most = TIMES_MAX * (OWN_BYTES_UNKNOWN if own_bytes is None else own_bytes)
    return [_shortened(group, most) for group in groups]


def _shortened(group: ScoredGroup, most: float) -> ScoredGroup:
    longest = max(len(completion.turns) for completion in group.completions)
    kept = longest
    while kept > 1 and bytes_read(group, kept) > most:
        kept -= 1
    if kept == longest:
        return group
    return replace(group, completions=tuple(_first(completion, kept) for completion in group.completions))


def _first(completion: ScoredCompletion, turns: int) -> ScoredCompletion:
    """The completion without the turns after these."""
    kept = completion.turns[:turns]
    return ScoredCompletion.from_turns(kept, completion.reward, bare=completion.bare)
