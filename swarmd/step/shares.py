"""How parties share a draw: the rule of `gossip/turns.py`, combined with any sampler.

Each party may enter 1.5 times as many groups as its share; the sampler picks them from the party's own
groups. From all these finalists, the sampler then picks the groups to train on. So the sampler has a choice,
and a party that writes groups to please it gains at most that factor. Among equal peers that offer equally
many groups, every group is equally likely to be drawn, as in the paper.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from protocol import PeerId
from swarmd.gossip import Party
from swarmd.gossip.turns import NEWCOMERS_SHARE_MAX, StrangersShare, allot
from swarmd.groups import ScoredGroup
from swarmd.network.interface import Standing

if TYPE_CHECKING:  # an observer draws no shares and need not load the models' libraries
    from swarmd.learning import DrawContext, GroupSampler

FINALISTS = 1.5  # per group drawn: gives the sampler a choice, and bounds what it can prefer

FINE = 100  # parts of a group, to find the even share of a draw as a fraction

Offers = Mapping[PeerId, Sequence[ScoredGroup]]
"""The groups of each peer of one party."""


class Shares:
    """Remembers between draws how much of their share held-back parties have left; the rest needs no
    memory."""

    def __init__(
        self,
        party_of: Callable[[PeerId], Party],
        met_lately: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._party_of = party_of
        self._met_lately = met_lately
        self._clock = clock
        self._strangers = StrangersShare()

    def choose(self, publishers: Sequence[str], limit: int) -> list[int]:
        """The positions of the groups to read, among all that wait (newest first), shared by party, then by
        peer."""
        waiting: defaultdict[Party, defaultdict[PeerId, list[int]]] = defaultdict(lambda: defaultdict(list))
        for position, publisher in enumerate(publishers):
            waiting[self._party(PeerId(publisher))][PeerId(publisher)].append(position)
        rng = random.Random(0)  # noqa: S311  who gets one leftover slot in a hundred does not matter
        seats = _seats(limit, {p: sum(map(len, peers.values())) for p, peers in waiting.items()}, rng)
        chosen: list[int] = []
        for party, peers in waiting.items():
            of_each = allot(seats[party], {peer: len(found) for peer, found in peers.items()}, rng)
            chosen += [position for peer, n in of_each.items() for position in peers[peer][:n]]
        return sorted(chosen)

    def draw(
        self,
        candidates: Sequence[ScoredGroup],
        wanted: int,
        sampler: GroupSampler,
        rng: random.Random,
        context: DrawContext,
    ) -> list[ScoredGroup]:
        """Draw up to `wanted` groups; fewer if held-back parties would otherwise exceed their share."""
        offers: defaultdict[Party, defaultdict[PeerId, list[ScoredGroup]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for group, weight in zip(candidates, sampler.weights(candidates, context), strict=True):
            if weight > 0:  # a group that is never drawn would take another party's seat
                publisher = PeerId(group.publisher)
                offers[self._party(publisher)][publisher].append(group)
        available = {p: sum(map(len, peers.values())) for p, peers in offers.items()}
        held_back = {party: n for party, n in available.items() if party.is_held_back}
        if held_back and self._met_lately():
            available |= allot(self._strangers.left(self._clock()), held_back, rng)
        drawn: list[ScoredGroup] = []
        for parties, count in self._classes(available, wanted, rng):
            seats = allot(math.ceil(FINALISTS * count), parties, rng)
            finalists = [
                group
                for party, n in seats.items()
                for group in _best(offers[party], n, sampler, rng, context)
            ]
            drawn += _one_by_one(finalists, count, sampler, rng, context)
        for group in drawn:
            self._strangers.took(is_held_back=self._party(PeerId(group.publisher)).is_held_back)
        return drawn

    def party_name(self, publisher: str) -> str:
        """The name of the party that `publisher` counts as."""
        return self._party(PeerId(publisher)).name

    def _party(self, peer: PeerId) -> Party:
        party = self._party_of(peer)
        if party.standing <= Standing.STRANGER and not self._met_lately():
            return Party(peer, Standing.STRANGER)  # with no other party known, each peer counts by itself
        return party

    def _classes(
        self, available: Mapping[Party, int], wanted: int, rng: random.Random
    ) -> list[tuple[Mapping[Party, int], int]]:
        """Known parties and newcomers, each with the number of groups to draw; one class if either is
        missing."""
        known = {p: n for p, n in available.items() if p.standing >= Standing.KNOWN}
        newcomers = {p: n for p, n in available.items() if p.standing < Standing.KNOWN}
        if not known or not newcomers:
            return [(available, wanted)]
        even = allot(wanted * FINE, {party: n * FINE for party, n in available.items()}, rng)
        share = min(sum(even[party] for party in newcomers) / FINE, wanted * NEWCOMERS_SHARE_MAX)
        count = int(share + rng.random())  # random rounding, right on average
        count = min(max(count, wanted - sum(known.values())), sum(newcomers.values()))
        return [(known, wanted - count), (newcomers, count)]


def _seats(limit: int, sizes: Mapping[Party, int], rng: random.Random) -> Mapping[Party, int]:
    """How many groups of each party to read. Half are reserved for known parties, and a quarter for other
    parties that are not held back, so that neither runs out of groups, however many parties there are."""
    seats = Counter[Party]()
    known = {party for party in sizes if party.standing >= Standing.KNOWN}
    free = {party for party in sizes if not party.is_held_back}
    for kept, parties in ((limit // 2, known), (limit // 4, free - known), (limit, set(sizes))):
        left = {party: sizes[party] - seats[party] for party in sizes if party in parties}
        seats.update(allot(min(kept, limit - seats.total()), left, rng))
    return seats


def _best(
    offers: Offers, count: int, sampler: GroupSampler, rng: random.Random, context: DrawContext
) -> list[ScoredGroup]:
    """`count` groups of one party, shared among its peers; of each peer, the groups that the sampler
    prefers."""
    of_each = allot(count, {peer: len(groups) for peer, groups in offers.items()}, rng)
    return [
        group for peer, n in of_each.items() if n for group in sampler.draw(offers[peer], n, rng, context)
    ]


def _one_by_one(
    finalists: Sequence[ScoredGroup],
    count: int,
    sampler: GroupSampler,
    rng: random.Random,
    context: DrawContext,
) -> list[ScoredGroup]:
    """Draw `count` groups one by one, to avoid the sampler's own limit per peer: a party with many names
    would gain most from that limit."""
    left, drawn = list(finalists), list[ScoredGroup]()
    while len(drawn) < count and (found := sampler.draw(left, 1, rng, context)):
        drawn += found
        left = [group for group in left if group is not found[0]]
    return drawn
