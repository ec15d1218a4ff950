"""How often a peer walks the DHT to meet new neighbours, in simulated time."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from swarmd.addresses import parse_peer_address
from swarmd.errors import NetworkError
from swarmd.network.address_book import AddressBook
from swarmd.network.doors import Doors
from swarmd.network.guard import Guard
from swarmd.network.interface import NetworkClosedError
from swarmd.network.neighbourhood import (
    LOOK_AROUND_MANY_S,
    LOOK_AROUND_S,
    MANY,
    REFRESH_S,
    Neighbourhood,
    look_around_s,
)
from swarmd.network.simulation import run_simulated
from tests.gossip.making import key

ADDRESSES = [f"/ip4/10.0.0.{number}/tcp/4001/p2p/{key(number).peer_id}" for number in range(1, MANY + 2)]


@dataclass
class FakeSession:
    """A p2pd with so many connections, which notes when it was asked to walk."""

    connected: int
    fails: bool = False
    walks: list[float] = field(default_factory=list)

    async def own_addresses(self) -> list[str]:
        return []

    async def connections(self) -> list[str]:
        return ADDRESSES[: self.connected]

    async def look_around(self) -> None:
        self.walks.append(asyncio.get_running_loop().time())
        if self.fails:
            raise NetworkError("nobody answers")

    async def dial(self, address: Any) -> None:
        pass

    async def greet(self, peer: Any) -> float:
        return 0.0

    def forgive(self) -> None:
        pass


@dataclass
class FakeSupervisor:
    """Gives the session until the network is closed."""

    current: FakeSession
    closed: bool = False

    async def session(self) -> FakeSession:
        if self.closed:
            raise NetworkClosedError("closed")
        return self.current


def neighbourhood_of(session: FakeSession) -> tuple[Neighbourhood, FakeSupervisor]:
    loop, supervisor = asyncio.get_running_loop(), FakeSupervisor(session)
    guard = Guard(loop.time)
    book = AddressBook(guard.relies_on, loop.time)
    found = Neighbourhood(cast(Any, supervisor), key(0).peer_id, (), guard, Doors(), book)
    found._now = loop.time
    return found, supervisor


def walks_in(seconds: float, session: FakeSession) -> list[float]:
    """The times between its walks."""

    async def scenario() -> None:
        neighbourhood, supervisor = neighbourhood_of(session)
        async with asyncio.TaskGroup() as group:
            group.create_task(neighbourhood.keep_refreshed())
            await asyncio.sleep(seconds)
            supervisor.closed = True

    run_simulated(scenario())
    return [later - earlier for earlier, later in itertools.pairwise(session.walks)]


def test_a_peer_with_many_connections_walks_less_often() -> None:
    assert [look_around_s(connections) for connections in (0, 1, MANY - 1)] == [LOOK_AROUND_S] * 3
    assert [look_around_s(connections) for connections in (MANY, 10 * MANY)] == [LOOK_AROUND_MANY_S] * 2
    assert LOOK_AROUND_S < LOOK_AROUND_MANY_S


@pytest.mark.parametrize("connected", [1, MANY - 1, MANY, MANY + 1])
@pytest.mark.parametrize("fails", [False, True], ids=["walks succeed", "walks fail"])
def test_walks_begin_with_the_first_look_and_then_keep_their_pace(connected: int, fails: bool) -> None:
    session = FakeSession(connected, fails)
    between = walks_in(4 * LOOK_AROUND_MANY_S + 2 * REFRESH_S, session)
    assert session.walks[0] == REFRESH_S
    assert between
    assert set(between) == {look_around_s(connected)}


def test_a_peer_without_connections_has_nobody_to_ask() -> None:
    session = FakeSession(0)
    walks_in(2 * LOOK_AROUND_MANY_S, session)
    assert session.walks == []


@pytest.mark.parametrize(
    ("connected", "joined", "walks"),
    [(MANY - 1, 1, 1), (MANY, 1, 0), (MANY, 2, 1)],
    ids=["one more among few", "one more among many", "several among many"],
)
def test_one_more_peer_among_many_is_no_reason_for_a_walk(connected: int, joined: int, walks: int) -> None:
    session = FakeSession(connected)

    async def scenario() -> None:
        neighbourhood, _ = neighbourhood_of(session)
        neighbourhood._looked_at = neighbourhood._now()
        await neighbourhood.locate(cast(Any, session))
        addresses = [parse_peer_address(text) for text in ADDRESSES[:joined]]
        assert await neighbourhood.join(cast(Any, session), addresses) == joined

    run_simulated(scenario())
    assert len(session.walks) == walks


def test_after_a_restart_of_p2pd_a_walk_is_due_at_once() -> None:
    session = FakeSession(MANY)

    async def scenario() -> None:
        neighbourhood, _ = neighbourhood_of(session)
        neighbourhood._looked_at = neighbourhood._now()
        neighbourhood._met = (parse_peer_address(ADDRESSES[0]),)
        await neighbourhood.restore(cast(Any, session))

    run_simulated(scenario())
    assert len(session.walks) == 1
