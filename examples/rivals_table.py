"""The table of rivals in docs/results.md, from folders of `rivals.toml` and `rivals_specialists.toml`.

    python examples/rivals_table.py DIR...

One Markdown table per folder. *Gains* are in own reward over nodes that train alone (8/0), at equal rounds,
generated tokens, and CPU seconds by unit prices, paired by seed. *Held-out* is at the end; for specialists it
is split into others' tasks and own tasks, and *forgotten* is what own tasks lost since the start. All are
means over seeds with 95% bootstrap intervals.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from swarmd.errors import SwarmdError
from swarmd.experiment.reporting.equal_cost import Basis, against, bases_of
from swarmd.experiment.reporting.markdown import NOTHING, percent, plain, shown, table
from swarmd.experiment.reporting.measures import Split, split
from swarmd.experiment.reporting.results import Results, RunResults, read_results
from swarmd.experiment.reporting.statistics import estimate

BASES: tuple[Basis, ...] = ("rounds", "tokens", "cpu")
SPLITS: dict[str, Callable[[Split], float]] = {
    "others' tasks, end": lambda part: float(part.others[-1]),
    "own tasks, end": lambda part: float(part.own[-1]),
    "forgotten": lambda part: float(part.own[0] - part.own[-1]),
}


def held_out_head(results: Results) -> list[str]:
    return [*SPLITS] if results.config.specialities else ["held-out, end"]


def held_out(results: Results, runs: list[RunResults]) -> list[str]:
    if not results.config.specialities:
        return [shown(plain(estimate([float(run.held_out.success[-1].mean()) for run in runs])))]
    parts = [split(run, results.config.specialities) for run in runs]
    return [shown(plain(estimate([of(part) for part in parts]))) for of in SPLITS.values()]


def gains(runs: list[RunResults], control: list[RunResults]) -> list[str]:
    counted = bases_of([*runs, *control])
    found = [against(runs, control, basis) if basis in counted else None for basis in BASES]
    return [NOTHING if one is None else percent(plain(one.own_gain)) for one in found]


def rows_of(results: Results) -> list[list[str]]:
    control = results.of(results.config.baseline_label or "")
    rows = []
    for arm in results.config.configurations:
        runs = results.of(arm.label)
        if not runs:
            continue
        earned = estimate([float(run.reward_own.sum()) for run in runs])
        what = [arm.label, f"{arm.local}/{arm.external}", str(len(runs)), shown(plain(earned), "{:.1f}")]
        compared = gains(runs, control) if runs != control else [NOTHING] * len(BASES)
        rows.append([*what, *compared, *held_out(results, runs)])
    return rows


def main(folders: list[str]) -> None:
    for folder in folders:
        try:
            results = read_results(Path(folder))
        except SwarmdError as error:
            raise SystemExit(f"error: {error}") from error
        before = estimate([float(run.reward_own[0].mean()) for run in results.runs])
        head = ["", "I/J", "seeds", "own reward", *(f"gain, equal {basis}" for basis in BASES)]
        print(f"{folder}, own reward in the first round {before.mean:.4f}\n")
        print(table([*head, *held_out_head(results)], rows_of(results)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
