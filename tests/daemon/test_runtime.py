"""What the daemon does when one of its parts fails for good."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from swarmd.config import Config
from swarmd.daemon.runtime import _Daemon, _one_of, _Peer
from swarmd.network.interface import NetworkClosedError
from swarmd.storage import Home
from tests.daemon.fakes import Events

LOST = NetworkClosedError("the p2p process could not be brought back: start again")


class Steps:
    """Takes steps until stopped, and then writes its checkpoint."""

    def __init__(self) -> None:
        self._stop = asyncio.Event()
        self.checkpointed = False

    def stop(self) -> None:
        self._stop.set()

    async def run(self) -> None:
        await self._stop.wait()
        await asyncio.sleep(0)
        self.checkpointed = True


class Server:
    def __init__(self) -> None:
        self.started = asyncio.Event()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        self._stop.set()

    async def serve(self) -> None:
        self.started.set()
        await self._stop.wait()


class LostExchange:
    """As an exchange whose network closes under it."""

    def handle(self, event: object) -> None:
        pass

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._fail())

    async def _fail(self) -> None:
        await asyncio.sleep(0.01)
        raise LOST


async def test_a_network_lost_for_good_ends_the_daemon_after_its_checkpoint(tmp_path: Path):
    events, steps = Events(), Steps()
    daemon = _Daemon(Config(home=tmp_path), Home.open(tmp_path), events)
    reporter: Any = SimpleNamespace(own_status=lambda: None, problems=lambda: ())
    parts: Any = (LostExchange(), steps, Server(), reporter)
    with pytest.raises(BaseExceptionGroup) as raised:
        await daemon._run(_Peer(*parts))
    assert steps.checkpointed
    assert _one_of(raised.value) is LOST
    assert "start again" in events.named("stopping")[0]["message"]
