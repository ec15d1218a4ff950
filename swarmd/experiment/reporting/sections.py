"""The sections of a report as Markdown, from the tables of report.json. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from swarmd.experiment.metering import UNITS_OF, Unit
from swarmd.experiment.reporting.markdown import NOTHING, percent, shown, signed, table
from swarmd.experiment.reporting.measures import CURVES, QUANTITIES
from swarmd.experiment.reporting.pricing import MACHINES, Machine

Table = dict[str, Any]

UNITS = {"tokens": "{:,.0f}", "seconds": "{:,.0f}", "mixed": "{:.2f}", "own": "{:.2f}"}
RATIO = "{:.3f}"  # of everything else
USES = {
    "generated": "tokens generated",
    "trained_own": "trained on, own",
    "trained_external": "trained on, others'",
}
WRITTEN = {
    "length": "tokens per completion",
    "finished": "share that end by themselves",
    "entropy": "entropy, nats per token",
}
MODEL_SHOWN = 8  # hex digits of a model's SHA-256: enough to tell those of one experiment apart
UNIT_NAMES: dict[Unit, str] = {
    "questions": "question made",
    "decoding_steps": "decoding step of a batch",
    "tokens_generated": "token generated",
    "completions_scored": "completion scored",
    "records_signed": "record signed",
    "records_verified": "record verified",
    "updates": "update of the weights",
    "tokens_trained_own": "own token trained on",
    "tokens_trained_external": "external token trained on",
    "tokens_trained_lessons": "token of a lesson trained on",
    "rounds_asked": "round with questions",
    "rounds_scored": "round with scoring",
    "rounds_published": "round with publishing",
    "rounds_verified": "round with verifying",
}
CURVE_TITLES = {"own": "own reward", "held_out": "held-out"}


def answers(tables: Table) -> Iterator[str]:
    """What a reader wants to know first: headings, tables and notes."""
    rows = tables["configurations"]
    yield from ("## Results", _measures(rows, tables["measures"]))
    if any(row["against_baseline"] for row in rows):
        yield from (f"## Against {tables['baseline']}", _against_baseline(rows), EQUAL)
        if machines := _on_machines(rows):
            yield from ("## Against it, at the prices of real models", machines, REAL_MODELS)
    if tables["against_solo"]:
        yield from ("## Against the strongest solo control", _against_solo(tables["against_solo"]), STRONGEST)
    if tables["attacks"]:
        yield from ("## Attacks", _attacks(tables["attacks"]), ATTACKS)


def details(tables: Table) -> Iterator[str]:
    """The rest, in the same form."""
    rows = tables["configurations"]
    yield from ("## Where time and tokens go", _spending(rows), SPENDING)
    if tables["prices"]:
        yield from (
            "## What a node's round costs",
            _rounds_cost(rows),
            ROUNDS_COST,
            _prices(tables["prices"]),
        )
    yield from ("## What nodes write", _writing(rows), WRITING)
    if any(row["specialists"] for row in rows):
        yield from ("## Specialists", _specialists(rows, tables["baseline"]), SPECIALISTS)
    if any(row["handed_on"] for row in rows):
        yield from ("## What others learned of each task", _handed_on(rows), HANDED_ON)
        if _rewards_by_task_are_known(rows):
            yield from ("## The same on own questions", _asked(rows), ASKED)
    yield from ("## Stability", _stability(rows), STABILITY)
    yield from ("## Held-out success by task, at the end", _tasks(rows))
    yield from learning_rates(tables)
    yield from ("## What the columns of the results are", _meanings(tables["measures"]))


def learning_rates(tables: Table) -> Iterator[str]:
    """The sweep, if there is one."""
    if tables["sweep"]:
        yield from ("## Learning rates tried, on other seeds", _sweep(tables["sweep"]))


AT_EQUAL = {"rounds": "rounds", "tokens": "tokens", "time": "time", "cpu": "CPU"}
"""Names of the bases in column heads."""

EQUAL = """\
At equal rounds, tokens, time or CPU, both runs of a pair are cut at what the cheaper one spent in all. Time
is wall-clock time, with whatever else the machine did. CPU is computed from unit prices (below), and so does
not depend on that. Gains are in mean reward per round over the rounds compared, equally weighted; held-out
differences are in success."""

REAL_MODELS = """\
Own reward, if generating and training cost what they cost with a real model on two cores (docs/benchmarks.md)
and everything else costs what it cost here. The lengths of answers are those of these runs. The longer the
answers, the less questions, scoring and verifying matter."""

ROUNDS_COST = """\
CPU milliseconds, mean over nodes and rounds, computed from units at the prices below. A node is charged for
verifying every record that a peer in its place would pull. The prices are computed from all runs together
(least squares without negative prices), because the same work takes more CPU seconds on a busier machine."""

STRONGEST = """\
Every configuration that shares nothing is a solo control, with its own best learning rate. The strongest is
the one that leaves the smallest gain in own reward, in means over seeds, at that budget. It is chosen on the
seeds that it is reported on, which favours it a little; report.json has all of them. Own reward is the mean
of the rounds compared. A configuration that *ended first* had spent all its rounds before the other: give it
more `rounds` to compare further."""

ATTACKS = """\
On the nodes that learn; attackers are left out of all numbers in this report. *Success*: the share of a
node's own sampled completions that carry the payload; *end*: mean over the last tenth of the rounds; *peak*:
of the round in which it is highest. *Length*: tokens per completion at the end. The control has the same
settings and no attackers; the differences are from its own reward and held-out success, paired by seed."""

SPENDING = """\
Per node over the whole run, mean over nodes, without held-out questions. *Trained on*: tokens in the
completions of the groups with an advantage. External groups are verified and trained on but not generated,
which is why equal tokens and equal time differ."""

WRITING = """\
Own completions. *First*: in the first round, in which no node has learned yet; *end*: mean over the last
tenth of the rounds. Texts that grow, or end by themselves less often, while own reward does not rise are a
warning: something other than the answer is being learned. Entropy near 0 means that nodes hardly explore."""

SPECIALISTS = """\
Held-out success, mean over nodes, on the tasks a node's model was good at from the start (`specialities`) and
on the tasks of the others; each task counts the same."""

HANDED_ON = """\
Held-out success. *Level*: mean over the task's specialists before the first round. For each configuration:
mean over all other nodes at the end and, after the comma, the node that does worst."""

ASKED = """\
Mean reward of own completions, on questions as the swarm draws them. Held-out questions are distinct, so the
more of them are asked, the larger the share of hard ones where a task repeats its easy questions. For each
configuration: the task's specialists in the first five rounds and, after the arrow, all other nodes over the
last tenth of the rounds."""

STABILITY = """\
Of means over nodes. *Peak*: the highest point; *drop*: from there to the end, which is forgetting in held-out
success; *falls*: all falls together, 0 if the curve only rises and large if it oscillates. Own reward is
smoothed over a twentieth of the rounds; with fewer own groups per round it is noisier and so has more falls,
whatever was learned."""


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
    compared = {row["label"]: row["against_baseline"] for row in rows if row["against_baseline"]}
    bases = [basis for basis in AT_EQUAL if all(basis in pairs for pairs in compared.values())]
    head = ["", "paper's reward, equal rounds"]
    for measure in ("own reward", "held-out"):
        head += [f"{measure}, equal rounds", *(f"equal {AT_EQUAL[basis]}" for basis in bases[1:])]
    body = []
    for label, pairs in compared.items():
        gains = [percent(pairs[basis]["own_gain"]) for basis in bases]
        held_out = [signed(pairs[basis]["held_out_difference"]) for basis in bases]
        body.append([label, percent(pairs["rounds"]["mixed_gain"]), *gains, *held_out])
    return table(head, body)


def _on_machines(rows: list[Table]) -> str:
    compared = {row["label"]: row["against_baseline"] for row in rows if row["against_baseline"]}
    names = [name for name in MACHINES if all(name in pairs for pairs in compared.values())]
    if not names:
        return ""
    head = ["", "equal CPU here", *(f"{name}, {_ratio(name)}" for name in names)]
    return table(
        head,
        [
            [label, *(percent(pairs[basis]["own_gain"]) for basis in ("cpu", *names))]
            for label, pairs in compared.items()
        ],
    )


def _ratio(machine: Machine) -> str:
    prices = MACHINES[machine]
    return f"generated : trained {prices['tokens_generated'] / prices['tokens_trained_own']:.2f} per token"


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


def _rounds_cost(rows: list[Table]) -> str:
    counted = [row for row in rows if "cpu" in row["spending"]]
    if not counted:
        return ""
    phases = list(counted[0]["spending"]["cpu"])
    body = []
    for row in counted:
        cells = [1000 * (row["spending"]["cpu"][phase]["mean"] or 0.0) for phase in phases]
        body.append([row["label"], *(f"{cell:.1f}" for cell in cells), f"{sum(cells):.1f}"])
    return table(["", *(f"{phase}, ms" for phase in phases), "together, ms"], body)


def _prices(prices: Table) -> str:
    units = [unit for units in UNITS_OF.values() for unit in units]
    models = list(prices)
    names = {model: f"model {model[:MODEL_SHOWN]}" for model in models} if len(models) > 1 else {}
    head = ["CPU milliseconds per", *(names.get(model, "price") for model in models)]
    body = [[UNIT_NAMES[unit], *(f"{1000 * prices[model][unit]:.3f}" for model in models)] for unit in units]
    return table(head, body)


def _writing(rows: list[Table]) -> str:
    head = [""]
    for title in WRITTEN.values():
        head += [f"{title}, first", "end"]
    body = []
    for row in rows:
        cells = [row["label"]]
        for what in WRITTEN:
            form = "{:.1f}" if what == "length" else RATIO
            cells += [shown(row["writing"][what][when], form) for when in ("first", "end")]
        body.append(cells)
    return table(head, body)


def _specialists(rows: list[Table], baseline: str | None) -> str:
    compared = [] if baseline is None else [f"after, against {baseline}"]
    head = [""]
    for tasks in ("own tasks", "others' tasks"):
        head += [f"{tasks}, before", "after", *compared]
    body = []
    for row in rows:
        cells = [row["label"]]
        for which in ("own", "others"):
            found = row["specialists"][which]
            cells += [shown(found["before"]), shown(found["after"])]
            if compared:
                cells.append(signed(found["difference"]) if found["difference"] else NOTHING)
        body.append(cells)
    return table(head, body)


def _handed_on(rows: list[Table]) -> str:
    levels = {task: found["level"] for row in rows for task, found in row["handed_on"].items()}
    body = [
        [task, shown(level), *(_learned(row["handed_on"].get(task)) for row in rows)]
        for task, level in levels.items()
    ]
    return table(["", "level", *(row["label"] for row in rows)], body)


def _rewards_by_task_are_known(rows: list[Table]) -> bool:
    """Whether any run recorded them. Those of daemons do not."""
    found = [task for row in rows for task in row["handed_on"].values()]
    return any(task[what]["mean"] is not None for task in found for what in ("asked_level", "asked_others"))


def _asked(rows: list[Table]) -> str:
    tasks = dict.fromkeys(task for row in rows for task in row["handed_on"])
    body = [[task, *(_earned(row["handed_on"].get(task)) for row in rows)] for task in tasks]
    return table(["", *(row["label"] for row in rows)], body)


def _earned(found: Table | None) -> str:
    return NOTHING if found is None else f"{shown(found['asked_level'])} → {shown(found['asked_others'])}"


def _learned(found: Table | None) -> str:
    """Empty if the task's specialists, or all others, attack."""
    return NOTHING if found is None else f"{shown(found['others'])}, {shown(found['least'])}"


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
