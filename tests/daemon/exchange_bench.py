"""An exchange between a gossip and a network that do as told, for tests of the exchange."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from protocol import is_held_out, sign_record, verify_record
from swarmd import gossip as g
from swarmd.daemon.exchange import Exchange
from swarmd.step.verification import Verification
from swarmd.storage import BlobStore, Database, Home
from tests.daemon.fakes import Events, KnownTasks, ScriptedGossip, ScriptedNetwork
from tests.gossip.making import START, key, make_manifest, make_record, make_task, question

MANIFEST = make_manifest()
ALLOWED = [n for n in range(300) if not is_held_out(question(make_task(MANIFEST, n)))]
OTHER = key(2).peer_id


class Bench:
    """An exchange between a gossip and a network that do as told."""

    def __init__(self, home: Home, database: Database, events: Events) -> None:
        self.gossip = ScriptedGossip()
        self.network = ScriptedNetwork(key(1).peer_id)
        self.database, self.events = database, events
        self.blobs = BlobStore(home.records_path, 2**20)
        self.tasks = KnownTasks()
        self.exchange = Exchange(
            gossip=self.gossip,
            network=self.network,
            verification=Verification(manifest=MANIFEST, tasks=self.tasks),
            database=database,
            blobs=self.blobs,
            events=events,
            clock=lambda: START,
        )

    def want(self, *commands: g.Command) -> None:
        self.gossip.wants = list(commands)
        self.exchange.handle(g.Tick(neighbours=0))

    async def told(self, kind: type, times: int = 1) -> list[g.Event]:
        """The events of that kind, once there are `times` of them."""
        async with asyncio.timeout(10):
            while len(self.gossip.of(kind)) < times:
                self.gossip.heard.clear()
                await self.gossip.heard.wait()
        return self.gossip.of(kind)

    async def called(self, times: int = 1) -> list[tuple]:
        async with asyncio.timeout(10):
            while len(self.network.calls) < times:
                self.network.asked.clear()
                await self.network.asked.wait()
        return self.network.calls

    async def fails_on(self, command: g.Command) -> None:
        """Runs until `command` ends the exchange."""
        async with self.running():
            self.want(command)
            async with asyncio.timeout(10):
                await asyncio.Event().wait()

    @asynccontextmanager
    async def running(self):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.exchange.run())
            yield
            task.cancel()


def received(number: int, rewards: tuple[float, ...] = (1.0, 0.0), **changes: bytes):
    record = make_record(MANIFEST, number, START, rewards, **changes)
    return verify_record(sign_record(key(2), record), manifest=MANIFEST, now=START)
