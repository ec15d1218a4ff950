"""`swarmd experiment report`: the tables and plots of a results folder, written into it.

report.json holds all numbers, and report.md and report.html present them to people. The page is
self-contained and includes the plots. Computes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from swarmd.experiment.reporting.figures import Figure, figures, plain_figure
from swarmd.experiment.reporting.markdown import escaped, fenced
from swarmd.experiment.reporting.page import to_page
from swarmd.experiment.reporting.plots import draw_figures
from swarmd.experiment.reporting.repeating import repeating
from swarmd.experiment.reporting.results import read_results
from swarmd.experiment.reporting.sections import answers, details, learning_rates
from swarmd.experiment.reporting.tables import make_tables
from swarmd.storage.durable import disk_error

Table = dict[str, Any]

JSON_FILE, MARKDOWN_FILE, PAGE_FILE = "report.json", "report.md", "report.html"


def write_report(folder: Path, *, with_plots: bool = True) -> list[Path]:
    """Write report.json, report.md, report.html and the plots. Returns their paths.

    Raises ConfigError for a folder without finished runs or for plots without matplotlib, StorageError.
    """
    results = read_results(folder)
    curves = figures(results)
    tables = make_tables(results) | {
        "curves": {figure.name: plain_figure(figure) for figure in curves},
        "repeating": repeating(results),
    }
    try:
        drawn = draw_figures(curves, results.config, folder) if with_plots else []
        text = to_markdown(tables, curves if with_plots else [])
        pictures = {path.name: path.read_bytes() for path in drawn if path.suffix == ".svg"}
        written = {
            JSON_FILE: json.dumps(tables, indent=1, allow_nan=False),
            MARKDOWN_FILE: text,
            PAGE_FILE: to_page(tables["experiment"], text, pictures),
        }
        for name, content in written.items():
            (folder / name).write_text(content, encoding="utf-8")
    except OSError as error:
        raise disk_error(f"write the report into {folder}", error, "a copy of the folder") from error
    return [*(folder / name for name in written), *drawn]


def to_markdown(tables: Table, curves: Sequence[Figure]) -> str:
    """Return report.md; `curves` are the figures that were drawn."""
    is_swept_only = not tables["configurations"]
    parts = (
        _beginning(tables),
        () if is_swept_only else answers(tables),
        _pictures(curves),
        learning_rates(tables) if is_swept_only else details(tables),
        _repeating(tables["repeating"]),
    )
    return "\n\n".join(chain(*parts)) + "\n"


def _beginning(tables: Table) -> Iterator[str]:
    yield f"# {escaped(tables['experiment'])}"
    rows = tables["configurations"]
    runs, nodes = sum(len(row["seeds"]) for row in rows), _counted(tables["nodes"], "node")
    counted = f"{_counted(runs, 'run')} of {_counted(len(rows), 'configuration')}, of {nodes} each"
    yield (
        f"{counted}. Means over seeds with 95% bootstrap intervals; comparisons are paired by seed. With "
        "fewer than five seeds the intervals are too narrow."
        if rows
        else "Only runs of the sweep are finished."
    )
    if tables["unfinished_runs"]:
        unfinished = _counted(tables["unfinished_runs"], "run")
        yield f"**Not included, because not finished: {unfinished}.**"
    if tables["superseded_runs"]:
        yield (
            f"Left out, because the configuration or learning rate is no longer part of the experiment: "
            f"{_counted(tables['superseded_runs'], 'run')}."
        )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _pictures(curves: Sequence[Figure]) -> Iterator[str]:
    if curves:
        yield "## Curves"
    for figure in curves:
        yield f"![{escaped(f'{figure.title}. {figure.note}')}]({figure.name}.svg)"


def _repeating(found: Table) -> Iterator[str]:
    yield "## How to run it again"
    yield (
        "The settings are below. Settings that are not listed have their defaults. A model or swarm that is "
        "given as a path must exist."
    )
    yield fenced("\n".join(found["commands"]))
    yield fenced(found["settings"])
    yield "## What it ran with"
    lines = []
    for ran in found["ran_with"]:
        versions = ", ".join(f"{name} {version}" for name, version in ran["versions"].items())
        lines.append(f"{ran['runs']} runs: {versions or 'not known'}")
    lines += [f"model files, SHA-256: {model}" for model in found["models"]]
    lines += [f"first run: {reason}" for reason in found["first_run"]]
    yield "\n".join(f"- {escaped(line)}" for line in lines)
