"""`python -m tests.chaos`: real peers, and each minute of what happens to them in a year.

Kills, freezes, cuts, slow links, full and broken disks, clocks that jump. With root, each peer has a network
namespace and a disk of its own; without, it does without cuts, slow links and disks, and says so. Prints what
happened, what was lost and, in its last line, the figures; ends with 1 where one misses its bound.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path

from swarmd.places import runtime_path
from swarmd.tasks import load_manifest
from tests.chaos import verdict
from tests.chaos.peers import Machine
from tests.chaos.storm import SETTLED_S, Storm
from tests.chaos.wires import Wires, are_possible

PEERS = 12
MINUTES = 10.0
SWARM = "starter"
START_S = 400.0
"""For the first step of each; all start together."""

SAVE_EVERY = 10
"""Steps between checkpoints."""

SILENCE_S_MAX = 10.0
DESCRIPTORS_SPARE = 24
"""Connections and files that come and go with the number of peers."""


@dataclass
class Result:
    """The figures, each with what it may be."""

    happened: dict[str, int]
    survived: dict[str, int]
    trouble: list[str]
    steps_lost_most: int
    saved_steps_lost: int
    records_lost: int
    records: int
    false_accepts: int
    groups_checked: int
    silences: list[dict[str, float | int | None]]
    descriptors_leaked: int
    files_left: list[str]
    processes_left: int
    tracebacks: list[str]
    exit_codes: list[int | None]
    cuts: int = 0
    seconds: float = 0.0
    missed: list[str] = field(default_factory=list)

    def judge(self) -> None:
        """Fill `missed`."""
        unheard = float("inf") if self.cuts else 0.0  # cuts of which nobody was a witness show nothing
        longest = max((_seconds(silence) for silence in self.silences), default=unheard)
        bounds = {
            "faults that were not survived": (
                sum(self.happened.values()) - sum(self.survived.values()),
                0,
            ),
            "trouble": (len(self.trouble), 0),
            "steps lost at a fault": (self.steps_lost_most, SAVE_EVERY),
            "saved steps lost": (self.saved_steps_lost, 0),
            "records lost": (self.records_lost, 0),
            "false accepts": (self.false_accepts, 0),
            "longest silence after a heal": (longest, SILENCE_S_MAX),
            "groups through a cut": (sum(int(s["through_the_cut"] or 0) for s in self.silences), 0),
            "descriptors leaked": (self.descriptors_leaked, 0),
            "files left": (len(self.files_left), 0),
            "processes left": (self.processes_left, 0),
            "tracebacks": (len(self.tracebacks), 0),
            "ends out of order": (sum(code != 0 for code in self.exit_codes), 0),
        }
        self.missed = [
            f"{name}: {found:g} (<= {most:g})" for name, (found, most) in bounds.items() if found > most
        ]

    def last_line(self) -> str:
        silences = list(map(_seconds, self.silences))
        longest = f"{max(silences):.1f} s in {len(silences)} directions" if silences else "not judged"
        return (
            f"{sum(self.survived.values())} of {sum(self.happened.values())} faults survived, "
            f"steps lost at one {self.steps_lost_most} (saved every {SAVE_EVERY}), "
            f"records lost {self.records_lost} of {self.records}, "
            f"false accepts {self.false_accepts} of {self.groups_checked}, "
            f"longest silence after a heal {longest}, "
            f"leaked descriptors {self.descriptors_leaked}, files {len(self.files_left)}, "
            f"processes {self.processes_left}; {self.seconds:.0f} s"
        )


def _seconds(silence: dict[str, float | int | None]) -> float:
    seconds = silence["seconds"]
    return float("inf") if seconds is None else float(seconds)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of what happens to whom, and when")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of chaos; starts come before")
    parser.add_argument("--peers", type=int, default=PEERS)
    parser.add_argument("--kills", type=int, help="nothing but so many kills at random moments")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures here too")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="write there what each daemon printed")
    parser.add_argument("--no-root", action="store_true", help="do without namespaces and disks")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was laid is taken up
    result = run(
        peers=options.peers,
        minutes=options.minutes,
        kills=options.kills,
        seed=options.seed,
        own_wires=not options.no_root and are_possible(),
        keep=options.keep,
    )
    if options.json:
        options.json.write_text(json.dumps(asdict(result), indent=1))
    for name, count in sorted(result.happened.items()):
        print(f"{name:<24}{result.survived.get(name, 0)} of {count} survived")
    for trouble in (*result.trouble, *result.tracebacks, *result.files_left):
        print(f"! {trouble}")
    for missed in result.missed:
        print(f"MISSED {missed}")
    print(result.last_line(), flush=True)
    return 1 if result.missed else 0


def run(
    *,
    peers: int,
    minutes: float,
    kills: int | None,
    seed: int,
    own_wires: bool,
    keep: Path | None = None,
    duty: float = 1.0,
) -> Result:
    """Start, let it storm, stop, and see what is left. `duty`: the share of the time that peers train."""
    began = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        wires = stack.enter_context(Wires(peers).laid()) if own_wires else None
        if wires is None:
            print("without root there are no cuts, no slow links and no broken disks", flush=True)
        machines = [Machine(number, directory, wires) for number in range(peers)]
        for machine in machines:
            stack.callback(machine.close)
        options = ("--swarm", SWARM, "--checkpoint-every", str(SAVE_EVERY), "--duty", str(duty))
        storm = Storm(
            machines,
            wires,
            options,
            random.Random(seed),
            lambda text: print(f"{time.monotonic() - began:6.1f} {text}", flush=True),
        )
        storm.start_all(START_S)
        if kills is None:
            storm.run(minutes)
        else:
            storm.kill_at_random(kills)
        result = _end(storm, began)
        if keep is not None:
            _keep(storm, keep)
        return result


def _keep(storm: Storm, directory: Path) -> None:
    """One file a life, an event a line; and the cuts."""
    directory.mkdir(parents=True, exist_ok=True)
    for machine in storm.machines:
        for index, life in enumerate(machine.lives):
            lines = "".join(f"{json.dumps(event)}\n" for event in life.daemon.events)
            (directory / f"machine-{machine.number}-life-{index}.jsonl").write_text(lines)
            (directory / f"machine-{machine.number}-life-{index}.stderr").write_text(life.daemon.stderr)
    cuts = [{**asdict(cut), "witnesses": sorted(cut.witnesses)} for cut in storm.cuts]
    (directory / "cuts.json").write_text(json.dumps(cuts, indent=1))


def _end(storm: Storm, began: float) -> Result:
    machines = storm.machines
    leaked = _leaked(storm)
    trees = [process for machine in machines for process in machine.life.tree()]
    exit_codes = [machine.stop() for machine in machines]
    lost = [
        loss
        for machine in machines
        for home in machine.homes
        for loss in verdict.losses(
            machine.number,
            [life.daemon.events for life in machine.lives if life.daemon.home.path == home],
        )
    ]
    homes = [home for machine in machines for home in map(verdict.Home, machine.homes)]
    records = [verdict.records_lost(home) for home in homes]
    wrong, checked = verdict.false_accepts(homes, load_manifest(SWARM))
    result = Result(
        happened=dict(storm.happened),
        survived=dict(storm.survived),
        trouble=storm.trouble,
        steps_lost_most=max((loss.steps for loss in lost), default=0),
        saved_steps_lost=sum(loss.saved for loss in lost),
        records_lost=sum(missing for missing, _ in records),
        records=sum(all_ for _, all_ in records),
        false_accepts=wrong,
        groups_checked=checked,
        cuts=len(storm.cuts),
        silences=[asdict(silence) for cut in storm.cuts for silence in verdict.silences(cut, machines)],
        descriptors_leaked=leaked,
        files_left=_files_left(machines),
        processes_left=sum(process.is_running() and process.status() != "zombie" for process in trees),
        tracebacks=verdict.tracebacks(machines),
        exit_codes=exit_codes,
        seconds=time.monotonic() - began,
    )
    result.judge()
    return result


def _leaked(storm: Storm) -> int:
    """Descriptors beyond what a process had when it was under way, of those that run still."""
    worst = 0
    for seen in storm.descriptors.values():
        first = seen[0][0]
        young = [count for at, count in seen if at - first <= SETTLED_S]
        worst = max(worst, min(count for _, count in seen[-3:]) - max(young) - DESCRIPTORS_SPARE)
    return max(0, worst)


def _files_left(machines: Sequence[Machine]) -> list[str]:
    """What the last daemon of each machine left: temporary files, and half-written ones in its home.

    What a killed peer left is removed by the next start of its home, which a replaced one never had.
    """
    left: list[str] = []
    for machine in machines:
        replaced = {runtime_path(home).name for home in machine.homes[:-1]}
        left += [str(path) for path in machine.temporary.iterdir() if path.name not in replaced]
        left += [str(path) for path in machine.homes[-1].rglob(".*")]
    return left


if __name__ == "__main__":
    sys.exit(main())
