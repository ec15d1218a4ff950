"""Eight storing peers that say yes and hold nothing, say no, or take almost as long as anybody waits.

Each is a p2pd with a place in the routing tables, next to many of the keys that the honest pair uses. What
they should hold is stored with the honest ones as well, so that groups must go on being exchanged.
"""

from __future__ import annotations

import asyncio
import random
from functools import partial

from hivemind.p2p import PeerID
from hivemind.proto import dht_pb2

from tests.hostile.attacker import FIND, STORE, Attacker, node_id, paced
from tests.hostile.figures import Figure, at_least
from tests.hostile.scene import Attack, Counts, Evidence, Scene
from tests.hostile.verdicts import exchanges

SLOW_S = 1.3
"""Just below what a daemon waits for an answer."""

NOBODY = 20
"""Peers that do not exist, named as nearest in each answer."""


def judge(evidence: Evidence) -> tuple[Figure, ...]:
    return (*exchanges(evidence), at_least("messages answered", evidence.did["answered"], 10))


async def hold_nothing(count: int, ways: tuple[str, ...], scene: Scene) -> Counts:
    holders = [await scene.attacker(number) for number in range(count)]
    for index, holder in enumerate(holders):
        await _behave(holder, ways[index % len(ways)], random.Random(index))
    scene.begin()
    async for _ in paced(0.5, scene.until, 1_000):
        for holder in holders:
            for target in scene.targets:
                await holder.enter(target)
    return {"answered": sum(holder.asked for holder in holders)}


async def _behave(holder: Attacker, way: str, rng: random.Random) -> None:
    async def refuse(data: bytes, _sender: PeerID) -> bytes:
        count = len(dht_pb2.StoreRequest.FromString(data).keys)
        return bytes(
            dht_pb2.StoreResponse(store_ok=[False] * count, peer=holder.node_info).SerializeToString()
        )

    async def find_slowly(data: bytes, sender: PeerID) -> bytes:
        await asyncio.sleep(SLOW_S)
        return await holder.polite_find(data, sender)

    async def store_slowly(data: bytes, sender: PeerID) -> bytes:
        await asyncio.sleep(SLOW_S)
        return await holder.polite_store(data, sender)

    async def name_nobody(data: bytes, _sender: PeerID) -> bytes:
        """Sends the search on to peers that do not exist."""
        nobody = [PeerID(b"\x00$\x08\x01\x12 " + rng.randbytes(32)) for _ in range(NOBODY)]
        result = dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND,
            nearest_node_ids=[node_id(peer) for peer in nobody],
            nearest_peer_ids=[peer.to_bytes() for peer in nobody],
        )
        count = len(dht_pb2.FindRequest.FromString(data).keys)
        answer = dht_pb2.FindResponse(results=[result] * count, peer=holder.node_info)
        return bytes(answer.SerializeToString())

    match way:
        case "refuses":
            await holder.answer(STORE, refuse)
        case "slow":
            await holder.answer(FIND, find_slowly)
            await holder.answer(STORE, store_slowly)
        case "nobody":
            await holder.answer(FIND, name_nobody)
        case _:  # "lies": polite, and holds nothing
            return


ATTACKS = (
    Attack(
        "holders-3",
        "a storing peer that lies, one that is slow, one that names peers who do not exist",
        partial(hold_nothing, 3, ("lies", "slow", "nobody")),
        judge,
    ),
    Attack(
        "holders-8",
        "eight of them, those that refuse too",
        partial(hold_nothing, 8, ("lies", "slow", "nobody", "refuses")),
        judge,
        by_default=False,
    ),
    Attack(
        "holders-hungry",
        "eight of them, steps that ask for more than the other peer publishes",
        partial(hold_nothing, 8, ("lies", "slow", "nobody", "refuses")),
        judge,
        options=("--external", "6"),
        by_default=False,
    ),
)
