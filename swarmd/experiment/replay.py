"""Own groups that are trained on more than once: the solo control that reuses what it has.

ExGRPO (arXiv 2510.02245) selects by success and entropy. This control replays any group that taught
something, least used first, and only until a round has as many groups that teach as it has own groups. The
clip of the loss bounds how far a replayed group can move the policy: its ratio is to the policy that wrote
it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import ConfigDict, JsonValue, TypeAdapter

from swarmd.groups import ScoredGroup


@dataclass
class _Kept:
    group: ScoredGroup
    uses: int


# In a list, as in `round_groups`: pydantic cannot encode a bare dataclass's bytes as base64.
_KEPT = TypeAdapter(list[_Kept], config=ConfigDict(ser_json_bytes="base64", val_json_bytes="base64"))


class Replay:
    """The groups of the last `rounds` rounds that taught and were used fewer than `uses` times."""

    def __init__(self, rounds: int, uses: int) -> None:
        self._rounds = rounds
        self._uses = uses
        self._kept: list[_Kept] = []

    def fill(self, fresh: Sequence[ScoredGroup], wanted: int, round_: int) -> tuple[ScoredGroup, ...]:
        """Return what to train on again together with this round's `fresh` groups, until `wanted` groups
        teach.

        The returned groups, and the fresh ones that teach, then count as used once more.
        """
        teaching = [group for group in fresh if group.is_informative]
        self._kept = [
            kept for kept in self._kept if kept.group.round > round_ - self._rounds and kept.uses < self._uses
        ]
        by_use = sorted(self._kept, key=lambda kept: (kept.uses, -kept.group.round))
        again = by_use[: max(0, wanted - len(teaching))]
        for kept in again:
            kept.uses += 1
        self._kept += [_Kept(group, 1) for group in teaching]
        return tuple(kept.group for kept in again)

    def to_state(self) -> JsonValue:
        """Return the state as JSON values."""
        return cast(JsonValue, _KEPT.dump_python(self._kept, mode="json"))

    def restore(self, state: JsonValue) -> None:
        """Restore what `to_state` returned. Raises pydantic.ValidationError for anything else."""
        self._kept = _KEPT.validate_json(json.dumps(state))
