"""A node of the DHT whose answers to searches are dear to decode, wrong in shape, or mutated honest ones.

It asks for a place in the routing tables and answers every search that comes with the next thing of
`bombs.answers`, or with mutations. Beside that it answers pings and stores with junk, sends junk to the
victims' own handlers, serves streams that lie and opens streams that lie. Nothing of it may end a daemon,
hold its event loop, or make it grow.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import cycle

from hivemind.p2p import PeerID
from hivemind.proto import dht_pb2

from protocol import compress_body
from swarmd.network.streams import BODY_PROTOCOL, MANIFEST_PROTOCOL, PLAIN_BODY_PROTOCOL
from tests.hostile import bombs
from tests.hostile.attacker import (
    FIND,
    PING,
    STORE,
    Attacker,
    Target,
    paced,
)
from tests.hostile.bombs import pack
from tests.hostile.figures import Figure, at_least, at_most, share, true
from tests.hostile.forging import Item, store_request
from tests.hostile.scene import Attack, Counts, Evidence, Scene

STREAMS = (BODY_PROTOCOL, PLAIN_BODY_PROTOCOL, MANIFEST_PROTOCOL)

BLOCKED_S_MAX = 0.5
"""Seconds of event loop beyond the control's longest."""

GROWTH_MB_MAX = 100.0

EXTERNAL_SHARE_MIN = 0.8

ENTER_PER_S = 2.0
"""A node that answered with junk is dropped from routing tables: it asks for its place again and again."""

REQUESTS_PER_S = 5.0
REQUESTS_MAX = 600

SECONDS = 45.0

SMALL_BYTES = 20_000

FIND_KEYS = 4
"""Most keys in one search message of an honest daemon."""

Choose = Callable[[random.Random, Sequence[tuple[str, bytes]]], Iterator[bytes]]
"""(chance, named answers) -> answers, one after the other."""


def judge(evidence: Evidence) -> tuple[Figure, ...]:
    return (
        *survives(evidence),
        at_least("answers given", evidence.did["answered"], 1),
    )


def survives(evidence: Evidence) -> tuple[Figure, ...]:
    """Both daemons live, their event loops go on, their memory stays, and they go on exchanging groups."""
    blocked = max(seen.latency_s for seen in evidence.attacked) - evidence.control_latency_s
    growth = max(seen.rss_growth_mb for seen in evidence.attacked)
    spare = max(seen.rss_growth_mb for seen in evidence.control)
    external = min(share(seen.external, evidence.control_external) for seen in evidence.attacked)
    return (
        true("both alive", all(seen.alive for seen in evidence.attacked)),
        at_most("blocked beyond control", blocked, BLOCKED_S_MAX, " s"),
        at_most("growth beyond control", growth - max(0.0, spare), GROWTH_MB_MAX, " MB"),
        at_least("external/control", external, EXTERNAL_SHARE_MIN),
    )


def only(*words: str) -> Choose:
    """Those whose name contains one of these, in turn."""

    def choose(_rng: random.Random, answers: Sequence[tuple[str, bytes]]) -> Iterator[bytes]:
        return cycle([data for name, data in answers if any(word in name for word in words)])

    return choose


def everything(rng: random.Random, answers: Sequence[tuple[str, bytes]]) -> Iterator[bytes]:
    """All of them in random order, again and again."""
    return cycle(rng.sample([data for _, data in answers], len(answers)))


def mutations(rng: random.Random, answers: Sequence[tuple[str, bytes]]) -> Iterator[bytes]:
    """Mutations of the small ones."""
    small = [data for _, data in answers if len(data) < SMALL_BYTES]
    while True:
        yield bombs.mutated(rng, rng.choice(small))


class Liar:
    """The hostile node. Its answers are made beforehand, for each number of keys: some take a second."""

    def __init__(self, scene: Scene, attacker: Attacker, choose: Choose) -> None:
        rng, node = scene.rng, attacker.node_info
        library = list(bombs.results(rng))
        self._answers = {
            keys: choose(rng, list(bombs.answers(rng, keys, node, library)))
            for keys in range(1, FIND_KEYS + 1)
        }
        self.answered = 0

    async def find(self, data: bytes, _sender: PeerID) -> bytes:
        self.answered += 1
        return next(self._answers[len(dht_pb2.FindRequest.FromString(data).keys)])


async def answer(choose: Choose, scene: Scene) -> Counts:
    attacker = await scene.attacker()
    liar = Liar(scene, attacker, choose)
    await attacker.answer(FIND, liar.find)
    scene.begin()
    await _stay(scene, attacker)
    return {"answered": liar.answered}


async def _stay(scene: Scene, attacker: Attacker) -> None:
    async for _ in paced(ENTER_PER_S, scene.until, 10_000):
        for target in scene.targets:
            await attacker.enter(target)


async def other_answers(scene: Scene) -> Counts:
    """Pings and stores answered with junk, streams and requests that lie: whatever is not a search."""
    attacker = await scene.attacker()
    rng = scene.rng
    answered = 0

    async def junk(_data: bytes, _sender: PeerID) -> bytes:
        nonlocal answered
        answered += 1
        return rng.choice(_other_messages(rng))

    for name in (PING, STORE):
        await attacker.answer(name, junk)
    for protocol in STREAMS:
        await attacker.serve(protocol, partial(_lie, rng))
    async with asyncio.TaskGroup() as group:
        group.create_task(_stay(scene, attacker))
        for target in scene.targets:
            group.create_task(_send_junk(scene, attacker, target))
    return {"answered": answered}


def _other_messages(rng: random.Random) -> Sequence[bytes]:
    return [
        b"",
        b"\xff" * 64,
        dht_pb2.PingResponse(
            peer=dht_pb2.NodeInfo(node_id=rng.randbytes(21)), dht_time=1.0
        ).SerializeToString(),
        dht_pb2.PingResponse(dht_time=float("inf")).SerializeToString(),
        dht_pb2.PingResponse(dht_time=float("nan")).SerializeToString(),
        dht_pb2.StoreResponse(store_ok=[True] * 100_000).SerializeToString(),
        dht_pb2.StoreResponse(store_ok=[]).SerializeToString(),
        dht_pb2.StoreResponse(peer=dht_pb2.NodeInfo(node_id=bytes(100_000))).SerializeToString(),
        bytes(bombs.MESSAGE_BYTES),
    ]


async def _lie(
    rng: random.Random, _info: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """A reply that is no reply, or one with a length that is none, or a body that grows when it is read."""
    head = rng.choice(
        (b"\x00\xff\xff\xff\xff", b"\x07\x00\x00\x00\x01", b"\x00\x00\x01\x00\x00", b"\x02", b"")
    )
    bomb = compress_body(bytes(10**7))
    junk = head + bytes(rng.choice((0, 1, 2**16, 2**20)))
    try:
        writer.write(rng.choice((junk, junk, b"\0" + len(bomb).to_bytes(4, "big") + bomb)))
        await writer.drain()
    except OSError:
        return
    finally:
        writer.close()


async def _send_junk(scene: Scene, attacker: Attacker, target: Target) -> None:
    """To the target's own handlers and stream protocols, a few a second."""
    rng = scene.rng
    async for number in paced(REQUESTS_PER_S, scene.until, REQUESTS_MAX):
        name = rng.choice((PING, STORE, FIND, "SwarmDHT.rpc_nothing"))
        await attacker.call(target, name, rng.choice(_requests(rng)), seconds=3.0)
        if number % 5 == 0:
            await _open_and_lie(rng, attacker, target)


def _requests(rng: random.Random) -> Sequence[bytes]:
    """Messages for handlers: bombs as values, as subkeys and as tags; keys and places of any size."""
    key = rng.randbytes(20)
    nested, tuple_subkey = bombs.nested_extensions(400), pack(rng.randbytes(52))
    return [
        store_request([Item(key, nested, pack(b"v"), 2e9)]),
        store_request([Item(key, tuple_subkey, nested, 2e9)]),
        store_request([Item(key, b"", nested, 2e9)]),
        store_request(
            [Item(rng.randbytes(rng.choice((0, 1, 21, 10_000))), tuple_subkey, pack(b"v"), 2e9)] * 64
        ),
        store_request([Item(key, b"\x91" * 1_000_000, b"\x81\x00" * 500_000, 2e9)]),
        store_request([Item(key, tuple_subkey, bytes(3_900_000), 2e9)]),
        store_request([Item(key, tuple_subkey, pack(b"v"), float("nan"))] * 50_000),
        dht_pb2.StoreRequest(keys=[key] * 9, subkeys=[], values=[b"v"], in_cache=[]).SerializeToString(),
        dht_pb2.StoreRequest(keys=[key], subkeys=[b"s"] * 3, values=[b"v"]).SerializeToString(),
        dht_pb2.FindRequest(keys=[key] * 100_000).SerializeToString(),
        dht_pb2.FindRequest(keys=[bytes(3_900_000)]).SerializeToString(),
        dht_pb2.FindRequest(peer=dht_pb2.NodeInfo(node_id=rng.randbytes(40))).SerializeToString(),
        dht_pb2.PingRequest(
            peer=dht_pb2.NodeInfo(node_id=bytes(1_000_000)), validate=True
        ).SerializeToString(),
        bytes(bombs.MESSAGE_BYTES),
        rng.randbytes(rng.randrange(2_000)),
        b"",
    ]


async def _open_and_lie(rng: random.Random, attacker: Attacker, target: Target) -> None:
    opened = await attacker.stream(target, rng.choice(STREAMS), seconds=3.0)
    if opened is None:
        return
    _, writer = opened
    try:
        writer.write(rng.randbytes(rng.choice((0, 1, 31, 32, 33, 100_000))))
        async with asyncio.timeout(1.0):
            await writer.drain()
    except (OSError, TimeoutError):
        return
    finally:
        writer.close()


ATTACKS = (
    Attack(
        "answers-nested",
        "a search is answered with 400 nested extensions in 1.5 KB",
        partial(answer, only("400 nested tuples")),
        judge,
        SECONDS,
    ),
    Attack("answers-all", "every wrong answer in random order", partial(answer, everything), judge, SECONDS),
    Attack("answers-others", "pings, stores, requests and streams that lie", other_answers, judge, SECONDS),
    Attack(
        "answers-large",
        "150 levels round 4 MB, a million arrays, dictionaries of 100,000 entries",
        partial(answer, only("4 MB", "million", "100000 entries", "3.9 MB", "50000")),
        judge,
        by_default=False,
    ),
    Attack(
        "answers-mutated",
        "mutations of sound and of wrong answers",
        partial(answer, mutations),
        judge,
        by_default=False,
    ),
)
