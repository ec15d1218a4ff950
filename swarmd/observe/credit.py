"""The part of a snapshot that says what peers' groups did for one another, measured on held-out answers."""

from __future__ import annotations

from swarmd.observe.learning import _Part


class CreditedPeer(_Part):
    """One peer, and the groups of its people or of its policy."""

    peer_id: str
    name: str
    people: bool
    """Whether these are groups that a person wrote, as their records say."""
    groups: int
    """Measured."""
    gain: float
    """Nats that a group added to the log-probability of a held-out right answer, as a mean."""


class Credit(_Part):
    """What groups did. What is measured is known; what others say about this peer's groups is their claim."""

    measured: tuple[CreditedPeer, ...] = ()
    """Others' groups, as they did here; the most measured first, 256 at most."""
    claimed: tuple[CreditedPeer, ...] = ()
    """This peer's groups, as each peer that pulled any says they did there; 256 at most."""
    taught_claimed: int = 0
    """Parties that say that this peer's policy taught them: an address group has one voice."""
    people_taught_claimed: int = 0
    """Parties that say that this peer's people taught them."""
    time_share: float | None = None
    """Share of the time since the daemon's start that measuring took, 0..1."""
