"""Worlds for scenarios: peers in memory and simulated time, or real p2pd on loopback and uvloop."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import pytest
import uvloop

from protocol import (
    Announcement,
    Completion,
    KeyPair,
    Manifest,
    PeerStatus,
    Record,
    TaskFamily,
    TaskSpec,
    announcement_key,
    digest_of,
    membership_key,
    shard_of,
    sign_announcement,
    sign_record,
    sign_status,
)
from swarmd.config import NetworkConfig
from swarmd.network import MemoryHub, Network, run_simulated, simulated_wall_clock
from tests.held import new_garbage_only

FAMILY = TaskFamily(name="sums", source="test", dataset="sums", config="{}", version="1", weight=1)
MANIFEST = Manifest(
    name="test",
    genesis=1_700_000_000,
    round_seconds=600,
    reward="exact",
    max_new_tokens=128,
    records_per_round_max=64,
    tasks=(FAMILY,),
)
SWARM = MANIFEST.swarm_id
LIFETIME_S = 600


def key_of(number: int) -> KeyPair:
    return KeyPair.from_seed(hashlib.sha256(b"test peer %d" % number).digest())


def record_envelope(key: KeyPair, now: float, number: int = 0, text: str = "an answer") -> bytes:
    created = int(now)
    completion = Completion(
        text=text, reward_micro=0, logprob_sum_micro=-1, tokens=3, bytes=len(text.encode()), finished=True
    )
    task = TaskSpec(source="test", dataset="sums", config="{}", version="1", seed=number, index=0)
    record = Record(
        swarm=SWARM,
        round=MANIFEST.round_at(now),
        step=number,
        created=created,
        expires=created + LIFETIME_S,
        task=task,
        question_digest=bytes(32),
        completions=(completion, completion),
        temperature_milli=1_000,
        model="test",
        tokenizer=bytes(8),
    )
    return sign_record(key, record)


def announcement_envelope(key: KeyPair, body: bytes, now: float, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "swarm": SWARM,
        "round": MANIFEST.round_at(now),
        "task_id": FAMILY.task_id,
        "shard": 0,
        "digest": digest_of(body),
        "size": len(body),
        "pass_rate_milli": 500,
        "model": "test",
        "tokenizer": bytes(8),
        "expires": int(now) + LIFETIME_S,
    }
    return sign_announcement(key, Announcement(**fields | changes))


def status_envelope(key: KeyPair, now: float, **changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "swarm": SWARM,
        "created": int(now),
        "expires": int(now) + LIFETIME_S,
        "addresses": (),
        "round": 7,
        "step": 1,
        "phase": "training",
        "model": "test",
        "device": "cpu",
        "reward_mean_milli": 100,
        "groups_own": 1,
        "groups_published": 1,
        "groups_pulled": 0,
        "groups_external_used": 0,
        "agent": "swarmd/test",
        "eval_milli": None,
    }
    return sign_status(key, PeerStatus(**fields | changes))


def members_of(key: KeyPair) -> bytes:
    return membership_key(SWARM, shard_of(key.peer_id, SWARM, 16))


@dataclass
class Peer:
    """A network with what it serves."""

    key: KeyPair
    network: Any
    bodies: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network.serve(bodies=self.bodies.get, manifest=MANIFEST.to_bytes())

    def hold(self, body: bytes) -> bytes:
        self.bodies[digest_of(body)] = body
        return digest_of(body)


class World:
    """Makes peers and signed things, runs a scenario, closes the peers."""

    clock: Callable[[], float]
    key = staticmethod(key_of)
    record = staticmethod(record_envelope)
    status = staticmethod(status_envelope)
    members_key = staticmethod(members_of)
    manifest = MANIFEST

    def __init__(self) -> None:
        self.peers: list[Peer] = []

    @cached_property
    def round(self) -> int:
        """The round of all announcements made here, however long a scenario takes."""
        return MANIFEST.round_at(self.clock())

    @property
    def announcements_key(self) -> bytes:
        return announcement_key(SWARM, self.round, FAMILY.task_id, 0)

    def announcement(self, key: KeyPair, body: bytes, now: float, **changes: Any) -> bytes:
        return announcement_envelope(key, body, now, **{"round": self.round} | changes)

    async def _network(self, key: KeyPair, **options: Any) -> Network:
        raise NotImplementedError

    async def peer(self, number: int, *, to: Peer | None = None, **options: Any) -> Peer:
        key = key_of(number)
        peer = Peer(key, await self._network(key, **options))
        self.peers.append(peer)
        if to is not None:
            assert await peer.network.connect(to.network.addresses) >= 1
        return peer

    async def swarm(self, size: int) -> list[Peer]:
        async with asyncio.TaskGroup() as group:
            starts = [group.create_task(self.peer(number)) for number in range(size)]
        peers = [start.result() for start in starts]
        for peer in peers[1:]:
            assert await peer.network.connect(peers[0].network.addresses) == 1
        return peers

    async def close(self) -> None:
        """Close all of them, even if one raises: what is left running would fail later tests."""
        ends = await asyncio.gather(*(peer.network.close() for peer in self.peers), return_exceptions=True)
        if errors := [end for end in ends if isinstance(end, BaseException)]:
            raise BaseExceptionGroup("networks that did not close", errors)

    async def _main(self, scenario: Callable[[Any], Awaitable[None]]) -> None:
        try:
            await scenario(self)
        finally:
            await self.close()

    def run(self, scenario: Callable[[Any], Awaitable[None]]) -> None:
        raise NotImplementedError


class MemoryWorld(World):
    def __init__(self, seed: int = 0, latency: float = 0.02, loss: float = 0.0) -> None:
        super().__init__()
        self.clock = simulated_wall_clock
        self.hub = MemoryHub(random.Random(seed), self.clock, latency, loss)

    async def _network(self, key: KeyPair, **options: Any) -> Network:
        return self.hub.network(key, **options)

    def run(self, scenario: Callable[[Any], Awaitable[None]]) -> None:
        run_simulated(self._main(scenario))


def p2pd_processes(key: KeyPair | None = None) -> list[psutil.Process]:
    """The running p2pd children of this process, or the one with `key`."""
    running = (child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE)
    children = [child for child in running if child.name() == "p2pd"]
    return [child for child in children if key is None or key.peer_id in " ".join(child.cmdline())]


class P2PWorld(World):
    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.clock = time.time
        self.directory = directory

    processes = staticmethod(p2pd_processes)

    def identity(self, key: KeyPair) -> Path:
        path = self.directory / f"{key.peer_id}.key"
        path.write_bytes(key.to_libp2p())
        return path

    async def _network(self, key: KeyPair, **options: Any) -> Network:
        from swarmd.network.hivemind import HivemindNetwork

        clock = options.pop("clock", self.clock)
        swarm = options.pop("swarm", lambda: MANIFEST)
        usual_port = options.pop("usual_port", None)
        config = NetworkConfig(**{"host": "127.0.0.1"} | options)
        return await HivemindNetwork.start(
            key=key,
            identity_path=self.identity(key),
            config=config,
            swarm=swarm,
            clock=clock,
            usual_port=usual_port,
        )

    def run(self, scenario: Callable[[Any], Awaitable[None]]) -> None:
        unhandled: list[dict[str, Any]] = []
        with new_garbage_only(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.get_loop().set_exception_handler(lambda _loop, context: unhandled.append(context))
            runner.run(self._main(scenario))
            gc.collect()  # a task whose exception nobody looked at says so when it is collected
        assert unhandled == []
        assert p2pd_processes() == []


@pytest.fixture
def memory() -> MemoryWorld:
    return MemoryWorld()


@pytest.fixture
def p2p(tmp_path: Path) -> P2PWorld:
    return P2PWorld(tmp_path)


@pytest.fixture(params=["memory", pytest.param("hivemind", marks=pytest.mark.p2p)])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return MemoryWorld() if request.param == "memory" else P2PWorld(tmp_path)
