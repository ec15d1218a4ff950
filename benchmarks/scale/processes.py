"""Real peers without models, each with its p2pd and in a process of its own, as daemons are."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import structlog
import uvloop

from benchmarks.scale.peer import Ledger, ModellessPeer
from benchmarks.scale.workload import MANIFEST, key_of
from swarmd.config import NetworkConfig

START_S = 120.0
"""Seconds in which a peer has started p2pd and joined. On a busy machine that takes many."""

REPORT_S = 60.0
"""Seconds after the measurement in which a peer's numbers have arrived."""

END_S = 20.0
"""Seconds in which a process has ended; then it is killed."""


@dataclass(frozen=True)
class Window:
    """When to measure: Unix seconds."""

    since: float
    until: float


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

    def __add__(self, other: Counted) -> Counted:
        return Counted(self.calls + other.calls, self.sent + other.sent, self.received + other.received)


@dataclass(frozen=True)
class Measured:
    """What one peer did in the measured time."""

    counted: Counted
    ledger: Ledger
    pulled: int
    restarts: int
    """How many times its p2pd died, or no longer answered, and was started again."""
    cpu_s: float
    """CPU seconds of its Python process."""
    p2pd_cpu_s: float | None
    """None if p2pd was started again: then the seconds of the first one are lost."""


class PeerProcess:
    """One peer. Its process ends when this object is closed, or when this process ends."""

    def __init__(self, number: int, directory: Path) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__, "swarmd.network.hivemind"])  # imported once, for all
        self._number = number
        self._pipe, its_end = context.Pipe()
        self._process = context.Process(target=_run, args=(number, directory, its_end), daemon=True)
        self._process.start()
        its_end.close()

    def join(self, via: tuple[str, ...]) -> tuple[str, ...]:
        """Let it start p2pd and join through a peer with the addresses `via`, if any. Return its addresses.
        Raises RuntimeError if it cannot.
        """
        self._pipe.send(via)
        addresses: tuple[str, ...] = self._receive(START_S)
        return addresses

    def run(self, window: Window) -> None:
        """Let it publish and read, from now until the window closes."""
        self._pipe.send(window)

    def result(self) -> Measured:
        """Return what it did in its window. Call this when the window is over."""
        measured: Measured = self._receive(REPORT_S)
        return measured

    def close(self) -> None:
        """End the process, at once if it is not done."""
        self._pipe.close()  # which it notices
        self._process.join(END_S)
        self._process.kill()
        self._process.join()

    def _receive(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            raise RuntimeError(f"peer {self._number} said nothing in {seconds:.0f} s")
        try:
            return self._pipe.recv()
        except EOFError:
            raise RuntimeError(f"peer {self._number} ended early; its error is above") from None


def _run(number: int, directory: Path, pipe: Connection) -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    counted = _count_requests()
    with suppress(asyncio.CancelledError, EOFError):  # the process that wanted to know is gone
        uvloop.run(_measure(number, directory, pipe, counted))


async def _measure(number: int, directory: Path, pipe: Connection, counted: Counted) -> None:
    ledger = Ledger()
    peer = await start_peer(number, directory, await asyncio.to_thread(pipe.recv), ledger)
    try:
        pipe.send(peer.network.addresses)
        window: Window = await asyncio.to_thread(pipe.recv)
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        loop.add_reader(pipe.fileno(), lambda: task and task.cancel())  # readable: its other end is closed
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(peer.run())
            await asyncio.sleep(window.since - time.time())
            counted.clear()
            pulled, restarts = peer.gossip.statistics().groups_pulled, peer.network.statistics().restarts
            p2pd = psutil.Process().children()  # only now: an earlier one may have been replaced
            cpu_s, p2pd_cpu_s = time.process_time(), _cpu_s(p2pd)
            await asyncio.sleep(window.until - time.time())
            restarts = peer.network.statistics().restarts - restarts
            measured = Measured(
                counted,
                ledger,
                peer.gossip.statistics().groups_pulled - pulled,
                restarts,
                time.process_time() - cpu_s,
                None if restarts else _cpu_s(p2pd) - p2pd_cpu_s,
            )
            loop.remove_reader(pipe.fileno())
            pipe.send(measured)
            running.cancel()
    finally:
        await peer.network.close()


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in processes)


async def start_peer(number: int, directory: Path, via: Sequence[str], ledger: Ledger) -> ModellessPeer[Any]:
    """Return a peer that joined through one with the addresses `via`, if any. Each has its own address.
    Raises RuntimeError if nobody answers there.
    """
    from swarmd.network.hivemind import HivemindNetwork

    key, rng = key_of(1, number), random.Random(number)
    identity = directory / f"{number}.key"
    identity.write_bytes(key.to_libp2p())
    config = NetworkConfig(host=f"127.1.{number // 250}.{number % 250 + 1}", dialable=True)
    network = await HivemindNetwork.start(
        key=key, identity_path=identity, config=config, swarm=lambda: MANIFEST
    )
    if via and not await network.connect(tuple(via), named=True):
        await network.close()
        raise RuntimeError(f"peer {number} reached nobody at {', '.join(via)}")
    return ModellessPeer(key, network, rng, time.time, ledger)


def _count_requests() -> Counted:
    """Count the requests of this process to other peers from now on."""
    from swarmd.network.control import Control
    from swarmd.network.hivemind import HivemindNetwork

    counted, call, ask = Counted(), Control.call, HivemindNetwork._ask

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
    return counted
