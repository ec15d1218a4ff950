"""The results as Markdown tables."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.scale.kademlia import Cost, Steady
from benchmarks.scale.load import Load, Numbers
from benchmarks.scale.lookups import bytes_of
from benchmarks.scale.simulated import Outcome, median
from benchmarks.scale.tally import Purpose, together
from benchmarks.scale.workload import GROUPS_USED

PULLERS = 2 * GROUPS_USED
"""Peers that pull a record, on average: a peer makes one record per this many that it pulls."""

DRAWS = 1_000
KB = 1e3


@dataclass(frozen=True)
class Result:
    """One size."""

    outcome: Outcome
    load: Load
    p2pd: Steady
    """What its own DHT does in addition."""
    cpu_s: float

    @property
    def size(self) -> int:
        return self.outcome.setting.size


Row = tuple[str, Callable[[Result], str]]


def percentile(values: Numbers | Sequence[float], share: float) -> float:
    return float(np.percentile(np.asarray(values, dtype=float), 100 * share)) if len(values) else float("nan")


def two(name: str, values: Callable[[Load], Numbers], unit: float = 1.0) -> Row:
    def both(result: Result) -> str:
        found = values(result.load) / unit
        return f"{percentile(found, 0.5):.2f} ({percentile(found, 0.99):.2f})"

    return name, both


def search(result: Result) -> tuple[float, float, float]:
    """Reading announcements, per peer and minute: keys, calls, bytes received."""
    flows = [together([tally.of(Purpose.READ) for tally in result.outcome.tallies])]
    minutes = len(result.outcome.tallies) * result.outcome.setting.measured_s / 60
    keys = sum(tally.keys[Purpose.READ] for tally in result.outcome.tallies)
    return keys / minutes, flows[0].calls / minutes, (flows[0].answered + flows[0].found) / minutes


def searched(result: Result) -> str:
    keys, calls, received = search(result)
    return f"{keys:.1f} keys, {calls:.0f} calls, {received / KB:.0f} KB"


def busiest_minute(load: Load) -> str:
    return "not measured" if load.served_in_a_minute is None else f"{load.served_in_a_minute.max():.1f}"


def rmr_of_announcements(result: Result) -> float:
    copies = sum(tally.copies for tally in result.outcome.tallies)
    return copies / max(1, result.outcome.needed) - 1


def last_delivery_s(result: Result) -> float:
    """Return the seconds until the last of PULLERS peers has a record, if each waits one of the measured
    ages.
    """
    outcome = result.outcome
    if outcome.lasts:
        return median(outcome.lasts)
    rng = random.Random(outcome.setting.seed)
    return median([max(rng.choices(outcome.ages, k=PULLERS)) for _ in range(DRAWS)]) if outcome.ages else 0.0


ROWS: tuple[Row, ...] = (
    two("KB/s received, messages: median (p99)", lambda load: load.received, KB),
    two("KB/s received, on the wire", lambda load: load.wire, KB),
    two("of these: what calls add", lambda load: load.wire_calls, KB),
    two("of these: opening connections", lambda load: load.wire_opened, KB),
    two("of these: idle connections", lambda load: load.wire_connections, KB),
    two("calls per second, made and answered", lambda load: load.calls),
    two("calls answered per second", lambda load: load.served_calls),
    ("busiest node: calls answered per second", lambda r: f"{r.load.served_calls.max():.1f}"),
    ("busiest node: the same in a minute", lambda r: busiest_minute(r.load)),
    ("busiest node: of these to hold something", lambda r: f"{r.load.stored_calls.max():.2f}"),
    ("busiest node: KB/s sent in answers", lambda r: f"{r.load.served_bytes.max() / KB:.1f}"),
    ("groups pulled a minute", lambda r: f"{per_minute(r, r.outcome.pulled):.1f}"),
    ("a minute's search", searched),
    ("RMR of bodies", lambda r: f"{bodies_rmr(r):.2f}"),
    ("RMR of announcements", lambda r: f"{rmr_of_announcements(r):.1f}"),
    ("LDH", lambda _result: "1"),
    ("s until a record is usable at a peer that pulls it: median (p99)", lambda r: ages(r.outcome.ages)),
    ("s to the last of 32 that pull a record", lambda r: f"{last_delivery_s(r):.0f}"),
    ("s to a newcomer's first group: median (most)", lambda r: newcomers(r.outcome.first_external_s)),
    ("estimated size of the swarm", lambda r: f"{median(r.outcome.sizes_believed):.0f}"),
    ("shards in use", lambda r: f"{median(r.outcome.shards):.0f}"),
    ("connections", lambda r: f"{median(r.outcome.connections):.0f}"),
    (
        "new connections a minute",
        lambda r: f"{per_minute(r, sum(t.connections.total() for t in r.outcome.tallies)):.1f}",
    ),
    (
        "of these: to peers whose address we do not know",
        lambda r: f"{per_minute(r, sum(t.unaided.total() for t in r.outcome.tallies)):.1f}",
    ),
    ("p2pd: part of all peers whose addresses it knows", lambda r: f"{r.p2pd.known:.2f}"),
    ("p2pd: peers looked up a minute", lambda r: f"{r.p2pd.lookups:.1f}"),
    ("p2pd: KB/s on the wire for that", lambda r: f"{kb_per_s(r.p2pd.search):.2f}"),
    ("p2pd: KB/s on the wire for its refresh", lambda r: f"{kb_per_s(r.p2pd.refresh):.2f}"),
    ("CPU s of the simulation", lambda r: f"{r.cpu_s:.0f}"),
)


def kb_per_s(in_a_minute: Cost) -> float:
    """A peer receives as much as it causes, on average."""
    return bytes_of(in_a_minute) / KB / 60


def per_minute(result: Result, count: float) -> float:
    """Per machine."""
    return count / len(result.outcome.tallies) / result.outcome.setting.measured_s * 60


def bodies_rmr(result: Result) -> float:
    came = sum(tally.of(Purpose.PULL).calls for tally in result.outcome.tallies)
    return came / max(1, result.outcome.pulled) - 1


def ages(values: Sequence[float]) -> str:
    return f"{percentile(values, 0.5):.0f} ({percentile(values, 0.99):.0f})"


def newcomers(values: Sequence[float]) -> str:
    return f"{median(values):.1f} ({max(values):.1f})" if values else "none came"


def table(results: Sequence[Result]) -> str:
    """Return one column for each size."""
    heads = [f"{result.size:,} peers" for result in results]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(results)]
    lines += [f"| {name} | " + " | ".join(cell(result) for result in results) + " |" for name, cell in ROWS]
    return "\n".join(lines)


def purposes(results: Sequence[Result]) -> str:
    """Return by purpose the KB/s of answers that a machine receives, its calls per second, and the
    connections that it opens per minute, in brackets to peers whose address it does not know; means.
    """
    heads = [f"{result.size:,} peers" for result in results]
    lines = [
        "| KB/s of answers; calls per second; new connections a minute | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(results),
    ]
    for purpose in Purpose:
        cells = []
        for result in results:
            seconds = result.outcome.setting.measured_s * len(result.outcome.tallies)
            flow = together([tally.of(purpose) for tally in result.outcome.tallies])
            made = sum(tally.connections[purpose] for tally in result.outcome.tallies)
            unaided = sum(tally.unaided[purpose] for tally in result.outcome.tallies)
            cells.append(
                f"{(flow.answered + flow.found) / KB / seconds:.2f}; {flow.calls / seconds:.2f}; "
                f"{per_minute(result, made):.1f} ({per_minute(result, unaided):.1f})"
            )
        lines.append(f"| {purpose} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def flatness(results: Sequence[Result]) -> str:
    """Compare the largest swarm with the smallest."""
    if len(results) < 2:
        return ""
    first, last = results[0], results[-1]
    ratios = {
        "messages": percentile(last.load.received, 0.5) / percentile(first.load.received, 0.5),
        "wire": percentile(last.load.wire, 0.5) / percentile(first.load.wire, 0.5),
        "calls": percentile(last.load.calls, 0.5) / percentile(first.load.calls, 0.5),
    }
    said = ", ".join(f"{name} {ratio:.2f}x" for name, ratio in ratios.items())
    return f"{last.size:,} peers against {first.size:,}, medians: {said}."
