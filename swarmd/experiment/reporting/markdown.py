"""Numbers and tables as Markdown, from the plain values of report.json, where NaN is None."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from swarmd.experiment.reporting.statistics import Estimate
from swarmd.observe.text import printable

NOTHING = "–"

_MARKUP = re.compile(r"[\\`*\[\]<>|&~]|(?<!\w)_|_(?!\w)")
"""Characters that Markdown could interpret. An underscore inside a word is not interpreted."""


def plain(estimated: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON holds it."""
    values = [value if math.isfinite(value) else None for value in estimated.values]
    mean = estimated.mean if math.isfinite(estimated.mean) else None
    return {"mean": mean, "low": estimated.low, "high": estimated.high, "values": values}


def shown(estimated: dict[str, Any], form: str = "{:.3f}") -> str:
    """Return the mean and its interval: 0.125 (0.101 to 0.150)."""
    if estimated["mean"] is None:
        return NOTHING
    text = form.format(estimated["mean"])
    if estimated["low"] is None:
        return text
    return f"{text} ({form.format(estimated['low'])} to {form.format(estimated['high'])})"


def signed(estimated: dict[str, Any]) -> str:
    """The same for a difference: +0.012 (-0.003 to +0.027)."""
    return shown(estimated, "{:+.3f}")


def percent(estimated: dict[str, Any]) -> str:
    """The same for a share: +12.5% (+10.1% to +15.0%)."""
    in_percent = {
        key: None if estimated[key] is None else 100 * estimated[key] for key in ("mean", "low", "high")
    }
    return shown(in_percent, "{:+.1f}%")


def table(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table of plain text."""
    lines = [[escaped(cell) for cell in cells] for cells in (head, *body)]
    lines.insert(1, ["---"] * len(head))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def escaped(text: str) -> str:
    """Return `text` as one line of Markdown that shows it verbatim."""
    return _MARKUP.sub(r"\\\g<0>", printable(text))


def fenced(text: str) -> str:
    """Return a code block. Line breaks are kept; its fence is longer than any in `text`."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    shown_text = "\n".join(printable(line) for line in text.split("\n"))
    return f"{fence}\n{shown_text}\n{fence}"
