"""A newcomer among nodes that name the storing nodes of a key at black holes: what it finds, and when."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import pytest
from hivemind.p2p import PeerID

from protocol import PeerId, dht_id
from swarmd.network.address_book import CREDIT, AddressBook
from swarmd.network.answers import Answer
from swarmd.network.binary_addresses import write_address
from swarmd.network.dht import RPC_SECONDS
from tests.network.test_searching import LATENCY_S, NOBODY, Honest, World, name_of, placement, run

BLACK_HOLE_S = 5.0
"""Seconds that p2pd dials where somebody takes the connection and never speaks, before it looks elsewhere."""


OWN = "/ip4/9.9.9.9/tcp/4000/p2p/x"


class Newcomer(Honest):
    """Dials peers at the addresses that are named with them. `told`: whether honest nodes name any."""

    def __init__(self, world: World, *, told: bool) -> None:
        super().__init__(world)
        self.loop, self.told = asyncio.get_running_loop(), told
        self.book = AddressBook(lambda _peer: False, self.loop.time)
        self.book.located({}, [OWN])
        self.places: dict[PeerID, str] = {}
        self.linked: dict[PeerId, str] = {}
        self.blocked: dict[PeerID, float] = {}
        self.failed = 0
        self.liars: dict[PeerID, Sequence[PeerID]] = {}
        """Each with the peers that it names at black holes."""

    def place_of(self, peer: PeerID) -> str:
        return self.places.setdefault(peer, f"/ip4/8.{len(self.places)}.8.8/tcp/4001")

    async def find(self, peer: PeerID, keys: Sequence[bytes]) -> list[Answer] | None:
        if not await self._is_reached(peer):
            self.failed += 1
            await asyncio.sleep(RPC_SECONDS)
            return None
        await asyncio.sleep(self.world.rng.uniform(0.0, 2 * LATENCY_S))  # who answers first is chance
        answers = await super().find(peer, keys)
        if answers is not None:
            self.linked[name_of(peer)] = self.place_of(peer)
            self.book.located(self.linked, [OWN])
            self._note(peer, {other for answer in answers for other in answer.neighbours})
        return answers

    async def _is_reached(self, peer: PeerID) -> bool:
        name = name_of(peer)
        if addresses := self.book.to_dial(name):
            if any(address.transport == self.place_of(peer) for address in addresses):
                self.blocked.pop(peer, None)
                self.book.reached(name, addresses)
            else:
                self.book.missed(name, addresses)
                self.blocked[peer] = self.loop.time() + BLACK_HOLE_S
        return self.loop.time() >= self.blocked.get(peer, 0.0)

    def _note(self, by: PeerID, others: Iterable[PeerID]) -> None:
        for other in self.liars.get(by, others if self.told else ()):
            black_hole = f"/ip4/{self.world.rng.randrange(1, 8)}.8.{self.world.rng.randrange(256)}.8/tcp/4001"
            at = black_hole if by in self.liars else self.place_of(other)
            self.book.named(name_of(other), write_address(at), name_of(by))


def liar(world: World, honest: Sequence[Honest]) -> PeerID:
    """A node that names the honest nodes nearest to a key, and holds nothing."""
    peer = world.hostile("lies")

    async def find(keys: Sequence[bytes]) -> list[Answer]:
        def nearest(key: bytes) -> list[PeerID]:
            number = int.from_bytes(key)
            return [each.peer for each in sorted(honest, key=lambda each: each.node_id ^ number)[:NOBODY]]

        return [Answer({}, None, tuple(nearest(key))) for key in keys]

    world.at[peer] = (find, world.at[peer][1])
    return peer


@pytest.mark.parametrize("liars", [1, 4, 16])
@pytest.mark.parametrize("told", [False, True], ids=["among-older-nodes", "among-nodes-that-name-addresses"])
def test_liars_that_answer_no_sooner_than_others_hide_nothing_by_false_addresses(
    liars: int, told: bool
) -> None:
    """Each names two of the nodes that are nearest to the key, as many as it has credit for. Liars that
    answer sooner than all others can hide something for a while (decision 50).
    """
    failed = []

    async def scenario(world: World) -> None:
        honest = [Honest(world) for _ in range(40)]
        for each in honest:
            each.knows(*(other.peer for other in honest if other is not each))
        one = placement(1)
        await honest[0].searcher.hold([one])
        key = int.from_bytes(dht_id(one.key))
        nearest = sorted(honest, key=lambda each: each.node_id ^ key)
        newcomer, each_names = Newcomer(world, told=told), int(CREDIT.burst)
        newcomer.liars = {
            liar(world, honest): [each.peer for each in nearest[start : start + each_names]]
            for start in range(0, liars * each_names, each_names)
        }
        newcomer.knows(*(each.peer for each in nearest[-4:]), *newcomer.liars)
        for _ in range(4):
            assert await newcomer.searcher.entries([one.key]) == [one.value]
            await asyncio.sleep(2.0)
        failed.append(newcomer.failed)

    for seed in range(5):
        run(scenario, seed)
    assert sum(failed) > 0 or (told and liars == 4), "no false address was followed"
