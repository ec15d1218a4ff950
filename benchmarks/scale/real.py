"""Real peers without models: processes on loopback. Counts their messages, bytes and CPU seconds.

In a separate network namespace, loopback's counter shows exactly what they put on the wire. For each real
swarm, a simulated one of as many machines is run for comparison.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.scale import lookups as p2pds_lookups
from benchmarks.scale import wire as on_the_wire
from benchmarks.scale.output import write
from benchmarks.scale.peer import Ledger
from benchmarks.scale.processes import Counted, PeerProcess, Window
from benchmarks.scale.report import percentile
from benchmarks.scale.simulated import Setting, simulate
from benchmarks.scale.wire import loopback_bytes
from benchmarks.scale.workload import STEP_S

NAMESPACE = "SWARMD_SCALE_NAMESPACE"
"""Set in the process that runs in its own network namespace."""

NO_NAMESPACE = (
    "--wire and --lookups count all bytes on loopback, so they need a network namespace of their own, which "
    "this machine does not allow. Use Linux with `unshare` and `ip` (packages util-linux and iproute2), and "
    "run as root or allow unprivileged user namespaces; a container needs CAP_SYS_ADMIN"
)

WARM_S = 2 * STEP_S
"""Seconds before anything is counted."""

LOOPBACK_S = 0.001
"""Latency of the simulated swarm that is compared with a real one."""


def main(sizes: Sequence[int], seconds: float, *, wire: bool, lookups: bool) -> int:
    """Print tables. The process replaces itself with one in its own namespace. If this machine does not allow
    that, only `sizes` can be measured, without bytes on the wire; else the exit status is 1.
    """
    if NAMESPACE not in os.environ:
        _enter_namespace()
        if wire or lookups:
            sys.stderr.write(f"error: {NO_NAMESPACE}\n")
            return 1
        write("No separate network namespace: bytes on the wire are not measured.")
    if wire:
        on_the_wire.main()
    if lookups:
        p2pds_lookups.main()
    if sizes:
        write(
            "| real peers | KB/s received, messages: real, simulated | calls a second: real, simulated "
            "| KB/s on the wire | s to the first that can use a record, median (p99): real, simulated "
            "| s to the last: real, simulated | pulled a minute: real, simulated "
            "| ms of CPU a second: Python, p2pd | p2pd restarted | load |"
        )
        write("|---|---|---|---|---|---|---|---|---|---|")
    for size in sizes:
        real = measure(size, seconds)
        write(real.row(size, seconds))
    return 0


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
    cpu_s: float
    """CPU seconds of all Python processes."""
    p2pd_cpu_s: float | None
    """The same of all p2pd; None if one was started again."""
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
        of_p2pd = "not measured" if self.p2pd_cpu_s is None else f"{self.p2pd_cpu_s * per * 1e3:.1f}"
        cells = (
            f"{size}",
            f"{messages * per / 1e3:.2f}, {theirs * per / 1e3:.2f}",
            f"{sum(self.counted.calls.values()) * per:.2f}, "
            f"{sum(tally.calls for tally in simulated.tallies) * per:.2f}",
            f"{self.wire * per / 1e3:.2f}" if self.wire else "not measured",
            f"{_spread(self.firsts)}, {_spread(simulated.firsts)}",
            f"{percentile(self.lasts, 0.5):.1f}, {percentile(simulated.lasts, 0.5):.1f}",
            f"{self.pulled * per * 60:.1f}, {simulated.pulled * per * 60:.1f}",
            f"{self.cpu_s * per * 1e3:.1f}, {of_p2pd}",
            f"{self.restarts}",
            f"{self.load:.1f}",
        )
        return "| " + " | ".join(cells) + " |"


def measure(size: int, seconds: float) -> Real:
    """Start `size` peers, which join one after another, and observe them for `seconds`."""
    with TemporaryDirectory() as name, ExitStack() as ends:
        rng, peers = random.Random(size), list[PeerProcess]()
        addresses: list[tuple[str, ...]] = []
        for number in range(size):
            peers.append(PeerProcess(number, Path(name)))
            ends.callback(peers[-1].close)
            addresses.append(peers[-1].join(rng.choice(addresses) if addresses else ()))
        since = time.time() + WARM_S
        window = Window(since, since + seconds)
        for peer in peers:
            peer.run(window)
        time.sleep(WARM_S)
        before = loopback_bytes()
        time.sleep(seconds)
        wire, load = loopback_bytes() - before, os.getloadavg()[0]
        results = [peer.result() for peer in peers]
    ledger = Ledger()
    for result in results:
        ledger.add(result.ledger)
    waits = ledger.waits(window.since, window.until)
    p2pd_cpu_s = [result.p2pd_cpu_s for result in results]
    return Real(
        sum((result.counted for result in results), Counted()),
        wire if NAMESPACE in os.environ else 0,
        [min(each) for each in waits],
        [max(each) for each in waits],
        sum(result.pulled for result in results),
        sum(result.restarts for result in results),
        sum(result.cpu_s for result in results),
        None if None in p2pd_cpu_s else sum(filter(None, p2pd_cpu_s)),
        load,
    )


def _enter_namespace() -> None:
    """Replace this process. Return only if this machine does not allow that."""
    unshare, up = shutil.which("unshare"), "ip link set lo up"
    if unshare is None or subprocess.run([unshare, "-rn", "sh", "-c", up], check=False).returncode:  # noqa: S603
        return
    python = [sys.executable, "-W", "ignore", "-m", "benchmarks.scale", *sys.argv[1:]]
    command = [unshare, "-rn", "sh", "-c", f'{up} && exec "$@"', "sh", *python]
    os.execve(unshare, command, os.environ | {NAMESPACE: "1"})  # noqa: S606  our own interpreter


def _spread(seconds: Sequence[float]) -> str:
    return f"{percentile(seconds, 0.5):.2f} ({percentile(seconds, 0.99):.2f})"
