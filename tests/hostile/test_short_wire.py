"""Short forms of the attacks on the wire: one hostile p2pd, or a few, against two networks of ours."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hivemind.p2p import PeerID
from hivemind.proto import dht_pb2

from protocol import TaskSpec, announcement_key, digest_of
from swarmd.network.streams import BODY_PROTOCOL
from tests.hostile import bombs
from tests.hostile.attacker import FIND, STORE, Attacker, Target
from tests.hostile.forging import Forger, Item, store, store_request

pytestmark = [pytest.mark.p2p, pytest.mark.timeout(120)]

SEED = 5

FLOOD = 200
"""Messages of 64 announcements at once."""

FLOOD_ANSWER_S = 10.0

Scenario = Callable[["Stage"], Awaitable[None]]


class Stage:
    """A victim and an honest peer who know each other, and as many attackers as wanted."""

    def __init__(self, world: Any, directory: Path) -> None:
        self.world = world
        self.forger = Forger(world.manifest, SEED)
        self.family = world.manifest.tasks[0]
        self.attackers: list[Attacker] = []
        self._directory = directory
        self._numbers = count(100)

    async def set(self) -> None:
        self.victim = await self.world.peer(0)
        self.honest = await self.world.peer(1, to=self.victim)
        self.target = Target(self.victim.network.addresses[0])

    async def attacker(self) -> Attacker:
        made = await Attacker.start(self.forger.key(next(self._numbers)), self._directory)
        self.attackers.append(made)
        assert await made.enter(self.target)
        return made

    def honest_record(self, number: int = 1) -> tuple[bytes, Item]:
        """A body that the honest peer holds, and its announcement."""
        names = ("source", "dataset", "config", "version")
        fields = {name: getattr(self.family, name) for name in names}
        spec = TaskSpec(**fields, seed=number, index=0)
        forged = self.forger.record(self.honest.key, spec, "1 + 1?", [("2", 1.0), ("3", 0.0)])
        self.honest.hold(forged.body)
        return forged.body, self.forger.announce(forged, self.family)

    async def announce_honestly(self, number: int = 1) -> bytes:
        """Returns the announcement's envelope, which the network holds."""
        _, announced = self.honest_record(number)
        envelope = announced.value[2:] if announced.value[0] == 0xC4 else announced.value[3:]
        assert await self.honest.network.announce([envelope]) == 1
        return envelope

    async def read(self) -> list[bytes]:
        """What the victim finds under the key of the present round."""
        swarm = self.world.manifest.swarm_id
        key = announcement_key(swarm, self.forger.round, self.family.task_id, 0)
        found: list[bytes] = await self.victim.network.read_announcements([key])
        return found


def staged(p2p: Any, directory: Path, scenario: Scenario) -> None:
    async def play(world: Any) -> None:
        stage = Stage(world, directory)
        try:
            await stage.set()
            await scenario(stage)
        finally:
            for attacker in stage.attackers:
                await attacker.close()

    p2p.run(play)


def test_a_reader_outlives_bombs_and_finds_what_honest_peers_hold(p2p: Any, tmp_path: Path) -> None:
    kinds = (
        "400 nested tuples",
        "150 nested tuples",
        "100000 entries",
        "50000 places",
        "400 nested dictionaries",
    )

    async def scenario(stage: Stage) -> None:
        good = await stage.announce_honestly()
        rng = random.Random(SEED)
        library = list(bombs.results(rng, lambda name: any(kind in name for kind in kinds)))
        exploded = set()
        for kind in kinds:
            attacker = await stage.attacker()
            [data, *_] = [
                data
                for name, data in bombs.answers(rng, 1, attacker.node_info, library)
                if kind in name and not name.startswith("plain")
            ]

            async def explode(_data: bytes, _sender: PeerID, kind: str = kind, bomb: bytes = data) -> bytes:
                exploded.add(kind)
                return bomb

            await attacker.answer(FIND, explode)
        assert await stage.read() == [good]
        assert exploded == set(kinds)  # not all in this read: the victim looks around by itself, too

    staged(p2p, tmp_path, scenario)


def test_rounds_far_from_now_take_no_place(p2p: Any, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        attacker, forger = await stage.attacker(), stage.forger
        key, now = forger.key(1), forger.round
        far = [
            forger.announcement(key, stage.family, now + way)
            for way in (-1_000, -100, 100, 10_000, 10**6, 10**9)
            for _ in range(8)
        ]
        assert await store(attacker, stage.target, far) == 0
        good = await stage.announce_honestly()
        assert await stage.read() == [good]

    staged(p2p, tmp_path, scenario)


def test_names_on_every_place_of_a_key_leave_room_for_somebody_honest(p2p: Any, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        attacker, forger = await stage.attacker(), stage.forger
        siblings = [forger.announcement(forger.key(n), stage.family, forger.round) for n in range(1, 65)]
        for _ in range(2):
            await store(attacker, stage.target, siblings)
        goods = [await stage.announce_honestly(number) for number in (1, 2, 3)]
        assert set(goods) <= set(await stage.read())
        await store(attacker, stage.target, siblings)
        assert set(goods) <= set(await stage.read())

    staged(p2p, tmp_path, scenario)


def test_a_flood_is_refused_unread_and_an_honest_peer_is_served_beside_it(p2p: Any, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        attacker, forger = await stage.attacker(), stage.forger
        good = forger.announcement(forger.key(1), stage.family, forger.round)
        bad = Item(good.key, good.subkey, good.value[:-1] + bytes([good.value[-1] ^ 1]), good.expires)
        message = store_request([bad] * 64, attacker.node_info)
        calls = (attacker.call(stage.target, STORE, message, FLOOD_ANSWER_S) for _ in range(FLOOD))
        answers = await asyncio.gather(*calls)
        assert sum(answer is not None for answer in answers) < FLOOD / 2
        assert sum(stage.victim.network.statistics().refused.values()) > 0
        body, _ = stage.honest_record()
        stage.victim.hold(body)
        pulled = await stage.honest.network.pull(stage.victim.network.peer_id, digest_of(body), len(body))
        assert pulled.envelope == body
        envelope = await stage.announce_honestly()
        assert envelope in await stage.read()

    staged(p2p, tmp_path, scenario)


@pytest.mark.slow
def test_silent_streams_of_many_names_keep_no_honest_pull_waiting(p2p: Any, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        body, _ = stage.honest_record()
        stage.victim.hold(body)
        silent = []
        for _ in range(17):
            attacker = await stage.attacker()
            silent += [await attacker.stream(stage.target, BODY_PROTOCOL) for _ in range(4)]
        assert any(opened is not None for opened in silent)
        pulled = await stage.honest.network.pull(stage.victim.network.peer_id, digest_of(body), len(body))
        assert pulled.envelope == body

    staged(p2p, tmp_path, scenario)


def test_a_search_that_is_sent_on_to_nobody_ends_and_finds(p2p: Any, tmp_path: Path) -> None:
    async def scenario(stage: Stage) -> None:
        good = await stage.announce_honestly()
        attacker, rng = await stage.attacker(), random.Random(SEED)
        nobody = [b"\x00\x24\x08\x01\x12\x20" + rng.randbytes(32) for _ in range(20)]
        result = dht_pb2.FindResult(
            type=dht_pb2.NOT_FOUND,
            nearest_node_ids=[rng.randbytes(20) for _ in nobody],
            nearest_peer_ids=nobody,
        )
        answer = dht_pb2.FindResponse(results=[result], peer=attacker.node_info).SerializeToString()

        async def mislead(_data: bytes, _sender: PeerID) -> bytes:
            return bytes(answer)

        await attacker.answer(FIND, mislead)
        assert await stage.read() == [good]

    staged(p2p, tmp_path, scenario)
