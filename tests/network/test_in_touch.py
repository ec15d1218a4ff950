"""Whom a peer greets, and how often."""

from __future__ import annotations

from typing import Any, cast

from swarmd.addresses import parse_peer_address
from swarmd.network.doors import Doors
from swarmd.network.hearing import Hearing
from swarmd.network.in_touch import GREETINGS_AT_ONCE, SILENT_ROUNDS_MAX, InTouch
from swarmd.network.neighbourhood import MANY
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


def test_hundreds_of_silent_peers_cost_no_more_greetings_than_some_dozens():
    clock = [0.0]
    hearing = Hearing(lambda: clock[0])
    greeted = rounds(watch(hearing), hearing, clock, 200, peers=200)
    assert sum(map(len, greeted)) == 200 / SILENT_ROUNDS_MAX
    assert len({peer for each in greeted for peer in each}) == 200 / SILENT_ROUNDS_MAX


def test_peers_with_and_without_a_door_take_turns():
    """Neither a crowd that dialled this peer nor its own doors keep the others from being tried."""
    clock = [0.0]
    hearing, doors = Hearing(lambda: clock[0]), Doors()
    for number, peer in enumerate(PEERS[:20]):
        doors.remember(parse_peer_address(f"/ip4/10.0.0.{number}/tcp/4001/p2p/{peer}"))
    greeted = rounds(watch(hearing, doors), hearing, clock, 20, peers=30)
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
