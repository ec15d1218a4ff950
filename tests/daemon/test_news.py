"""A running peer asks others for a newer version of its swarm, tells its operator once, and passes it on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping

import pytest

from protocol import PeerId, VerifiedCharter, Versions
from swarmd.daemon.news import ASK_S, Newsroom
from swarmd.network import MemoryHub, run_simulated, simulated_wall_clock
from swarmd.network.interface import Standing
from swarmd.network.memory import MemoryNetwork
from swarmd.network.streams import CHARTER_PROTOCOL
from swarmd.storage import Home
from tests.daemon.fakes import Events
from tests.finding.test_news import charter
from tests.gossip.making import key

NEWER = charter(2, rules=1)


@pytest.fixture
def home(home: Home) -> Home:
    home.write_charter(charter(1))
    return home


def live(home: Home, events: Events, *told: VerifiedCharter, seconds: float) -> MemoryNetwork:
    """Run a newsroom beside peers that tell these charters."""

    async def main() -> MemoryNetwork:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        network = hub.network(key(1))
        for number, each in enumerate(told, 10):
            other = hub.network(key(number))
            other.tell_charter(each.envelope)
            await network.connect(other.addresses)
        await for_a_while(newsroom(home, network, events), seconds)
        return network

    return run_simulated(main())


def newsroom(
    home: Home, network: MemoryNetwork, events: Events, standings: Mapping[PeerId, Standing] | None = None
) -> Newsroom:
    return Newsroom(home, network, events, lambda peer: (standings or {}).get(peer, Standing.MET))


async def for_a_while(room: Newsroom, seconds: float) -> None:
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(room.keep_asking())
        await asyncio.sleep(seconds)
        asking.cancel()


def test_a_version_that_one_peer_knows_is_told_once_kept_and_passed_on(home, events):
    network = live(home, events, charter(1), NEWER, charter(1), seconds=20 * ASK_S)
    [warning] = events.named("warning")
    assert "garden, version 2" in warning["message"]
    assert "swarmd swarm accept" in warning["message"]
    assert home.news() == NEWER
    assert network._server.find(CHARTER_PROTOCOL) == NEWER.envelope
    assert home.charter() == charter(1)


def test_it_is_told_again_after_a_restart(home, events):
    home.write_news(NEWER)
    live(home, events, seconds=ASK_S)
    assert len(events.named("warning")) == 1


def test_what_is_announced_while_it_runs_is_passed_on(home, events):
    async def main() -> bytes | None:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        network = hub.network(key(1))
        room = newsroom(home, network, events)
        assert network._server.find(CHARTER_PROTOCOL) == charter(1).envelope
        home.write_news(NEWER)
        await for_a_while(room, 2 * ASK_S)
        return network._server.find(CHARTER_PROTOCOL)

    assert run_simulated(main()) == NEWER.envelope


def test_damaged_news_are_told_once_and_replaced_when_they_are_heard_again(home, events):
    home.news_path.write_bytes(b"junk")
    network = live(home, events, charter(1), seconds=5 * ASK_S)
    [warning] = events.named("warning")
    assert "news.signed is not what an author signed" in warning["message"]
    assert network._server.find(CHARTER_PROTOCOL) == charter(1).envelope
    live(home, events, NEWER, seconds=2 * ASK_S)
    assert home.news() == NEWER


def test_a_peer_that_knows_no_author_asks_nobody_and_tells_nothing(home, events):
    home.charter_path.unlink()
    network = live(home, events, NEWER, seconds=5 * ASK_S)
    assert events.named("warning") == []
    assert network._server.find(CHARTER_PROTOCOL) is None


def test_newcomers_delay_no_question_to_a_known_peer_by_more_than_a_turn(home, events, monkeypatch):
    asked: list[PeerId] = []

    async def ask_charter(self, peer: PeerId) -> bytes:
        asked.append(peer)
        return charter(1).envelope

    monkeypatch.setattr(MemoryNetwork, "ask_charter", ask_charter)
    banned, known, *newcomers = (key(number).peer_id for number in range(10, 30))
    standings = {banned: Standing.BANNED, known: Standing.KNOWN}

    async def main() -> None:
        hub = MemoryHub(random.Random(0), simulated_wall_clock)
        network = hub.network(key(1))
        for number in reversed(range(10, 30)):
            await network.connect(hub.network(key(number)).addresses)
        await for_a_while(newsroom(home, network, events, standings), 40 * ASK_S)

    run_simulated(main())
    assert set(asked[::2]) == {known}
    assert set(asked[1::2]) == set(newcomers)
    assert banned not in asked


def test_a_peer_of_another_protocol_is_told_once(home, events, monkeypatch):
    asked: list[PeerId] = []

    async def ask_versions(self, peer: PeerId) -> bytes:
        asked.append(peer)
        return Versions(oldest=2, newest=2, agent="swarmd/9.0").to_bytes()

    monkeypatch.setattr(MemoryNetwork, "ask_versions", ask_versions)
    live(home, events, charter(1), seconds=10 * ASK_S)
    assert asked == [key(10).peer_id]
    [warning] = events.named("warning")
    assert "upgrade swarmd here" in warning["message"]
