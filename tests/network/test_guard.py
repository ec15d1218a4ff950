"""Standing and conduct decide who is served; what is refused is counted by name and reported."""

from __future__ import annotations

from protocol import KeyPair, PeerId, Reason
from swarmd.names import named
from swarmd.network.guard import HANG_UPS_WAITING_MAX, Guard
from swarmd.network.interface import Misbehaviour, Standing
from swarmd.network.malformed import Malformed, MessageError
from swarmd.network.peer_ids import write_peer_id
from swarmd.network.rates import PEER, Kind

PING, FIND, STORE = "SwarmDHT.rpc_ping", "SwarmDHT.rpc_find", "SwarmDHT.rpc_store"
LOOPBACK = bytes([4, 127, 0, 0, 1, 6, 0, 1])


def name(number: int) -> PeerId:
    return KeyPair.from_seed(number.to_bytes(32, "big")).peer_id


PEER_ID = write_peer_id(name(0))


class World:
    """A guard with a clock that stands still, and what it reported."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[PeerId, Misbehaviour]] = []
        self.standings: dict[PeerId, Standing] = {}
        self.guard = Guard(lambda: self.now)
        self.guard.judge_by(
            lambda peer: self.standings.get(peer, Standing.STRANGER),
            lambda peer, what: self.told.append((peer, what)),
        )

    def to_disconnect(self) -> list[PeerId]:
        queue = self.guard.to_disconnect
        return [queue.get_nowait() for _ in range(queue.qsize())]


def test_a_flood_is_refused_reported_once_and_disconnected_whenever_it_comes_back() -> None:
    world = World()
    served = sum(world.guard.admits_request(PEER_ID, FIND, 24) for _ in range(2_000))
    assert served == PEER[Kind.FIND].burst
    assert world.told == [(name(0), Misbehaviour.FLOOD)]
    assert world.to_disconnect() == [name(0), name(0)]
    assert "flooded by " + named(name(0)) in world.guard.problems[0]
    assert world.guard.shuns(name(0))
    world.now = 10.0
    assert not world.guard.admits_stream(PEER_ID, LOOPBACK)
    assert world.to_disconnect() == [name(0)]
    assert set(world.guard.refused) == {"find_too_fast", "find_flood", "shunned"}
    world.now = 100.0
    assert world.guard.problems == ()
    assert world.guard.admits_request(PEER_ID, PING, 36)


def test_the_banned_get_nothing_and_are_disconnected() -> None:
    world = World()
    world.standings[name(0)] = Standing.BANNED
    assert not world.guard.admits_request(PEER_ID, PING, 36)
    assert not world.guard.admits_stream(PEER_ID, LOOPBACK)
    assert world.guard.refused == {"banned": 2}
    assert world.guard.shuns(name(0))
    assert world.told == []
    world.to_disconnect()
    world.now = 5.0
    world.guard.located({name(0): "/ip4/127.0.0.1/tcp/1", name(1): "/ip4/127.0.0.1/tcp/2"})
    assert world.to_disconnect() == [name(0)]


def test_long_messages_of_things_to_store_cost_more() -> None:
    world = World()
    short = sum(world.guard.admits_request(PEER_ID, STORE, 256) for _ in range(2_000))
    other = write_peer_id(name(1))
    long = sum(world.guard.admits_request(other, STORE, 2**20) for _ in range(2_000))
    assert (short, long) == (PEER[Kind.STORE].burst, PEER[Kind.STORE].burst // 64)


def test_large_answers_are_paid_for_afterwards() -> None:
    world = World()
    for _ in range(20):
        assert world.guard.admits_request(PEER_ID, FIND, 24)
        world.guard.answered(PEER_ID, FIND, 2**20)
        world.guard.answered(PEER_ID, PING, 36)
        if world.told or not world.guard.admits_request(PEER_ID, FIND, 24):
            break
    assert world.guard.refused == {"find_too_fast": 1}
    world.now = 20.0
    assert world.guard.admits_request(PEER_ID, FIND, 24)


def test_a_peer_that_brings_junk_is_reported_as_a_liar_and_untimely_things_are_no_junk() -> None:
    world = World()
    for _ in range(50):
        assert not world.guard.judged(PEER_ID, Reason.EXPIRED)
        assert not world.guard.judged(PEER_ID, Reason.ROUND)
    assert world.told == []
    for _ in range(8):
        assert world.guard.judged(PEER_ID, Reason.SIGNATURE)
    assert world.told == [(name(0), Misbehaviour.LIES)]
    assert world.guard.refused == {"stored_expired": 50, "stored_round": 50, "stored_signature": 8}


def test_malformed_messages_are_counted_by_name() -> None:
    world = World()
    for _ in range(4):
        world.guard.noted(PEER_ID, MessageError(Malformed.DICTIONARY, "nested"))
    assert world.guard.refused == {"malformed_dictionary": 4}
    assert world.told == [(name(0), Misbehaviour.LIES)]


def test_a_peer_that_refuses_everything_is_left_and_one_that_keeps_something_is_not() -> None:
    world = World()
    other = write_peer_id(name(1))
    for number in range(60):
        world.guard.refused_ours(PEER_ID)
        world.guard.refused_ours(other)
        if number % 9 == 0:
            world.guard.kept_ours(other)
    assert world.told == [(name(0), Misbehaviour.REFUSES)]
    assert world.guard.shuns(name(0))
    assert not world.guard.shuns(name(1))


def test_the_addresses_of_peers_are_learnt_and_forgotten_within_bounds() -> None:
    world = World()
    signer = name(5)
    assert world.guard.source(PEER_ID, signer).sender == name(0)
    assert world.guard.admits_request(PEER_ID, PING, 36)
    assert world.guard.strangers_met.is_set()
    world.guard.located({name(0): "/ip4/8.8.8.8/tcp/1"})
    assert world.guard.source(PEER_ID, signer).sender == "8.8.8.0/24"
    world.standings[signer] = Standing.KNOWN
    assert world.guard.source(PEER_ID, signer).standing == Standing.KNOWN


def test_the_peers_that_wait_to_be_disconnected_are_bounded() -> None:
    world = World()
    world.standings = {name(number): Standing.BANNED for number in range(200)}
    for number in range(200):
        world.now += 1.0
        world.guard.admits_request(write_peer_id(name(number)), PING, 36)
    assert len(world.to_disconnect()) == HANG_UPS_WAITING_MAX
