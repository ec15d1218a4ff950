"""`swarmd experiment compare`: two configurations, of one results folder or of two, pair by pair.

A pair is a seed (the nodes' mean) or a node of a seed. Differences are A's minus B's, each with a 95%
bootstrap interval over pairs and the p-value of a sign-flip permutation test over the same pairs. Over tasks,
p is Holm-corrected. Writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from swarmd.errors import ConfigError
from swarmd.experiment.config import Exchange
from swarmd.experiment.reporting.equal_cost import COUNTED, Basis, Cut, cut_pair
from swarmd.experiment.reporting.markdown import NOTHING, percent, plain, shown, signed, table
from swarmd.experiment.reporting.results import ASKED, Array, RunResults, priced, read_results
from swarmd.experiment.reporting.statistics import PAIRS_EXACT, Estimate, estimate, gain, holm, sign_flip_p
from swarmd.quoting import quoted
from swarmd.user_paths import looking_at

Table = dict[str, Any]

Pairs = Literal["seed", "node"]
"""What one observation is. Nodes of a seed are independent only if they share nothing. If they share, `node`
makes intervals too narrow and p too small.
"""


@dataclass(frozen=True)
class Side:
    """One of the two configurations."""

    folder: Path
    label: str
    runs: Mapping[int, RunResults]
    """By seed."""
    exchange: Exchange


@dataclass(frozen=True)
class Difference:
    """One measure. Estimates are over pairs."""

    a: Estimate
    b: Estimate
    difference: Estimate
    gain: Estimate
    """`difference` as a share of b; NaN if b is 0."""
    p: float
    p_holm: float | None = None
    """Only for tasks: p corrected for their number."""


@dataclass(frozen=True)
class Comparison:
    """A against B."""

    a: Side
    b: Side
    basis: Basis
    pairs: Pairs
    seeds: tuple[int, ...]
    """Seeds that both have, and that were used."""
    left_out: tuple[int, ...]
    """Seeds that only one of them has."""
    own: Difference
    """Mean own reward over the rounds compared; at equal rounds, its gain is that of cumulative own reward.
    """
    held_out: Difference
    """Held-out success at the end of the rounds compared."""
    tasks: Mapping[str, Difference]


def compare(a: str, b: str, *, basis: Basis = "rounds", pairs: Pairs = "seed") -> Comparison:
    """Compare two configurations; each is DIR:LABEL, or DIR if it has only one configuration.

    Raises ConfigError, naming what differs, if they cannot be paired.
    """
    one, other = _side(a), _side(b)
    seeds = sorted(one.runs.keys() & other.runs.keys())
    if not seeds:
        raise ConfigError(
            f"{a} has finished runs of the seeds {_list(one.runs)}, {b} of {_list(other.runs)}: none in "
            "common, so there are no pairs"
        )
    both = [(one.runs[seed], other.runs[seed]) for seed in seeds]
    _check_asked(a, b, both)
    if pairs == "node":
        _check_nodes(a, b, both)
    cuts = [cut_pair(ours, theirs, basis) for ours, theirs in _pairs(a, b, one, other, seeds, basis)]
    tasks = _differences(cuts, pairs)
    corrected = holm([found.p for found in tasks.values()])
    return Comparison(
        a=one,
        b=other,
        basis=basis,
        pairs=pairs,
        seeds=tuple(seeds),
        left_out=tuple(sorted(one.runs.keys() ^ other.runs.keys())),
        own=_difference([(ours.own, theirs.own) for ours, theirs in cuts], pairs),
        held_out=_difference([(ours.held_out, theirs.held_out) for ours, theirs in cuts], pairs),
        tasks={
            name: Difference(f.a, f.b, f.difference, f.gain, f.p, p)
            for (name, f), p in zip(tasks.items(), corrected, strict=True)
        },
    )


def _pairs(
    a: str, b: str, one: Side, other: Side, seeds: Sequence[int], basis: Basis
) -> list[tuple[RunResults, RunResults]]:
    """Return the runs to compare. Those of two folders are charged the same prices, computed from both.

    Raises ConfigError if costs are to be compared and a side has no counts.
    """
    if basis not in COUNTED:
        return [(one.runs[seed], other.runs[seed]) for seed in seeds]
    for text, side in ((a, one), (b, other)):
        if not all(side.runs[seed].counts for seed in seeds):
            by, again = (
                ("as daemons, which count no units", "run it with --exchange process")
                if side.exchange == "daemons"
                else ("by a version of swarmd that counted no units", "run it again")
            )
            raise ConfigError(
                f"{text} was run {by}, so {basis} cannot be compared: use --equal time, or {again}"
            )
    runs = [*one.runs.values(), *other.runs.values()]
    charged = priced(runs) if one.folder != other.folder else tuple(runs)
    ours, theirs = charged[: len(one.runs)], charged[len(one.runs) :]
    of_one, of_other = ({run.seed: run for run in side} for side in (ours, theirs))
    return [(of_one[seed], of_other[seed]) for seed in seeds]


def _side(text: str) -> Side:
    """Return the folder and the configuration that `text` names."""
    folder, label = Path(text), ""
    with looking_at(text):
        is_whole = folder.exists() or ":" not in text
    if not is_whole:
        before, _, label = text.rpartition(":")
        folder = Path(before)
    results = read_results(folder)
    there = [arm.label for arm in results.config.configurations if results.of(arm.label)]
    if not label and len(there) == 1:
        label = there[0]
    if label not in there:
        wrong = f"no finished runs of {quoted(label)}" if label else "several configurations"
        raise ConfigError(f"{text}: {wrong}: name one as {folder}:NAME, NAME out of {', '.join(there)}")
    return Side(folder, label, {run.seed: run for run in results.of(label)}, results.config.exchange)


def _check_asked(a: str, b: str, pairs: Sequence[tuple[RunResults, RunResults]]) -> None:
    """Raise ConfigError if the two were not asked the same questions."""
    for ours, theirs in pairs:
        for key in ASKED:
            if ours.asked[key] != theirs.asked[key]:
                why = "the swarms differ in tasks or rewards" if key == "swarm_id" else "other questions"
                raise ConfigError(
                    f"{key}: {ours.asked[key]} in {a}, {theirs.asked[key]} in {b}: {why}, so they cannot be "
                    "compared in pairs"
                )


def _check_nodes(a: str, b: str, pairs: Sequence[tuple[RunResults, RunResults]]) -> None:
    """Raise ConfigError if other nodes learned in one than in the other, because some attacked."""
    for ours, theirs in pairs:
        if ours.learners != theirs.learners:
            raise ConfigError(
                f"nodes {_list(ours.learners)} learned in {a}, and {_list(theirs.learners)} in {b}, "
                "so they cannot be compared node by node: use --pairs seed"
            )


def _differences(cuts: Sequence[tuple[Cut, Cut]], pairs: Pairs) -> dict[str, Difference]:
    names = cuts[0][0].tasks
    return {
        name: _difference([(ours.tasks[name], theirs.tasks[name]) for ours, theirs in cuts], pairs)
        for name in names
    }


def _difference(values: Sequence[tuple[Array, Array]], pairs: Pairs) -> Difference:
    """`values` holds A's and B's values for each seed, [nodes] each."""
    ours, theirs = (np.array(side) for side in zip(*values, strict=True))  # [seeds, nodes]
    a, b = (side.mean(axis=1) if pairs == "seed" else side.ravel() for side in (ours, theirs))
    return Difference(estimate(a), estimate(b), estimate(a - b), gain(a, b), sign_flip_p(a - b))


def _list(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))


# What is printed ----------------------------------------------------------------------------------


def comparison_values(found: Comparison) -> Table:
    """Return the comparison as --json prints it: NaN is None."""
    return {
        "a": _side_values(found.a),
        "b": _side_values(found.b),
        "at_equal": found.basis,
        "pairs": found.pairs,
        "seeds": list(found.seeds),
        "seeds_left_out": list(found.left_out),
        "own": _difference_values(found.own),
        "held_out": _difference_values(found.held_out),
        "tasks": {name: _difference_values(task) for name, task in found.tasks.items()},
    }


def _side_values(side: Side) -> Table:
    rate = next(iter(side.runs.values())).rate
    return {"folder": str(side.folder), "label": side.label, "learning_rate": rate}


def _difference_values(found: Difference) -> Table:
    estimates = {name: plain(getattr(found, name)) for name in ("a", "b", "difference", "gain")}
    return {**estimates, "p": found.p, "p_holm": found.p_holm}


def to_text(values: Table) -> str:
    """Return the comparison as Markdown, from the values of `comparison_values`."""
    a, b = (f"{side['folder']}:{side['label']}" for side in (values["a"], values["b"]))
    count = len(values["own"]["difference"]["values"])
    rows = {"own reward": values["own"], "held-out": values["held_out"], **values["tasks"]}
    head = ["", "A", "B", "A - B", "gain", "p", "p, Holm over tasks"]
    body = [
        [
            name, shown(row["a"]), shown(row["b"]), signed(row["difference"]), percent(row["gain"]),
            _p(row["p"]), _p(row["p_holm"]),
        ]
        for name, row in rows.items()
    ]  # fmt: skip
    parts = [
        f"A: {a}\nB: {b}\nat equal {values['at_equal']}, {count} pairs by {values['pairs']}, "
        f"seeds {', '.join(map(str, values['seeds']))}",
        table(head, body),
    ]
    if values["seeds_left_out"]:
        parts.insert(
            1,
            f"left out because only one side has them: seeds {', '.join(map(str, values['seeds_left_out']))}",
        )
    if count <= PAIRS_EXACT:
        parts.append(f"{count} pairs cannot give a p below {2 / 2**count:.4f}.")
    return "\n\n".join(parts)


def _p(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"
