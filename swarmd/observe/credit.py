"""The part of a snapshot that says what peers' groups did for one another, measured on held-out answers."""

from __future__ import annotations

from swarmd.observe.learning import _Part


class CreditedPeer(_Part):
    """One peer, and the groups of its people or of its policy."""

    peer_id: str
    name: str
    people: bool
    """Whether a person wrote these groups, as their records say."""
    groups: int
    """Number of groups measured."""
    gain: float
    """Mean number of nats that a group added to the log-probability of a held-out right answer."""


class Credit(_Part):
    """What groups did. Measurements are this peer's own; what others say about this peer's groups is their
    claim.
    """

    measured: tuple[CreditedPeer, ...] = ()
    """External groups, as measured here; most measured first, at most 256."""
    claimed: tuple[CreditedPeer, ...] = ()
    """This peer's groups, as measured by each peer that pulled any; at most 256."""
    taught_claimed: int = 0
    """Parties that say that this peer's policy taught them: an address group counts once."""
    people_taught_claimed: int = 0
    """Parties that say that this peer's people taught them."""
    time_share: float | None = None
    """Share of the time since the daemon's start spent on measuring, 0..1."""
