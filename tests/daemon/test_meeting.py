"""Whom a peer dials when it starts, and whom it remembers for the next start."""

from __future__ import annotations

import pytest

from swarmd.daemon.meeting import CONNECT_FIRST_MAX, meet
from swarmd.errors import NetworkError
from swarmd.network.interface import ClockSkewError, NetworkClosedError
from swarmd.storage import Database
from tests.daemon.fakes import Events, ScriptedNetwork
from tests.gossip.making import START, address_of, key, make_manifest

OWN = key(1)
SKEWED = ClockSkewError("this machine's clock is 600 s behind all 1 peers: set the clock")


def elsewhere(number: int) -> str:
    return address_of(key(number)).replace("10.0.0.1", "10.0.0.2")


@pytest.fixture
def network() -> ScriptedNetwork:
    return ScriptedNetwork(OWN.peer_id, answers={"connect": 1})


async def start(network: ScriptedNetwork, database: Database, *named: str, events: Events | None = None):
    return await meet(
        named,
        manifest=make_manifest(),
        network=network,
        database=database,
        events=events or Events(),
        clock=lambda: START,
    )


async def test_a_peer_that_was_only_named_by_flag_is_tried_at_the_next_start(network, database):
    await start(network, database, address_of(key(2)))
    network.calls.clear()
    known = await start(network, database)
    assert known == ((key(2).peer_id, (address_of(key(2)),)),)
    assert network.calls == [("connect", (address_of(key(2)),))]


async def test_it_is_remembered_even_if_nobody_answered_there(network, database):
    network.error = NetworkError("nobody there")
    events = Events()
    await start(network, database, address_of(key(2)), events=events)
    assert [seen.peer_id for seen in database.peers.known()] == [key(2).peer_id]
    assert events.named("alone")[0]["message"].startswith("no known address answers, trying again")


async def test_the_named_come_first_with_their_known_addresses_behind_and_oneself_is_left_out(
    network, database
):
    for number in (1, 2, 3):
        database.peers.seen(key(number).peer_id, [elsewhere(number), "/junk"], now=START)
    known = await start(network, database, address_of(key(3)), address_of(OWN))
    assert known == (
        (key(3).peer_id, (address_of(key(3)), elsewhere(3))),
        (key(2).peer_id, (elsewhere(2),)),
    )


async def test_at_most_a_few_addresses_are_dialled_before_the_first_step(network, database):
    for number in range(2, 60):
        database.peers.seen(key(number).peer_id, [address_of(key(number))], now=START + number)
    assert len(await start(network, database)) == 58
    [(_, dialled)] = network.calls
    assert len(dialled) == CONNECT_FIRST_MAX
    assert dialled[0] == address_of(key(59))


async def test_whom_the_operator_banned_is_not_dialled_though_it_was_named_once(network, database):
    banned = key(2).peer_id
    database.peers.seen(banned, [address_of(key(2))], now=START)
    database.acquaintances.say(banned, "ban", now=START)
    known = await start(network, database, address_of(key(2)), address_of(key(3)))
    assert [peer for peer, _ in known] == [key(3).peer_id]
    assert network.calls == [("connect", (address_of(key(3)),))]


async def test_who_knows_nobody_dials_nobody(network, database):
    events = Events()
    assert await start(network, database, events=events) == ()
    assert network.calls == []
    assert "no peer is known" in events.named("alone")[0]["message"]


@pytest.mark.parametrize("named", [True, False])
async def test_a_wrong_clock_is_said_and_training_begins_all_the_same(network, database, named):
    database.peers.seen(key(2).peer_id, [address_of(key(2))], now=START)
    network.error = SKEWED
    events = Events()
    await start(network, database, *([address_of(key(2))] if named else []), events=events)
    assert "set the clock" in events.named("warning")[0]["message"]
    assert events.named("alone")


async def test_a_closed_network_is_not_mistaken_for_silence(network, database):
    network.error = NetworkClosedError("closed")
    with pytest.raises(NetworkClosedError):
        await start(network, database, address_of(key(2)))
