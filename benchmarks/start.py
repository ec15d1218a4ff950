"""`python -m benchmarks.start`: the CPU time and memory that starting swarmd takes.

A peer starts in a fresh home, alone, with its defaults. The CPU seconds (user and system) of all its
processes are read when it logs its first published groups. A new home first answers held-out questions;
`--evaluate-every 0` skips them, and both variants are shown. Short commands are run to their end. Each number
is the minimum of several runs, because other work on the machine can only add to it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.arguments import positive
from benchmarks.processes import ROOT, ProcessError

RUNS = 3
START_S = 600.0  # until the first groups are published, on a machine that is busy with other work
STOP_S = 60.0
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
}  # one, so that no thread waits for another
STARTS: dict[str, tuple[str, ...]] = {
    "first groups": ("--evaluate-every", "0"),
    "held-out questions, then first groups": (),
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "--help": ("--help",),
    "version": ("version",),
    "join --help": ("join", "--help"),
}
JOIN = ("join", "--host", "127.0.0.1", "--log-format", "json", "--log-level", "debug")
ROLES = ("parent", "peer", "task worker", "p2pd")
LAST = "published"
"""The event, of level debug."""


@dataclass(frozen=True)
class Start:
    """One start of a peer."""

    seconds: dict[str, float]
    """CPU seconds by role until the first groups were published."""
    phases: tuple[tuple[str, float], ...]
    """The phases in their order, and the CPU seconds of all processes when each began."""
    peak_bytes: int
    """Peak memory of the peer's own process (VmHWM)."""
    status: float
    """CPU seconds of `swarmd status`, called afterwards."""

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


def start(home: Path, options: Sequence[str]) -> Start:
    """Start a peer in `home` and stop it once it has published. Raises ProcessError."""
    command = [*JOIN, "--home", str(home), *options]
    errors = home.with_suffix(".stderr")
    with errors.open("wb") as written:
        peer = subprocess.Popen(  # noqa: S603  our own interpreter and module
            [sys.executable, "-m", "swarmd", *command],
            cwd=ROOT,
            env={**os.environ, **ENVIRONMENT},
            stdout=subprocess.PIPE,
            stderr=written,
        )
    deadline = threading.Timer(START_S, peer.kill)
    deadline.start()
    try:
        found = _until_published(peer, home)
    finally:
        deadline.cancel()
        _stop(peer)
    if found is None:
        raise ProcessError(f"no group was published (exit status {peer.returncode})\n{errors.read_text()}")
    return found


def _until_published(peer: subprocess.Popen[bytes], home: Path) -> Start | None:
    phases: list[tuple[str, float]] = []
    for line in peer.stdout or ():
        event = json.loads(line)
        if event["event"] in ("phase", LAST):
            seconds = _seconds_of(peer.pid)
            phases.append((event.get("name", LAST), sum(seconds.values())))
        if event["event"] == LAST:
            return Start(
                seconds, tuple(phases), _peak_bytes(peer.pid), _command(("status", "--home", str(home)))
            )
    return None


def _stop(peer: subprocess.Popen[bytes]) -> None:
    peer.send_signal(signal.SIGINT)
    try:
        peer.communicate(timeout=STOP_S)  # drains the output, so that a full pipe does not block the peer
    except subprocess.TimeoutExpired:
        peer.kill()
        peer.wait()


def _seconds_of(pid: int) -> dict[str, float]:
    """Return the CPU seconds of a process and all its descendants, by role, including children that have
    ended.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    parent = psutil.Process(pid)
    for process in [parent, *parent.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            seconds[_role(process, parent)] += sum(process.cpu_times()[:4])
    return dict(seconds)


def _role(process: psutil.Process, parent: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    if "swarmd.tasks.worker" in line:
        return "task worker"
    if "p2pd" in line:
        return "p2pd"
    return "parent" if process.pid == parent.pid else "peer"


def _peak_bytes(pid: int) -> int:
    """Return the peak of the peer itself, which is the child of the process `pid`."""
    [peer] = psutil.Process(pid).children()
    for line in Path(f"/proc/{peer.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _command(arguments: Sequence[str]) -> float:
    """Return the CPU seconds of one short command. Raises ProcessError."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(  # noqa: S603  our own interpreter and module
        [sys.executable, "-m", "swarmd", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise ProcessError(f"swarmd {' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def least(runs: int, measure: Callable[[], Start]) -> tuple[Start, float]:
    """Return the start that took least, and the least that `status` took."""
    found = [measure() for _ in range(runs)]
    return min(found, key=lambda one: one.total), min(one.status for one in found)


def starts_table(starts: dict[str, Start]) -> str:
    """Return one row per kind of start, in Markdown."""
    lines = [f"| until | CPU s | {' | '.join(ROLES)} | peak MB |", "|---" * (len(ROLES) + 3) + "|"]
    for name, one in starts.items():
        shares = " | ".join(f"{one.seconds.get(role, 0.0):.1f}" for role in ROLES)
        lines.append(f"| {name} | {one.total:.1f} | {shares} | {one.peak_bytes / 1e6:.0f} |")
    return "\n".join(lines)


def phases_table(one: Start) -> str:
    """Return what each phase took, in Markdown."""
    lines = ["| phase | CPU s |", "|---|---|"]
    began = [0.0, *(seconds for _, seconds in one.phases)]
    names = ["interpreter and settings", *(name for name, _ in one.phases)]
    for name, start_s, end_s in zip(names, began, began[1:], strict=False):
        lines.append(f"| {name} | {end_s - start_s:.2f} |")
    return "\n".join(lines)


def commands_table(commands: dict[str, float]) -> str:
    """Return one row per command, in Markdown."""
    rows = [f"| `swarmd {name}` | {seconds:.2f} |" for name, seconds in commands.items()]
    return "\n".join(["| command | CPU s |", "|---|---|", *rows])


def plain(starts: dict[str, Start], commands: dict[str, float]) -> dict[str, Any]:
    """Return the results as JSON holds them."""
    shown = {
        name: {"total": one.total, "seconds": one.seconds, "phases": one.phases, "peak": one.peak_bytes}
        for name, one in starts.items()
    }
    return {"starts": shown, "commands": commands}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the results. The exit status is 1 if a peer did not start."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--runs", type=positive, default=RUNS, help="runs of each; the minimum counts")
    parser.add_argument("--starts", nargs="+", default=list(STARTS), choices=list(STARTS))
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args(arguments)
    starts: dict[str, Start] = {}
    statuses: list[float] = []
    try:
        commands = {
            name: min(_command(words) for _ in range(options.runs)) for name, words in COMMANDS.items()
        }
        for name in options.starts:
            with tempfile.TemporaryDirectory() as directory:
                homes = iter(Path(directory) / f"home{number}" for number in range(options.runs))
                starts[name], status = least(options.runs, lambda: start(next(homes), STARTS[name]))  # noqa: B023
                statuses.append(status)
    except ProcessError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    commands["status, a daemon running"] = min(statuses)
    if options.json:
        sys.stdout.write(json.dumps(plain(starts, commands)) + "\n")
        return 0
    tables = [starts_table(starts), *map(phases_table, starts.values()), commands_table(commands)]
    sys.stdout.write("\n\n".join(tables) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
