"""Real peers without models: p2pd processes on loopback, their messages and their bytes counted.

In a network namespace of its own, loopback's counter shows what they put on the wire, and nothing else.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.scale.peer import Ledger, ModellessPeer
from benchmarks.scale.workload import MANIFEST, key_of
from swarmd.config import NetworkConfig

JOIN_AT_ONCE = 4


def loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[0])
    return 0


@dataclass
class Counted:
    """Calls that peers made, and bytes of requests and answers, by protocol."""

    calls: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)


def count_calls(counted: Counted) -> None:
    """From now on count what all peers of this process ask one another, in calls and over streams."""
    from swarmd.network import hivemind, streams
    from swarmd.network.control import Control

    call = Control.call

    async def counting_call(self: Any, peer: bytes, protocol: str, request: bytes, bytes_max: int) -> bytes:
        kind = protocol.rpartition(".")[2]
        counted.calls[kind] += 1
        counted.sent[kind] += len(request)
        answer: bytes = await call(self, peer, protocol, request, bytes_max)
        counted.received[kind] += len(answer)
        return answer

    ask = hivemind.HivemindNetwork._ask

    async def counting_ask(self: Any, session: Any, peer_id: Any, protocol_id: str, *rest: Any) -> bytes:
        counted.calls[protocol_id] += 1
        answer = await ask(self, session, peer_id, protocol_id, *rest)
        counted.sent[protocol_id] += 32
        counted.received[protocol_id] += len(answer) + 5
        return answer

    Control.call = counting_call  # type: ignore[method-assign]
    hivemind.HivemindNetwork._ask = counting_ask  # type: ignore[method-assign]
    del streams


async def start_peers(count: int, seed: int, directory: Path, ledger: Ledger) -> list[ModellessPeer]:
    from swarmd.network.hivemind import HivemindNetwork

    peers: list[ModellessPeer] = []
    for number in range(count):
        key = key_of(seed, number)
        identity = directory / f"{number}.key"
        identity.write_bytes(key.to_libp2p())
        config = NetworkConfig(host=f"127.1.{number // 250}.{number % 250 + 1}", dialable=True)
        network = await HivemindNetwork.start(
            key=key, identity_path=identity, config=config, swarm=lambda: MANIFEST
        )
        if peers:
            friend = random.Random(number).choice(peers)
            await network.connect(friend.network.addresses, named=True)
        peers.append(ModellessPeer(key, network, random.Random(seed * 1000 + number), time.time, ledger))
    return peers


async def main(count: int, warm_s: float, measure_s: float) -> None:
    counted, ledger = Counted(), Ledger()
    count_calls(counted)
    with TemporaryDirectory() as name:
        began = time.monotonic()
        peers = await start_peers(count, 1, Path(name), ledger)
        print("started", time.monotonic() - began, os.getloadavg(), flush=True)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(peer.run()) for peer in peers]
            await asyncio.sleep(warm_s)
            before = loopback_bytes()
            for table in (counted.calls, counted.sent, counted.received):
                table.clear()
            for peer in peers:
                peer.did.clear()
            since = time.time()
            await asyncio.sleep(measure_s)
            wire = loopback_bytes() - before
            took = time.time() - since
            did: Counter[str] = Counter()
            for peer in peers:
                did += peer.did
            print("wire B/s per peer", wire / took / count)
            print("app B/s per peer", (sum(counted.sent.values()) + sum(counted.received.values())) / took / count)
            print("calls/s per peer", sum(counted.calls.values()) / took / count)
            for kind in counted.calls:
                print(
                    f"{kind:20} {counted.calls[kind] / took / count:8.3f}/s sent {counted.sent[kind] / took / count:9.1f} B/s"
                    f" received {counted.received[kind] / took / count:9.1f} B/s"
                )
            print({k: round(v / took / count * 60, 2) for k, v in did.items()}, "a minute")
            first = [min(ledger.usable[d]) - t for d, t in ledger.offered.items() if d in ledger.usable and t > since]
            last = [max(ledger.usable[d]) - t for d, t in ledger.offered.items() if d in ledger.usable and t > since]
            if first:
                print("first usable s p50 p99", statistics.median(first), sorted(first)[int(0.99 * len(first))])
                print("last usable s p50 max", statistics.median(last), max(last))
            print("first external s", sorted(p.first_external_s or -1 for p in peers))
            print("sizes", sorted(p.gossip.statistics().swarm_size for p in peers))
            print("refused", sum((Counter(p.network.statistics().refused) for p in peers), Counter()))
            print("connections", sorted(len(p.network.statistics().connections) for p in peers))
            print("load", os.getloadavg())
            for task in running:
                task.cancel()
        await asyncio.gather(*(peer.network.close() for peer in peers))


if __name__ == "__main__":
    import sys

    import uvloop

    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
