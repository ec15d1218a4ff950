"""`python -m benchmarks.scale`: what one peer costs in a swarm of 100, 1,000 and 10,000 peers.

Runs the swarms in simulated time and prints tables. `--short` takes a fifth of the time. `--real` instead
starts real peers without models on loopback, with real p2pd, and prints what they did next to a simulation of
equal size. `--wire` measures what a call and a connection add on the wire, and what p2pd sends by itself;
`--lookups` what the lookups of its own DHT cost.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

import structlog

from benchmarks.arguments import at_least, duration, positive, refuse_ignored
from benchmarks.scale.kademlia import steady
from benchmarks.scale.load import load_of
from benchmarks.scale.report import Result, flatness, purposes, table
from benchmarks.scale.simulated import Setting, median, simulate

SIZES = (100, 1_000, 10_000)
FULL = Setting(0, started_within_s=240.0)
SHORT = Setting(0, real=6, newcomers=2, started_within_s=60.0, warm_s=240.0, measured_s=120.0)


def result_of(setting: Setting) -> Result:
    began = time.process_time()
    outcome = simulate(setting)
    opened = sum(tally.connections.total() for tally in outcome.tallies)
    dials = opened / setting.machines / setting.measured_s * 60
    unaided = sum(tally.unaided.total() for tally in outcome.tallies) / max(1, opened)
    connections = round(median(outcome.connections))
    p2pd = steady(setting.size, dials, connections, setting.seed, unaided=unaided)
    return Result(outcome, load_of(outcome), p2pd, time.process_time() - began)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--sizes", type=at_least(2), nargs="+", default=list(SIZES), metavar="PEERS")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--machines", type=positive, help="peers of each swarm that run the real state machine"
    )
    parser.add_argument("--short", action="store_true", help="fewer machines and less simulated time")
    parser.add_argument("--real", type=at_least(2), nargs="+", metavar="PEERS", help="real peers on loopback")
    parser.add_argument(
        "--seconds", type=duration, default=180.0, help="length of the measurement with --real (default: 180)"
    )
    parser.add_argument("--wire", action="store_true", help="measure calls and connections on the wire")
    parser.add_argument("--lookups", action="store_true", help="measure the lookups of p2pd's own DHT")
    options = parser.parse_args(arguments)
    on_loopback = bool(options.real or options.wire or options.lookups)
    if on_loopback:
        refuse_ignored(
            parser, options, "with --real, --wire or --lookups", "sizes", "seed", "machines", "short"
        )
    if not options.real:
        refuse_ignored(parser, options, "without --real", "seconds")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    if on_loopback:
        from benchmarks.scale import real

        return real.main(options.real or (), options.seconds, wire=options.wire, lookups=options.lookups)
    setting = SHORT if options.short else FULL
    setting = replace(setting, seed=options.seed, real=options.machines or setting.real)
    results = []
    for size in options.sizes:
        results.append(result_of(replace(setting, size=size)))
        sys.stderr.write(f"{size} peers: {results[-1].cpu_s:.0f} s of CPU\n")
    sys.stdout.write("\n\n".join(filter(None, (table(results), purposes(results), flatness(results)))) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
