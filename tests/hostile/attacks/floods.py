"""More of everything than any peer needs: stores, searches, pulls, greetings, streams, connections.

Each message is sound in form and cheap to send; the victim decodes, verifies and answers. Under each flood
the victim must keep its steps, beside the CPU time that the attacker takes itself: the control pair runs on
the same machine at the same time and pays for the attacker as well. And it must say who floods.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from itertools import cycle

from hivemind.proto import dht_pb2

from protocol import RECORD_BYTES_MAX, announcement_key, verify_announcement
from swarmd.network.messages import FIND_KEYS_MAX, read_find_answer
from swarmd.network.streams import BODY_PROTOCOL, MANIFEST_PROTOCOL
from tests.hostile.attacker import (
    FIND,
    PING,
    STORE,
    Attacker,
    paced,
)
from tests.hostile.figures import Figure, at_least, at_most, share, true
from tests.hostile.forging import Item, key_of, store_request
from tests.hostile.scene import Attack, Counts, Evidence, Scene

STEPS_SHARE_MIN = 0.8
EXTERNAL_SHARE_MIN = 0.8
ANSWERED_MAX = 0.5
"""Share of a flood that is still answered when it has gone on for a while."""

WORKERS = 48
"""Messages under way: a flood does not wait for answers."""

MESSAGES_MAX = 60_000
"""In one flood, whatever its rate."""

HEADER_BYTES = 5
"""Of an answer on a stream: its status and length."""

ROUNDS_SEARCHED = 4
"""Rounds back in which the victim's own groups are looked for: an announcement lives for 300 s."""

SEND_S = 2.0
"""A message that is not answered within this is let go."""

Send = Callable[[int], Awaitable[bool]]
"""Send the message of that number; whether it was answered."""

Prepare = Callable[[Scene, Attacker], Send]


def judge(evidence: Evidence) -> tuple[Figure, ...]:
    victim, did, flooder = evidence.victim, evidence.did, key_of(evidence.seed, 0).peer_id
    return (
        true("both alive", all(seen.alive for seen in evidence.attacked)),
        at_least("V steps/control", share(victim.steps, evidence.control_steps), STEPS_SHARE_MIN),
        at_least("V external/control", share(victim.external, evidence.control_external), EXTERNAL_SHARE_MIN),
        true("flooder named", flooder in victim.said),
        at_most("answered in the last third", share(did["answered late"], did["sent late"]), ANSWERED_MAX),
        at_least("messages sent", did["sent"], 100),
    )


async def flood(per_second: float, prepare: Prepare, scene: Scene) -> Counts:
    """At the first target alone."""
    attacker = await scene.attacker()
    await attacker.enter(scene.first)
    send = prepare(scene, attacker)
    scene.begin()
    late = scene.until - scene.seconds / 3
    sent: Counter[bool] = Counter()
    answered: Counter[bool] = Counter()

    async def keep_sending(first: int) -> None:
        async for number in paced(per_second / WORKERS, scene.until, MESSAGES_MAX // WORKERS):
            is_late = time.monotonic() >= late
            sent[is_late] += 1
            answered[is_late] += await send(first + number * WORKERS)

    async with asyncio.TaskGroup() as group:
        for first in range(WORKERS):
            group.create_task(keep_sending(first))
    return {
        "sent": sent.total(),
        "answered": answered.total(),
        "sent late": sent[True],
        "answered late": answered[True],
    }


def stores(scene: Scene, attacker: Attacker) -> Send:
    """64 announcements a message, sound in all but their signatures."""
    forger, rng = scene.forger, scene.rng
    messages = []
    for number in range(1, 33):
        items = []
        for _ in range(64):
            good = forger.announcement(
                forger.key(number % 8), rng.choice(forger.manifest.tasks), forger.round
            )
            flipped = good.value[:-1] + bytes([good.value[-1] ^ 1])
            items.append(Item(good.key, good.subkey, flipped, good.expires))
        messages.append(store_request(items, attacker.node_info))
    return _calls(scene, attacker, STORE, messages)


def searches(scene: Scene, attacker: Attacker) -> Send:
    rng = scene.rng
    messages = [
        dht_pb2.FindRequest(
            keys=[rng.randbytes(20) for _ in range(4)], peer=attacker.node_info
        ).SerializeToString()
        for _ in range(64)
    ]
    return _calls(scene, attacker, FIND, messages)


def greetings(scene: Scene, attacker: Attacker) -> Send:
    message = dht_pb2.PingRequest(peer=attacker.node_info, validate=True).SerializeToString()
    return _calls(scene, attacker, PING, [message])


def large_messages(scene: Scene, attacker: Attacker) -> Send:
    """3.9 MB each, refused for its form only after it was carried."""
    message = store_request([Item(scene.rng.randbytes(20), b"s", bytes(3_900_000), 2e9)])
    return _calls(scene, attacker, STORE, [message])


def _calls(scene: Scene, attacker: Attacker, name: str, messages: list[bytes]) -> Send:
    following = cycle(messages)

    async def send(_number: int) -> bool:
        return await attacker.call(scene.first, name, next(following), SEND_S) is not None

    return send


def pulls(protocol: str, request: bool, scene: Scene, attacker: Attacker) -> Send:
    """A stream a message; with a request, for a body that nobody holds."""

    def asked() -> bytes:
        return scene.rng.randbytes(32) if protocol == BODY_PROTOCOL else b""

    async def send(_number: int) -> bool:
        return await _pull(scene, attacker, protocol, asked() if request else None)

    return send


def pulls_of_held(scene: Scene, attacker: Attacker) -> Send:
    """Bodies that the victim itself announced: it reads, packs and sends each, and the attacker takes all."""
    held: list[bytes] = []
    turn = asyncio.Lock()

    async def send(number: int) -> bool:
        async with turn:
            if not held:
                held.extend(await _announced(scene, attacker))
        return await _pull(scene, attacker, BODY_PROTOCOL, held[number % len(held)], RECORD_BYTES_MAX)

    return send


async def _announced(scene: Scene, attacker: Attacker) -> list[bytes]:
    """The digests of what the victim announced in the last rounds, as its own part of the DHT says.

    Raises RuntimeError if it announced nothing.
    """
    manifest, now = scene.forger.manifest, time.time()
    rounds = range(scene.forger.round - ROUNDS_SEARCHED, scene.forger.round + 1)
    places = [
        announcement_key(manifest.swarm_id, round_, family.task_id, 0)
        for round_ in rounds
        for family in manifest.tasks
    ]
    found = []
    for first in range(0, len(places), FIND_KEYS_MAX):
        keys = [
            hashlib.sha1(place, usedforsecurity=False).digest()
            for place in places[first : first + FIND_KEYS_MAX]
        ]
        request = dht_pb2.FindRequest(keys=keys, peer=attacker.node_info).SerializeToString()
        answer = await attacker.call(scene.first, FIND, request)
        for each in () if answer is None else read_find_answer(answer, keys):
            for item in each.items:
                verified = verify_announcement(item.value, manifest=manifest, now=now)
                if verified.publisher == scene.first.peer_id:
                    found.append(verified.announcement.digest)
    if not found:
        raise RuntimeError("the victim has announced no group, so there is no body of it to pull")
    return found


async def _pull(
    scene: Scene, attacker: Attacker, protocol: str, request: bytes | None, take: int = HEADER_BYTES
) -> bool:
    """Whether the victim answered. Reads `take` bytes of the answer at most; without a request, none."""
    opened = await attacker.stream(scene.first, protocol, SEND_S)
    if opened is None:
        return False
    reader, writer = opened
    try:
        async with asyncio.timeout(SEND_S):
            if request is None:
                return True
            writer.write(request)
            await writer.drain()
            header = await reader.read(HEADER_BYTES)
            if take > HEADER_BYTES:
                await reader.read(take - HEADER_BYTES)
            return bool(header)
    except (OSError, EOFError, TimeoutError):
        return False
    finally:
        writer.close()


def connections(scene: Scene, attacker: Attacker) -> Send:
    """Hang up and dial again, one after the other."""
    turn = asyncio.Lock()

    async def send(_number: int) -> bool:
        async with turn:
            with suppress(OSError, EOFError):
                await attacker.hang_up(scene.first)
            return await attacker.dial(scene.first)

    return send


def _attack(name: str, what: str, per_second: float, prepare: Prepare, by_default: bool = True) -> Attack:
    return Attack(
        f"flood-{name}", what, partial(flood, per_second, prepare), judge, seconds=45, by_default=by_default
    )


ATTACKS = (
    _attack("stores", "47 x 64 stores a second with bad signatures", 47, stores),
    _attack("searches", "487 searches of four keys a second", 487, searches),
    _attack(
        "pulls", "152 pulls a second of bodies that nobody holds", 152, partial(pulls, BODY_PROTOCOL, True)
    ),
    _attack("pulls-held", "152 pulls a second of bodies that the victim announced", 152, pulls_of_held),
    _attack("greetings", "500 greetings a second that ask for one back", 500, greetings, False),
    _attack(
        "streams", "150 streams a second, opened and closed", 150, partial(pulls, BODY_PROTOCOL, False), False
    ),
    _attack(
        "manifests", "150 manifests a second", 150, partial(pulls, MANIFEST_PROTOCOL, True), by_default=False
    ),
    _attack("connections", "hanging up and dialling again", 50, connections, by_default=False),
    _attack("large", "ten messages of 3.9 MB a second", 10, large_messages, by_default=False),
)
