"""Who is heard, whose door is knocked at, what a pause is, and whether the clock is right: all pure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from protocol import PeerId
from swarmd.addresses import PeerAddress, parse_peer_address
from swarmd.network.clocks import KEPT_S, SKEW_TOLD_S, STRANGERS_MIN, Clocks, clock_problem
from swarmd.network.doors import (
    DOORS_MAX,
    KNOCK_S,
    KNOCK_S_LATER,
    KNOCKS_AT_ONCE,
    MULTISTREAM,
    PATIENCE_S,
    Doors,
    opens,
)
from swarmd.network.hearing import FRESH_S, LATELY_S, PEERS_MAX, Hearing
from swarmd.network.pauses import LOOK_S, PAUSE_S, Pauses
from tests.network.conftest import key_of


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def peer(number: int) -> PeerId:
    return key_of(number).peer_id


def door(number: int, port: int = 4001, protocol: str = "tcp") -> PeerAddress:
    return parse_peer_address(f"/ip4/127.0.0.1/{protocol}/{port}/p2p/{peer(number)}")


# Hearing ---------------------------------------------------------------------------------------------


def test_a_peer_that_does_not_answer_is_unheard_until_it_says_anything():
    for say in (Hearing.answered, Hearing.asked):
        hearing = Hearing(Time())
        hearing.unanswered(peer(1))
        hearing.unanswered(peer(1))
        assert hearing.unheard == {peer(1)}
        assert hearing.times_unanswered(peer(1)) == 2
        say(hearing, peer(1))
        assert hearing.unheard == frozenset()
        assert hearing.times_unanswered(peer(1)) == 0


def test_a_peer_that_is_only_in_doubt_is_greeted_and_not_unheard():
    hearing = Hearing(Time())
    hearing.doubt(peer(1))
    hearing.unanswered(peer(2))
    assert hearing.uncertain == (peer(2), peer(1))
    assert hearing.unheard == {peer(2)}


def test_a_peer_that_is_away_is_unheard_and_back_when_it_says_anything():
    hearing = Hearing(Time())
    hearing.away = frozenset({peer(1), peer(2)})
    hearing.asked(peer(1))
    assert hearing.unheard == {peer(2)}


def test_the_times_of_the_last_answer_and_the_last_question_are_known():
    time = Time()
    hearing = Hearing(time)
    assert (hearing.answered_at, hearing.asked_at, hearing.ever_heard) == (None, None, frozenset())
    hearing.answered(peer(1))
    time.now += 5
    hearing.asked(peer(2))
    assert (hearing.answered_at, hearing.asked_at) == (100.0, 105.0)
    assert hearing.unanswering_s(peer(1)) == 5
    assert hearing.unanswering_s(peer(2)) == float("inf")
    assert hearing.asked_lately(peer(2))
    time.now += LATELY_S
    assert not hearing.asked_lately(peer(2))


def test_a_greeting_is_returned_unless_its_sender_answered_just_before():
    time = Time()
    hearing = Hearing(time)
    hearing.greeted(peer(1))
    assert hearing.uncertain == (peer(1),)
    hearing.answered(peer(1))
    time.now += FRESH_S
    hearing.greeted(peer(1))
    assert hearing.uncertain == ()
    time.now += 1
    hearing.greeted(peer(1))
    assert hearing.uncertain == (peer(1),)


def test_what_is_remembered_of_peers_is_bounded():
    hearing = Hearing(Time())
    for number in range(PEERS_MAX + 10):
        name = PeerId(str(number))
        hearing.answered(name)
        hearing.doubt(name)
        hearing.unanswered(name)
    assert len(hearing.unheard) == len(hearing.ever_heard) == len(hearing.uncertain) == PEERS_MAX


def test_nobody_waits_for_a_visitor_until_it_states_its_place():
    hearing = Hearing(Time())
    hearing.asked(peer(1))
    hearing.answered(peer(2))
    answered_at = hearing.answered_at
    for number in (1, 2):
        hearing.visits(peer(number))
    assert hearing.ever_heard == frozenset()
    for say in (Hearing.answered, Hearing.asked, Hearing.unanswered, Hearing.doubt):
        say(hearing, peer(1))
    assert (hearing.ever_heard, hearing.unheard, hearing.uncertain) == (frozenset(), frozenset(), ())
    assert hearing.answered_at == answered_at
    hearing.stays(peer(1))
    assert not hearing.is_visitor(peer(1))
    hearing.answered(peer(1))
    assert hearing.ever_heard == {peer(1)}


# Doors -----------------------------------------------------------------------------------------------


def test_an_absent_peers_door_is_knocked_at_steadily_and_later_more_rarely():
    doors = Doors()
    doors.remember(door(1))
    knocked = [now for now in range(int(PATIENCE_S) + 120) if doors.due((), float(now))]
    early = [now for now in knocked if now < PATIENCE_S]
    assert len(early) == PATIENCE_S / KNOCK_S
    late = [now for now in knocked if now >= PATIENCE_S]
    assert len(late) == pytest.approx(120 / KNOCK_S_LATER, abs=1)


def test_a_present_peers_door_is_not_knocked_at_and_patience_begins_anew_with_each_absence():
    doors = Doors()
    doors.remember(door(1))
    assert doors.due({peer(1)}, 0.0) == []
    assert doors.due((), 0.0) == [door(1)]
    for now in range(1, 2_000):
        doors.due((), float(now))
    assert doors.due({peer(1)}, 2_000.0) == []
    assert doors.due((), 2_001.0) == [door(1)]
    assert doors.due((), 2_001.0 + KNOCK_S) == [door(1)]
    assert doors.away(()) == [peer(1)]


def test_after_a_pause_of_this_machine_everybody_is_knocked_at_at_once():
    doors = Doors()
    doors.remember(door(1))
    for now in range(2_000):
        doors.due((), float(now))
    doors.wake()
    assert doors.due((), 2_000.0) == [door(1)]


def test_many_doors_take_turns():
    doors = Doors()
    for number in range(40):
        doors.remember(door(number))
    knocked = [doors.due((), float(second)) for second in range(6)]
    assert all(len(at_once) <= KNOCKS_AT_ONCE for at_once in knocked)
    assert {address.peer_id for at_once in knocked[:3] for address in at_once} == set(map(peer, range(40)))


def test_a_peer_has_one_door_and_doors_are_bounded():
    doors = Doors()
    doors.remember(door(1, 4001))
    doors.remember(door(1, 4002))
    assert doors.addresses() == [door(1, 4002)]
    for number in range(DOORS_MAX + 5):
        doors.remember(door(100 + number))
    assert len(doors.addresses()) == DOORS_MAX
    assert peer(1) not in doors


@asynccontextmanager
async def listening(says: bytes) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_door_opens_where_libp2p_answers_and_nowhere_else():
    async with listening(MULTISTREAM) as port:
        assert await opens(door(1, port))
    assert not await opens(door(1, port)), "nobody listens there any more"
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        assert not await opens(door(1, port))
    assert await opens(door(1, port, "udp")), "nobody can knock: p2pd is to try"


# Pauses ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("monotonic_s", "wall_s", "pause"),
    [
        (LOOK_S, LOOK_S, False),
        (LOOK_S + PAUSE_S - 0.1, LOOK_S, False),
        (LOOK_S, 600.0, True),
        (600.0, 600.0, True),
        (LOOK_S, -3_600.0, False),
    ],
    ids=["none", "a busy machine", "it slept", "it was stopped", "a clock set back"],
)
def test_a_pause_is_a_look_that_comes_late_by_either_clock(monotonic_s: float, wall_s: float, pause: bool):
    monotonic, wall = Time(), Time()
    pauses = Pauses(monotonic, wall)
    monotonic.now += monotonic_s
    wall.now += wall_s
    assert pauses.look() == pause
    assert pauses.last_s == (max(monotonic_s, wall_s) if pause else 0)
    monotonic.now += 1
    wall.now += 1
    assert pauses.look() == pause, "each is counted once"


# Clocks ----------------------------------------------------------------------------------------------


def offset(skews: list[float], reached: int) -> float | None:
    """The offset by clocks that are `skews` seconds ahead; the first `reached` peers have doors."""
    clocks = Clocks()
    for index, skew in enumerate(skews):
        clocks.observe(peer(index), skew, 0.0)
    return clocks.offset({peer(number) for number in range(reached)}, 1.0)


@pytest.mark.parametrize(
    ("skews", "reached", "expected"),
    [
        ([10.0], 1, 10.0),
        ([-10.0, -12.0, 0.1], 3, -10.0),
        ([SKEW_TOLD_S - 0.1] * 3, 3, None),
        ([10.0, 0.0], 2, None),
        ([10.0, -10.0], 2, None),
        ([10.0] * (STRANGERS_MIN - 1), 0, None),
        ([10.0] * STRANGERS_MIN, 0, 10.0),
        ([0.0, 10.0, 10.0, 10.0, 10.0], 1, None),
    ],
    ids=["alone", "most", "small", "half", "both ways", "too few", "strangers", "strangers beside one known"],
)
def test_this_clock_is_wrong_if_most_others_say_so(skews: list[float], reached: int, expected: float | None):
    assert offset(skews, reached) == expected


def test_a_clock_that_was_set_right_is_no_longer_complained_about():
    clocks = Clocks()
    clocks.observe(peer(1), 10.0, 0.0)
    assert clocks.offset({peer(1)}, KEPT_S + 1) is None
    clocks.observe(peer(2), 10.0, 0.0)
    clocks.observe(peer(2), 0.0, 1.0)
    assert clocks.offset({peer(2)}, 1.0) is None


def test_a_wrong_clock_is_reported_with_its_seconds_and_the_remedy():
    assert "10 s behind most peers" in clock_problem(10.2, "most peers that answer")
    assert "10 s ahead of most peers" in clock_problem(-10.2, "most peers that answer")
    assert "timedatectl set-ntp true" in clock_problem(10.2, "most")
