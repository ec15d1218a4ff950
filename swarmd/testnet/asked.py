"""What a testnet is asked to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

PEERS_MIN, PEERS_MAX = 2, 64
"""One peer alone is `swarmd join`. More than 64 are for `swarmd experiment`: each takes hundreds of MB."""

ATTACKERS_MAX = 8  # each sends as much as it can, and one alone takes up to a core
SECONDS_MAX = 7 * 24 * 3600.0  # a week: whoever wants more runs a swarm, not a testnet


@dataclass(frozen=True)
class Asked:
    """One run. Everything in here has been checked."""

    peers: int
    models: tuple[str, ...]
    """Given to the peers in turn."""
    settings: Mapping[str, object]
    """Of every peer, by full name such as "learning.local"; None: not given."""
    swarm: str | None
    """As --swarm names it; None: what the homes say, and starter for new ones."""
    evaluate_every: int | None
    """Of every peer, from wherever it was set; None: not set."""
    steps: int | None
    """Each peer ends after so many; None: it goes on."""
    seconds: float | None
    """The whole ends so long after all peers are up; None: it goes on."""
    chaos: bool
    attacks: tuple[str, ...]
    """The kind of each attacker."""
    seed: int
    """Of faults, of attackers' keys, and of the peers' own chance."""
    http: str | None
    """Where the observer's page is served; None: no observer."""

    def model_of(self, number: int) -> str:
        """The model of peer `number`, from 1."""
        return self.models[(number - 1) % len(self.models)]
