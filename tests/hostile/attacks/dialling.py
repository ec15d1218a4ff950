"""Statuses that give third parties' addresses for the attacker's own peer ids.

Honest peers dial what a status says, so that whoever signs statuses can have them knock at any port of
anybody. Here strangers listen on ports of 127.77.0.0/24 and count who connects. Every 15 s each identity
names eight more of them. Ports below 1024 belong to services that no peer ever is.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from functools import partial

from tests.hostile.attacker import paced
from tests.hostile.figures import Figure, at_least, at_most
from tests.hostile.forging import store
from tests.hostile.scene import Attack, Counts, Evidence, Scene
from tests.hostile.verdicts import exchanges

ADDRESSES = 8
"""In one status."""

STRANGERS = 40
"""Addresses at which somebody listens."""

SERVICE_PORTS = (22, 25, 53, 80, 111, 443, 993)
"""Of services that everybody knows."""

AGAIN_S = 15.0

SECONDS = 75.0
"""Whoever has few neighbours dials every 20 s."""

CONNECTIONS_MAX = {1: 16, 64: 64}
"""By identities: one may send each victim to one status's worth of addresses, many to one each."""


def judge(identities: int, evidence: Evidence) -> tuple[Figure, ...]:
    return (
        *exchanges(evidence),
        at_most("connections to strangers", evidence.did["connections"], CONNECTIONS_MAX[identities]),
        at_most("connections to services' ports", evidence.did["to_services"], 0),
        at_least("addresses claimed", evidence.did["claimed"], 8),
    )


class Strangers:
    """Listeners who have nothing to do with any of it, on addresses of one network of /24."""

    def __init__(self, network: str = "127.77.0", *, silent: bool = False) -> None:
        """`silent`: whether they take connections and never say anything, instead of closing them."""
        self._network, self._silent = network, silent
        self.connections: Counter[tuple[str, int]] = Counter()
        self.places: list[tuple[str, int]] = []
        self.services: list[tuple[str, int]] = []

    async def listen(self, scene: Scene) -> None:
        for number in range(1, STRANGERS + 1):
            self.places += await self._at(scene, f"{self._network}.{number}", 0)
            port = SERVICE_PORTS[number % len(SERVICE_PORTS)]
            self.services += await self._at(scene, f"{self._network}.{number}", port)

    async def _at(self, scene: Scene, host: str, port: int) -> list[tuple[str, int]]:
        place: list[tuple[str, int]] = []

        async def count(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections[place[0]] += 1
            with suppress(OSError):
                while self._silent and await reader.read(4_096):
                    pass
            writer.close()

        with suppress(OSError):  # a port below 1024 without the right to it
            server = await asyncio.start_server(count, host, port)
            scene.stack.push_async_callback(server.wait_closed)
            scene.stack.callback(server.close)
            place.append(server.sockets[0].getsockname()[:2])
        return place


async def mislead(identities: int, scene: Scene) -> Counts:
    strangers = Strangers()
    await strangers.listen(scene)
    attacker = await scene.attacker()
    for target in scene.targets:
        await attacker.enter(target)
    everywhere = [*strangers.places, *strangers.services]
    claimed = 0
    async for _ in paced(1 / AGAIN_S, scene.until, 100):
        items = []
        for number in range(1, identities + 1):
            key = scene.forger.key(number)
            chosen = scene.rng.sample(everywhere, ADDRESSES)
            addresses = [f"/ip4/{host}/tcp/{port}/p2p/{key.peer_id}" for host, port in chosen]
            items.append(scene.forger.status(key, addresses=addresses))
            claimed += len(addresses)
        for target in scene.targets:
            await store(attacker, target, items)
    services = sum(strangers.connections[place] for place in strangers.services)
    return {"claimed": claimed, "connections": strangers.connections.total(), "to_services": services}


ATTACKS = (
    Attack(
        "dialling-1",
        "one identity, strangers' addresses",
        partial(mislead, 1),
        partial(judge, 1),
        SECONDS,
        by_default=False,
    ),
    Attack(
        "dialling-64",
        "64 identities, strangers' addresses",
        partial(mislead, 64),
        partial(judge, 64),
        SECONDS,
    ),
)
