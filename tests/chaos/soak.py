"""`python -m tests.chaos.soak`: daemons that run for hours while nothing happens to them, and what grows.

Every few seconds it looks at memory, descriptors and threads of each process and at what the homes take on
disk. Prints for each the slope after the first minutes with its 95% interval, and ends with 1 where
something grows that has no bound by design.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from tests.chaos.peers import Life, Machine, rates_of

PEERS = 6
HOURS = 2.0
WARM_S = 1_200.0
"""Caches fill, the allocator finds its size, the pool and the ledger their steady state."""

LOOK_EVERY_S = 15.0
BLOCK_S = 300.0
"""Neighbouring looks are alike; their means over so long are taken as independent."""

START_S = 240.0
MB = 2**20

BOUNDS: Mapping[str, float | None] = {
    "daemon MB": 4.0,
    "p2pd MB": 4.0,
    "worker MB": 2.0,
    "daemon descriptors": 1.0,
    "p2pd descriptors": 2.0,
    "daemon threads": 0.5,
    "p2pd threads": 1.0,
    "database MB": None,
    "home MB": None,
}
"""Most that each may grow in an hour, by the low end of its interval: less would be noise of the allocator.
None: bounded by settings (records_bytes_max, pool_groups_max, the ledger's entries), which it fills."""

T_95 = {
    1: 12.71,
    2: 4.30,
    3: 3.18,
    4: 2.78,
    5: 2.57,
    6: 2.45,
    8: 2.31,
    10: 2.23,
    15: 2.13,
    20: 2.09,
    30: 2.04,
}
"""Student's t, two-sided 95%, by degrees of freedom."""


@dataclass(frozen=True)
class Slope:
    """Of one series of one machine, a line through its blocks."""

    machine: int
    series: str
    first: float
    last: float
    per_hour: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        bound = BOUNDS[self.series]
        return bound is None or self.low <= bound


def look(life: Life, home: Path) -> Iterator[tuple[str, float]]:
    """What there is of each kind now."""
    for process in life.tree():
        with suppress(psutil.Error):
            words = " ".join(process.cmdline()[:8])
            kind = "worker" if "tasks.worker" in words else "p2pd" if "p2pd" in words else "daemon"
            yield f"{kind} MB", process.memory_info().rss / MB
            if kind != "worker":
                yield f"{kind} descriptors", process.num_fds()
                yield f"{kind} threads", process.num_threads()
    sizes = {path: path.stat().st_size for path in home.rglob("*") if path.is_file()}
    yield "database MB", sum(size for path, size in sizes.items() if "swarmd.db" in path.name) / MB
    yield "home MB", sum(sizes.values()) / MB


def slope(machine: int, series: str, seen: Sequence[tuple[float, float]]) -> Slope:
    """`seen`: (seconds, value), at least three blocks of them."""
    blocks: defaultdict[int, list[tuple[float, float]]] = defaultdict(list)
    for at, value in seen:
        blocks[int(at // BLOCK_S)].append((at, value))
    xs = [statistics.fmean(at for at, _ in block) / 3_600 for block in blocks.values()]
    ys = [statistics.fmean(value for _, value in block) for block in blocks.values()]
    line = statistics.linear_regression(xs, ys)
    free = len(xs) - 2
    rest = sum((y - line.slope * x - line.intercept) ** 2 for x, y in zip(xs, ys, strict=True))
    spread = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    error = math.sqrt(rest / free / spread) if free > 0 else math.inf
    t = T_95[max(known for known in T_95 if known <= free)] if free > 0 else 0.0
    return Slope(machine, series, ys[0], ys[-1], line.slope, line.slope - t * error, line.slope + t * error)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--hours", type=float, default=HOURS)
    parser.add_argument("--peers", type=int, default=PEERS)
    parser.add_argument("--warm", type=float, default=WARM_S, help="seconds before anything counts")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all slopes here too")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        machines = [Machine(number, directory, None) for number in range(options.peers)]
        for machine in machines:
            stack.callback(machine.close)
            machine.prepare()
            machine.new_home(rates_of(machines))
            machine.start([other for other in machines if other.lives][:3], ())
            machine.life.daemon.wait_for("step", timeout_s=START_S)
        seen = watch(machines, options.hours * 3_600, options.warm)
        exit_codes = [machine.stop() for machine in machines]
    slopes = [slope(machine, series, values) for (machine, series), values in sorted(seen.items())]
    for found in slopes:
        print(
            f"{'ok' if found.holds else 'MISSED':<7}{found.machine} {found.series:<20}"
            f"{found.first:9.1f} -> {found.last:9.1f}  {found.per_hour:+8.2f} an hour"
            f" ({found.low:+.2f} to {found.high:+.2f})"
        )
    if options.json:
        options.json.write_text(json.dumps([asdict(found) for found in slopes], indent=1))
    missed = sum(not found.holds for found in slopes)
    print(
        f"{len(slopes)} series over {options.hours:g} h, {missed} grow; exit codes {exit_codes}", flush=True
    )
    return 1 if missed or any(exit_codes) else 0


def watch(
    machines: Sequence[Machine], seconds: float, warm: float
) -> dict[tuple[int, str], list[tuple[float, float]]]:
    """By machine and series: (seconds since the start, value), those of one kind added up."""
    seen: defaultdict[tuple[int, str], list[tuple[float, float]]] = defaultdict(list)
    began = time.monotonic()
    while (at := time.monotonic() - began) < seconds:
        for machine in machines:
            now: defaultdict[str, float] = defaultdict(float)
            for series, value in look(machine.life, machine.homes[-1]):
                now[series] += value
            for series, value in now.items():
                if at >= warm:
                    seen[machine.number, series].append((at, value))
        time.sleep(LOOK_EVERY_S)
    return seen


if __name__ == "__main__":
    sys.exit(main())
