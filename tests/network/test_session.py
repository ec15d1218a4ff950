"""When a session says that its p2pd is gone."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace

from swarmd.network.pauses import Pauses
from swarmd.network.session import Session, was_late


class DyingChild:
    """A process that is reaped before its waiter is told: killing it raises an error then."""

    def __init__(self, code: int) -> None:
        self._code = code
        self._killed = asyncio.Event()

    async def wait(self) -> int:
        await self._killed.wait()
        return self._code

    def kill(self) -> None:
        self._killed.set()
        raise ProcessLookupError


def test_a_p2pd_whose_connection_ends_before_its_exit_is_noticed_has_died_as_usual() -> None:
    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            control = SimpleNamespace(_read_task=group.create_task(asyncio.sleep(0)))
            p2p = SimpleNamespace(_child=DyingChild(-9), _client=SimpleNamespace(control=control))
            pauses = Pauses(time.monotonic, time.time)
            assert await Session(p2p, None, None, None, pauses).wait_for_death() == -9

    asyncio.run(scenario())


def test_a_time_out_that_comes_late_says_that_this_process_was_held_up() -> None:
    async def scenario() -> tuple[bool, bool]:
        loop = asyncio.get_running_loop()
        return was_late(asyncio.Timeout(loop.time())), was_late(asyncio.Timeout(loop.time() - 9))

    assert asyncio.run(scenario()) == (False, True)
