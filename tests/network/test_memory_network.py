"""What the in-memory network adds to the contract: latency, loss and partitions from a seed."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from protocol import digest_of
from swarmd.errors import NetworkError
from swarmd.network import MemoryHub, PullFailedError, run_simulated, simulated_wall_clock
from swarmd.network.memory_hub import LOST_SECONDS
from swarmd.network.simulation import EPOCH_S


def test_the_package_imports_neither_torch_nor_hivemind() -> None:
    program = (
        "import sys, swarmd.network\n"
        "assert not [n for n in sys.modules if n == 'torch' or n.startswith('hivemind.')]"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", program], env=environment, timeout=60, check=True)


def time() -> float:
    return asyncio.get_running_loop().time()


def test_simulated_time_jumps_and_keeps_order() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        async def after(seconds: float, name: str) -> None:
            await asyncio.sleep(seconds)
            seen.append(f"{name} at {simulated_wall_clock() - EPOCH_S:.0f}")

        async with asyncio.TaskGroup() as group:
            for seconds, name in ((86_400, "day"), (1, "second"), (3_600, "hour")):
                group.create_task(after(seconds, name))
        return seen

    assert run_simulated(main()) == ["second at 1", "hour at 3600", "day at 86400"]


def test_a_partition_divides_and_heals(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        peers = await world.swarm(4)
        now = world.clock()
        sent = [world.announcement(peer.key, world.record(peer.key, now), now) for peer in peers]
        ids = [peer.network.peer_id for peer in peers]
        world.hub.partition(ids[:2], ids[2:])
        assert await peers[0].network.announce(sent[:1]) == 1
        assert await peers[2].network.announce(sent[2:3]) == 1
        read = [await peer.network.read_announcements([world.announcements_key]) for peer in peers]
        assert read == [sent[:1], sent[:1], sent[2:3], sent[2:3]]
        with pytest.raises(PullFailedError):
            await peers[0].network.pull(ids[2], bytes(32), 10)
        assert await peers[0].network.connect(peers[3].network.addresses) == 0
        world.hub.heal()
        for peer in peers:
            assert len(await peer.network.read_announcements([world.announcements_key])) == 2

    memory.run(scenario)


def test_messages_take_their_time(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        world.hub._latency = 1.0
        one, other = await world.swarm(2)
        body = world.record(one.key, world.clock())
        before = time()
        await other.network.pull(one.network.peer_id, one.hold(body), len(body))
        assert 1.0 <= time() - before <= 3.0

    memory.run(scenario)


def test_a_lost_pull_is_tried_once_more(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        body = world.record(one.key, world.clock())
        digest = one.hold(body)
        world.hub._loss = 0.5
        outcomes = []
        for _ in range(40):
            try:
                outcomes.append(
                    (await other.network.pull(one.network.peer_id, digest, len(body))).envelope == body
                )
            except PullFailedError:
                outcomes.append(False)
        assert 20 < sum(outcomes) < 40

    memory.run(scenario)


def test_a_silent_peer_costs_a_time_out(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        world.hub.partition([one.network.peer_id])
        before = time()
        assert await other.network.connect(one.network.addresses) == 0
        assert time() - before >= LOST_SECONDS

    memory.run(scenario)


def test_a_peer_that_cannot_be_dialled_is_read_through_the_dht(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        one = await world.peer(0)
        hidden = await world.peer(1, to=one, dialable=False)
        assert not hidden.network.statistics().dialable
        body = world.record(hidden.key, world.clock())
        hidden.hold(body)
        with pytest.raises(PullFailedError, match="cannot be dialled"):
            await one.network.pull(hidden.network.peer_id, digest_of(body), len(body))
        assert await hidden.network.store_body(body)
        assert (await one.network.pull(hidden.network.peer_id, digest_of(body), len(body))).envelope == body

    memory.run(scenario)


def test_one_key_is_one_peer(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        first = await world.peer(0)
        with pytest.raises(NetworkError, match="used by only one peer"):
            await world.peer(0)
        await first.network.close()
        await world.peer(0)

    memory.run(scenario)


def test_values_survive_half_of_their_holders(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        peers = await world.swarm(16)
        now = world.clock()
        sent = [world.announcement(peer.key, world.record(peer.key, now), now) for peer in peers]
        for peer, envelope in zip(peers, sent, strict=True):
            assert await peer.network.announce([envelope]) == 1
        for peer in peers[12:]:
            await peer.network.close()
        assert sorted(await peers[0].network.read_announcements([world.announcements_key])) == sorted(sent)

    memory.run(scenario)


def test_values_end_with_their_time(memory: Any) -> None:
    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        now = world.clock()
        assert await one.network.announce([world.announcement(one.key, world.record(one.key, now), now)]) == 1
        await asyncio.sleep(601)
        assert await other.network.read_announcements([world.announcements_key]) == []

    memory.run(scenario)


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_course(memory: Any, seed: int) -> None:
    async def course() -> list[float]:
        hub = MemoryHub(random.Random(seed), simulated_wall_clock, latency=0.1, loss=0.3)
        one, other = (hub.network(memory.key(number)) for number in range(2))
        times = []
        for _ in range(20):
            await other.connect(one.addresses)
            times.append(time())
        return times

    assert run_simulated(course()) == run_simulated(course())
