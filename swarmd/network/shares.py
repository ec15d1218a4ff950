"""Decides what to evict when a store is full: something of whoever holds most. Pure; `rng` breaks ties.

Room is shared between senders (who delivered an entry here), and each sender's part between signers. What
counts is size divided by weight. Entries signed by known peers weigh little, so they stay longest. A new
entry replaces one whose sender holds more than the new entry's sender would. Within the same sender, it
replaces one whose signer holds more. Otherwise the new entry is refused. A thousand names behind one
connection therefore evict one another, and a sender is never refused in favour of one that holds more. The
evicted entry is drawn at random, so nobody can choose it or time the eviction.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from swarmd.network.interface import Standing

WEIGHTS: Mapping[Standing, float] = {
    Standing.BANNED: 0.25,
    Standing.STRANGER: 1.0,
    Standing.MET: 2.0,
    Standing.KNOWN: 16.0,
}
"""How much more room a signer's entries can take, by its standing. Becoming MET costs only a connection."""


@dataclass(frozen=True)
class Source:
    """Where an entry came from."""

    sender: str
    """Who delivered it: its address group, or a peer id if the address is unknown."""
    signer: str
    standing: Standing = Standing.STRANGER
    """The standing of the signer."""


OWN = Source(sender="", signer="", standing=Standing.KNOWN)
"""This peer's own entries, stored by itself."""


@dataclass(frozen=True, eq=False, slots=True)
class Claim:
    """An entry that takes room."""

    source: Source
    size: float
    place: tuple[bytes, bytes | None]
    """Its DHT key and subkey."""

    @property
    def weighed(self) -> float:
        return self.size / WEIGHTS[self.source.standing]


@dataclass
class _Part:
    held: float = 0.0
    claims: dict[Claim, None] = field(default_factory=dict)


@dataclass
class _SendersPart:
    held: float = 0.0
    signers: dict[str, _Part] = field(default_factory=dict)


class Shares:
    """The claims on one store."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._senders: dict[str, _SendersPart] = {}
        self.size = 0.0
        """The unweighted size of all claims."""

    def held_by(self, sender: str) -> float:
        """Return the total weighed size of a sender's entries."""
        part = self._senders.get(sender)
        return part.held if part else 0.0

    def of(self, sender: str) -> list[Claim]:
        """Return all claims of a sender."""
        part = self._senders.get(sender, _SendersPart())
        return [claim for signer in part.signers.values() for claim in signer.claims]

    def add(self, claim: Claim) -> None:
        sender = self._senders.setdefault(claim.source.sender, _SendersPart())
        signer = sender.signers.setdefault(claim.source.signer, _Part())
        signer.claims[claim] = None
        signer.held += claim.weighed
        sender.held += claim.weighed
        self.size += claim.size

    def remove(self, claim: Claim) -> None:
        sender = self._senders[claim.source.sender]
        signer = sender.signers[claim.source.signer]
        del signer.claims[claim]
        signer.held -= claim.weighed
        sender.held -= claim.weighed
        self.size -= claim.size
        if not signer.claims:
            del sender.signers[claim.source.signer]
        if not sender.signers:
            del self._senders[claim.source.sender]

    def victim_for(self, newcomer: Claim) -> Claim | None:
        """Return the claim to evict for `newcomer`, or None if `newcomer` must be refused."""
        if not self._senders:
            return None
        own = self._senders.get(newcomer.source.sender, _SendersPart())
        largest = max(self._senders.values(), key=lambda part: part.held)
        if largest is own or own.held + newcomer.weighed >= largest.held:
            largest = own
        if not largest.signers:
            return None
        most = max(part.held for part in largest.signers.values())
        if largest is own:
            same = own.signers.get(newcomer.source.signer, _Part())
            if same.held + newcomer.weighed >= most:
                return None
        signer = self._rng.choice([part for part in largest.signers.values() if part.held == most])
        return self._rng.choice(list(signer.claims))
