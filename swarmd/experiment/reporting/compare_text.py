"""What `swarmd experiment compare` prints: as plain values for --json, and from these as Markdown."""

from __future__ import annotations

from typing import Any

from swarmd.experiment.reporting.cells import NOTHING, percent, plain, shown, signed, table
from swarmd.experiment.reporting.compare import Comparison, Difference, Side
from swarmd.experiment.reporting.significance import PAIRS_EXACT

Table = dict[str, Any]


def comparison_values(found: Comparison) -> Table:
    """As JSON holds it: NaN is None."""
    return {
        "a": _side(found.a),
        "b": _side(found.b),
        "at_equal": found.basis,
        "pairs": found.pairs,
        "seeds": list(found.seeds),
        "seeds_left_out": list(found.left_out),
        "own": _difference(found.own),
        "held_out": _difference(found.held_out),
        "tasks": {name: _difference(task) for name, task in found.tasks.items()},
    }


def _side(side: Side) -> Table:
    rate = next(iter(side.runs.values())).rate
    return {"folder": str(side.folder), "label": side.label, "learning_rate": rate}


def _difference(found: Difference) -> Table:
    estimates = {name: plain(getattr(found, name)) for name in ("a", "b", "difference", "gain")}
    return {**estimates, "p": found.p, "p_holm": found.p_holm}


def to_text(values: Table) -> str:
    """For people."""
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
            1, f"left out, as only one has them: seeds {', '.join(map(str, values['seeds_left_out']))}"
        )
    if count <= PAIRS_EXACT:
        parts.append(f"{count} pairs cannot give a p below {2 / 2**count:.4f}.")
    return "\n\n".join(parts)


def _p(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.4f}"
