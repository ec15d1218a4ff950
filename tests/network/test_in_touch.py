"""Whom a peer greets, and how often."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from swarmd.addresses import parse_peer_address
from swarmd.errors import NetworkError
from swarmd.network.doors import Doors
from swarmd.network.hearing import Hearing
from swarmd.network.in_touch import (
    GREETINGS_AT_ONCE,
    SILENT_MANY,
    SILENT_ROUNDS_MAX,
    SILENT_S,
    TOUCH_S,
    InTouch,
)
from swarmd.network.interface import ClockSkewError, NetworkClosedError
from swarmd.network.neighbourhood import MANY
from swarmd.network.simulation import run_simulated
from tests.gossip.making import key

PEERS = [key(number).peer_id for number in range(200)]


def watch(hearing: Hearing, doors: Doors | None = None) -> InTouch:
    nothing = cast(Any, None)
    return InTouch(nothing, nothing, hearing, doors or Doors(), nothing, frozenset)


def rounds(
    in_touch: InTouch, hearing: Hearing, clock: list[float], count: int, peers: int
) -> list[list[Any]]:
    """Whom it greets in so many seconds; all answer."""
    greeted = []
    for _ in range(count):
        clock[0] += 1.0
        greeted.append(in_touch._to_greet(PEERS[:peers]))
        for peer in greeted[-1]:
            hearing.answered(peer)
    return greeted


def test_a_few_silent_peers_are_each_greeted_about_every_ten_seconds():
    clock = [0.0]
    hearing = Hearing(lambda: clock[0])
    greeted = rounds(watch(hearing), hearing, clock, 60, peers=5)
    counts = [sum(peer in each for each in greeted) for peer in PEERS[:5]]
    assert all(4 <= count <= 6 for count in counts)


@pytest.mark.parametrize(
    ("silent", "every"),
    [
        (1, 1),
        (SILENT_MANY - 1, 1),
        (SILENT_MANY, 2),
        (SILENT_MANY * 3 // 2, 6),
        (2 * SILENT_MANY, SILENT_ROUNDS_MAX),
        (3 * SILENT_MANY, SILENT_ROUNDS_MAX),
        (12 * SILENT_MANY, SILENT_ROUNDS_MAX),
    ],
)
def test_the_more_peers_are_silent_the_fewer_rounds_greet_one_of_them(silent: int, every: int) -> None:
    in_touch = watch(Hearing(lambda: 1_000.0))  # and none of them answers, so all stay silent
    greeted = [len(in_touch._to_greet(PEERS[:silent])) for _ in range(10 * every)]
    assert greeted == ([0] * (every - 1) + [1]) * 10


def test_a_peer_that_was_heard_is_not_greeted_until_it_is_silent() -> None:
    clock = [0.0]
    hearing = Hearing(lambda: clock[0])
    hearing.answered(PEERS[0])
    in_touch, greeted = watch(hearing), []
    while not greeted:
        clock[0] += TOUCH_S
        greeted = in_touch._to_greet(PEERS[:1])
    assert clock[0] == SILENT_S + TOUCH_S


def test_a_round_begins_every_second_whatever_the_one_before_met_and_none_after_the_end() -> None:
    began: list[float] = []
    loop_errors = [None, NetworkError("slow"), ClockSkewError("wrong"), None, NetworkClosedError("closed")]

    async def scenario() -> None:
        in_touch = watch(Hearing(lambda: 0.0))

        async def session() -> None:
            error = loop_errors[len(began)]
            began.append(asyncio.get_running_loop().time())
            if error is not None:
                raise error

        async def nothing(_session: Any) -> None:
            pass

        in_touch._supervisor = cast(Any, SimpleNamespace(session=session))
        in_touch._round = nothing  # type: ignore[method-assign]
        await in_touch.keep()

    run_simulated(scenario())
    assert began == [TOUCH_S * (number + 1) for number in range(5)]


def test_hundreds_of_silent_peers_cost_no_more_greetings_than_some_dozens():
    clock = [0.0]
    hearing = Hearing(lambda: clock[0])
    greeted = rounds(watch(hearing), hearing, clock, 13 * SILENT_ROUNDS_MAX, peers=200)
    assert sum(map(len, greeted)) == 13
    assert len({peer for each in greeted for peer in each}) == 13


def test_peers_with_and_without_a_door_take_turns():
    """Neither a crowd that dialled this peer nor its own doors keep the others from being tried."""
    clock = [0.0]
    hearing, doors = Hearing(lambda: clock[0]), Doors()
    for number, peer in enumerate(PEERS[:20]):
        doors.remember(parse_peer_address(f"/ip4/10.0.0.{number}/tcp/4001/p2p/{peer}"))
    greeted = rounds(watch(hearing, doors), hearing, clock, 130, peers=30)
    assert {sum(peer in doors for each in greeted for peer in each)} <= {4, 5, 6}


def test_peers_in_doubt_are_greeted_at_once_and_several_at_a_time():
    clock = [0.0]
    hearing = Hearing(lambda: clock[0])
    for peer in PEERS[:20]:
        hearing.answered(peer)
        hearing.doubt(peer)
    assert len(watch(hearing)._to_greet(PEERS[:20])) == GREETINGS_AT_ONCE


def away(hearing: Hearing, connected: int) -> set[Any]:
    """Which of two peers with a door count as away: one parted, one that left a request unanswered."""
    doors = Doors()
    for number, peer in enumerate(PEERS[:2]):
        doors.remember(parse_peer_address(f"/ip4/10.0.0.{number}/tcp/4001/p2p/{peer}"))
    hearing.unanswered(PEERS[1])
    present = watch(hearing, doors)._present(dict.fromkeys(PEERS[2 : 2 + connected], ""))
    return set(doors.away(present))


def test_with_few_connections_a_peer_that_is_not_connected_is_away():
    assert away(Hearing(lambda: 0.0), MANY - 1) == {*PEERS[:2]}


def test_with_many_connections_a_peer_that_closed_an_idle_one_is_not_away_unless_it_does_not_answer():
    assert away(Hearing(lambda: 0.0), MANY) == {PEERS[1]}
