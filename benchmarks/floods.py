"""What a flood costs its victim: `python -m benchmarks.floods [seconds]` prints a table.

The victim and the attacker each run in their own process, with real p2pd on loopback. Each row shows the
messages sent per second, and how much of a core the victim's Python and its p2pd used, idle and flooded.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import uvloop

from benchmarks.arguments import duration
from protocol import KeyPair, PeerId
from swarmd.config import NetworkConfig
from swarmd.errors import NetworkError
from swarmd.network.streams import BODY_PROTOCOL

WORKERS = 32
"""Calls in flight at once."""

NONE, SEARCH, STORE, STREAM, PING = "none", "search", "store", "stream", "ping"


async def start(directory: Path, seed: int) -> Any:
    from swarmd.network.hivemind import HivemindNetwork

    key = KeyPair.from_seed(bytes([seed]) * 32)
    path = directory / f"{seed}.key"
    path.write_bytes(key.to_libp2p())
    config = NetworkConfig(host="127.0.0.1")
    return await HivemindNetwork.start(key=key, identity_path=path, config=config, swarm=lambda: None)


async def victim(directory: Path) -> None:
    network = await start(directory, 1)
    sys.stdout.write(network.addresses[0] + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


def requests() -> dict[str, tuple[str, bytes]]:
    """Protocol and message of each kind of call flood. Stores are refused before signatures are checked."""
    from hivemind.proto import dht_pb2

    from swarmd.network.packing import write_bin

    stored = dht_pb2.StoreRequest(
        keys=[bytes(20)] * 64,
        subkeys=[write_bin(b"x" * 60)] * 64,
        values=[write_bin(bytes(500))] * 64,
        expiration_time=[time.time() + 600] * 64,
    )
    searched = dht_pb2.FindRequest(keys=[bytes(20)] * 4)
    return {
        SEARCH: ("SwarmDHT.rpc_find", searched.SerializeToString()),
        STORE: ("SwarmDHT.rpc_store", stored.SerializeToString()),
        PING: ("SwarmDHT.rpc_ping", dht_pb2.PingRequest().SerializeToString()),
    }


async def flood(network: Any, address: str, kind: str, seconds: float) -> int:
    """Flood for `seconds` and return how many messages were sent."""
    from swarmd.network.control import P2PD_ERRORS
    from swarmd.network.peer_ids import write_peer_id

    peer = PeerId(address.rpartition("/")[2])
    session = network._supervisor._session
    sent, end = 0, time.monotonic() + seconds

    async def stream() -> None:
        async with session.stream(peer, BODY_PROTOCOL, "flooding", 5.0):
            pass

    async def call() -> None:
        protocol, data = requests()[kind]
        async with asyncio.timeout(5):
            await session._control.call(write_peer_id(peer), protocol, data, 2**21)

    async def work(attack: Callable[[], Awaitable[None]]) -> None:
        nonlocal sent
        while time.monotonic() < end:
            sent += 1
            try:
                await attack()
            except (NetworkError, TimeoutError, *P2PD_ERRORS):
                await asyncio.sleep(0)

    if kind == NONE:
        await asyncio.sleep(seconds)
    else:
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(work(stream if kind == STREAM else call))
    return sent


def cpu(process: psutil.Process) -> tuple[float, float]:
    """Return the CPU seconds used so far by the victim's Python and by its p2pd."""
    children = [child for child in process.children() if child.name() == "p2pd"]
    return tuple(sum(one.cpu_times()[:2]) for one in (process, children[0]))  # type: ignore[return-value]


async def main(seconds: float) -> None:
    print(f"{'flood':8} {'sent/s':>8} {'python':>8} {'p2pd':>8}   of a core, at the victim")
    for seed, kind in enumerate((NONE, SEARCH, STORE, STREAM, PING), 2):
        with TemporaryDirectory() as name:
            command = [sys.executable, "-W", "ignore", "-m", "benchmarks.floods", "--victim", name]
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)  # noqa: ASYNC220, S603  ours
            try:
                address = next(line.strip() for line in process.stdout or () if line.startswith("/ip4/"))
                attacker = await start(Path(name), seed)
                await attacker.connect([address], named=True)
                before, began = cpu(psutil.Process(process.pid)), time.monotonic()
                sent = await flood(attacker, address, kind, seconds)
                after, took = cpu(psutil.Process(process.pid)), time.monotonic() - began
                python, p2pd = ((late - early) / took for early, late in zip(before, after, strict=True))
                print(f"{kind:8} {sent / took:8.0f} {python:8.1%} {p2pd:8.1%}", flush=True)
                await attacker.close()
            finally:
                process.kill()
                process.wait()


if __name__ == "__main__":
    parser = ArgumentParser(
        prog="python -m benchmarks.floods", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument(
        "seconds", nargs="?", type=duration, default=15.0, help="length of each flood (default: 15)"
    )
    parser.add_argument("--victim", type=Path, help=SUPPRESS)
    options = parser.parse_args()
    uvloop.run(main(options.seconds) if options.victim is None else victim(options.victim))
