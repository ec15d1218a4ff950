"""What a call, a connection and p2pd itself put on the wire, measured on loopback."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.scale.output import write
from benchmarks.scale.peer import Ledger
from benchmarks.scale.processes import start_peer
from benchmarks.scale.workload import key_of
from swarmd.errors import NetworkError

IDLE_S, GREETINGS, CONNECTIONS = 60.0, 60, 20
"""What `--wire` averages over: idle seconds, greetings, connections."""

GREETING_S = 0.6
"""Seconds between two greetings: more often, the other peer refuses them (`rates.py`)."""

SETTLE_S = 2.0
"""Seconds after which two p2pd have told each other about themselves."""

ALONE = 16
"""p2pd without peers on top, whose own traffic `--wire` measures."""

JOIN_S = 6.0
"""Seconds after which one that joined has found the others."""

ALONE_S = 1_320.0
"""Seconds for which they are left alone: longer than the twenty minutes in which p2pd looks up its own id
twice, and once an id in each part of its routing table (`kademlia.py`).
"""

PORT = 4001


def main() -> None:
    """Print what a call, a new connection and an idle connection add on the wire, in both directions
    together, and what p2pd sends by itself.
    """
    uvloop.run(_print())


async def _print() -> None:
    opening, idle = await _connections()
    with TemporaryDirectory() as name:
        one = (await start_peer(1, Path(name), (), Ledger())).network
        two = (await start_peer(2, Path(name), one.addresses, Ledger())).network
        await asyncio.sleep(2.0)
        before = loopback_bytes()
        await asyncio.sleep(IDLE_S)
        quiet = (loopback_bytes() - before) / IDLE_S
        before, began = loopback_bytes(), time.monotonic()
        answered = 0
        for _ in range(GREETINGS):
            await asyncio.sleep(GREETING_S)
            try:
                await one.ping(two.peer_id)
                answered += 1
            except NetworkError:
                continue
        took = time.monotonic() - began
        call = (loopback_bytes() - before - quiet * took) / max(1, answered)
        await asyncio.gather(one.close(), two.close())
    write(
        f"Both directions together: a greeting {call:.0f} bytes, a new connection {opening:.0f} bytes, "
        f"an idle connection {idle:.0f} bytes a second. "
        f"{GREETINGS - answered} of {GREETINGS} greetings went unanswered, as on a busy machine. "
        f"Load {os.getloadavg()[0]:.1f}."
    )
    joining, each = await _left_alone()
    write(
        f"Of {ALONE} p2pd without peers on top, the last to join put {joining / 1e3:.0f} KB on the wire. "
        f"Left alone for {ALONE_S / 60:.0f} minutes, each received {each:.0f} bytes a second."
    )


async def _connections() -> tuple[float, float]:
    """Return the bytes of opening and closing a connection, and those of an idle one per second: between two
    p2pd without peers on top.
    """
    from swarmd.network.p2pd import control_of, stop

    with TemporaryDirectory() as name:
        ends = [await bare(number, Path(name)) for number in (1, 2)]
        one, (peer, address) = control_of(ends[0]), at(2)
        await one.dial(peer, [address])
        await asyncio.sleep(SETTLE_S)
        before = loopback_bytes()
        await asyncio.sleep(IDLE_S)
        idle = (loopback_bytes() - before) / IDLE_S
        before, began = loopback_bytes(), time.monotonic()
        for _ in range(CONNECTIONS):
            await one.hang_up(peer)
            await asyncio.sleep(SETTLE_S / 2)
            await one.dial(peer, [address])
            await asyncio.sleep(SETTLE_S / 2)
        took = time.monotonic() - began
        opening = (loopback_bytes() - before - idle * took) / CONNECTIONS
        await asyncio.gather(*map(stop, ends))
    return opening, idle


async def _left_alone() -> tuple[float, float]:
    """Return the bytes that the last of ALONE p2pd puts on the wire when it joins through another one, and
    those that each then receives per second.
    """
    from swarmd.network.p2pd import control_of, stop

    with TemporaryDirectory() as name:
        ends = [await bare(number, Path(name)) for number in range(1, ALONE + 1)]
        before = loopback_bytes()
        for number, end in enumerate(ends[1:], 1):
            before = loopback_bytes()
            peer, address = at(number)
            await control_of(end).dial(peer, [address])
            await asyncio.sleep(JOIN_S)
        joining, before = loopback_bytes() - before, loopback_bytes()
        await asyncio.sleep(ALONE_S)
        each = (loopback_bytes() - before) / ALONE / ALONE_S
        await asyncio.gather(*map(stop, ends))
    return joining, each


async def bare(number: int, directory: Path) -> Any:
    """Start a p2pd without a peer on top."""
    from swarmd.network.p2pd import P2PSettings, spawn

    identity = directory / f"{number}.key"
    identity.write_bytes(key_of(1, number).to_libp2p())
    return await spawn(P2PSettings(identity, f"127.1.0.{number}", PORT))


def at(number: int) -> tuple[bytes, bytes]:
    """Return the id and the address of such a p2pd."""
    from swarmd.network.binary_addresses import write_address
    from swarmd.network.peer_ids import write_peer_id

    return write_peer_id(key_of(1, number).peer_id), write_address(f"/ip4/127.1.0.{number}/tcp/{PORT}")


def loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[0])
    return 0
