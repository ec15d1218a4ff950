"""What lookups of p2pd's own DHT put on the wire: measured with a few real p2pd, computed for large swarms.

A lookup costs something for each peer that it asks, for each that it dials first, and for each that is named
in an answer. `kademlia.py` counts these. The three costs are fitted to lookups of real p2pd on loopback, and
`--lookups` prints how well they explain each kind.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.scale.kademlia import Cost, Lookup, Nodes, mean, refresh
from benchmarks.scale.output import write
from benchmarks.scale.wire import at, bare, loopback_bytes

SIZES = (8, 16, 32)
LARGER = (16, 100, 1_000, 10_000)
DRAWS, CONNECTED = 50, 40
"""Simulated lookups and refreshes of each size, and connections of a peer before a refresh."""

TRIES = 12
"""Lookups of each kind."""

SETTLE_S = 20.0
"""Seconds after all are connected until none looks around any more."""

PAUSE_S = 1.5
"""Seconds after a lookup until its last bytes have arrived."""

IDLE_TRIES = 20
"""Pauses without a lookup, whose median is sent anyway. The muxers of all send at the same time, each half
minute; medians leave that out.
"""

NAMED_BYTES = 54.0
"""To name a peer in an answer: its id (38 bytes), one IPv4 address (8), and their frames. Each further
address adds ten, and a peer on the internet has several.
"""

ASKED_BYTES, DIALLED_BYTES = 480.0, 3_400.0
"""What it puts on the wire, both directions together, to ask a peer, and to open a connection and close it.
Measured by `--lookups`.
"""


def bytes_of(cost: Cost) -> float:
    """Return the bytes of lookups on the wire, both directions together."""
    return _said(cost, ASKED_BYTES, DIALLED_BYTES)


@dataclass(frozen=True)
class Measured:
    """Lookups of one kind among so many real p2pd."""

    size: int
    kind: str
    bytes: float
    """Of one lookup."""
    counted: Cost
    """What a simulated one does, on average."""


def main() -> None:
    """Print how lookups grow with the swarm, what real ones cost, and what the fitted costs say."""
    import uvloop

    _grow()
    measured = [each for size in SIZES for each in uvloop.run(_measure(size))]
    fitted = fit(measured)
    write("| p2pd | lookups | asked, dialled, named (simulated) | KB measured | KB by the fitted costs |")
    write("|---|---|---|---|---|")
    for each in measured:
        counted = f"{each.counted.asked:.0f}, {each.counted.dialled:.0f}, {each.counted.named:.0f}"
        said = _said(each.counted, *fitted)
        write(f"| {each.size} | {each.kind} | {counted} | {each.bytes / 1e3:.1f} | {said / 1e3:.1f} |")
    write("To ask one peer costs {:.0f} bytes, to dial it {:.0f}.".format(*fitted))


def _grow() -> None:
    """Print what a lookup and a refresh do in swarms of several sizes, by simulation."""
    write("| peers | a lookup asks, and is named | lookups in 20 minutes of refresh | asked, dialled | KB |")
    write("|---|---|---|---|---|")
    for size in LARGER:
        nodes, rng = Nodes(size, 1), random.Random(1)
        everybody = set(range(size))
        one = mean([Lookup(nodes, rng.randrange(size), key, rng, everybody).run() for key in _keys(rng)])
        linked = [set(rng.sample(range(size), min(size, CONNECTED))) for _ in range(DRAWS)]
        several = [refresh(nodes, rng.randrange(size), rng, some) for some in linked]
        cost, lookups = mean([cost for cost, _ in several]), sum(count for _, count in several) / DRAWS
        write(
            f"| {size:,} | {one.asked:.0f}, {one.named:.0f} | {lookups:.0f} "
            f"| {cost.asked:.0f}, {cost.dialled:.0f} | {bytes_of(cost) / 1e3:.0f} |"
        )


def _keys(rng: random.Random) -> list[int]:
    return [rng.getrandbits(64) for _ in range(DRAWS)]


def fit(measured: Sequence[Measured]) -> tuple[float, float]:
    """Return the bytes for each peer asked and dialled that explain the lookups best, by relative error."""
    sizes = np.array([each.bytes for each in measured])
    rows = np.array([(each.counted.asked, each.counted.dialled) for each in measured])
    rest = np.array([each.bytes - NAMED_BYTES * each.counted.named for each in measured])
    asked, dialled = np.linalg.lstsq(rows / sizes[:, None], rest / sizes, rcond=None)[0]
    return float(asked), float(dialled)


def _said(cost: Cost, asked: float, dialled: float) -> float:
    return asked * cost.asked + dialled * cost.dialled + NAMED_BYTES * cost.named


async def _measure(size: int) -> list[Measured]:
    from swarmd.network.p2pd import control_of, stop

    rng = random.Random(size)
    with TemporaryDirectory() as name:
        ends = [await bare(number + 1, Path(name)) for number in range(size)]
        controls = [control_of(end) for end in ends]
        for number, control in enumerate(controls):
            for other in range(number):
                await control.dial(*_at(other))
        await asyncio.sleep(SETTLE_S)

        async def cost(work: Callable[[], Awaitable[None]]) -> float:
            before = loopback_bytes()
            await work()
            await asyncio.sleep(PAUSE_S)
            return loopback_bytes() - before

        async def nothing() -> None:
            pass

        idle = float(np.median([await cost(nothing) for _ in range(IDLE_TRIES)]))

        async def alone(asker: int) -> None:
            for other in range(size):
                if other != asker:
                    await controls[asker].hang_up(_at(other)[0])

        async def nearest(asker: int) -> None:
            await look_up(controls[asker], key=b"\x12\x20" + rng.randbytes(32))

        async def nearest_alone(asker: int) -> None:
            await nearest(asker)
            await alone(asker)

        async def one_alone(asker: int) -> None:
            await look_up(controls[asker], peer=_at((asker + rng.randrange(1, size)) % size)[0])
            await alone(asker)

        found: dict[str, list[float]] = {"of a key, connected": [], "of a key": [], "of a peer": []}
        for attempt in range(TRIES):
            found["of a key, connected"].append(await cost(partial(nearest, attempt % size)))
        for attempt in range(TRIES):
            asker = attempt % size
            await alone(asker)
            await asyncio.sleep(PAUSE_S)
            for kind, work in (("of a key", nearest_alone), ("of a peer", one_alone)):
                found[kind].append(await cost(partial(work, asker)))
        await asyncio.gather(*map(stop, ends))
    counted = _counted(size)
    return [
        Measured(size, kind, float(np.median(some)) - idle, counted[kind]) for kind, some in found.items()
    ]


def _counted(size: int) -> dict[str, Cost]:
    """Simulate the same kinds of lookups."""
    nodes, rng, everybody = Nodes(size, 1), random.Random(1), set(range(size))
    found: dict[str, list[Cost]] = {"of a key, connected": [], "of a key": [], "of a peer": []}
    for _ in range(200):
        asker, key = rng.randrange(size), rng.getrandbits(64)
        target = (asker + rng.randrange(1, size)) % size
        found["of a key, connected"].append(Lookup(nodes, asker, key, rng, everybody).run())
        found["of a key"].append(Lookup(nodes, asker, key, rng, set()).run())
        peer = int(nodes.ids[target])
        found["of a peer"].append(Lookup(nodes, asker, peer, rng, set(), target=target, known=1.0).run())
    return {kind: mean(some) for kind, some in found.items()}


async def look_up(control: Any, **what: bytes) -> None:
    """Have p2pd look up the nearest peers to a `key`, as its refresh does, or the addresses of a `peer`."""
    from hivemind.proto import p2pd_pb2

    kind = p2pd_pb2.DHTRequest.GET_CLOSEST_PEERS if "key" in what else p2pd_pb2.DHTRequest.FIND_PEER
    await control._tell(p2pd_pb2.Request.DHT, dht=p2pd_pb2.DHTRequest(type=kind, **what))


def _at(number: int) -> tuple[bytes, list[bytes]]:
    peer, address = at(number + 1)
    return peer, [address]
