"""A home's storage on disk, an event log to read, and a peer whose step loop can be run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from swarmd.daemon.steps import StepLoop
from swarmd.policy import Policy
from swarmd.storage import Database, Home
from tests.daemon.exchange_bench import Bench
from tests.daemon.fakes import Events
from tests.daemon.step_peer import Peer, StopAt


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.open(tmp_path / "home")


@pytest.fixture
def database(home: Home) -> Iterator[Database]:
    with Database(home.database_path) as opened:
        yield opened


@pytest.fixture
def bench(home: Home, database: Database, events: Events) -> Bench:
    return Bench(home, database, events)


@pytest.fixture
def make_peer(home, database, make_policy, events) -> Callable[..., Peer]:
    """make_peer(policy=None, **learning): what is no setting of learning goes where it belongs."""

    def make(policy: Policy | None = None, **given: Any) -> Peer:
        return Peer(home, database, policy or make_policy(max_new_tokens=8), events, **given)

    return make


@pytest.fixture
async def run() -> AsyncIterator[Callable[..., Any]]:
    """run(peer): its step loop to the end; returns the loop."""
    with ThreadPoolExecutor(1) as model_thread:

        async def to_the_end(one: Peer, stop_at: StopAt | None = None) -> StepLoop:
            loop = one.loop(model_thread)
            if stop_at is not None:
                one.events.hook = lambda name, fields: loop.stop() if stop_at(name, fields) else None
            async with asyncio.timeout(60):
                await loop.run()
            return loop

        yield to_the_end
