"""Takes announcements from the three ways in which a peer learns of them: keys that it read, announcements
that others store at it, and publishers that it asked.

All of them become candidates under the same limits. A publisher is asked once it has delivered, which is a
turn that it was given; nothing that a peer sends unasked leads to a question.
"""

from __future__ import annotations

from protocol import PeerId, VerifiedAnnouncement
from swarmd.gossip.commands import AskPublisher, Command, Verify
from swarmd.gossip.contacts import Contacts
from swarmd.gossip.intake import Intake
from swarmd.gossip.pulling import Puller
from swarmd.gossip.reading import Reader
from swarmd.gossip.shards import ShardCount

TOLD_PART = 1 / 2
"""Of the candidates wanted are searched for in the DHT while publishers that are asked have others."""


class Finding:
    """Passes announcements on. It decides neither what is read (`reading.py`) nor what is pulled."""

    def __init__(
        self,
        intake: Intake,
        reader: Reader,
        contacts: Contacts,
        puller: Puller,
        shards: ShardCount,
    ) -> None:
        self._intake = intake
        self._reader = reader
        self._contacts = contacts
        self._puller = puller
        self._shards = shards

    def missing(self, now: float) -> int:
        """Return how many candidates to search the DHT for. They are fewer while publishers that are asked
        have others, but no fewer parties can then end the search.
        """
        return self._missing(now, TOLD_PART if self._puller.visits.helped_lately(now) else 1.0)

    def read(self, envelopes: tuple[bytes, ...], now: float, *, failed: bool = False) -> None:
        """Process the answer to a read, or its failure."""
        contacts = set(self._contacts.vouching(now))
        new, loads = self._intake.read(
            envelopes, self._reader.topics_read(), now, lambda peer: peer in contacts
        )
        for load in () if failed else loads.values():
            self._shards.observe(load)
        for announced in new:
            if announced.publisher in contacts:
                self._contacts.announced(announced)
        self._reader.answered(self._puller.offer_all(new, now), now, failed=failed)

    def held(self, envelope: bytes, now: float) -> None:
        """Process an announcement that another peer stored here; this peer need not search for it."""
        if (announced := self._intake.held(envelope, now)) is not None:
            self._note([announced], now)
            self._puller.offer_all([announced], now)

    def told(self, publisher: PeerId, envelopes: tuple[bytes, ...], now: float) -> None:
        """Process the announcements that a publisher has of its own."""
        announced = self._intake.told(envelopes, publisher, now)
        self._note(announced, now)
        self._puller.visits.told(self._puller.offer_all(announced, now, told=True), now)

    def to_ask(self, arrived: list[Command], now: float) -> list[Command]:
        """Return what to ask the publishers of bodies that arrived over their own connections."""
        visits = self._puller.visits
        publishers = [command.record.publisher for command in arrived if isinstance(command, Verify)]
        return [
            AskPublisher(publisher)
            for publisher in publishers
            if (visits.drawn_as(publisher, now) or self._missing(now) > 0) and visits.ask(publisher, now)
        ]

    def _missing(self, now: float, part: float = 1.0) -> int:
        return self._puller.missing(self._contacts.size(now) - 1, now, part=part)

    def _note(self, announced: list[VerifiedAnnouncement], now: float) -> None:
        for each in announced:
            if self._contacts.is_contact(each.publisher, now):
                self._contacts.announced(each)
