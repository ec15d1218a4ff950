"""Which connections are closed because nobody uses them."""

from __future__ import annotations

from swarmd.network.hearing import Hearing
from swarmd.network.idle import (
    CLOSED_AT_ONCE,
    CONNECTIONS_KEPT,
    CONNECTIONS_KEPT_MANY,
    MET_MANY,
    MET_S,
    USED_S,
    IdleConnections,
)
from tests.gossip.making import key

PEERS = [key(number).peer_id for number in range(CONNECTIONS_KEPT + 40)]
DIRECT = {peer: f"/ip4/10.0.{number >> 8}.{number & 255}/tcp/4001" for number, peer in enumerate(PEERS)}
RELAYED = f"/ip4/10.1.1.1/tcp/4001/p2p/{key(999).peer_id}/p2p-circuit"


class Scene:
    """Connections over time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.hearing = Hearing(lambda: self.now)
        self.idle = IdleConnections(self.hearing, lambda: self.now)

    def after(self, seconds: float, peers: int, needed: frozenset[str] = frozenset()) -> list[str]:
        self.now += seconds
        return list(self.idle.to_close({peer: DIRECT[peer] for peer in PEERS[:peers]}, needed))


def test_a_small_swarm_keeps_all_its_connections_however_idle_they_are():
    scene = Scene()
    assert scene.after(0.0, CONNECTIONS_KEPT) == scene.after(10_000.0, CONNECTIONS_KEPT) == []


def test_in_a_large_swarm_fewer_are_kept_because_they_are_rarely_used_again():
    names = [key(number).peer_id for number in range(MET_MANY)]
    for seconds, kept in ((0.5, CONNECTIONS_KEPT_MANY), (2 * MET_S / MET_MANY, CONNECTIONS_KEPT)):
        scene = Scene()
        for peer in names:
            scene.now += seconds
            scene.idle.to_close({peer: DIRECT[PEERS[0]]}, frozenset())
        connections = dict.fromkeys(names[:CONNECTIONS_KEPT], DIRECT[PEERS[0]])
        scene.idle.to_close(connections, frozenset())
        scene.now += USED_S + 1.0
        closed = scene.idle.to_close(connections, frozenset())
        assert len(closed) == min(CLOSED_AT_ONCE, CONNECTIONS_KEPT - kept)


def test_beyond_that_the_connections_used_longest_ago_are_closed():
    scene = Scene()
    assert scene.after(0.0, CONNECTIONS_KEPT + 2) == []
    for number, peer in enumerate(PEERS):
        scene.now += 1.0
        (scene.hearing.asked if number % 2 else scene.hearing.answered)(peer)
    assert scene.after(USED_S, CONNECTIONS_KEPT + 2) == PEERS[:2]


def test_a_connection_that_may_carry_a_stream_is_not_closed():
    scene = Scene()
    scene.after(0.0, CONNECTIONS_KEPT + 10)
    assert scene.after(USED_S, CONNECTIONS_KEPT + 10) == []
    for peer in PEERS[:5]:
        scene.hearing.answered(peer)
    closed = scene.after(1.0, CONNECTIONS_KEPT + 10)
    assert len(closed) == 10
    assert not set(closed) & set(PEERS[:5])


def test_the_requests_of_a_visitor_count_too():
    scene = Scene()
    scene.after(0.0, CONNECTIONS_KEPT + 1)
    scene.hearing.visits(PEERS[0])
    scene.now += USED_S
    scene.hearing.asked(PEERS[0])
    assert PEERS[0] not in scene.after(1.0, CONNECTIONS_KEPT + 1)


def test_a_new_connection_counts_as_used_until_it_had_the_time_for_a_request():
    scene = Scene()
    scene.after(0.0, CONNECTIONS_KEPT)
    scene.after(USED_S + 1.0, CONNECTIONS_KEPT + 1)
    assert PEERS[CONNECTIONS_KEPT] not in scene.after(1.0, CONNECTIONS_KEPT + 1)


def test_peers_that_are_needed_and_relayed_ones_stay_connected():
    scene = Scene()
    met = {peer: DIRECT[peer] for peer in PEERS[: CONNECTIONS_KEPT + 3]} | {PEERS[0]: RELAYED}
    scene.idle.to_close(met, ())
    scene.now = USED_S + 1.0
    assert not {*PEERS[:3]} & {*scene.idle.to_close(met, {*PEERS[1:3]})}


def test_few_are_closed_at_once():
    scene = Scene()
    scene.after(0.0, len(PEERS))
    assert len(scene.after(USED_S + 1.0, len(PEERS))) == CLOSED_AT_ONCE
