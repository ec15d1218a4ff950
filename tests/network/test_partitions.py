"""Real p2pd on loopback, with a wire between them that is cut and healed, and processes that stand still."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from swarmd.network.interface import PullFailedError
from tests.chaos.relay import Relay

pytestmark = [pytest.mark.p2p, pytest.mark.timeout(240)]

PATIENCE_S = 100.0  # only a hang reaches it; the figures are those of `tests.chaos.partition`


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  the other process sends no event
            await asyncio.sleep(0.05)


@asynccontextmanager
async def wired(world: Any) -> AsyncIterator[tuple[Any, Any, tuple[Relay, Relay]]]:
    """Two peers that know each other only by the wires to them; the second dialled the first."""
    async with Relay(0) as to_one, Relay(0) as to_two:
        peers = []
        for index, relay in enumerate((to_one, to_two)):
            peer = await world.peer(index, announce=(f"/ip4/127.0.0.1/tcp/{relay.port}",))
            relay.target_port = peer.network.port
            peers.append(peer)
        one, two = peers
        assert await two.network.connect(one.network.addresses, named=True) == 1
        await eventually(lambda: bool(one.network.statistics().connections))
        yield one, two, (to_one, to_two)


async def pulls_from(world: Any, taker: Any, giver: Any) -> None:
    """A body comes through, sooner or later."""
    body = world.record(giver.key, world.clock(), text=f"for {taker.network.peer_id}")
    digest = giver.hold(body)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                pulled = await taker.network.pull(giver.network.peer_id, digest, len(body))
            except PullFailedError:
                await asyncio.sleep(0.2)
                continue
            assert pulled.envelope == body
            return


def loses(taker: Any, giver: Any) -> Callable[[], bool]:
    return lambda: giver.network.peer_id in taker.network.statistics().unheard


def hears(taker: Any, giver: Any) -> Callable[[], bool]:
    def heard() -> bool:
        said = taker.network.statistics()
        return giver.network.peer_id in said.connections and not said.unheard

    return heard


def test_after_a_cut_is_healed_both_hear_each_other_again_though_their_old_connection_stays_silent(p2p: Any):
    async def scenario(world: Any) -> None:
        async with wired(world) as (one, two, relays):
            for relay in relays:
                relay.cut()
            await eventually(loses(one, two))
            await eventually(loses(two, one))
            assert one.network.statistics().connected_peers == two.network.statistics().connected_peers == 0
            for relay in relays:
                relay.heal()
            await pulls_from(world, one, two)
            await pulls_from(world, two, one)
            await eventually(hears(one, two))
            await eventually(hears(two, one))

    p2p.run(scenario)


def test_after_a_sleep_of_this_machine_silent_peers_are_dialled_anew(p2p: Any):
    async def scenario(world: Any) -> None:
        async with wired(world) as (one, two, relays):
            for relay in relays:
                relay.cut()
                relay.heal()  # the others gave up the connection long ago, and this machine knows nothing
            two.network._pauses._wall = lambda: time.time() + 600
            await pulls_from(world, two, one)
            assert two.network.statistics().pauses == 1
            await pulls_from(world, one, two)

    p2p.run(scenario)


def test_a_p2pd_that_stands_still_is_replaced_and_nobody_else_is_blamed(p2p: Any):
    async def scenario(world: Any) -> None:
        async with wired(world) as (one, two, _):
            [frozen] = world.processes(two.key)
            frozen.send_signal(signal.SIGSTOP)
            await eventually(lambda: two.network.statistics().restarts == 1)
            assert not frozen.is_running()
            await pulls_from(world, one, two)
            await pulls_from(world, two, one)

    p2p.run(scenario)


def test_a_peer_that_is_dead_for_good_hinders_nobody(p2p: Any):
    async def scenario(world: Any) -> None:
        one, two, three = await world.swarm(3)
        await three.network.close()
        await pulls_from(world, one, two)
        await pulls_from(world, two, one)
        await eventually(lambda: three.network.peer_id not in one.network.statistics().connections)

    p2p.run(scenario)


def test_an_address_that_a_peer_only_claims_is_no_door(p2p: Any):
    async def scenario(world: Any) -> None:
        async with Relay(0) as victim:
            one, two = await world.peer(0), await world.peer(1)
            await two.network.connect(one.network.addresses, named=True)
            claimed = f"/ip4/127.0.0.1/tcp/{victim.port}/p2p/{two.network.peer_id}"
            await one.network.connect([claimed])
            assert one.network._doors.addresses() == []
            assert [str(door) for door in two.network._doors.addresses()] == list(one.network.addresses)

    p2p.run(scenario)
