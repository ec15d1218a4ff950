"""Floods over real p2pd processes: the flooder is refused and disconnected, others are served meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from swarmd.errors import NetworkError
from swarmd.network.interface import Misbehaviour, Standing
from swarmd.network.streams import BODY_PROTOCOL

pytestmark = pytest.mark.p2p

PATIENCE_S = 60.0


class Flood:
    """One peer that calls another as fast as it can, until it is told to stop."""

    def __init__(self, attacker: Any, victim: Any) -> None:
        self._control = attacker.network._supervisor._session._control
        self._session = attacker.network._supervisor._session
        self._victim = victim
        self.sent = 0

    async def run(self, protocol: str, request: bytes, workers: int = 8) -> None:
        from swarmd.network.control import P2PD_ERRORS
        from swarmd.network.peer_ids import write_peer_id

        peer = write_peer_id(self._victim.network.peer_id)

        async def work() -> None:
            while True:
                self.sent += 1
                try:
                    async with asyncio.timeout(5):
                        await self._control.call(peer, protocol, request, 2**21)
                except (NetworkError, TimeoutError, *P2PD_ERRORS):  # refused, disconnected: it goes on
                    await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(work())


def bad_signatures(world: Any, count: int = 64) -> bytes:
    """A store request of announcements whose signatures do not hold."""
    from hivemind.proto import dht_pb2

    from protocol import dht_id
    from swarmd.network.packing import write_bin

    key, now = world.key(77), world.clock()
    good = world.announcement(key, world.record(key, now), now)
    bad = good[:-1] + bytes([good[-1] ^ 1])
    return dht_pb2.StoreRequest(
        keys=[dht_id(world.announcements_key)] * count,
        subkeys=[write_bin(key.peer_id.encode() + b"%08d" % number) for number in range(count)],
        values=[write_bin(bad)] * count,
        expiration_time=[float(int(now) + 600)] * count,
        in_cache=[False] * count,
    ).SerializeToString()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110  another process sends no event
            await asyncio.sleep(0.05)


def flooded(make: Callable[[Any], tuple[str, bytes]], what: Misbehaviour) -> Callable[[Any], Awaitable[None]]:
    """While one of three floods another, the third is served; the flooder is reported and disconnected."""

    async def scenario(world: Any) -> None:
        victim, attacker, honest = await world.swarm(3)
        told: list[tuple[str, Misbehaviour]] = []
        victim.network.judge_by(lambda _peer: Standing.MET, lambda peer, what: told.append((peer, what)))
        body = world.record(victim.key, world.clock())
        digest = victim.hold(body)
        flood = Flood(attacker, victim)
        attack = asyncio.get_running_loop().create_task(flood.run(*make(world)))
        try:
            await eventually(lambda: bool(told))
            assert told[0] == (attacker.network.peer_id, what)
            await eventually(lambda: victim.network.statistics().refused.get("shunned", 0) > 0)
            for number in range(5):
                pulled = await honest.network.pull(victim.network.peer_id, digest, len(body))
                assert pulled.envelope == body
                own = world.announcement(
                    honest.key, world.record(honest.key, world.clock(), number), world.clock()
                )
                assert await honest.network.announce([own]) == 1
            assert {peer for peer, _ in told} == {attacker.network.peer_id}
        finally:
            attack.cancel()
            await asyncio.wait([attack])

    return scenario


def test_a_peer_that_searches_as_fast_as_it_can_is_disconnected(p2p: Any) -> None:
    from hivemind.proto import dht_pb2

    request = dht_pb2.FindRequest(keys=[bytes(20)] * 4).SerializeToString()
    p2p.run(flooded(lambda _world: ("SwarmDHT.rpc_find", request), Misbehaviour.FLOOD))


def test_a_peer_that_stores_bad_signatures_is_disconnected_as_a_liar(p2p: Any) -> None:
    p2p.run(flooded(lambda world: ("SwarmDHT.rpc_store", bad_signatures(world)), Misbehaviour.LIES))


def test_a_peer_that_opens_streams_as_fast_as_it_can_is_disconnected(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        victim, attacker, honest = await world.swarm(3)
        told: list[tuple[str, Misbehaviour]] = []
        victim.network.judge_by(lambda _peer: Standing.MET, lambda peer, what: told.append((peer, what)))
        session = attacker.network._supervisor._session

        async def open_and_leave() -> None:
            while not told:
                try:
                    async with session.stream(victim.network.peer_id, BODY_PROTOCOL, "flooding", 5.0):
                        pass
                except NetworkError:
                    await asyncio.sleep(0)

        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(open_and_leave())
        assert told == [(attacker.network.peer_id, Misbehaviour.FLOOD)]
        body = world.record(victim.key, world.clock())
        digest = victim.hold(body)
        pulled = await honest.network.pull(victim.network.peer_id, digest, len(body))
        assert pulled.envelope == body

    p2p.run(scenario)
