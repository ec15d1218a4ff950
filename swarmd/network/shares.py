"""Who gives way when room runs out: the one that holds most of it. Pure; `rng` chooses among equals.

Room is shared between senders (who brought a thing here), and a sender's part of it between signers. What
counts is size divided by weight: things signed by known peers count little, so they stay longest. A new thing
takes the place of one whose sender holds more than the new thing's sender then would. Within its own sender
it takes the place of one whose signer holds more. Otherwise the new thing is refused. So a thousand names
behind one connection push out one another, and nobody is refused who holds less than another. Which thing
goes is drawn at random: nobody can choose or time it.
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
"""How much more of a room a signer's things may hold, by its standing. To be MET costs only a connection."""


@dataclass(frozen=True)
class Source:
    """Where a thing came from."""

    sender: str
    """Who brought it: the addresses it was sent from, or a peer id where they are not known."""
    signer: str
    standing: Standing = Standing.STRANGER
    """The signer's."""


OWN = Source(sender="", signer="", standing=Standing.KNOWN)
"""This peer's own things, stored by itself."""


@dataclass(frozen=True, eq=False, slots=True)
class Claim:
    """A thing that takes room."""

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
    """The claims on one room."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._senders: dict[str, _SendersPart] = {}
        self.size = 0.0
        """Of all claims together, unweighed."""

    def held_by(self, sender: str) -> float:
        """What a sender's things weigh together."""
        part = self._senders.get(sender)
        return part.held if part else 0.0

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
        """The claim that gives way to `newcomer`; None if `newcomer` itself is the one too many."""
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
