"""The pitfalls of real p2pd processes, each met on loopback and uvloop."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from protocol import SHARDS_MAX, digest_of, shard_of
from swarmd.addresses import parse_peer_address
from swarmd.errors import ConfigError, NetworkError
from swarmd.network import ClockSkewError, PullFailedError
from swarmd.network.interface import NetworkClosedError
from swarmd.network.supervisor import Supervisor

pytestmark = pytest.mark.p2p

PATIENCE_S = 30.0
"""Far above what any of this takes; only a hang reaches it."""


async def eventually(condition: Any) -> None:
    """Wait for something that another process does."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():  # noqa: ASYNC110  the other process sends no event
            await asyncio.sleep(0.05)


def test_a_killed_p2pd_comes_back_with_the_same_address_and_everything_works_again(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        one, two, three = await world.swarm(3)
        before = world.announcement(two.key, world.record(two.key, world.clock(), 1), world.clock())
        assert await two.network.announce([before]) == 1
        addresses = two.network.addresses
        world.processes(two.key)[0].kill()

        async def restarted() -> bool:
            return two.network.statistics().restarts == 1 and two.network.statistics().connected_peers > 0

        await eventually(restarted)
        assert two.network.addresses == addresses
        after = world.announcement(two.key, world.record(two.key, world.clock(), 2), world.clock())
        assert await two.network.announce([after]) == 1
        for peer in (one, two, three):
            read = await peer.network.read_announcements([world.announcements_key])
            assert sorted(read) == sorted([before, after])
        mine, yours = world.record(two.key, world.clock()), world.record(three.key, world.clock())
        assert (await three.network.pull(two.network.peer_id, two.hold(mine), len(mine))).envelope == mine
        assert (
            await two.network.pull(three.network.peer_id, three.hold(yours), len(yours))
        ).envelope == yours

    p2p.run(scenario)


def test_a_p2pd_that_hivemind_stopped_listening_to_is_replaced(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        _, two = await world.swarm(2)
        session = two.network._supervisor._session
        session._p2p._client.control._read_task.cancel()

        async def replaced() -> bool:
            return two.network.statistics().restarts == 1 and two.network.statistics().connected_peers > 0

        await eventually(replaced)
        own = world.announcement(two.key, world.record(two.key, world.clock()), world.clock())
        assert await two.network.announce([own]) == 1

    p2p.run(scenario)


def test_calls_under_way_when_p2pd_dies_end_with_a_network_error(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        one, two = await world.swarm(2)
        waiting = asyncio.Event()

        def stuck(_digest: bytes) -> None:
            waiting.set()
            world.processes(two.key)[0].suspend()

        one.network.serve(bodies=stuck, manifest=world.manifest.to_bytes())
        pull = asyncio.get_running_loop().create_task(two.network.pull(one.network.peer_id, bytes(32), 10))
        await waiting.wait()
        read = asyncio.get_running_loop().create_task(
            two.network.read_announcements([world.announcements_key])
        )
        await asyncio.sleep(0)
        world.processes(two.key)[0].kill()
        async with asyncio.timeout(PATIENCE_S):
            with pytest.raises(PullFailedError):
                await pull
            with pytest.raises(NetworkError, match="p2p process died"):
                await read

    p2p.run(scenario)


def test_one_of_the_dead_bootstrap_peers_comes_back(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        first = await world.peer(0)
        addresses, port = first.network.addresses, first.network.port
        await first.network.close()
        two = await world.peer(1)
        assert await two.network.connect(addresses, named=True) == 0
        own = world.announcement(two.key, world.record(two.key, world.clock()), world.clock())
        assert await two.network.announce([own]) == 1
        again = await world.peer(0, port=port)
        assert again.network.addresses == addresses

        async def heard() -> bool:
            return await again.network.read_announcements([world.announcements_key]) == [own]

        await eventually(heard)

    p2p.run(scenario)


def test_a_port_on_which_another_program_listens_is_a_config_error(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(ConfigError, match=rf"port {port} .*--port 0"):
                await world.peer(0, port=port)

    p2p.run(scenario)


def test_a_port_on_which_another_p2pd_listens_is_a_config_error(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        first = await world.peer(0)
        with pytest.raises(ConfigError, match=rf"port {first.network.port} .*--port 0"):
            await world.peer(1, port=first.network.port)

    p2p.run(scenario)


def test_a_key_that_runs_already_among_the_peers_is_a_config_error(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        from swarmd.network.p2pd import is_running_elsewhere

        first, second = await world.swarm(2)
        bootstrap = [parse_peer_address(first.network.addresses[0])]

        async def known() -> bool:  # libp2p tells others of a newcomer a moment after it joined
            return await is_running_elsewhere(second.key.peer_id, bootstrap)

        await eventually(known)
        with pytest.raises(ConfigError, match=f"this key .{second.key.peer_id}. is running"):
            await world.peer(1, peers=first.network.addresses)
        third = await world.peer(2, peers=first.network.addresses)
        assert await third.network.connect(first.network.addresses) == 1

    p2p.run(scenario)


def test_a_key_that_ran_a_moment_ago_may_start_again(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        first, second = await world.swarm(2)
        await second.network.close()
        again = await world.peer(1, peers=first.network.addresses, port=second.network.port)
        assert await again.network.connect(first.network.addresses) == 1

    p2p.run(scenario)


def test_whoever_meets_public_peers_and_has_no_public_address_is_not_dialable(p2p: Any) -> None:
    from swarmd.network.address_book import AddressBook
    from swarmd.network.doors import Doors
    from swarmd.network.guard import Guard
    from swarmd.network.neighbourhood import Neighbourhood

    async def scenario(world: Any) -> None:
        public, private = (f"/ip4/{ip}/tcp/1/p2p/{world.key(1).peer_id}" for ip in ("8.8.8.8", "10.0.0.7"))
        relayed = f"/ip4/8.8.8.8/tcp/1/p2p/{world.key(2).peer_id}/p2p-circuit/p2p/{world.key(1).peer_id}"
        for own, met, dialable in [
            (private, [], True),
            (private, [private], True),
            (private, [public], False),
            (public, [public], True),
            (relayed, [public], True),
        ]:
            guard, announced = Guard(time.monotonic), [parse_peer_address(own)]
            book = AddressBook(guard.relies_on, time.monotonic)
            guess = Neighbourhood(
                Supervisor(world.peer), world.key(1).peer_id, announced, guard, Doors(), book
            )
            guess._met = tuple(map(parse_peer_address, met))
            assert guess.seems_dialable == dialable
        peer = await world.peer(3, dialable=False)
        assert not peer.network.statistics().dialable

    p2p.run(scenario)


def test_a_damaged_key_file_is_a_network_error_and_leaves_no_process(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        world.identity = lambda _key: world.directory / "damaged.key"
        (world.directory / "damaged.key").write_bytes(b"not a key")
        with pytest.raises(NetworkError, match="could not be started"):
            await world.peer(0)

    p2p.run(scenario)


def test_a_start_that_is_cancelled_leaves_no_process(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        for _ in range(5):
            start = asyncio.get_running_loop().create_task(world.peer(0))

            async def spawned() -> bool:
                return bool(world.processes())

            async def gone() -> bool:
                return not world.processes()

            await eventually(spawned)
            start.cancel()
            with pytest.raises(asyncio.CancelledError):
                await start
            await eventually(gone)  # one cancelled while it is spawned is killed, and dies soon after

    p2p.run(scenario)


def test_announcing_under_many_keys_at_once_is_no_lie(p2p: Any) -> None:
    """As after an outage: hivemind looks for the holders of n keys with sqrt(n) keys per message."""

    async def scenario(world: Any) -> None:
        one, other = await world.swarm(2)
        task = world.manifest.tasks[0].task_id
        sent, now = [], world.clock()
        for number in range(60):
            key = world.key(number)
            shard = shard_of(key.peer_id, task, SHARDS_MAX)
            sent.append(world.announcement(key, world.record(key, now), now, shard=shard))
        assert await one.network.announce(sent) == len(sent)
        assert other.network.statistics().refused == {}

    p2p.run(scenario)


def test_a_wrong_clock_is_named(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        first = await world.peer(0)
        ahead = await world.peer(1, clock=lambda: time.time() + 120)
        behind = await world.peer(2, clock=lambda: time.time() - 120)
        with pytest.raises(ClockSkewError, match=r"clock is 1[12]\d s ahead of all 1 peers.*set the clock"):
            await ahead.network.connect(first.network.addresses, named=True)
        assert "set the clock" in ahead.network.statistics().problems[0]
        assert first.network.statistics().problems == ()
        slow = await world.peer(3, clock=lambda: time.time() - 10, to=first)

        async def said() -> bool:
            problems = slow.network.statistics().problems
            return any("clock is 10 s behind most peers that answer" in problem for problem in problems)

        await eventually(said)
        with pytest.raises(ClockSkewError, match=r"clock is 1[12]\d s behind all 1 peers"):
            await behind.network.connect(first.network.addresses, named=True)

    p2p.run(scenario)


def test_more_than_one_message_of_values_is_handed_to_a_newcomer(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        one = await world.peer(0)
        texts = "x" * 16_000
        bodies = [world.record(one.key, world.clock(), number, texts) for number in range(140)]
        assert sum(map(len, bodies)) > 4 * 2**20
        for body in bodies:
            assert await one.network.store_body(body)
        two = await world.peer(1, to=one)
        last = digest_of(bodies[-1])

        async def handed_over() -> bool:
            return len(two.network._shelf.held_keys()) == len(bodies)

        await eventually(handed_over)
        await one.network.close()
        assert (await two.network.pull(one.network.peer_id, last, len(bodies[-1]))).envelope == bodies[-1]

    p2p.run(scenario)


def test_a_closed_network_leaves_its_port_to_the_next(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        first = await world.peer(0)
        await first.network.close()
        with pytest.raises(NetworkClosedError):
            await first.network.read_statuses([bytes(32)])
        again = await world.peer(0, port=first.network.port)
        assert await again.network.read_statuses([bytes(32)]) == []

    p2p.run(scenario)


def test_a_bug_in_the_background_closes_the_network_and_is_raised_at_close(
    p2p: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario(world: Any) -> None:
        monkeypatch.setattr("swarmd.network.neighbourhood.REFRESH_S", 0.1)
        peer = await world.peer(0)

        async def bug(_session: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(peer.network._neighbourhood, "refresh", bug)

        async def failed() -> bool:
            try:
                await peer.network.read_statuses([bytes(32)])
            except NetworkClosedError as error:
                return isinstance(error.__cause__, ExceptionGroup)
            return False

        await eventually(failed)
        with pytest.raises(ExceptionGroup) as raised:
            await peer.network.close()
        assert raised.group_contains(ZeroDivisionError)

    p2p.run(scenario)


def test_a_peer_whose_usual_port_is_taken_at_the_last_moment_listens_on_another(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        first = await world.peer(0)
        second = await world.peer(1, usual_port=first.network.port)
        assert second.network.port != first.network.port
        assert await second.network.connect(first.network.addresses) == 1

    p2p.run(scenario)


KILLED_DAEMON = """
import asyncio, os, pathlib, sys, psutil
from protocol import KeyPair
from swarmd.config import NetworkConfig
from swarmd.network.hivemind import HivemindNetwork

async def main():
    key = KeyPair.from_seed(bytes(32))
    path = pathlib.Path(sys.argv[1]) / "key"
    path.write_bytes(key.to_libp2p())
    config = NetworkConfig(host="127.0.0.1")
    await HivemindNetwork.start(key=key, identity_path=path, config=config, swarm=lambda: None)
    child = psutil.Process().children()[0].pid
    print(child, os.getpgid(child) != os.getpgid(0), flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


def test_p2pd_is_out_of_reach_of_the_terminals_ctrl_c_but_ends_with_its_parent(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", KILLED_DAEMON, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        timeout=60,
        check=False,
    )
    pid, apart = done.stdout.splitlines()[-1].split()
    assert (done.returncode, apart) == (-9, "True")
    if psutil.pid_exists(int(pid)):
        psutil.Process(int(pid)).wait(timeout=10)
