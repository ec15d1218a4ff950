"""`python -m tests.hostile`: every attack against real daemons, beside a pair that is left alone.

Prints a table (attack, outcome, figures with their bounds) and ends with 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.hostile.attacks import ATTACKS
from tests.hostile.running import Arena, Outcome
from tests.hostile.scene import Attack, Check


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the attacks and end")
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="these alone; a beginning of a name will do"
    )
    parser.add_argument("--all", action="store_true", help="also the variants that the table leaves out")
    parser.add_argument("--seconds", type=float, help="length of each attack, in place of its own")
    parser.add_argument("--seed", type=int, default=1, help="of keys, texts and order")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write outcomes with all figures here too")
    parser.add_argument("--keep", metavar="DIR", type=Path, help="make homes in here and leave them")
    options = parser.parse_args(arguments)
    chosen = choose(options.only, everything=options.all)
    if options.list:
        for attack in chosen:
            print(f"{attack.name:<18}{'' if attack.by_default else '(--all) '}{attack.what}")
        return 0
    if not chosen:
        parser.error(f"no attack is named {' or '.join(options.only or ())}; --list names them")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # daemons end with us
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="h-") as directory:
        arena = Arena(options.keep or Path(directory), options.seed)
        outcomes = []
        try:
            for attack in chosen:
                outcomes.append(arena.carry_out(attack, options.seconds))
                print(line(outcomes[-1]), flush=True)
                if options.json:
                    options.json.write_text(json.dumps(list(map(dataclasses.asdict, outcomes)), indent=1))
        finally:
            arena.close()
    missed = [outcome.name for outcome in outcomes if not outcome.holds]
    print(
        f"{len(outcomes)} attacks in {time.monotonic() - began:.0f} s; {len(missed)} missed a bound",
        flush=True,
    )
    return 1 if missed else 0


def choose(names: Sequence[str] | None, *, everything: bool) -> list[Attack | Check]:
    """The attacks of these names or beginnings of names; without names the table's, or all there are."""
    if names is None:
        return [attack for attack in ATTACKS.values() if attack.by_default or everything]
    exact = {name for name in names if name in ATTACKS}
    begin = tuple(name for name in names if name not in exact)
    return [attack for name, attack in ATTACKS.items() if name in exact or (begin and name.startswith(begin))]


def line(outcome: Outcome) -> str:
    """An outcome as rows of the table."""
    rows = [f"{'ok' if outcome.holds else 'MISSED':<7}{outcome.name:<18}{outcome.what}"]
    rows += [f"       {'  ' if figure.holds else '! '}{figure}" for figure in outcome.figures]
    if outcome.broke:
        rows.append(f"       ! {outcome.broke}")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
