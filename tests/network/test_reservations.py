"""Places at relays: several, at known peers first, and another as soon as one is lost."""

from __future__ import annotations

import asyncio

import pytest

from protocol import PeerId
from swarmd.errors import NetworkError
from swarmd.network.interface import Standing
from swarmd.network.reach.reservations import EXTEND_S, REFUSED_S, WANTED, Reservations
from tests.network.conftest import key_of

PEERS = [key_of(number).peer_id for number in range(8)]


class Swarm:
    """What the transport knows, and who relays."""

    def __init__(self) -> None:
        self.now = 0.0
        self.connections = {peer: f"/ip4/8.8.{number}.1/tcp/41000" for number, peer in enumerate(PEERS)}
        self.standings: dict[PeerId, Standing] = {}
        self.unheard: set[PeerId] = set()
        self.refusing: set[PeerId] = set()
        self.asked: list[PeerId] = []
        self.delivered: dict[PeerId, int] = {}
        self.reservations = Reservations(
            self.reserve,
            lambda: self.connections,
            lambda peer: self.standings.get(peer, Standing.STRANGER),
            lambda: self.unheard,
            lambda peer: self.delivered.get(peer, 0),
            lambda: self.now,
        )

    async def reserve(self, relay: PeerId) -> None:
        self.asked.append(relay)
        if relay in self.refusing:
            raise NetworkError("no place")

    def round(self, *, needed: bool = True) -> tuple[PeerId, ...]:
        asyncio.run(self.reservations.round(needed=needed))
        return self.reservations.relays


@pytest.fixture
def swarm() -> Swarm:
    return Swarm()


def test_a_peer_that_nobody_can_dial_holds_several_places(swarm: Swarm) -> None:
    relays = swarm.round()
    assert len(relays) == WANTED
    address = swarm.connections[relays[0]]
    assert swarm.reservations.addresses[0] == f"{address}/p2p/{relays[0]}/p2p-circuit"


def test_a_peer_that_can_be_dialled_holds_none(swarm: Swarm) -> None:
    assert swarm.round(needed=False) == ()
    swarm.round()
    assert swarm.round(needed=False) == ()
    assert swarm.reservations.addresses == ()


def test_peers_that_are_known_and_delivered_come_first(swarm: Swarm) -> None:
    swarm.standings = {PEERS[5]: Standing.KNOWN, PEERS[6]: Standing.MET, PEERS[7]: Standing.MET}
    swarm.delivered = {PEERS[7]: 3}
    assert swarm.round() == (PEERS[5], PEERS[7], PEERS[6])


def test_relays_are_of_different_networks_and_never_banned_or_relayed_themselves(swarm: Swarm) -> None:
    one, banned, relayed, *_ = PEERS
    swarm.connections = {peer: f"/ip4/8.8.8.{n}/tcp/1" for n, peer in enumerate(PEERS)}
    swarm.connections[banned] = "/ip4/9.9.9.9/tcp/1"
    swarm.standings = {banned: Standing.BANNED, one: Standing.MET}
    swarm.connections[relayed] = f"/ip4/1.1.1.1/tcp/1/p2p/{one}/p2p-circuit"
    assert swarm.round() == (one,)


@pytest.mark.parametrize("how", ["connection", "silence"])
def test_a_relay_that_dies_is_replaced_in_the_next_round(swarm: Swarm, how: str) -> None:
    lost, *kept = swarm.round()
    if how == "connection":
        del swarm.connections[lost]
    else:
        swarm.unheard = {lost}
    now = swarm.round()
    assert lost not in now
    assert len(now) == WANTED
    assert set(kept) < set(now)


def test_a_place_is_asked_for_again_now_and_then_and_given_up_if_it_is_refused(swarm: Swarm) -> None:
    relays = swarm.round()
    swarm.asked.clear()
    swarm.now = EXTEND_S - 1
    swarm.round()
    assert swarm.asked == []
    swarm.refusing = {relays[0]}
    swarm.now = EXTEND_S
    assert relays[0] not in swarm.round()
    assert set(relays) <= set(swarm.asked)


def test_whoever_refuses_is_left_alone_for_a_while(swarm: Swarm) -> None:
    swarm.refusing = set(PEERS)
    assert swarm.round() == ()
    for _ in range(10):
        swarm.round()
    assert sorted(swarm.asked) == sorted(PEERS)
    swarm.now, swarm.refusing = REFUSED_S, set()
    assert len(swarm.round()) == WANTED
