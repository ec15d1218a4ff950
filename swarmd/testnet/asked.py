"""What a testnet was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PEERS_MIN, PEERS_MAX = 2, 64
"""One peer alone is `swarmd join`. For more than 64 use `swarmd experiment`: each daemon takes hundreds of
MB.
"""

ATTACKERS_MAX = 8  # each sends as much as it can, and one alone uses up to a core
SECONDS_MAX = 7 * 24 * 3600.0  # a week: anything longer should be a real swarm


@dataclass(frozen=True)
class Asked:
    """One run. Every value has been checked."""

    peers: int
    models: tuple[str, ...]
    """Assigned to the peers in turn."""
    settings: Mapping[str, object]
    """Settings of every peer, by full name such as "learning.local"; None: not given."""
    swarm: str | None
    """As --swarm names it; None: the homes' swarm, or starter for new homes."""
    evaluate_every: int | None
    """Of every peer, however it was set; None: not set."""
    steps: int | None
    """Steps after which each peer ends; None: no limit."""
    seconds: float | None
    """Seconds after which the run ends, counted once all peers are up; None: no limit."""
    chaos: bool
    attacks: tuple[str, ...]
    """The kind of each attacker."""
    seed: int
    """Seed of faults, of attackers' keys, and of the peers' own randomness."""
    http: str | None
    """Where the observer's page is served; None: no observer."""

    def model_of(self, number: int) -> str:
        """The model of peer `number`, from 1."""
        return self.models[(number - 1) % len(self.models)]
