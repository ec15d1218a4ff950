"""What the daemon reports about this peer, for gossip to sign and publish."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from protocol import Credit, PeerId


@dataclass(frozen=True)
class OwnStatus:
    """This peer's report about itself. The newest one is published when the next publication is due.

    Groups are counted since the peer began, not since its process started.
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
    """Publisher -> number of its groups that this peer trained on. The USED_MAX largest are published."""
    credits: Sequence[Credit] = ()
    """Measured effects of other peers' groups, most measured first. The first CREDITS_MAX are published."""
