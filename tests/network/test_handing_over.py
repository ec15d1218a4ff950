"""What a peer gives to a newcomer in the DHT: everything, at a pace that is no flood."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from hivemind.dht.routing import DHTID
from hivemind.p2p import PeerID

from swarmd.network import handing_over
from swarmd.network.handing_over import AGAIN_S, HAND_OVER_S, HANDED_AT_ONCE, HANDED_MAX, HandingOver, Packed
from swarmd.network.messages import STORE_BYTES_MAX
from tests.gossip.making import key

MESSAGES = HANDED_AT_ONCE + 3
NEWCOMER = PeerID.from_base58(key(1).peer_id)
OTHER = PeerID.from_base58(key(2).peer_id)


class Hands:
    """A peer with a full shelf that is nearest to all its keys. It sleeps in no time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, held_messages: int = MESSAGES) -> None:
        self.now = 0.0
        self.given: list[PeerID] = []
        self.waits = 0
        self.done = asyncio.Event()
        sleep = asyncio.sleep

        async def counted(seconds: float) -> None:
            self.waits += seconds == HAND_OVER_S
            await sleep(0)

        monkeypatch.setattr(handing_over.asyncio, "sleep", counted)
        held = SimpleNamespace(value=bytes(STORE_BYTES_MAX), expires=1e9)
        shelf: Any = SimpleNamespace(
            held_keys=lambda: [bytes([index]) * 20 for index in range(held_messages)],
            plain=lambda _name, _now: held,
            entries=lambda _name, _now: {},
        )
        table: Any = SimpleNamespace(get_nearest_neighbors=lambda *_, **__: [])
        self.over = HandingOver(DHTID(0), table, shelf, lambda: 0.0, self.store, lambda: self.now)

    async def store(self, newcomer: PeerID, batch: Sequence[Packed]) -> bool:
        self.given.append(newcomer)
        if len(self.given) % MESSAGES == 0:
            self.done.set()
        return True

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.over.run())
            yield
            task.cancel()

    async def give(self) -> int:
        """Let one newcomer be served. Returns how many messages had to wait."""
        self.done.clear()
        before = self.waits
        async with asyncio.timeout(10):
            await self.done.wait()
        return self.waits - before


async def test_a_newcomer_gets_some_at_once_and_the_rest_at_a_pace(monkeypatch):
    hands = Hands(monkeypatch)
    hands.over.met(NEWCOMER)
    async with hands.serving():
        assert await hands.give() == MESSAGES - HANDED_AT_ONCE
        assert hands.given == [NEWCOMER] * MESSAGES


async def test_one_that_is_met_again_soon_is_given_nothing_at_once(monkeypatch):
    """A table forgets a peer and meets it again while it starts: burst upon burst would be a flood."""
    hands = Hands(monkeypatch)
    async with hands.serving():
        hands.over.met(NEWCOMER)
        await hands.give()
        hands.now += AGAIN_S - 1
        hands.over.met(NEWCOMER)
        assert await hands.give() == MESSAGES
        hands.over.met(OTHER)
        assert await hands.give() == MESSAGES - HANDED_AT_ONCE, "the burst of one is not that of another"
        hands.now += 1
        hands.over.met(NEWCOMER)
        assert await hands.give() == MESSAGES - HANDED_AT_ONCE


async def test_one_that_is_met_again_while_it_waits_is_served_once(monkeypatch):
    hands = Hands(monkeypatch)
    for _ in range(5):
        hands.over.met(NEWCOMER)
    hands.over.met(OTHER)
    async with hands.serving():
        await hands.give()
        await hands.give()
        assert hands.given == [NEWCOMER] * MESSAGES + [OTHER] * MESSAGES


async def test_one_newcomer_holds_up_the_others_for_a_bounded_time(monkeypatch):
    hands = Hands(monkeypatch, held_messages=HANDED_MAX + 20)
    hands.over.met(NEWCOMER)
    hands.over.met(OTHER)
    async with hands.serving():
        while OTHER not in hands.given:
            await hands.give()
        assert hands.given.count(NEWCOMER) == HANDED_MAX
