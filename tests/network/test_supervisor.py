"""Restarting a p2p process that dies, in simulated time, with sessions that die on command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from swarmd.errors import NetworkError
from swarmd.network import NetworkClosedError, run_simulated
from swarmd.network.supervisor import (
    BACK_OFF_S,
    PULSE_S,
    PULSES_MISSED_MAX,
    RESTART_WAIT_S,
    STABLE_S,
    Supervisor,
)


class FakeSession:
    """A session, as far as the supervisor sees one."""

    def __init__(self, lifetime: float) -> None:
        self.lifetime = lifetime
        self.ended = self.closed = False
        self.frozen_at = float("inf")
        self.killed = asyncio.Event()

    async def wait_for_death(self) -> int:
        with suppress(TimeoutError):
            async with asyncio.timeout(self.lifetime):
                await self.killed.wait()
        return -9

    async def answers(self) -> bool:
        return asyncio.get_running_loop().time() < self.frozen_at

    def kill(self) -> None:
        self.killed.set()

    def end(self) -> None:
        self.ended = True

    async def close(self) -> None:
        self.ended = self.closed = True


class Sessions:
    """Opens one session after the other; a lifetime of None stands for a start that fails."""

    def __init__(self, *lifetimes: float | None) -> None:
        self._lifetimes = iter(lifetimes)
        self.opened: list[tuple[float, Any]] = []

    async def open(self) -> Any:
        lifetime = next(self._lifetimes)
        if lifetime is None:
            raise NetworkError("does not start")
        session = FakeSession(lifetime)
        self.opened.append((asyncio.get_running_loop().time(), session))
        return session

    @property
    def times(self) -> list[float]:
        return [time for time, _ in self.opened]


async def ignore(_session: Any) -> None:
    return None


def supervised(sessions: Sessions, scenario: Callable[[Supervisor], Awaitable[None]]) -> None:
    async def main() -> None:
        supervisor = Supervisor(sessions.open)
        await supervisor.start()
        task = asyncio.get_running_loop().create_task(supervisor.run(ignore))
        await scenario(supervisor)
        task.cancel()
        await asyncio.wait([task])
        await supervisor.close()

    run_simulated(main())


def test_a_dead_process_is_replaced_and_the_old_session_closed() -> None:
    sessions = Sessions(100.0, 1e9)

    async def scenario(supervisor: Supervisor) -> None:
        await asyncio.sleep(101)
        assert await supervisor.session() is sessions.opened[1][1]
        assert supervisor.restarts == 1

    supervised(sessions, scenario)
    assert sessions.times == [0.0, 100.0 + BACK_OFF_S[0]]
    assert sessions.opened[0][1].closed
    assert sessions.opened[1][1].closed


def test_a_process_that_stands_still_is_ended_and_replaced() -> None:
    sessions = Sessions(1e9, 1e9)

    async def scenario(supervisor: Supervisor) -> None:
        sessions.opened[0][1].frozen_at = 100.0
        await asyncio.sleep(100 + PULSE_S * (PULSES_MISSED_MAX - 1))
        assert supervisor.restarts == 0
        await asyncio.sleep(PULSE_S + 1)
        assert supervisor.restarts == 1

    supervised(sessions, scenario)


def test_calls_wait_for_the_restart() -> None:
    sessions = Sessions(100.0, 1e9)

    async def scenario(supervisor: Supervisor) -> None:
        await asyncio.sleep(100.05)
        assert await supervisor.session() is sessions.opened[1][1]

    supervised(sessions, scenario)


def test_calls_wait_no_longer_than_promised() -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await asyncio.sleep(103.0)
        before = asyncio.get_running_loop().time()
        with pytest.raises(NetworkError, match="not restarted yet"):
            await supervisor.session()
        assert asyncio.get_running_loop().time() - before == pytest.approx(RESTART_WAIT_S)

    supervised(Sessions(100.0, *[None] * len(BACK_OFF_S)), scenario)


def test_a_process_that_cannot_be_started_is_given_up_after_a_minute() -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await asyncio.sleep(100 + sum(BACK_OFF_S) + 1)
        with pytest.raises(NetworkClosedError, match="does not start"):
            await supervisor.session()

    supervised(Sessions(100.0, *[None] * len(BACK_OFF_S)), scenario)


def test_a_process_that_keeps_dying_is_given_up_too() -> None:
    async def scenario(supervisor: Supervisor) -> None:
        await asyncio.sleep(sum(BACK_OFF_S) + len(BACK_OFF_S) + 2)
        with pytest.raises(NetworkClosedError, match="right after each start"):
            await supervisor.session()
        assert supervisor.restarts == len(BACK_OFF_S)

    supervised(Sessions(*[1.0] * (len(BACK_OFF_S) + 1)), scenario)


def test_a_process_that_dies_now_and_then_is_always_replaced() -> None:
    deaths = 3 * len(BACK_OFF_S)

    async def scenario(supervisor: Supervisor) -> None:
        await asyncio.sleep(deaths * (STABLE_S + 2))
        assert supervisor.restarts == deaths
        await supervisor.session()

    supervised(Sessions(*[STABLE_S + 1] * deaths, 1e9), scenario)


def test_a_bug_closes_the_network_with_its_cause() -> None:
    sessions = Sessions(1e9)

    async def scenario(supervisor: Supervisor) -> None:
        bug = ZeroDivisionError("a bug")
        supervisor.fail(bug)
        assert sessions.opened[0][1].ended
        with pytest.raises(NetworkClosedError, match="a bug") as raised:
            await supervisor.session()
        assert raised.value.__cause__ is bug

    supervised(sessions, scenario)
