"""What a peer believes of its own reachability when its machine sleeps or moves to another network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network import run_simulated
from swarmd.network.address_book import AddressBook
from swarmd.network.doors import Doors
from swarmd.network.guard import Guard
from swarmd.network.interface import Reach
from swarmd.network.neighbourhood import Neighbourhood
from swarmd.network.pauses import Pauses
from swarmd.network.reach.asking import Answer, Knock, Own
from swarmd.network.reach.reachability import ASK_AGAIN_S, Reaching
from tests.network.conftest import key_of

OBSERVERS = {key_of(number).peer_id: f"/ip4/8.8.{number}.8/tcp/4001" for number in (1, 2)}


class Laptop:
    """A peer that two others can see, in simulated time."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.own = ["/ip4/192.168.1.7/tcp/4000", "/ip4/127.0.0.1/tcp/4000"]
        self.knock = Knock.OPENED
        self.asked = 0
        self.slept_s = 0.0
        guard = Guard(loop.time)
        self.pauses = Pauses(loop.time, lambda: loop.time() + self.slept_s)
        book = AddressBook(guard.relies_on, loop.time)
        self.neighbourhood = Neighbourhood(cast(Any, self), key_of(0).peer_id, [], guard, Doors(), book)
        self.reaching = Reaching(
            cast(Any, self),
            self.neighbourhood,
            guard,
            ask=self._ask,
            port=4_000,
            relays=False,
            delivered=lambda _peer: 0,
            pauses=self.pauses,
            monotonic=loop.time,
        )

    async def _ask(self, _session: object, _peer: PeerId, *_: object) -> bytes:
        self.asked += 1
        return Answer(self.knock, Own.UNKNOWN, "/ip4/9.9.9.9/tcp/4000").to_bytes()

    async def session(self) -> None:
        """What it would ask relays for a place with, as a supervisor."""
        raise NetworkError("no relays here")

    async def rounds(self, count: int = 10) -> None:
        for _ in range(count):
            await asyncio.sleep(1.0)
            self.neighbourhood._own = tuple(self.own)
            self.neighbourhood.connections = dict(OBSERVERS)
            self.pauses.look()
            await self.reaching._round(cast(Any, self))

    @property
    def state(self) -> Reach:
        return self.reaching.view().state


def moves(laptop: Laptop) -> None:
    laptop.own = ["/ip4/10.0.0.2/tcp/4000", "/ip4/127.0.0.1/tcp/4000"]


def sleeps(laptop: Laptop) -> None:
    laptop.slept_s = 3_600.0


@pytest.mark.parametrize("change", [moves, sleeps])
def test_after_a_sleep_or_in_another_network_others_are_asked_again_at_once(
    change: Callable[[Laptop], None],
) -> None:
    async def scenario() -> None:
        laptop = Laptop()
        await laptop.rounds()
        assert (laptop.state, laptop.asked) == (Reach.DIRECT, 2)
        change(laptop)
        laptop.knock = Knock.CLOSED
        await laptop.rounds()
        assert (laptop.state, laptop.asked) == (Reach.INLINE, 4)

    run_simulated(scenario())


def test_in_the_same_network_others_are_asked_again_only_after_a_while() -> None:
    async def scenario() -> None:
        laptop = Laptop()
        await laptop.rounds(int(ASK_AGAIN_S) - 10)
        assert laptop.asked == 2
        laptop.own.append("/ip4/9.9.9.9/tcp/4000")
        await laptop.rounds()
        assert laptop.asked == 2

    run_simulated(scenario())
