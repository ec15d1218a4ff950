"""Calls that fail or are cut off keep nothing: no descriptor, here or in p2pd, task, thread, child, file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import psutil
import pytest

from protocol import digest_of
from swarmd.errors import NetworkError
from tests.held import TIMES, assert_nothing_is_kept
from tests.network.conftest import key_of

pytestmark = [pytest.mark.p2p, pytest.mark.timeout(1_800)]

NOWHERE = f"/ip4/127.0.0.1/tcp/1/p2p/{key_of(77).peer_id}"
ABSENT = digest_of(b"nobody has this")

Operation = Callable[[], Awaitable[object]]


async def fails(call: Awaitable[object]) -> None:
    with pytest.raises(NetworkError):
        await call


async def cut_off(call: Callable[[], Awaitable[object]], turns: int) -> None:
    """Cancel `call` after the event loop has gone round `turns` times."""

    async def called() -> None:
        with suppress(NetworkError):  # it may have failed by itself by then
            await call()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(called())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()


def unknown_peer(one: Any, _two: Any, _count: Callable[[], int]) -> Operation:
    return lambda: fails(one.pull(key_of(99).peer_id, ABSENT, 100))


def absent_record(one: Any, two: Any, _count: Callable[[], int]) -> Operation:
    return lambda: fails(one.pull(two.peer_id, ABSENT, 100))


def cancelled_pull(one: Any, two: Any, count: Callable[[], int]) -> Operation:
    return lambda: cut_off(lambda: one.pull(two.peer_id, ABSENT, 100), count() % 40)


def dial_that_is_refused(one: Any, _two: Any, _count: Callable[[], int]) -> Operation:
    return lambda: fails(one.fetch_manifest(NOWHERE))


def cancelled_dial(one: Any, _two: Any, count: Callable[[], int]) -> Operation:
    return lambda: cut_off(lambda: one.fetch_manifest(NOWHERE), count() % 20)


def connecting_to_nobody(one: Any, _two: Any, _count: Callable[[], int]) -> Operation:
    return lambda: one.connect([NOWHERE])


def cancelled_read(one: Any, _two: Any, count: Callable[[], int]) -> Operation:
    return lambda: cut_off(lambda: one.read_statuses([b"k" * 32]), count() % 30)


CUT_OFF = (cancelled_pull, cancelled_dial, cancelled_read)
FAILING = (unknown_peer, absent_record, dial_that_is_refused, connecting_to_nobody)


@pytest.mark.parametrize("kind", [*FAILING, *CUT_OFF])
def test_a_call_that_fails_or_is_cut_off_keeps_nothing(p2p: Any, kind: Any) -> None:
    async def scenario(world: Any) -> None:
        one, two = await world.swarm(2)
        calls = 0

        def count() -> int:
            nonlocal calls
            calls += 1
            return calls

        others = [world.processes(peer.key)[0] for peer in (one, two)]
        operation = kind(one.network, two.network, count)
        times = 2 * TIMES if kind in CUT_OFF else TIMES
        await assert_nothing_is_kept(operation, world.directory, others, times=times)

    p2p.run(scenario)


def test_a_call_that_takes_too_long_keeps_nothing(p2p: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: Any) -> None:
        one, two = await world.swarm(2)
        monkeypatch.setattr("swarmd.network.hivemind.STREAM_SECONDS", 0.0005)
        others = [world.processes(peer.key)[0] for peer in (one, two)]
        await assert_nothing_is_kept(
            lambda: fails(one.network.pull(two.network.peer_id, ABSENT, 100)), world.directory, others
        )

    p2p.run(scenario)


def test_reading_from_a_dht_of_nobody_keeps_nothing(p2p: Any) -> None:
    async def scenario(world: Any) -> None:
        lone = await world.peer(1)
        others = [world.processes(lone.key)[0]]
        await assert_nothing_is_kept(
            lambda: lone.network.read_announcements([b"n" * 32]), world.directory, others
        )

    p2p.run(scenario)


def test_a_p2pd_that_cannot_be_started_keeps_nothing(p2p: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(world: Any) -> None:
        monkeypatch.setattr("swarmd.network.p2pd._IN_OWN_SESSION", "raise SystemExit('no')")
        monkeypatch.setattr("swarmd.network.p2pd.START_SECONDS", 0.5)
        await assert_nothing_is_kept(lambda: fails(world.peer(3)), world.directory, times=10)
        assert psutil.Process().children() == []

    p2p.run(scenario)
