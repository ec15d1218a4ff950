"""`swarmd experiment report`: the tables and plots of a results folder, written into it.

report.json holds the tables, and report.md says the same for people. Computes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from swarmd.experiment.reporting.markdown import NOTHING, percent, shown, signed, table
from swarmd.experiment.reporting.measures import CURVES, QUANTITIES
from swarmd.experiment.reporting.plots import FORMATS, draw_plots
from swarmd.experiment.reporting.results import read_results
from swarmd.experiment.reporting.tables import make_tables
from swarmd.storage.durable import disk_error

Table = dict[str, Any]

JSON_FILE, MARKDOWN_FILE = "report.json", "report.md"

UNITS = {"tokens": "{:,.0f}", "seconds": "{:,.0f}", "mixed": "{:.2f}", "own": "{:.2f}"}
RATIO = "{:.3f}"  # of everything else
USES = {
    "generated": "tokens generated",
    "trained_own": "trained on, own",
    "trained_external": "trained on, others'",
}
CURVE_TITLES = {"own": "own reward", "held_out": "held-out"}


def write_report(folder: Path, *, with_plots: bool = True) -> list[Path]:
    """Write report.json, report.md and the plots; returns their paths.

    Raises ConfigError for a folder without finished runs or plots without matplotlib, StorageError.
    """
    results = read_results(folder)
    tables = make_tables(results)
    try:
        plots = draw_plots(results, folder) if with_plots else []
        (folder / JSON_FILE).write_text(json.dumps(tables, indent=1, allow_nan=False), encoding="utf-8")
        (folder / MARKDOWN_FILE).write_text(to_markdown(tables, plots), encoding="utf-8")
    except OSError as error:
        raise disk_error(f"write the report into {folder}", error) from error
    drawn = [folder / f"{name}.{ending}" for name in plots for ending in FORMATS]
    return [folder / JSON_FILE, folder / MARKDOWN_FILE, *drawn]


# report.md ----------------------------------------------------------------------------------------


def to_markdown(tables: Table, plots: Sequence[str]) -> str:
    """report.md."""
    return "\n\n".join([*_beginning(tables), *_sections(tables), *(f"![{p}]({p}.png)" for p in plots)]) + "\n"


def _beginning(tables: Table) -> Iterator[str]:
    yield f"# {tables['experiment']}"
    yield (
        f"{tables['nodes']} nodes. Means over seeds with 95 % bootstrap intervals; comparisons are paired by "
        "seed. With fewer than five seeds the intervals are too narrow."
    )
    if tables["unfinished_runs"]:
        yield f"**{tables['unfinished_runs']} runs are not finished and not in here.**"
    if tables["superseded_runs"]:
        yield (
            f"{tables['superseded_runs']} runs are left out: their configuration or learning rate is not the "
            "experiment's any more."
        )


def _sections(tables: Table) -> Iterator[str]:
    rows = tables["configurations"]
    yield from ("## Results", _measures(rows, tables["measures"]))
    if any(row["against_baseline"] for row in rows):
        yield from (f"## Against {tables['baseline']}", _against_baseline(rows), EQUAL)
    if tables["against_solo"]:
        yield from ("## Against the strongest solo control", _against_solo(tables["against_solo"]), STRONGEST)
    if tables["attacks"]:
        yield from ("## Attacks", _attacks(tables["attacks"]), ATTACKS)
    yield from ("## Where time and tokens go", _spending(rows), SPENDING)
    if any(row["specialists"] for row in rows):
        yield from ("## Specialists", _specialists(rows, tables["baseline"]), SPECIALISTS)
    yield from ("## Stability", _stability(rows), STABILITY)
    yield from ("## Held-out success by task, at the end", _tasks(rows))
    if tables["sweep"]:
        yield from ("## Learning rates tried, on other seeds", _sweep(tables["sweep"]))
    yield from ("## What the columns of the results are", _meanings(tables["measures"]))


EQUAL = """\
At equal rounds, tokens or time both runs of a pair are looked at up to what the cheaper one spent in
all. Gains are in mean reward a round of the rounds compared, each counting the same; held-out
differences are in success."""

STRONGEST = """\
Every configuration that shares nothing is a solo control, with its own best learning rate; the strongest
is the one that leaves the least gain in own reward, of means over seeds, at that budget. It is chosen on
the seeds that it is reported on, which favours it a little; report.json has all of them. Own reward is
the mean of the rounds compared. A configuration that *ended first* had spent all its rounds before the
other: give it more `rounds` to compare further on."""

ATTACKS = """\
On the nodes that learn; attackers count in no figure of this report. *Success*: the share of a node's own
sampled completions that carry the payload; *end*: mean over the last tenth of the rounds; *peak*: of the
round in which it is highest. *Length*: tokens of a completion at the end. The control has the same settings
and no attackers, and its own reward and held-out success are what the differences are against, paired by
seed."""

SPENDING = """\
Of a node over the whole run, mean over nodes; held-out questions are not in it. *Trained on*: in the
completions of the groups with an advantage. Others' groups are verified and trained on, and cost no
generating: that is why equal tokens and equal time differ."""

SPECIALISTS = """\
Held-out success, mean over nodes, on the tasks a node's model was good at from the start
(`specialities`) and on the tasks of the others; each task counts the same."""

STABILITY = """\
Of means over nodes. *Peak*: the highest point; *drop*: from there to the end, so forgetting where it is
held-out success; *falls*: all falls together, which are 0 if the curve only rises and large if it
oscillates. Own reward is smoothed over a twentieth of the rounds; with fewer own groups a round it is
noisier and so has more falls, whatever was learned."""


def _measures(rows: list[Table], measures: Table) -> str:
    keys = [key for key in measures if any(row["measures"][key]["mean"] is not None for row in rows)]
    head = ["", "rate", "rounds", "seeds", *(measures[key]["title"] for key in keys)]
    body = [
        [row["label"], f"{row['learning_rate']:g}", str(row["rounds"]), str(len(row["seeds"]))]
        + [shown(row["measures"][key], UNITS.get(key, RATIO)) for key in keys]
        for row in rows
    ]
    return table(head, body)


def _against_baseline(rows: list[Table]) -> str:
    head = [
        "", "paper's reward, equal rounds", "own reward, equal rounds", "equal tokens", "equal time",
        "held-out, equal rounds", "equal tokens", "equal time",
    ]  # fmt: skip
    found = [
        (row["label"], list(row["against_baseline"].values())) for row in rows if row["against_baseline"]
    ]
    return table(
        head,
        [
            [label, percent(pairs[0]["mixed_gain"])]
            + [percent(pair["own_gain"]) for pair in pairs]
            + [signed(pair["held_out_difference"]) for pair in pairs]
            for label, pairs in found
        ],
    )


def _against_solo(pairs: list[Table]) -> str:
    head = [
        "", "at equal", "strongest solo", "seeds", "rounds, its rounds", "ended first", "own reward",
        "the control's", "gain", "held-out", "the control's", "difference",
    ]  # fmt: skip
    return table(
        head,
        [
            [
                pair["label"], pair["basis"], pair["control"], str(len(pair["seeds"])),
                f"{pair['rounds']['mean']:.1f}, {pair['control_rounds']['mean']:.1f}",
                pair["ended_first"] or NOTHING,
                shown(pair["own"]), shown(pair["control_own"]), percent(pair["own_gain"]),
                shown(pair["held_out"]), shown(pair["control_held_out"]), signed(pair["held_out_difference"]),
            ]
            for pair in pairs
            if pair["strongest"]
        ],
    )  # fmt: skip


def _attacks(rows: list[Table]) -> str:
    head = [
        "", "kind", "attackers", "success, end", "success, peak", "length, end", "control",
        "length, times the control's", "own reward", "held-out, difference",
    ]  # fmt: skip
    return table(
        head,
        [
            [
                row["label"], row["kind"], str(row["attackers"]),
                shown(row["payload_end"]), shown(row["payload_peak"]), shown(row["length_end"], "{:.1f}"),
                row["control"] or NOTHING,
                shown(row["length_ratio"], "{:.2f}") if row["length_ratio"] else NOTHING,
                percent(row["own_gain"]) if row["own_gain"] else NOTHING,
                signed(row["held_out_difference"]) if row["held_out_difference"] else NOTHING,
            ]
            for row in rows
        ],
    )  # fmt: skip


def _spending(rows: list[Table]) -> str:
    phases = list(rows[0]["spending"]["seconds"]) if rows else []
    head = ["", *(f"{phase}, s" for phase in phases), *USES.values()]
    body = []
    for row in rows:
        seconds, tokens = row["spending"]["seconds"], row["spending"]["tokens"]
        cells = [shown(seconds[phase], "{:.1f}") for phase in phases]
        body.append([row["label"], *cells, *(shown(tokens[use], UNITS["tokens"]) for use in USES)])
    return table(head, body)


def _specialists(rows: list[Table], baseline: str | None) -> str:
    head = [""]
    for tasks in ("own tasks", "others' tasks"):
        head += [f"{tasks}, before", "after", f"after, against {baseline}"]
    body = []
    for row in rows:
        cells = [row["label"]]
        for which in ("own", "others"):
            found = row["specialists"][which]
            difference = signed(found["difference"]) if found["difference"] else NOTHING
            cells += [shown(found["before"]), shown(found["after"]), difference]
        body.append(cells)
    return table(head, body)


def _stability(rows: list[Table]) -> str:
    head = ["", *(f"{CURVE_TITLES[curve]}, {quantity}" for curve in CURVES for quantity in QUANTITIES)]
    return table(
        head,
        [
            [row["label"], *(shown(row["stability"][curve][q]) for curve in CURVES for q in QUANTITIES)]
            for row in rows
        ],
    )


def _tasks(rows: list[Table]) -> str:
    names = list(rows[0]["tasks"]) if rows else []
    return table(
        ["", *names], [[row["label"], *(shown(row["tasks"][name]) for name in names)] for row in rows]
    )


def _sweep(sweep: list[Table]) -> str:
    body = [[row["label"], f"{row['learning_rate']:g}", shown(row["own"], UNITS["own"])] for row in sweep]
    return table(["", "rate", "cumulative own reward"], body)


def _meanings(measures: Table) -> str:
    return "\n".join(f"- **{measure['title']}**: {measure['meaning']}" for measure in measures.values())
