"""What the daemon tells gossip of itself, to be signed and published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol import Credit, PeerId


@dataclass(frozen=True)
class OwnStatus:
    """What this peer says of itself; the newest is published when the next publication is due.

    Groups are counted since the peer began, not since its process did.
    """

    addresses: tuple[str, ...]
    step: int
    phase: str
    model: str
    device: str
    reward_mean_milli: int
    groups_own: int
    groups_published: int
    groups_pulled: int
    groups_external_used: int
    agent: str
    eval_milli: int | None = None
    used: Mapping[PeerId, int] = field(default_factory=dict)
    """Publisher -> groups of it that this peer trained on. The USED_MAX largest are told."""
    credits: Sequence[Credit] = ()
    """What was measured of others' groups, the most measured first. The first CREDITS_MAX are told."""
