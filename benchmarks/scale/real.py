"""Real peers without models: p2pd processes on loopback. Counts their messages and their bytes.

In a separate network namespace, loopback's counter shows exactly what they put on the wire. For each real
swarm, a simulated one of as many machines is run for comparison.
"""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from benchmarks.scale.peer import Ledger, ModellessPeer
from benchmarks.scale.report import percentile
from benchmarks.scale.simulated import Setting, simulate
from benchmarks.scale.workload import MANIFEST, STEP_S, key_of
from swarmd.config import NetworkConfig
from swarmd.errors import NetworkError

NAMESPACE = "SWARMD_SCALE_NAMESPACE"
"""Set in the process that runs in its own network namespace."""

WARM_S = 2 * STEP_S
"""Seconds before anything is counted."""

LOOPBACK_S = 0.001
"""Latency of the simulated swarm that is compared with a real one."""

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


def main(sizes: Sequence[int], seconds: float, *, wire: bool, lookups: bool) -> int:
    """Print tables. The process replaces itself with one in its own namespace, if this machine allows
    that.
    """
    if NAMESPACE not in os.environ:
        _enter_namespace()
    if wire:
        uvloop.run(_wire())
    if lookups:
        from benchmarks.scale import lookups as of_p2pd

        of_p2pd.main()
    if sizes:
        _write(
            "| real peers | KB/s received, messages: real, simulated | calls a second: real, simulated "
            "| KB/s on the wire | s to the first that can use a record, median (p99): real, simulated "
            "| s to the last: real, simulated | pulled a minute: real, simulated | p2pd restarted | load |"
        )
        _write("|---|---|---|---|---|---|---|---|---|")
    for size in sizes:
        real = uvloop.run(measure(size, seconds))
        _write(real.row(size, seconds))
    return 0


@dataclass
class Counted:
    """Calls made, and bytes of requests and answers."""

    calls: Counter[str] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    received: Counter[str] = field(default_factory=Counter)

    def clear(self) -> None:
        for table in (self.calls, self.sent, self.received):
            table.clear()

    def made(self, kind: str, sent: int, received: int) -> None:
        self.calls[kind] += 1
        self.sent[kind] += sent
        self.received[kind] += received


@dataclass(frozen=True)
class Real:
    """What a real swarm did."""

    counted: Counted
    wire: int
    firsts: list[float]
    lasts: list[float]
    pulled: int
    restarts: int
    """How many times a p2pd died, or no longer answered, and was started again."""
    load: float

    def row(self, size: int, seconds: float) -> str:
        """Return its row, next to a simulated swarm of the same size."""
        setting = Setting(
            size, real=size, newcomers=0, warm_s=WARM_S, measured_s=seconds, latency_s=LOOPBACK_S
        )
        simulated = simulate(setting)
        per = 1 / size / seconds
        messages = sum(self.counted.sent.values()) + sum(self.counted.received.values())
        theirs = sum(tally.sent + tally.received for tally in simulated.tallies)
        cells = (
            f"{size}",
            f"{messages * per / 1e3:.2f}, {theirs * per / 1e3:.2f}",
            f"{sum(self.counted.calls.values()) * per:.2f}, "
            f"{sum(tally.calls for tally in simulated.tallies) * per:.2f}",
            f"{self.wire * per / 1e3:.2f}" if self.wire else "not measured",
            f"{_spread(self.firsts)}, {_spread(simulated.firsts)}",
            f"{percentile(self.lasts, 0.5):.1f}, {percentile(simulated.lasts, 0.5):.1f}",
            f"{self.pulled * per * 60:.1f}, {simulated.pulled * per * 60:.1f}",
            f"{self.restarts}",
            f"{self.load:.1f}",
        )
        return "| " + " | ".join(cells) + " |"


async def measure(size: int, seconds: float) -> Real:
    """Start `size` peers and observe them for `seconds`."""
    counted, ledger = Counted(), Ledger()
    with TemporaryDirectory() as name, _Counting(counted):
        peers = await _start(size, Path(name), ledger)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(peer.run()) for peer in peers]
            await asyncio.sleep(WARM_S)
            counted.clear()
            restarts = sum(peer.network.statistics().restarts for peer in peers)
            before, since = loopback_bytes(), time.time()
            pulled = sum(peer.gossip.statistics().groups_pulled for peer in peers)
            await asyncio.sleep(seconds)
            wire = loopback_bytes() - before
            pulled = sum(peer.gossip.statistics().groups_pulled for peer in peers) - pulled
            restarts = sum(peer.network.statistics().restarts for peer in peers) - restarts
            for task in running:
                task.cancel()
        await asyncio.gather(*(peer.network.close() for peer in peers))
    waits = [
        [at - made for at in ledger.usable[digest]]
        for digest, made in ledger.offered.items()
        if digest in ledger.usable and since <= made < since + seconds - STEP_S / 2
    ]
    return Real(
        counted,
        wire if NAMESPACE in os.environ else 0,
        [min(each) for each in waits],
        [max(each) for each in waits],
        pulled,
        restarts,
        os.getloadavg()[0],
    )


async def _start(size: int, directory: Path, ledger: Ledger) -> list[ModellessPeer[Any]]:
    """Return peers that joined one after another, each through an earlier one, each at its own address."""
    from swarmd.network.hivemind import HivemindNetwork

    peers: list[ModellessPeer[Any]] = []
    for number in range(size):
        key, rng = key_of(1, number), random.Random(number)
        identity = directory / f"{number}.key"
        identity.write_bytes(key.to_libp2p())
        config = NetworkConfig(host=f"127.1.{number // 250}.{number % 250 + 1}", dialable=True)
        network = await HivemindNetwork.start(
            key=key, identity_path=identity, config=config, swarm=lambda: MANIFEST
        )
        if peers:
            await network.connect(rng.choice(peers).network.addresses, named=True)
        peers.append(ModellessPeer(key, network, rng, time.time, ledger))
    return peers


async def _wire() -> None:
    """Print what a call, a new connection and an idle connection add on the wire, in both directions
    together, and what p2pd sends by itself.
    """
    opening, idle = await _connections()
    with TemporaryDirectory() as name:
        one, two = (peer.network for peer in await _start(2, Path(name), Ledger()))
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
    _write(
        f"Both directions together: a greeting {call:.0f} bytes, a new connection {opening:.0f} bytes, "
        f"an idle connection {idle:.0f} bytes a second. "
        f"{GREETINGS - answered} of {GREETINGS} greetings went unanswered, as on a busy machine. "
        f"Load {os.getloadavg()[0]:.1f}."
    )
    joining, each = await _left_alone()
    _write(
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


class _Counting:
    """For the length of the block, counts the requests between all peers of this process."""

    def __init__(self, counted: Counted) -> None:
        self._counted = counted

    def __enter__(self) -> None:
        from swarmd.network.control import Control
        from swarmd.network.hivemind import HivemindNetwork

        counted, call, ask = self._counted, Control.call, HivemindNetwork._ask
        self._undo = (Control, call), (HivemindNetwork, ask)

        async def counting_call(control: Any, peer: bytes, protocol: str, request: bytes, most: int) -> bytes:
            answer = await call(control, peer, protocol, request, most)
            counted.made(protocol, len(request), len(answer))
            return answer

        async def counting_ask(network: Any, session: Any, peer: Any, protocol: str, *rest: Any) -> bytes:
            answer: bytes = await ask(network, session, peer, protocol, *rest)
            counted.made(protocol, 33, 5 + len(answer))
            return answer

        Control.call = counting_call  # type: ignore[method-assign, assignment]
        HivemindNetwork._ask = counting_ask  # type: ignore[method-assign, assignment]

    def __exit__(self, *_: object) -> None:
        (control, call), (network, ask) = self._undo
        control.call = call  # type: ignore[method-assign]
        network._ask = ask  # type: ignore[method-assign]


def _enter_namespace() -> None:
    unshare = shutil.which("unshare")
    if unshare is None or subprocess.run([unshare, "-rn", "true"], check=False).returncode:  # noqa: S603
        _write("No separate network namespace: bytes on the wire are not measured.")
        return
    python = [sys.executable, "-W", "ignore", "-m", "benchmarks.scale", *sys.argv[1:]]
    command = [unshare, "-rn", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", *python]
    os.execve(unshare, command, os.environ | {NAMESPACE: "1"})  # noqa: S606  our own interpreter


def loopback_bytes() -> int:
    for line in Path("/proc/net/dev").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        if name.strip() == "lo":
            return int(rest.split()[0])
    return 0


def _spread(seconds: Sequence[float]) -> str:
    return f"{percentile(seconds, 0.5):.2f} ({percentile(seconds, 0.99):.2f})"


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
